"""Where the challenge's own record lies: aliases, delegations, wildcards, leftovers."""

from collections.abc import Iterator
from datetime import datetime

from renewer.model.inspection import Asked, Finding, NameSeen, Stop, Trail
from renewer.policy.name_checks import persist
from renewer.policy.name_checks.words import arrows, error, info, warning


def judge(seen: NameSeen, asked: Asked, now: datetime) -> Iterator[Finding]:
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
    if asked.challenge == persist.TYPE:
        yield from persist.judge(trail, asked, now)
    elif trail.end.said and any(one.texts for one in trail.end.said):
        values = len({text for one in trail.end.said for text in one.texts})
        yield info(
            "values-there",
            f"{trail.end.name} has {values} TXT value{'s' * (values != 1)} already: of an order in "
            "progress, of "
            "another client, left behind, or a wildcard's",
            "nothing: ours are added beside them; remove them if nobody needs them",
        )


def _chain(trail: Trail, asked: Asked) -> Iterator[Finding]:
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
