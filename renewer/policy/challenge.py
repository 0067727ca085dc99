"""Which challenge to answer: what the authority offers and what the config says. Pure."""

from collections.abc import Collection

from renewer.model.desired import Certificate, Challenge
from renewer.model.names import Identifier


def configured(wish: Certificate, identifier: Identifier, *, wildcard: bool) -> Challenge:
    """The way to prove one name: its own if `challenges` has it, else the certificate's."""
    for name, challenge in wish.challenges:
        if name.base == identifier.base and name.wildcard == wildcard:
            return challenge
    return wish.challenge


def challenges_of(wish: Certificate) -> set[Challenge]:
    """Every way to prove a name that a certificate uses."""
    return {wish.challenge, *(challenge for _, challenge in wish.challenges)}


def type_of(challenge: Challenge) -> str:
    """The challenge's type as RFC 8555 §8 names it."""
    return str(challenge.__struct_config__.tag)


def fault(identifier: Identifier, wanted: str, offered: Collection[str]) -> str | None:
    """Why the configured type cannot be used for a name, or None."""
    if wanted in offered:
        return None
    return (
        f"{identifier}: the authority does not offer {wanted}, only {', '.join(sorted(offered)) or 'nothing'}"
    )
