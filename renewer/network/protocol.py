"""The wire between main and a worker: frames, and what every duty's messages have in common.

Main has rights and parses nothing that a stranger sent; workers talk to strangers and shall have no rights.
Between them go frames: four octets of length, one of version, four of the request's number, eight of how many
seconds its answer is waited for, then one message in JSON whose `type` says what it is. Nothing else crosses:
no exception, no callback, no open object, no moment of the monotonic clock. Each duty's messages stand beside
what they ask for (`verify/messages.py`).
"""

import math
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

import msgspec

from renewer import clock, words
from renewer.decoding import UndecodableError, decode
from renewer.errors import GiveUp, OurFault, RenewerError, RetryLater, StateError, UsageError
from renewer.model.value import Value

VERSION = 1
FRAME = 256 * 1024
"""Octets that a frame may have: what is larger is said in several."""
SHARE = 192 * 1024
"""Characters of a long text that go into one message."""
HEAD = struct.Struct("!IBId")
"""Length, version, number, seconds."""
ASKED = 1 << 31
"""The bit of a request's number by which a worker's question about it is told from its answer."""
GENERAL = 0
"""The number of what belongs to no request."""
_TEXT, _NAMES, _DETAILS, _DETAIL = 20_000, 400, 40_000, 2000
"""Characters of a sentence of an error; names, and of what is said of all and of one: so that it fits."""
GIVEN = "PEM that was given"
"""What errors call certificates whose file only main knows."""
LONGEST = timedelta(days=366)
"""Beyond this nobody means it who says when to come back."""
K = TypeVar("K")
M = TypeVar("M")
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A moment as it crosses: one without a zone is no message."""


class DoorMessage(Value, tag=True, tag_field="type"):
    """One thing that is said; its class is its type."""


class Cancel(DoorMessage):
    """Nothing new is wanted for a request; its answer is waited for `within` more seconds (None: no end)."""

    within: float | None = None


class StillThere(DoorMessage):
    """Is there anybody? A process that was stopped does not answer."""


class StillHere(DoorMessage):
    """The answer to `StillThere`."""


class Remark(DoorMessage):
    """A worker's sentence for the operator, about something odd that does not stop the work."""

    text: str


class Trust(DoorMessage):
    """A share of the certificates that lead to trust, in PEM: each of them said before what needs them."""

    pem: str


def trusting(pem: str) -> Iterator[Trust]:
    """As many of them as it takes."""
    return (Trust(pem=pem[at : at + SHARE]) for at in range(0, len(pem), SHARE))


class Done(DoorMessage):
    """The end of an answer of several messages, or of one that has nothing to say."""


