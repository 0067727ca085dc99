"""The worker's end of the socket: it works on many requests at once and says what came of each.

It ends when main is gone, at once and whatever it is doing.
"""

import contextlib
import os
import threading
import traceback
from collections import deque
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any, TypeVar

from renewer import clock
from renewer.decoding import UndecodableError
from renewer.errors import OurFault, RenewerError, RetryLater
from renewer.network.channel import Channel, ClosedError
from renewer.network.duties import Duty
from renewer.network.protocol import (
    ASKED,
    GENERAL,
    HEAD,
    Cancel,
    Done,
    DoorMessage,
    Failed,
    Remark,
    StillHere,
    StillThere,
    frame,
    message,
    within,
)

A = TypeVar("A", bound=DoorMessage)
STACK = 1 << 20
"""Octets of a thread's stack: the address space of a worker is bounded."""
THREADS = 256
"""Requests that are worked on at once; who comes later waits."""
_IDLE = 30.0  # seconds that a thread waits for work


def serve(channel: Channel, duty: Duty) -> None:
    """Work until main is gone or says nonsense."""
    threading.stack_size(STACK)
    _Worker(channel, duty).work()


class _Worker:
    def __init__(self, channel: Channel, duty: Duty) -> None:
        self._channel = channel
        self._duty = duty
        self._sides: dict[int, _Side] = {}
        self._guard = threading.Condition(threading.Lock())
        self._waiting: deque[tuple[_Side, Any]] = deque()
        self._idle = 0
        self._threads = 0

    def work(self) -> None:
        with contextlib.suppress(ClosedError, UndecodableError, OSError):
            while True:
                octets, descriptors = self._channel.receive_all()
                if octets is None:
                    return
                self._take(octets, descriptors)

    def _take(self, octets: bytes, descriptors: tuple[int, ...]) -> None:
        number = HEAD.unpack_from(octets)[2]
        if number == GENERAL:
            message(octets, StillThere)
            self._channel.send(frame(GENERAL, StillHere()))
        elif number & ASKED:
            if side := self._sides.get(number & ~ASKED):
                side.answers.put(octets)
        else:
            _, said = message(octets, self._duty.asks | Cancel)
            if not isinstance(said, Cancel):
                self._begin(_Side(self._channel, number, descriptors, within(octets)), said)
            elif side := self._sides.get(number):
                side.cancel(said.within)

    def _begin(self, side: "_Side", request: Any) -> None:
        with self._guard:
            self._sides[side.number] = side
            self._waiting.append((side, request))
            if self._idle >= len(self._waiting) or self._threads >= THREADS:
                self._guard.notify()
                return
            self._threads += 1
        try:
            threading.Thread(target=self._answer_all, daemon=True).start()
        except RuntimeError as error:  # no more threads: whoever is at work takes it, if there is anybody
            with self._guard:
                self._threads -= 1
                nobody = not self._threads
                if nobody:
                    self._waiting.remove((side, request))
            if nobody:
                self._end(side, Failed.of(OurFault.of(error)))

    def _answer_all(self) -> None:
        """One thread: requests one after the other, until nothing comes for a while."""
        while True:
            with self._guard:
                self._idle += 1
                if not self._waiting:
                    self._guard.wait(_IDLE)
                self._idle -= 1
                if not self._waiting:
                    self._threads -= 1
                    return
                side, request = self._waiting.popleft()
            self._answer(side, request)

    def _answer(self, side: "_Side", request: Any) -> None:
        try:
            for answer in self._duty.answer(request, side):
                side.say_notes()
                self._channel.send(frame(side.number, answer))
            side.say_notes()
            end: DoorMessage = Done()
        except RenewerError as error:
            end = Failed.of(error)
        except ClosedError:
            return
        except Exception as error:  # noqa: BLE001  a defect of ours: main tells it, and works on
            end = Failed.of(_placed(error))
        self._end(side, end)

    def _end(self, side: "_Side", end: DoorMessage) -> None:
        with self._guard:
            self._sides.pop(side.number, None)
        with contextlib.suppress(ClosedError):
            side.say_notes()
            self._channel.send(frame(side.number, end))


class _Side:
    """Main, as one request sees it."""

    def __init__(self, channel: Channel, number: int, descriptors: tuple[int, ...], seconds: float) -> None:
        self.number = number
        self.descriptors = descriptors
        self._until = clock.monotonic() + seconds
        self.answers: SimpleQueue[bytes | None] = SimpleQueue()
        self._channel = channel
        self._cancelled = False
        self._noted: list[str] = []
        self._guard = threading.Lock()
        self._asking = threading.Lock()

    def note(self, text: str) -> None:
        with self._guard:
            self._noted.append(text)

    def say_notes(self) -> None:
        with self._guard:
            noted, self._noted = self._noted, []
        for text in noted:
            self._channel.send(frame(self.number, Remark(text=text)))

    def cancel(self, seconds: float | None) -> None:
        self._cancelled = True
        if seconds is not None:
            self._until = min(self._until, clock.monotonic() + seconds)

    def cancelled(self) -> bool:
        return self._cancelled

    def until(self) -> float:
        return self._until

    def ask(self, request: DoorMessage, kind: type[A]) -> A:
        with self._asking:
            self._channel.send(frame(self.number | ASKED, request))
            octets = self.answers.get()
        if octets is None:
            raise RetryLater("main wants no more of it", kind="worker")
        _, answer = message(octets, kind | Failed)
        if isinstance(answer, Failed):
            raise answer.error()
        return answer  # type: ignore[no-any-return]


def _placed(error: Exception) -> RenewerError:
    """A defect, and where it is: its trace stays here."""
    fault = OurFault.of(error)
    where: Iterator[traceback.FrameSummary] = reversed(traceback.extract_tb(error.__traceback__))
    for one in where:
        if isinstance(fault, OurFault) and f"{os.sep}renewer{os.sep}" in one.filename:
            fault.text += f" ({os.path.basename(one.filename)}:{one.lineno})"
            break
    return fault
