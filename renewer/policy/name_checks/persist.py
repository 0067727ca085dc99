"""The record of dns-persist-01 (SC-088, draft-ietf-acme-dns-persist): published once by the operator."""

from collections.abc import Iterator
from datetime import datetime

from renewer.model.inspection import Asked, Candidate, Finding, Trail
from renewer.model.persist import Claim, hashes, misfit
from renewer.policy.name_checks.words import error, listed, warning

TYPE = "dns-persist-01"


def judge(trail: Trail, asked: Asked, now: datetime) -> Iterator[Finding]:
    """Whether one of the values lets one of the authorities in."""
    said = [one for one in trail.end.said if not one.trouble]
    if not said or trail.stop is not None:
        return
    values = dict.fromkeys(text for one in said for text in one.texts)
    reasons: list[str] = []
    for value in values:
        fits = [_misfit(value, one, asked, now) for one in asked.authorities]
        if not all(fits):
            return
        reasons += [why for why in fits if why]
    known = [name for one in asked.authorities for name in one.identities]
    text = (
        f"{trail.end.name} has no TXT record that lets {listed(one.name for one in asked.authorities)} issue"
    )
    yield (error if known else warning)(
        "persist-missing",
        f"{text}: {listed(reasons) or 'it has none at all'}; {TYPE} cannot be validated",
        f"publish there what `renewer challenge show {asked.certificate}` prints",
    )


def _misfit(value: str, authority: Candidate, asked: Asked, now: datetime) -> str:
    """Why a value does not let an authority in; "" if it does, as far as is known."""
    claim = Claim(
        issuers=authority.identities,
        account=authority.account,
        wildcard=asked.wildcard,
        hashes=hashes(authority.hash_prefix, asked.name, authority.thumbprint, authority.account),
    )
    if not authority.account:  # then whom it names cannot be judged, nor held against it
        claim = Claim(issuers=claim.issuers, account=_named_in(value), wildcard=asked.wildcard)
    return misfit(value, claim, now) or ""


def _named_in(value: str) -> str:
    given = (part.partition("=") for part in value.split(";")[1:])
    return next((one.strip() for key, _, one in given if key.strip().lower() == "accounturi"), "")
