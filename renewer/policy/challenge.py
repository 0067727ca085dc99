"""Which challenge to answer: what the config says, what the authority offers, what failed before. Pure."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from renewer.model.desired import WILDCARD_CHALLENGES, Certificate, Challenge, Dns01, DnsPersist01
from renewer.model.facts import Failure
from renewer.model.names import Identifier, IdentifierType


class Way(NamedTuple):
    """A challenge of the config, and its place among those for the same name."""

    place: int
    challenge: Challenge


def configured(wish: Certificate, identifier: Identifier, *, wildcard: bool) -> Challenge:
    """The way to prove one name that comes first: its own if `challenges` has it, else the certificate's."""
    ways = ways_of(wish, identifier, wildcard=wildcard)
    return ways[0].challenge if ways else wish.challenge


def ways_of(wish: Certificate, identifier: Identifier, *, wildcard: bool) -> tuple[Way, ...]:
    """Every way to prove one name, in the order of the config, without those that can prove no such name.

    Places count them all, so that they mean the same whatever the name is.
    """
    own = [one for name, one in wish.challenges if name.base == identifier.base and name.wildcard == wildcard]
    ways = own or [wish.challenge, *wish.otherwise]
    return tuple(Way(place, one) for place, one in enumerate(ways) if suits(one, identifier, wildcard))


def suits(challenge: Challenge, identifier: Identifier, wildcard: bool) -> bool:  # noqa: FBT001
    """Whether this type can prove such a name at all."""
    if wildcard or identifier.wildcard:  # RFC 8555 §7.1.3, RFC 8737 §3
        return isinstance(challenge, WILDCARD_CHALLENGES)
    if identifier.type is IdentifierType.IP:  # RFC 8738 §7: DNS challenges "MUST NOT be used"
        return not isinstance(challenge, Dns01 | DnsPersist01)
    return True


def choose(ways: Sequence[Way], offered: Collection[str], failed: int | None = None) -> Way | None:
    """The way to try now: the first that is offered; after a failure the next in order, then from the front.

    `failed` is the place of the one that failed last. None if the authority offers none of them.
    """
    usable = [way for way in ways if type_of(way.challenge) in offered]
    if failed is None:
        return usable[0] if usable else None
    later = [way for way in usable if way.place > failed]
    return next(iter((*later, *usable)), None)


def failed_place(failure: Failure | None, identifier: Identifier) -> int | None:
    """The place of the way that failed last for a name of the order; None if none did."""
    return dict(failure.tried).get(str(identifier)) if failure is not None else None


def challenges_of(wish: Certificate) -> set[Challenge]:
    """Every way to prove a name that a certificate uses."""
    return {wish.challenge, *wish.otherwise, *(challenge for _, challenge in wish.challenges)}


def type_of(challenge: Challenge) -> str:
    """The challenge's type as RFC 8555 §8 names it."""
    return str(challenge.__struct_config__.tag)


def fault(identifier: Identifier, ways: Sequence[Way], offered: Collection[str]) -> str:
    """Why none of the configured types can be used for a name."""
    wanted = " or ".join(dict.fromkeys(type_of(way.challenge) for way in ways)) or "what the config has"
    return (
        f"{identifier}: the authority does not offer {wanted}, only {', '.join(sorted(offered)) or 'nothing'}"
    )
