"""Waiting for the authority: at once, then ever more slowly, and as Retry-After says (RFC 8555 §7.5.1)."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from renewer import clock
from renewer.acme.reply import Reply
from renewer.errors import RetryLater

T = TypeVar("T")
Deadline = float | Callable[[], float]
NAP = 0.25  # seconds: how soon it is noticed that a deadline came nearer
FIRST = 0.005  # seconds; doubled: quick where the authority is, and few looks where it is not
GROWTH = 2
SOON = 1.0  # the longest pause in the first half minute,
LATE = 5.0  # and after it
_SOON_ENDS = 30.0


def until(
    urls: Sequence[str],
    look: Callable[[str], tuple[T, Reply]],
    done: Callable[[T], bool],
    deadline: Deadline,
    waiting: str,
) -> list[T]:
    """Look at each URL until it is `done`; the results in the order of the URLs.

    `deadline` is on clock.monotonic(), a function if it may come nearer; the first look is always taken.
    Raises RetryLater, its text beginning
    with `waiting`, if the deadline comes first or lies before the moment for which the authority asks.
    """
    found: dict[str, T] = {}
    due = dict.fromkeys(urls, 0.0)
    pause, began = FIRST, clock.monotonic()
    while due:
        url = min(due, key=lambda one: due[one])
        if due[url]:
            _sleep(due[url], deadline, waiting)
        seen, reply = look(url)
        if done(seen):
            found[url] = seen
            del due[url]
            continue
        now = clock.monotonic()
        due[url] = now + max(_wanted(reply), pause)
        if all(moment > now for moment in due.values()):  # a round is over
            pause = min(pause * GROWTH, SOON if now - began < _SOON_ENDS else LATE)
    return [found[url] for url in urls]


def _wanted(reply: Reply) -> float:
    """Seconds from now for which the authority asks; 0 if for none."""
    moment = reply.retry_after
    return max(0.0, (moment - reply.at).total_seconds()) if moment else 0.0


def _sleep(moment: float, deadline: Deadline, waiting: str) -> None:
    while True:
        now, end = clock.monotonic(), deadline() if callable(deadline) else deadline
        if moment <= now <= end:
            return
        if moment > end or now > end:
            raise RetryLater(
                f"{waiting}; it is taken up again later",
                not_before=_at(moment - now) if moment > now else None,
                kind="waiting",
            )
        clock.sleep(min(moment - now, NAP) if callable(deadline) else moment - now)


def _at(seconds: float) -> datetime:
    return clock.now() + timedelta(seconds=seconds)
