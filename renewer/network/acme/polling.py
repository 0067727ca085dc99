"""Waiting for the authority: at once, then ever more slowly, and as Retry-After says (RFC 8555 §7.5.1)."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from renewer import clock
from renewer.errors import OurFault, RenewerError, RetryLater
from renewer.network.acme.lost import Lost, Unreached

if TYPE_CHECKING:
    from renewer.network.acme.reply import Reply

T = TypeVar("T")
Deadline = float | Callable[[], float]
NAP = 0.25  # seconds: how soon it is noticed that a deadline came nearer
FIRST = 0.005  # seconds; doubled: quick where the authority is, and few looks where it is not
GROWTH = 2
SOON = 1.0  # the longest pause in the first half minute,
LATE = 5.0  # and after it
_SOON_ENDS = 30.0
_SERVERS = ("bad-reply", "serverInternal")  # kinds of what was no proper answer


def until(
    urls: Sequence[str],
    look: Callable[[str], "tuple[T, Reply]"],
    done: Callable[[T], bool],
    deadline: Deadline,
    waiting: str,
) -> Iterator[T]:
    """Look at each URL until it is `done`; all that is seen, as it is seen.

    `deadline` is on clock.monotonic(), a function if it may come nearer; the first look is always taken. A
    look that brings nothing of use (a page in HTML, an error of the server) is followed by the next one.
    Raises RetryLater, its text beginning with `waiting`, if the deadline comes first or lies before the
    moment for which the authority asks; what was wrong with the last look, if something was.
    """
    bad: dict[str, RenewerError] = {}
    due, pause, began = dict.fromkeys(urls, 0.0), FIRST, clock.monotonic()
    while due:
        url = min(due, key=lambda one: due[one])
        if due[url]:
            _sleep(due[url], deadline, bad.get(url, waiting))
        try:
            seen, reply = look(url)
        except RenewerError as error:
            if not passing(error):
                raise
            bad[url] = error
            wanted = max(SOON, _until(error.not_before))
        else:
            bad.pop(url, None)
            yield seen
            if done(seen):
                del due[url]
                continue
            wanted = _until(reply.retry_after, reply.at)
        now = clock.monotonic()
        due[url] = now + max(wanted, pause)
        if all(moment > now for moment in due.values()):  # a round is over
            pause = min(pause * GROWTH, SOON if now - began < _SOON_ENDS else LATE)


def passing(error: RenewerError) -> bool:
    """Whether the next look may well be better: an answer that says nothing of what was asked for.

    Not if nobody is there any more, or if the authority does not answer at all: that took long enough.
    """
    if isinstance(error, Lost):
        return not (error.timed_out or isinstance(error, Unreached))
    if isinstance(error, OurFault):
        return error.kind == ""  # an object that is none
    return isinstance(error, RetryLater) and (error.kind in _SERVERS or error.kind.startswith("http-5"))


def _until(moment: datetime | None, now: datetime | None = None) -> float:
    """Seconds from now for which the authority asks; 0 if for none."""
    return max(0.0, (moment - (now or clock.now())).total_seconds()) if moment else 0.0


def _sleep(moment: float, deadline: Deadline, waiting: str | RenewerError) -> None:
    while True:
        now, end = clock.monotonic(), deadline() if callable(deadline) else deadline
        if moment <= now <= end:
            return
        if moment > end or now > end:
            if isinstance(waiting, RenewerError):
                raise waiting
            raise RetryLater(
                f"{waiting}; it is taken up again later",
                not_before=_at(moment - now) if moment > now else None,
                kind="waiting",
            )
        clock.sleep(min(moment - now, NAP) if callable(deadline) else moment - now)


def _at(seconds: float) -> datetime:
    return clock.now() + timedelta(seconds=seconds)
