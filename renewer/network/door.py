"""The door between main and the workers: what is asked goes through as frames, and so does what comes back.

Here the worker still lives in main's own process and is called, frame by frame, where the answer is awaited.
All that is said is encoded and decoded all the same, so that it can stand in a process of its own without a
change to who asks, or to who answers.
"""

import itertools
import math
import threading
from collections.abc import Callable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from renewer import clock, words
from renewer.decoding import UndecodableError
from renewer.errors import OurFault, RenewerError, RetryLater
from renewer.network.protocol import (
    BreachError,
    Cancel,
    Done,
    DoorMessage,
    Failed,
    Remark,
    frame,
    message,
    within,
)

A = TypeVar("A", bound=DoorMessage)
_numbers = itertools.count(1)


class Asker(Protocol):
    """What a worker sees of main while it answers."""

    def note(self, text: str) -> None:
        """Tell the operator about something odd that does not stop the work."""

    def cancelled(self) -> bool:
        """Whether main wants no more of it: what is in flight is finished, nothing new begun."""

    def until(self) -> float:
        """The moment on this side's `clock.monotonic` from which nobody waits any more; may come nearer."""

    def ask(self, request: DoorMessage, kind: type[A]) -> A:
        """Ask main for what only main can do: sign."""


class Duty(Protocol):
    """What one kind of worker does."""

    @property
    def asks(self) -> Any:
        """The messages that it takes: a class, or a union of some."""

    def answer(self, request: Any, main: Asker) -> Iterator[DoorMessage]:
        """Answer one request by as many messages as it takes. Raises RenewerError."""


Grant = Callable[[Any], DoorMessage]
"""Answers what a worker asks of main. Raises BreachError for what it must not ask."""


class _Request:
    """What main keeps of a request until it is answered."""

    __slots__ = ("breach", "cancelled", "grant", "note", "said", "until")

    def __init__(
        self, grant: Grant | None, until: Callable[[], float] | None, note: Callable[[str], None]
    ) -> None:
        self.grant = grant
        self.until = until or (lambda: math.inf)
        self.note = note
        self.breach: BreachError | None = None
        self.cancelled = False
        self.said = self.until()
        """The end of waiting that the worker knows of."""

    def left(self) -> float:
        """Seconds until the end of waiting."""
        return self.until() - clock.monotonic()