class Failed(DoorMessage):
    """The end of an answer that went wrong: the error as it is told to people and decided by, field by field.

    `sort` is its class, by the names of `SORTS`; the rest are the fields of `RenewerError`.
    """

    sort: str
    text: str
    hint: str = ""
    kind: str = ""
    identifiers: tuple[tuple[str, str], ...] = ()
    not_before: Moment | None = None
    local: bool = False
    disturbing: bool = False
    unasked: bool = False
    untouched: bool = False
    timed_out: bool = False

    @classmethod
    def of(cls, error: RenewerError) -> "Failed":
        """An error on its way to main; one of a class of the duty's own as the nearest that both know."""
        sort = next(kind.__name__ for kind in type(error).__mro__ if SORTS.get(kind.__name__) is kind)
        most = min(_DETAIL, _DETAILS // max(1, min(len(error.identifiers), _NAMES)))
        return cls(
            sort=sort,
            text=_short(error.text, _TEXT),
            hint=_short(error.hint, _TEXT),
            kind=_short(error.kind, _DETAIL),
            identifiers=tuple(
                (_short(name, most), _short(said, most)) for name, said in error.identifiers[:_NAMES]
            ),
            not_before=error.not_before,
            local=error.local,
            disturbing=error.disturbing,
            unasked=error.unasked,
            untouched=error.untouched,
            timed_out=error.timed_out,
        )

    def error(self) -> RenewerError:
        """The error in main: texts show all they hold, and a moment lies where somebody may wait for it."""
        latest = clock.now() + LONGEST
        made = SORTS.get(self.sort, OurFault)(
            words.clean(self.text),
            hint=words.clean(self.hint),
            kind=words.clean(self.kind),
            identifiers=tuple((words.clean(name), words.clean(said)) for name, said in self.identifiers),
            not_before=min(self.not_before, latest) if self.not_before else None,
        )
        made.local, made.disturbing, made.unasked = self.local, self.disturbing, self.unasked
        made.untouched, made.timed_out = self.untouched, self.timed_out
        return made


SORTS: dict[str, type[RenewerError]] = {
    kind.__name__: kind for kind in (RenewerError, RetryLater, GiveUp, OurFault, StateError, UsageError)
}
"""The classes of errors that cross, by name; a duty adds its own, which take the same arguments."""


class BreachError(RetryLater):
    """A worker asked of main what it must not: it is no use any more, whatever it answers afterwards."""


def breach(what: str) -> BreachError:
    """The error for an answer that is none to what was asked."""
    return BreachError(f"a worker answered nonsense: {what}", kind="worker")


def by_what(
    key: Callable[[Any], Any], asked: Iterable[K], answers: Iterable[Any], *, each: bool = False
) -> dict[K, Any]:
    """The answers by what they are about: one at most, or one, to `each` that was asked; of nothing else.

    Raises BreachError.
    """
    left, found = set(asked), dict[K, Any]()
    for answer in answers:
        if (about := key(answer)) not in left:
            raise breach("about something that was not asked")
        left.remove(about)
        found[about] = answer
    if left and each:
        raise breach(f"nothing about {len(left)} of those that were asked")
    return found


def cleaned(value: M) -> M:
    """What a worker told for people to read: every text in it does nothing to a terminal."""

    def walk(one: Any) -> Any:
        if isinstance(one, dict):
            return {key: walk(inner) for key, inner in one.items()}
        if isinstance(one, list | tuple):
            return [walk(inner) for inner in one]
        return words.clean(one) if isinstance(one, str) else one

    return msgspec.convert(walk(msgspec.to_builtins(value)), type(value))


def shares(things: Sequence[M], size: int) -> Iterator[Sequence[M]]:
    """As many at a time as go into one message."""
    return (things[start : start + size] for start in range(0, len(things), size))


def frame(number: int, message: DoorMessage, within: float = math.inf) -> bytes:
    """A message as it crosses; a request's answer is waited for `within` seconds.

    Raises OurFault if it is too large for one frame.
    """
    body = msgspec.json.encode(message)
    if len(body) + HEAD.size > FRAME:
        text = f"a defect of this program: a message of {len(body)} octets ({type(message).__name__})"
        raise OurFault(text, hint="please report it", kind="defect")
    return HEAD.pack(len(body), VERSION, number, within) + body


def message(octets: bytes, kinds: Any) -> tuple[int, Any]:
    """A frame's number and message, one of `kinds` (a class, or a union). Raises UndecodableError."""
    if not HEAD.size <= len(octets) <= FRAME:
        raise UndecodableError(f"a frame of {len(octets)} octets")
    length, version, number, _ = HEAD.unpack_from(octets)
    if version != VERSION or length != len(octets) - HEAD.size:
        raise UndecodableError(f"a frame of version {version}, {length} octets said, {len(octets)} sent")
    return number, decode(octets[HEAD.size :], kinds)


def within(octets: bytes) -> float:
    """How many seconds the answer to a request is waited for, as its frame says."""
    seconds: float = HEAD.unpack_from(octets)[3]
    return math.inf if math.isnan(seconds) else seconds


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + "…"
