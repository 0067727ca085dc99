"""The record of DNS-PERSIST-01 (draft-ietf-acme-dns-persist): `ISSUER; accounturi=URL[; policy=wildcard]`."""

from datetime import datetime

from renewer.model.value import Value

LABEL = "_validation-persist"
_STRING = 255  # octets of one string of a TXT record (RFC 1035 §3.3)


class Claim(Value):
    """What a record must say: one of the authority's names (any, if nobody knows them), and our account."""

    issuers: tuple[str, ...]
    account: str
    wildcard: bool = False


def name_of(base: str) -> str:
    """Where it lies; a wildcard's is that of its base."""
    return f"{LABEL}.{base}"


def text_of(claim: Claim) -> str:
    """The value to publish; with several names of the authority, its first."""
    issuer = claim.issuers[0] if claim.issuers else "ISSUER"
    return f"{issuer}; accounturi={claim.account}" + ("; policy=wildcard" if claim.wildcard else "")


def misfit(value: str, claim: Claim, now: datetime) -> str | None:
    """Why a value does not prove the claim; None if it does. Parameters may stand in any order."""
    issuer, *rest = (part.strip() for part in value.split(";"))
    given = {key.strip().lower(): one.strip() for key, _, one in (part.partition("=") for part in rest)}
    if claim.issuers and issuer.lower().removesuffix(".") not in claim.issuers:
        return f"it is for “{issuer[:48]}”, not for {' or '.join(claim.issuers[:3])}"
    if given.get("accounturi") != claim.account:
        return "it names another account" if "accounturi" in given else "it names no account"
    if claim.wildcard and given.get("policy", "").lower() != "wildcard":
        return "it has no policy=wildcard"
    until = given.get("persistuntil")
    if until is not None and not (until.isdecimal() and len(until) < 16 and int(until) > now.timestamp()):
        return "its persistUntil is over" if until.isdecimal() else "its persistUntil is no number"
    return None


def zone_line(name: str, value: str) -> str:
    """The record as a zone file has it; long values in several strings."""
    parts = [value[at : at + _STRING] for at in range(0, len(value), _STRING)]
    return f"{name}. IN TXT " + " ".join(f'"{part}"' for part in parts)
