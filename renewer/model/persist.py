"""The record of DNS-PERSIST-01 (draft-ietf-acme-dns-persist): `ISSUER; accounturi=URI[; policy=wildcard]`.

Up to draft -01 the URI is the account's URL. From -02 on it is a hash of name, key and account below a prefix
that the authority's directory gives: nobody learns from the zone which names share an account. An authority
with such a prefix takes the hash; one without it knows the URL only.
"""

from datetime import datetime

from renewer.model.value import Value

LABEL = "_validation-persist"
ANY_NAME = "*"  # hashed in the place of the name, if one record is to serve several (draft -02 §4.1)
_STRING = 255  # octets of one string of a TXT record (RFC 1035 §3.3)


class Claim(Value):
    """What a record must say: one of the authority's names (any, if nobody knows them), and our account.

    `hashes` are the hashed URIs of the account, the first of them for exactly this name; empty where the
    authority has none. `named` is whether the authority's challenge itself asks for `account`.
    """

    issuers: tuple[str, ...]
    account: str
    wildcard: bool = False
    hashes: tuple[str, ...] = ()
    named: bool = False

    @property
    def accepted(self) -> tuple[str, ...]:
        """The URIs that the authority takes, the one to publish first."""
        plain = (self.account,) if self.named or not self.hashes else ()
        return self.hashes + plain


def hashes(prefix: str | None, base: str, thumbprint: str, account: str) -> tuple[str, ...]:
    """The account's hashed URIs for a name, and for any; none if the authority gives no prefix.

    Draft -02 §4.1: base64url, without padding, of SHA-256 over the name's length (one octet), the name in
    lower-case A-labels, the 43 octets of the key's thumbprint (RFC 7638) in base64url, and the account's URL.
    """
    if not prefix or not thumbprint or not account:
        return ()
    return tuple(f"{prefix}sha-256/{_hash(name, thumbprint, account)}" for name in (base, ANY_NAME))


def _hash(name: str, thumbprint: str, account: str) -> str:
    import base64  # both only where such a record is dealt with
    import hashlib

    octets = name.lower().removesuffix(".").encode("ascii")
    digest = hashlib.sha256(bytes([len(octets)]) + octets + thumbprint.encode() + account.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def name_of(base: str) -> str:
    """Where it lies; a wildcard's is that of its base."""
    return f"{LABEL}.{base}"


def text_of(claim: Claim) -> str:
    """The value to publish; with several names of the authority, its first."""
    issuer = claim.issuers[0] if claim.issuers else "ISSUER"
    return f"{issuer}; accounturi={claim.accepted[0]}" + ("; policy=wildcard" if claim.wildcard else "")


def misfit(value: str, claim: Claim, now: datetime) -> str | None:
    """Why a value does not prove the claim; None if it does. Parameters may stand in any order."""
    issuer, *rest = (part.strip() for part in value.split(";"))
    given = {key.strip().lower(): one.strip() for key, _, one in (part.partition("=") for part in rest)}
    if claim.issuers and issuer.lower().removesuffix(".") not in claim.issuers:
        return f"it is for “{issuer[:48]}”, not for {' or '.join(claim.issuers[:3])}"
    if wrong := _wrong_account(given.get("accounturi"), claim):
        return wrong
    if claim.wildcard and given.get("policy", "").lower() != "wildcard":
        return "it has no policy=wildcard"
    until = given.get("persistuntil")
    if until is not None and not (until.isdecimal() and len(until) < 16 and int(until) > now.timestamp()):
        return "its persistUntil is over" if until.isdecimal() else "its persistUntil is no number"
    return None


def _wrong_account(given: str | None, claim: Claim) -> str | None:
    """Compared letter by letter (RFC 3986 §6.2.1)."""
    if given is None:
        return "it names no account"
    if given in claim.accepted:
        return None
    if claim.hashes and given == claim.account:
        return "it names the account by its URL, and the authority takes a hash of it only (draft -02)"
    if claim.hashes and given.startswith(claim.hashes[0].rpartition("/")[0] + "/"):
        return "its hash is of another account, of another key of it, or of another name"
    if not claim.hashes and "/sha-256/" in given:
        return "it names a hashed account, and the authority knows the account's URL only (draft -01)"
    return "it names another account"


def zone_line(name: str, value: str) -> str:
    """The record as a zone file has it; long values in several strings."""
    parts = [value[at : at + _STRING] for at in range(0, len(value), _STRING)]
    return f"{name}. IN TXT " + " ".join(f'"{part}"' for part in parts)
