"""Main's end of the socket to a worker: many requests at once, each answered in time or not at all.

A worker is a stranger's way in. It is ended, and all that it was asked fails, if it says what is no frame,
what nobody asked for, or too much, if it does not answer when called, or if its answer does not come.
"""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from queue import Empty, SimpleQueue

from renewer import clock
from renewer.decoding import UndecodableError
from renewer.errors import RenewerError, RetryLater
from renewer.network.channel import PATIENCE, Channel, ClosedError
from renewer.network.door import Main
from renewer.network.protocol import (
    ASKED,
    GENERAL,
    HEAD,
    Cancel,
    DoorMessage,
    StillHere,
    StillThere,
    frame,
    message,
)

SILENCE = 5.0
"""Seconds after which a worker that says nothing is called; it is called so often before it is ended:"""
CALLS = 4
LIMIT = 900.0
"""Seconds for an answer of which nothing else is said."""
SLACK = 20.0
"""Seconds that an answer may be late: a request that was begun in time is brought to its end."""
OCTETS = 64 << 20
"""All that one request may be answered."""
_BEAT = 0.2  # seconds between looks at whether main still wants it
_AHEAD = 64  # frames of one request that are kept for who reads them
_FORGOTTEN = 4096  # requests that were given up, whose answers may still come


class WorkerEndedError(RetryLater):
    """The worker is gone; what it was asked is asked again by the next run."""


class _Asked:
    """One request's frames on their way to who waits for them."""

    __slots__ = ("frames", "octets")

    def __init__(self) -> None:
        self.frames: SimpleQueue[bytes | None] = SimpleQueue()
        self.octets = 0


class WorkerLine:
    """To the worker who `does` that, at the other end of the channel.

    `end` has it ended for certain, and is told whether it failed.
    """

    def __init__(self, does: str, channel: Channel, end: Callable[[bool], None]) -> None:
        self._does = does
        self._channel = channel
        self._end = end
        self._asked: dict[int, _Asked] = {}
        self._given_up: deque[int] = deque(maxlen=_FORGOTTEN)
        self._guard = threading.Lock()
        self._fault: RenewerError | None = None
        self._heard = clock.monotonic()
        self._called = 0.0
        self._calls = 0
        threading.Thread(target=self._read, name=f"who {does}", daemon=True).start()

    @property
    def closed(self) -> bool:
        """Whether the worker is gone."""
        return self._fault is not None

    def converse(
        self, number: int, octets: bytes, main: Main, descriptors: Sequence[int]
    ) -> Generator[bytes]:
        """The frames that answer one, as they come; what the worker asks meanwhile is answered here."""
        asked = _Asked()
        with self._guard:
            if self._fault is not None:
                raise self._again()
            self._asked[number] = asked
        try:
            self._say(octets, descriptors)
            for received in self._received(number, asked, main):
                if HEAD.unpack_from(received)[2] & ASKED:
                    self._say(self._granted(received, main))
                else:
                    yield received
        finally:
            with self._guard:
                del self._asked[number]
                self._given_up.append(number)
            if not self.closed and not main.finished(number):  # whoever asked wants no more of it
                self._tell(Cancel(within=0), number)

    def condemn(self, error: RenewerError) -> None:
        """End the worker: all that it was asked fails with this."""
        self._finish(error, failed=True)

    def close(self) -> None:
        """Nothing more will be asked: the worker ends."""
        error = WorkerEndedError(f"the process that {self._does} was let go", kind="worker")
        self._finish(error, failed=False)

    def _finish(self, error: RenewerError, *, failed: bool) -> None:
        with self._guard:
            if self._fault is not None:
                return
            self._fault = error
            waiting = list(self._asked.values())
        self._channel.close()
        self._end(failed)
        for one in waiting:
            one.frames.put(None)

    def _granted(self, octets: bytes, main: Main) -> bytes:
        try:
            return main.granted(octets)
        except RenewerError as error:
            self.condemn(error)
            raise

    def _received(self, number: int, asked: _Asked, main: Main) -> Iterator[bytes]:
        began = clock.monotonic()
        while True:
            try:
                received = asked.frames.get(timeout=_BEAT)
            except Empty:
                pass
            else:
                if received is None:
                    raise self._again()
                yield received
                continue
            if (said := main.cancellation(number)) is not None:
                self._say(said)
            self._look(min(began + LIMIT, main.end(number)) + SLACK)

    def _look(self, end: float) -> None:
        """Whether the worker is still there: it is called when it says nothing."""
        now = clock.monotonic()
        if now > end:
            self.condemn(self._gone("gave no answer in time"))
        with self._guard:
            if now - self._heard < SILENCE:
                self._calls = 0
                return
            if now - self._called < SILENCE:
                return
            self._called = now
            self._calls += 1
            calls = self._calls
        if calls > CALLS:
            self.condemn(self._gone(f"was silent for {SILENCE * CALLS:g} s"))
        else:
            self._tell(StillThere())

    def _say(self, octets: bytes, descriptors: Sequence[int] = ()) -> None:
        try:
            self._channel.send(octets, descriptors)
        except ClosedError:
            self.condemn(self._gone("ended, or takes nothing any more"))
            raise self._again() from None

    def _tell(self, said: DoorMessage, number: int = GENERAL) -> None:
        try:
            self._channel.send(frame(number, said))
        except ClosedError:
            self.condemn(self._gone("ended, or takes nothing any more"))

    # --- the thread that reads ------------------------------------------------------------------------------

    def _read(self) -> None:
        error: RenewerError
        try:
            while (received := self._channel.receive()) is not None:
                self._heard = clock.monotonic()
                self._hand_out(received)
            error = self._gone("ended in the middle of its work")
        except UndecodableError as why:
            error = self._gone(f"said nonsense: {why}")
        except (ClosedError, OSError) as why:
            error = self._gone(f"said nonsense: {why}")
        except Exception as why:  # noqa: BLE001  a thread's: who waits must hear of it
            error = RenewerError(f"a defect of this program: {type(why).__name__}: {why}", kind="defect")
        self.condemn(error)
        self._channel.free()

    def _hand_out(self, received: bytes) -> None:
        number = HEAD.unpack_from(received)[2]
        if number == GENERAL:
            message(received, StillHere)
            return
        with self._guard:
            asked = self._asked.get(number & ~ASKED)
            late = number & ~ASKED in self._given_up
        if asked is None:
            if not late:
                raise UndecodableError("an answer that nobody waits for")
            return
        asked.octets += len(received)
        if asked.octets > OCTETS:
            raise UndecodableError("an answer without end")
        deadline = clock.monotonic() + PATIENCE
        while asked.frames.qsize() >= _AHEAD:
            if clock.monotonic() > deadline:
                raise UndecodableError("more than anybody can read")
            clock.sleep(0.01)
        asked.frames.put(received)

    def _gone(self, what: str) -> WorkerEndedError:
        return WorkerEndedError(
            f"the process that {self._does} {what}: it was ended",
            hint="the next run asks again; if it happens again, please report it with the renewal log",
            kind="worker",
        )

    def _again(self) -> RenewerError:
        """The fault, as one of its own for each thread that raises it."""
        fault = self._fault
        if fault is None:  # what is said of it
            return self._gone("ended")
        return type(fault)(fault.text, hint=fault.hint, kind=fault.kind)
