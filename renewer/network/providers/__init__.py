"""Those who publish TXT records for others to look at, each a worker of its own with its own secrets."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from renewer.network.door import Door, Opener
    from renewer.network.protocol import DoorMessage


def opened(
    of: str, greeting: "Callable[[], Iterable[DoorMessage]]" = tuple, opener: "Opener | None" = None
) -> "Door[Any]":
    """The door to a worker for one provider (of dns-lexicon: `lexicon SERVICE`), whom it is told first.

    `opener` is for one that must not be in this process.
    """
    from renewer.network.door import Door

    return Door[Any]("provider", of=of, greeting=greeting, opener=opener)
