"""One thing after the other, none left out because another one failed: for removing."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from renewer.errors import GiveUp, RenewerError

T = TypeVar("T")


def each(things: Iterable[T], act: Callable[[T], object]) -> None:
    """Act on all. Raises afterwards what went wrong: the first final error, else the first one."""
    failed: list[RenewerError] = []
    for one in things:
        try:
            act(one)
        except RenewerError as error:
            failed.append(error)
    if failed:
        raise next((error for error in failed if isinstance(error, GiveUp)), failed[0])
