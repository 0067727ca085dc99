"""Where the challenge's own record lies: aliases, delegations, wildcards, leftovers."""

from collections.abc import Iterator
from datetime import datetime

from renewer.model.inspection import Candidate, Finding, NameAsked, NameSeen, Stop, Trail
from renewer.model.persist import Claim, hashes, misfit
from renewer.policy.name_checks.words import arrows, error, info, listed, warning


def judge(seen: NameSeen, asked: NameAsked, now: datetime) -> Iterator[Finding]:
    """Nothing here for challenges without a record."""
    trail = seen.proof
    if trail is None:
        return
    yield from _chain(trail, asked)
    if trail.end.wildcard:
        yield warning(
            "wildcard-alias",
            f"{trail.end.name} is an alias of {trail.end.wildcard} only by a wildcard record: the "
            "challenge's record would be looked for there until one of its own exists",
            f"make an explicit record for {trail.end.name}, or see that the wildcard is meant for it",
        )
    if asked.challenge == TYPE:
        yield from judge_persistent(trail, asked, now)
    elif trail.end.said and any(one.texts for one in trail.end.said):
        values = len({text for one in trail.end.said for text in one.texts})
        yield info(
            "values-there",
            f"{trail.end.name} has {values} TXT value{'s' * (values != 1)} already: of an order in "
            "progress, of "
            "another client, left behind, or a wildcard's",
            "nothing: ours are added beside them; remove them if nobody needs them",
        )


def _chain(trail: Trail, asked: NameAsked) -> Iterator[Finding]:
    name, end = trail.asked, trail.end
    breaks = f"{asked.challenge} cannot be validated"
    if trail.stop is Stop.CIRCLE:
        yield error(
            "challenge-loop",
            f"the aliases of {name} run in a circle: {arrows(trail.chain)}; {breaks}",
            "mend these CNAME records: they must end at a name that is none",
        )
    elif trail.trouble:
        alias = len(trail.chain) > 1
        yield error(
            "challenge-dangling" if alias else "challenge-failed",
            (
                f"{name} leads to {end.name}, and that cannot be looked up: {trail.trouble}; {breaks}"
                if alias
                else f"{name} cannot be looked up: {trail.trouble}; {breaks}"
            ),
            "correct the CNAME, or register and serve the zone that it points to: whoever does that first "
            "can "
            "get certificates for the name"
            if alias
            else "is the domain registered, and are the NS records at its parent right?",
        )
    elif len(trail.chain) > 1 and "." not in end.zone:
        yield error(
            "challenge-dangling",
            f"{name} leads to {end.name}, in a domain that does not exist ({arrows(trail.chain)}); {breaks}",
            "correct the CNAME: whoever registers that domain can get certificates for the name",
        )
    elif len(trail.chain) > 1:
        yield info(
            "challenge-alias",
            f"{name} is answered elsewhere: {arrows(trail.chain)}, zone {end.zone}",
            f"nothing, if the challenge's provider may write to {end.zone}",
        )


TYPE = "dns-persist-01"


def judge_persistent(trail: Trail, asked: NameAsked, now: datetime) -> Iterator[Finding]:
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


def _misfit(value: str, authority: Candidate, asked: NameAsked, now: datetime) -> str:
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