class Door(Generic[A]):
    """The way to one worker; may be used by many threads at once.

    `grant` answers what the worker asks of main (`grants` are the messages that it may ask), and `note` takes
    its notes, unless a request brings one of its own. `stopping` is set when nothing new is wanted. A
    request's `until` (on `clock.monotonic`) is how long its answer is waited for; the worker is told, also if
    it comes nearer.
    """

    def __init__(
        self,
        duty: Duty,
        *,
        grants: Any = None,
        grant: Grant | None = None,
        note: Callable[[str], None] = lambda _: None,
        stopping: threading.Event | None = None,
    ) -> None:
        self._duty = duty
        self._grants = grants
        self._grant = grant
        self._note = note
        self._stopping = stopping
        self._requests: dict[int, _Request] = {}

    def ask(self, request: DoorMessage, kind: type[A], *, grant: Grant | None = None) -> A:
        """The one answer to a request, of this kind. Raises what went wrong as one of our errors."""
        answers = list(self.ask_all(request, kind, grant=grant))
        if len(answers) != 1:
            raise _nonsense(f"{len(answers)} answers to {type(request).__name__}")
        return answers[0]

    def do(
        self,
        request: DoorMessage,
        *,
        grant: Grant | None = None,
        until: Callable[[], float] | None = None,
        note: Callable[[str], None] | None = None,
    ) -> None:
        """A request that is answered by its being done."""
        nothing: Any = Done  # ends it: none is handed on
        for _ in self.ask_all(request, nothing, grant=grant, until=until, note=note):
            raise _nonsense(f"an answer to {type(request).__name__}")

    def ask_all(
        self,
        request: DoorMessage,
        kind: type[A],
        *,
        grant: Grant | None = None,
        until: Callable[[], float] | None = None,
        note: Callable[[str], None] | None = None,
    ) -> Iterator[A]:
        """The answers to a request as they come."""
        number = next(_numbers)
        self._requests[number] = _Request(grant or self._grant, until, note or self._note)
        try:
            yield from self._answers(number, request, kind)
        finally:
            del self._requests[number]

    def _answers(self, number: int, request: DoorMessage, kind: type[A]) -> Iterator[A]:
        for octets in self._worker(frame(number, request, self._requests[number].left())):
            if breach := self._requests[number].breach:
                raise breach
            try:
                of, answer = message(octets, kind | Remark | Failed | Done)
            except UndecodableError as error:
                raise _nonsense(str(error)) from None
            if of != number:
                raise _nonsense(f"an answer to request {of}, not {number}")
            if isinstance(answer, Failed):
                raise answer.error()
            if isinstance(answer, Remark):
                self._requests[number].note(words.clean(answer.text))
            elif isinstance(answer, Done):
                return
            else:
                yield answer
        raise _nonsense("no end of an answer")

    def granted(self, octets: bytes) -> bytes:
        """What the worker asks of main, as frames both ways."""
        if self._grants is None:
            raise _nonsense("a worker asked for what it is never given")
        try:
            number, request = message(octets, self._grants)
        except UndecodableError as error:
            raise _nonsense(str(error)) from None
        asked = self._requests.get(number)
        if asked is None:
            raise _nonsense("a worker asked for what it is never given")
        if asked.breach is not None:  # it works on regardless; it gets nothing any more
            return frame(number, Failed.of(asked.breach))
        try:
            return frame(number, (asked.grant or _nothing)(request))
        except BreachError as error:
            asked.breach = error
            return frame(number, Failed.of(error))
        except RenewerError as error:
            return frame(number, Failed.of(error))

    def cancellation(self, number: int) -> bytes | None:
        """What a request's worker must hear meanwhile: nothing new is wanted, or there is less time."""
        asked = self._requests.get(number)
        if asked is None:
            return None
        stopped = self._stopping is not None and self._stopping.is_set() and not asked.cancelled
        if not stopped and asked.until() >= asked.said:
            return None
        asked.cancelled, asked.said = True, asked.until()
        return frame(number, Cancel(within=None if math.isinf(asked.said) else asked.left()))

    # --- the worker's side ----------------------------------------------------------------------------------

    def _worker(self, octets: bytes) -> Iterator[bytes]:
        number, request = message(octets, self._duty.asks)
        side = _Side(self, number, within(octets))
        try:
            for answer in self._duty.answer(request, side):
                yield from side.notes()
                yield frame(number, answer)
            yield from side.notes()
            yield frame(number, Done())
        except RenewerError as error:
            yield from side.notes()
            yield frame(number, Failed.of(error))


class _Side:
    """Main as one request's worker sees it."""

    def __init__(self, door: Door[Any], number: int, seconds: float) -> None:
        self._door = door
        self._number = number
        self._end = clock.monotonic() + seconds
        self._cancelled = False
        self._noted: list[str] = []
        self._guard = threading.Lock()

    def note(self, text: str) -> None:
        with self._guard:
            self._noted.append(text)

    def notes(self) -> Iterator[bytes]:
        with self._guard:
            noted, self._noted = self._noted, []
        for text in noted:
            yield frame(self._number, Remark(text=text))

    def cancelled(self) -> bool:
        self._listen()
        return self._cancelled

    def until(self) -> float:
        self._listen()
        return self._end

    def _listen(self) -> None:
        octets = self._door.cancellation(self._number)
        if octets is not None:
            _, said = message(octets, Cancel)
            self._cancelled = True
            if said.within is not None:
                self._end = min(self._end, clock.monotonic() + said.within)

    def ask(self, request: DoorMessage, kind: type[A]) -> A:
        _, answer = message(self._door.granted(frame(self._number, request)), kind | Failed)
        if isinstance(answer, Failed):
            raise answer.error()
        return answer  # type: ignore[no-any-return]


def _nothing(_: Any) -> DoorMessage:
    """What a request grants that grants nothing."""
    raise BreachError("a worker asked for what it is never given", kind="worker")


def _nonsense(what: str) -> RetryLater | OurFault:
    """A worker that breaks the rules is no use any more; what it was asked is asked again by the next run."""
    return RetryLater(f"a worker answered nonsense: {what}", kind="worker")
