"""Whether CAA records let the authorities issue (RFC 8659, RFC 8657)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import IntEnum

from renewer.model.inspection import (
    Caa,
    CaaRecord,
    Candidate,
    Finding,
    NameAsked,
    Pinned,
    Severity,
    Signed,
    Tlsa,
)
from renewer.policy.name_checks.words import error, info, listed, warning

# Directory → the identities that it answers to, for when its directory does not say them or cannot be had.
IDENTITIES: Mapping[str, tuple[str, ...]] = {
    "https://acme-v02.api.letsencrypt.org/directory": ("letsencrypt.org",),
    "https://acme-staging-v02.api.letsencrypt.org/directory": ("letsencrypt.org",),
    "https://dv.acme-v02.api.pki.goog/directory": ("pki.goog",),
    "https://acme.zerossl.com/v2/DV90": (
        *("sectigo.com", "trust-provider.com", "usertrust.com", "comodoca.com", "comodo.com"),
    ),
    "https://acme.ssl.com/sslcom-dv-ecc": ("ssl.com",),
    "https://acme.ssl.com/sslcom-dv-rsa": ("ssl.com",),
    "https://acme-api.actalis.com/acme/directory": ("actalis.it",),
}
_KNOWN = frozenset(("issue", "issuewild", "issuemail", "issuevmc", "iodef", "contactemail", "contactphone"))
_LABEL = r"[A-Za-z0-9](?:-*[A-Za-z0-9])*"
_VALUE = re.compile(rf"\s*(?P<issuer>{_LABEL}(?:\.{_LABEL})*\.?)?\s*(?:;(?P<rest>.*))?", re.DOTALL)
_PARAMETER = re.compile(
    r"\s*(?P<tag>[A-Za-z0-9](?:-*[A-Za-z0-9])*)\s*=\s*(?P<value>[\x21-\x3a\x3c-\x7e]*)\s*"
)


class _Fit(IntEnum):
    """How far a record lets an authority in; the best of all records counts (RFC 8659 §4.2)."""

    NOBODY = 0
    OTHER_METHOD = 1
    OTHER_ACCOUNT = 2
    NO_ACCOUNT = 3
    ALLOWED = 4


def judge_caa(caa: Caa | None, asked: NameAsked) -> Iterator[Finding]:
    """If no authority may issue that is an error; if only some may not, a warning for each."""
    if caa is None:
        return
    if caa.trouble:
        yield error(
            "caa-failed",
            f"CAA records of {caa.owner} cannot be looked up: {caa.trouble}; authorities must refuse then",
            "mend the zone or its servers: an answer that there is none is enough",
        )
        return
    yield from _critical(caa)
    relevant = _relevant(caa.records, wildcard=asked.wildcard)
    if not relevant:
        return
    fits = {one.name: _fit(relevant, one, asked) for one in asked.authorities if one.identities}
    none = bool(fits) and len(fits) == len(asked.authorities) and _Fit.ALLOWED not in fits.values()
    for one in asked.authorities:
        if not one.identities:
            yield info(
                "caa-authority-unknown",
                f"{caa.owner} has CAA records, and nobody knows by what name they would let {one.name} issue",
                f"see that one of them names it: {listed(record.value for record in relevant)}",
            )
        elif fits[one.name] is not _Fit.ALLOWED:
            yield _refusal(caa, relevant, one, asked, fits[one.name], final=none)


def _critical(caa: Caa) -> Iterator[Finding]:
    """RFC 8659 §4.1: an authority must not issue if it does not understand a critical property."""
    unknown = [one.tag for one in caa.records if one.critical and one.tag not in _KNOWN]
    if unknown:
        yield error(
            "caa-unknown-critical",
            f"{caa.owner} has a critical CAA record with the tag {listed(unknown)}: no authority that does "
            "not "
            "know it issues anything",
            "take the record out, or its critical flag",
        )


def _relevant(records: Sequence[CaaRecord], *, wildcard: bool) -> list[CaaRecord]:
    """RFC 8659 §4.3: for a wildcard, issuewild takes the place of issue if there is any."""
    issue = [one for one in records if one.tag == "issue"]
    issuewild = [one for one in records if one.tag == "issuewild"]
    return issuewild or issue if wildcard else issue


def _fit(records: Sequence[CaaRecord], authority: Candidate, asked: NameAsked) -> _Fit:
    return max(_fits_one(one, authority, asked) for one in records)


def _fits_one(record: CaaRecord, authority: Candidate, asked: NameAsked) -> _Fit:
    issuer, parameters = _read(record.value)
    if issuer not in authority.identities or parameters is None:
        return _Fit.NOBODY
    # RFC 8657 §3: more than one accounturi cannot be satisfied; it is compared octet by octet
    accounts = [value for tag, value in parameters if tag == "accounturi"]
    if accounts and authority.account and accounts != [authority.account]:
        return _Fit.OTHER_ACCOUNT
    # RFC 8657 §4: likewise; a list of methods, separated by commas
    methods = [value for tag, value in parameters if tag == "validationmethods"]
    if methods and (len(methods) > 1 or asked.challenge not in methods[0].split(",")):
        return _Fit.OTHER_METHOD
    return _Fit.NO_ACCOUNT if accounts and not authority.account else _Fit.ALLOWED


def _read(value: str) -> tuple[str, list[tuple[str, str]] | None]:
    """The issuer and the parameters (RFC 8659 §4.2); None for what cannot be read: then nobody is let in."""
    match = _VALUE.fullmatch(value)
    if match is None:
        return "", None
    issuer = (match["issuer"] or "").lower().rstrip(".")
    parameters = []
    for part in (match["rest"] or "").split(";"):
        if part.strip():
            found = _PARAMETER.fullmatch(part)
            if found is None:
                return issuer, None
            parameters.append((found["tag"].lower(), found["value"]))
    return issuer, parameters


def _refusal(  # noqa: PLR0913  a refusal has that many sides
    caa: Caa, relevant: Sequence[CaaRecord], one: Candidate, asked: NameAsked, fit: _Fit, *, final: bool
) -> Finding:
    tag, make = relevant[0].tag, error if final else warning
    name = f"*.{asked.name}" if asked.wildcard else asked.name
    values = listed((record.value for record in relevant), 3)
    match fit:
        case _Fit.NO_ACCOUNT:
            return warning(
                "caa-account-unknown",
                f"the CAA records of {caa.owner} let {one.name} issue {name} to one account only "
                f"({values}), and "
                "there is none of ours yet",
                f"register it first (renewer account register {one.name}), then put its URL into accounturi",
            )
        case _Fit.OTHER_ACCOUNT:
            return make(
                "caa-other-account",
                f"the CAA records of {caa.owner} let {one.name} issue {name} to another account only "
                f"({values}); "
                f"ours is {one.account}",
                f'add: {caa.owner}. CAA 0 {tag} "{one.identities[0]}; accounturi={one.account}"',
            )
        case _Fit.OTHER_METHOD:
            return make(
                "caa-other-method",
                f"the CAA records of {caa.owner} let {one.name} issue {name} by other challenges only "
                f"({values}); "
                f"configured is {asked.challenge}",
                f"add {asked.challenge} to validationmethods, or choose another challenge",
            )
        case _:
            return make(
                "caa-forbids",
                f"the CAA records of {caa.owner} ({tag}: {values}) do not let {one.name} issue {name}",
                f'add: {caa.owner}. CAA 0 {tag} "{one.identities[0]}"',
            )


SOON = timedelta(days=1)  # signers renew signatures days ahead: less left means that they stopped
_HINTS = {
    "dnssec-expired": "let the signer run again (is its key there, its clock right, its disk full?), "
    "or take the DS records out at the parent",
    "dnssec-ds-mismatch": "publish the DS of a key that the zone has, at the registrar; remove the old one",
    "dnssec-no-keys": "sign the zone, or take the DS records out at the registrar",
    "dnssec-unsigned": "sign the zone at every server, or take the DS records out at the registrar",
    "dnssec-not-yet": "set the clock of the signer right, and sign again",
    "dnssec-bogus": "sign the zone anew; a server that changes records on the way breaks them, too",
}


def judge_signatures(zones: Sequence[Signed], now: datetime) -> Iterator[Finding]:
    """A broken zone blocks renewal everywhere; one that is not signed is no finding."""
    for zone in zones:
        for fault in zone.faults:
            yield error(
                fault.code,
                f"the DNSSEC of {zone.zone} is broken: {fault.text}; every authority that validates refuses",
                _HINTS.get(fault.code, "mend the zone's signatures"),
            )
        if zone.refused_from and not zone.faults:
            yield error(
                "dnssec-refused",
                f"the resolver answers for {zone.refused_from} only when told not to check DNSSEC: it is "
                "broken "
                f"there or above, and so for {zone.zone}; every authority that validates refuses",
                f"see what is wrong with {zone.refused_from}: its DS at the parent, its keys, its signatures",
            )
        if not zone.faults and zone.ds and zone.ends and zone.ends - now < SOON:
            yield warning(
                "dnssec-expiring",
                f"a signature of {zone.zone} ends on {zone.ends:%Y-%m-%d %H:%MZ} and was not renewed yet; "
                "after "
                "that no authority issues for it",
                "see whether the zone's signer still runs",
            )
        if zone.keys and not zone.ds:
            yield info(
                "dnssec-no-ds",
                f"{zone.zone} is signed, but its parent has no DS record: nobody checks the signatures",
                "publish the DS at the registrar, if it is meant to be checked",
            )


_AUTHORITY = (0, 2)  # certificate usages PKIX-TA and DANE-TA: they name who issues, not what is issued
_WHOLE = 0  # the selector for all of the certificate; 1 is its key
_HASHED = (
    "or publish a record of the authority's key (2 1 1) instead, or let a hook publish each new key first "
    '(events = ["publish"], deploy_after)'
)


def judge_tlsa(
    certificate: str, records: Sequence[Tlsa], *, reuse_key: bool, publisher: str = ""
) -> tuple[Finding, ...]:
    """What a renewal would break, by the place of the records; nothing if one of them outlives renewals.

    `publisher` is the hook that publishes each new key before it is served.

    One record that fits is enough for clients (RFC 6698 §2.1.1): so one that names the authority, or the key
    that is kept, is as good as any number of them.
    """
    found = []
    for place in dict.fromkeys(one.place for one in records):
        those = [one for one in records if one.place == place]
        named = ", ".join(dict.fromkeys(one.text for one in those))
        if any(one.usage in _AUTHORITY for one in those):
            found.append(_kept(place, f"names an authority ({named}): change it before another one issues"))
        elif publisher:
            found.append(_kept(place, f"names what is served ({named}): hook {publisher} publishes the next"))
        elif all(one.selector == _WHOLE for one in those):
            text = f"TLSA at {place} names a whole certificate ({named}): every renewal breaks it"
            hint = f"name the key (3 1 1) and set reuse_key = true in [certificate.{certificate}], {_HASHED}"
            found.append(Finding(severity=Severity.WARNING, code="tlsa", text=text, hint=hint))
        elif reuse_key:
            found.append(_kept(place, f"names a key ({named}): it is kept, for reuse_key is set"))
        else:
            text = (
                f"TLSA at {place} names a key ({named}): each renewal brings a new one, and mail bounces then"
            )
            hint = f"set reuse_key = true in [certificate.{certificate}], {_HASHED}"
            found.append(Finding(severity=Severity.WARNING, code="tlsa", text=text, hint=hint))
    return tuple(found)


def compare(records: Sequence[Tlsa], pinned: Sequence[Pinned]) -> tuple[Finding, ...]:
    """Which record matches which certificate of ours, by the place of the records.

    A place where none matches what is live refuses it to whoever asks (RFC 6698 §2.1). Of records that name
    an authority (usages 0 and 2) that its chain does not hold nothing can be told: roots are not sent.
    """
    found: list[Finding] = []
    live = next((one for one in pinned if one.live), None)
    if live is None:
        return ()
    for place in dict.fromkeys(one.place for one in records):
        those = [one for one in records if one.place == place]
        unknown = any(one.usage in _AUTHORITY and not _whose(one, pinned) for one in those)
        told = "; ".join(f"{one.text} {one.data[:16]}… {_words(one, _whose(one, pinned))}" for one in those)
        if unknown or any(_matches(one, live) for one in those):
            text = f"TLSA at {place}: {told}"
            found.append(Finding(severity=Severity.INFO, code="tlsa-match", text=text))
        else:
            text = f"no TLSA record at {place} matches what is live, who asks for them refuses it: {told}"
            hint = f"publish the live key beside: 3 1 1 {live.spki_sha256}"
            found.append(Finding(severity=Severity.WARNING, code="tlsa-mismatch", text=text, hint=hint))
    return tuple(found)


def _matches(record: Tlsa, pinned: Pinned) -> bool:
    known = pinned.above if record.usage in _AUTHORITY else pinned.leaf
    return (record.selector, record.matching, record.data.lower()) in known


def _whose(record: Tlsa, pinned: Sequence[Pinned]) -> list[str]:
    return [one.what for one in pinned if _matches(record, one)]


def _words(record: Tlsa, whose: Sequence[str]) -> str:
    if whose:
        part = "certificate" if record.selector == _WHOLE else "key"
        who = f"an authority's {part} in the chain of" if record.usage in _AUTHORITY else f"the {part} of"
        return f"is {who} {' and '.join(whose)}"
    if record.usage in _AUTHORITY:
        return "names an authority that its chain does not hold"
    return "matches nothing here"


def _kept(place: str, text: str) -> Finding:
    return Finding(severity=Severity.INFO, code="tlsa-kept", text=f"TLSA at {place} {text}")
