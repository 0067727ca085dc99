"""The record of dns-persist-01 (SC-088, draft-ietf-acme-dns-persist): published once by the operator."""

from collections.abc import Iterator

from renewer.model.inspection import Asked, Candidate, Finding, Trail
from renewer.policy.names.words import error, listed, warning

TYPE = "dns-persist-01"


def judge(trail: Trail, asked: Asked) -> Iterator[Finding]:
    """Whether one of the values lets one of the authorities in."""
    said = [one for one in trail.end.said if not one.trouble]
    if not said or trail.trouble or trail.loop:
        return
    values = dict.fromkeys(text for one in said for text in one.texts)
    reasons: list[str] = []
    for value in values:
        fits = [_misfit(value, one, asked) for one in asked.authorities]
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


def _misfit(value: str, authority: Candidate, asked: Asked) -> str:
    """Why a value does not let an authority in; "" if it does, as far as is known."""
    issuer, *given = (part.strip() for part in value.split(";"))
    parameters = {key.strip().lower(): one.strip() for key, _, one in (part.partition("=") for part in given)}
    if authority.identities and issuer.lower().rstrip(".") not in authority.identities:
        return f"“{issuer[:48]}” is not {authority.name}"
    if authority.account and parameters.get("accounturi", authority.account) != authority.account:
        return f"it is for another account than {authority.account}"
    if asked.wildcard and parameters.get("policy", "").lower() != "wildcard":
        return "it has no policy=wildcard"
    return ""
