"""What TLSA records (RFC 6698) mean for a certificate that will be renewed. Pure."""

from collections.abc import Sequence

from renewer.model.inspection import Finding, Severity, Tlsa

_AUTHORITY = (0, 2)  # certificate usages PKIX-TA and DANE-TA: they name who issues, not what is issued
_WHOLE = 0  # the selector for all of the certificate; 1 is its key
_HASHED = "or publish a record of the authority's key (2 1 1) instead"


def judge(certificate: str, records: Sequence[Tlsa], *, reuse_key: bool) -> tuple[Finding, ...]:
    """What a renewal would break, by the place of the records; nothing if one of them outlives renewals.

    One record that fits is enough for clients (RFC 6698 §2.1.1): so one that names the authority, or the key
    that is kept, is as good as any number of them.
    """
    found = []
    for place in dict.fromkeys(one.place for one in records):
        those = [one for one in records if one.place == place]
        named = ", ".join(dict.fromkeys(one.text for one in those))
        if any(one.usage in _AUTHORITY for one in those):
            found.append(_kept(place, f"names an authority ({named}): change it before another one issues"))
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


def _kept(place: str, text: str) -> Finding:
    return Finding(severity=Severity.INFO, code="tlsa-kept", text=f"TLSA at {place} {text}")
