"""What TLSA records (RFC 6698) mean for a certificate that will be renewed. Pure."""

from collections.abc import Sequence

from renewer.model.inspection import Finding, Pinned, Severity, Tlsa

_AUTHORITY = (0, 2)  # certificate usages PKIX-TA and DANE-TA: they name who issues, not what is issued
_WHOLE = 0  # the selector for all of the certificate; 1 is its key
_HASHED = (
    "or publish a record of the authority's key (2 1 1) instead, or let a hook publish each new key first "
    '(events = ["publish"], deploy_after)'
)


def judge(
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
