"""Whether CAA records let the authorities issue (RFC 8659, RFC 8657)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum

from renewer.model.inspection import Asked, Caa, CaaRecord, Candidate, Finding
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


def judge(caa: Caa | None, asked: Asked) -> Iterator[Finding]:
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


def _fit(records: Sequence[CaaRecord], authority: Candidate, asked: Asked) -> _Fit:
    return max(_fits_one(one, authority, asked) for one in records)


def _fits_one(record: CaaRecord, authority: Candidate, asked: Asked) -> _Fit:
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
    caa: Caa, relevant: Sequence[CaaRecord], one: Candidate, asked: Asked, fit: _Fit, *, final: bool
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
