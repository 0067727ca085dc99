"""The door between main and the workers: what is asked goes through as frames, and so does what comes back.

A worker is a process of its own (`line`, `worker`), opened when it is first asked, where somebody said how
processes are started (`network.opener`), as the command does. Where nobody did, in tests, the worker lives in
this process and is called, frame by frame, where its answer is awaited; all is encoded and decoded as ever.
"""

import itertools
import math
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

from renewer import clock, network, words
from renewer.decoding import UndecodableError
from renewer.errors import OurFault, RenewerError, RetryLater
from renewer.network.duties import Asker, Duty, duty_of
from renewer.network.protocol import (
    ASKED,
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
_REMARKS = 500
"""Notes that one request may bring: more are no help to anybody."""


class Main(Protocol):
    """What the way to a worker sees of main while a request is answered."""

    def granted(self, octets: bytes) -> bytes:
        """The answer to what the worker asks of main, as frames both ways."""

    def cancellation(self, number: int) -> bytes | None:
        """What a request's worker must hear meanwhile: nothing new is wanted, or there is less time."""

    def end(self, number: int) -> float:
        """How long the answer to a request is waited for, on `clock.monotonic`."""

    def finished(self, number: int) -> bool:
        """Whether the answer to a request is whole."""


class WorkerWay(Protocol):
    """The way to one worker."""

    @property
    def closed(self) -> bool:
        """Whether nothing can be asked there any more."""

    def converse(
        self, number: int, octets: bytes, main: Main, descriptors: Sequence[int]
    ) -> Generator[bytes]:
        """The frames that answer one. Raises RetryLater if the worker fails."""

    def condemn(self, error: RenewerError) -> None:
        """It broke the rules: it is ended, and all that it was asked fails."""

    def close(self) -> None:
        """Nothing more will be asked there."""


Opener = Callable[[str, str, bool], WorkerWay]
"""Opens a worker: for which duty, with whom, whether for all who ask."""
Grant = Callable[[Any], DoorMessage]
"""Answers what a worker asks of main. Raises BreachError for what it must not ask."""


class _Request:
    """What main keeps of a request until it is answered."""

    __slots__ = ("breach", "cancelled", "finished", "grant", "note", "remarks", "said", "until")

    def __init__(
        self, grant: Grant | None, until: Callable[[], float] | None, note: Callable[[str], None]
    ) -> None:
        self.grant = grant
        self.until = until or (lambda: math.inf)
        self.note = note
        self.breach: BreachError | None = None
        self.cancelled = self.finished = False
        self.remarks = 0
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
    it comes nearer. `duty` is a name of `duties.DUTIES`; `of` says with whom it is done, `shared` whether
    its worker serves all who ask; `opener` opens it where nobody said how, which need not be in this process.
    `greeting` are requests that a new worker gets before all others, `handed`
    the open files that go with the first of them.
    """

    def __init__(  # noqa: PLR0913  each by its name
        self,
        duty: str | Duty,
        *,
        of: str = "",
        shared: bool = False,
        opener: Opener | None = None,
        greeting: Callable[[], Iterable[DoorMessage]] = tuple,
        handed: Sequence[int] = (),
        grants: Any = None,
        grant: Grant | None = None,
        note: Callable[[str], None] = lambda _: None,
        stopping: threading.Event | None = None,
    ) -> None:
        self._duty = duty
        self._of = of
        self._shared = shared
        self._opener = opener
        self._greeting = greeting
        self._handed = tuple(handed)
        self._way: WorkerWay | None = None
        self._opening = threading.Lock()
        self._grants = grants
        self._grant = grant
        self._note = note
        self._stopping = stopping
        self._requests: dict[int, _Request] = {}

    def ask(
        self,
        request: DoorMessage,
        kind: type[A],
        *,
        grant: Grant | None = None,
        until: Callable[[], float] | None = None,
    ) -> A:
        """The one answer to a request, of this kind. Raises what went wrong as one of our errors."""
        answers = list(self.ask_all(request, kind, grant=grant, until=until))
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
        asked = _Request(grant or self._grant, until, note or self._note)
        yield from self._asked(self._open(), asked, request, kind)

    def open(self) -> None:
        """Have a worker that was greeted; else the first request does."""
        self._open()

    def close(self) -> None:
        """Let the worker go, unless it serves others; what is asked after that opens another."""
        with self._opening:
            way, self._way = self._way, None
        if way is not None and not self._shared:
            way.close()

    def _open(self) -> WorkerWay:
        with self._opening:
            if self._way is None or self._way.closed:
                way = self._way_to(network.opener or self._opener)
                try:
                    self._greet(way)
                except BaseException:
                    if not self._shared:
                        way.close()
                    raise
                self._way = way
            return self._way

    def _greet(self, way: WorkerWay) -> None:
        handed = self._handed
        for one in self._greeting():
            nothing: Any = Done
            for _ in self._asked(way, _Request(None, None, self._note), one, nothing, handed):
                raise _nonsense(f"an answer to {type(one).__name__}")
            handed = ()

    def _way_to(self, opener: Opener | None) -> WorkerWay:
        if not isinstance(self._duty, str):
            return _Here(self._duty)
        return opener(self._duty, self._of, self._shared) if opener else _Here(duty_of(self._duty))

    def _asked(
        self,
        way: WorkerWay,
        asked: _Request,
        request: DoorMessage,
        kind: type[A],
        handed: Sequence[int] = (),
    ) -> Iterator[A]:
        number = next(_numbers)
        self._requests[number] = asked
        frames = way.converse(number, frame(number, request, asked.left()), self, handed)
        try:
            yield from self._answers(way, number, frames, kind)
        except BreachError as error:
            way.condemn(error)
            raise
        finally:
            frames.close()
            del self._requests[number]

    def _answers(self, way: WorkerWay, number: int, frames: Iterator[bytes], kind: type[A]) -> Iterator[A]:
        asked = self._requests[number]
        for octets in frames:
            if asked.breach:
                raise _condemned(way, asked.breach)
            try:
                of, answer = message(octets, kind | Remark | Failed | Done)
            except UndecodableError as error:
                raise _condemned(way, _nonsense(str(error))) from None
            if of != number:
                raise _condemned(way, _nonsense(f"an answer to request {of}, not {number}"))
            asked.finished = isinstance(answer, Failed | Done)
            if isinstance(answer, Failed):
                raise answer.error()
            if isinstance(answer, Remark):
                asked.remarks += 1
                if asked.remarks > _REMARKS:
                    raise _condemned(way, _nonsense("notes without end"))
                asked.note(words.clean(answer.text))
            elif isinstance(answer, Done):
                return
            else:
                yield answer
        raise _condemned(way, _nonsense("no end of an answer"))

    def granted(self, octets: bytes) -> bytes:
        """What the worker asks of main, as frames both ways."""
        if self._grants is None:
            raise _nonsense("a worker asked for what it is never given")
        try:
            number, request = message(octets, self._grants)
        except UndecodableError as error:
            raise _nonsense(str(error)) from None
        asked = self._requests.get(number & ~ASKED)
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

    def end(self, number: int) -> float:
        """How long the answer to a request is waited for, on `clock.monotonic`."""
        return self._requests[number].until()

    def finished(self, number: int) -> bool:
        """Whether the answer to a request is whole."""
        return self._requests[number].finished


# --- a worker in this process -------------------------------------------------------------------------------


class _Here:
    """Called where its answers are awaited."""

    closed = False

    def __init__(self, duty: Duty) -> None:
        self._duty = duty

    def converse(
        self, number: int, octets: bytes, main: Main, descriptors: Sequence[int]
    ) -> Generator[bytes]:
        """Answer by being called."""
        _, request = message(octets, self._duty.asks)
        side = _Side(main, number, within(octets), tuple(os.dup(one) for one in descriptors))
        try:
            for answer in self._duty.answer(request, side):
                yield from side.notes()
                yield frame(number, answer)
            yield from side.notes()
            yield frame(number, Done())
        except RenewerError as error:
            yield from side.notes()
            yield frame(number, Failed.of(error))

    def condemn(self, error: RenewerError) -> None:
        """It is asked no more by who was told."""

    def close(self) -> None:
        """Nothing is kept here."""


class _Side:
    """Main as one request's worker sees it."""

    def __init__(self, main: Main, number: int, seconds: float, descriptors: tuple[int, ...]) -> None:
        self._main = main
        self.descriptors = descriptors
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
        octets = self._main.cancellation(self._number)
        if octets is not None:
            _, said = message(octets, Cancel)
            self._cancelled = True
            if said.within is not None:
                self._end = min(self._end, clock.monotonic() + said.within)

    def ask(self, request: DoorMessage, kind: type[A]) -> A:
        _, answer = message(self._main.granted(frame(self._number, request)), kind | Failed)
        if isinstance(answer, Failed):
            raise answer.error()
        return answer  # type: ignore[no-any-return]


def _condemned(way: WorkerWay, error: RenewerError) -> RenewerError:
    way.condemn(error)
    return error


def _nothing(_: Any) -> DoorMessage:
    """What a request grants that grants nothing."""
    raise BreachError("a worker asked for what it is never given", kind="worker")


def _nonsense(what: str) -> RetryLater | OurFault:
    """A worker that breaks the rules is no use any more; what it was asked is asked again by the next run."""
    return RetryLater(f"a worker answered nonsense: {what}", kind="worker")


__all__ = ["Asker", "Door", "Duty", "Grant", "Main", "Opener", "WorkerWay"]
