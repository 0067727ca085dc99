"""One end of the socket between two of our processes: whole frames, each in time, and none too large.

What a frame is stands in `protocol`. Who reads or writes waits for a whole one no longer than `PATIENCE`: a
process that was stopped, or that says a length and no more, holds nobody up. For the first octet a reader
waits for ever: silence is no fault.
"""

import array
import contextlib
import select
import socket
import threading
from collections.abc import Sequence

from renewer import clock
from renewer.decoding import UndecodableError
from renewer.network.protocol import FRAME, HEAD

PATIENCE = 10.0
"""Seconds in which a frame that was begun must have been sent, or read."""
DESCRIPTORS = 32
"""How many may come with one frame."""
_INT = array.array("i").itemsize


class ClosedError(Exception):
    """The other side is gone, or was too slow."""


class Channel:
    """Many threads may send; one reads. The socket is this object's from now on."""

    def __init__(self, sock: socket.socket, *, patience: float = PATIENCE) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._patience = patience
        self._sending = threading.Lock()
        self._dead = False

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._sock.fileno()

    def send(self, octets: bytes, descriptors: Sequence[int] = ()) -> None:
        """One frame, copies of these open files with it. Raises ClosedError if it is not taken in time."""
        deadline = clock.monotonic() + self._patience
        with self._sending:
            if self._dead:
                raise ClosedError("it is closed")
            try:
                self._send(memoryview(octets), descriptors, deadline)
            except OSError as error:
                self._dead = True  # half a frame may be on its way: no other may follow it
                raise ClosedError(error.strerror or str(error)) from None

    def _send(self, left: memoryview, descriptors: Sequence[int], deadline: float) -> None:
        while left:
            try:
                if descriptors:
                    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
                    sent = self._sock.sendmsg([left], [rights], socket.MSG_NOSIGNAL)
                    descriptors = ()
                else:
                    sent = self._sock.send(left, socket.MSG_NOSIGNAL)
                left = left[sent:]
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline)

    def receive(self, within: float | None = None) -> bytes | None:
        """The next frame, None at the end; it must come `within` so many seconds, if that is said.

        Raises UndecodableError for what is no frame, ClosedError for one that does not come to its end.
        """
        return self._receive(0, within)[0]

    def receive_all(self) -> tuple[bytes | None, tuple[int, ...]]:
        """The same, with the files that came with it: they are the caller's."""
        return self._receive(DESCRIPTORS, None)

    def close(self) -> None:
        """Nothing more is said, and who waits here or there is woken."""
        self._dead = True
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def free(self) -> None:
        """Close, and give the descriptor back: by who reads, when nobody else uses it."""
        self.close()
        self._sock.close()

    def _receive(self, most: int, within: float | None) -> tuple[bytes | None, tuple[int, ...]]:
        found: list[int] = []
        if within is not None:
            try:
                self._wait(select.POLLIN, clock.monotonic() + within)
            except TimeoutError:
                raise ClosedError(f"nothing came within {within:g} s") from None
        head = self._exactly(HEAD.size, None, most, found)
        if not head:
            return None, tuple(found)
        length = HEAD.unpack(head)[0]
        if length > FRAME - HEAD.size:
            raise UndecodableError(f"a frame of {length} octets")
        body = self._exactly(length, clock.monotonic() + self._patience, 0, found)
        return head + body, tuple(found)

    def _exactly(self, size: int, deadline: float | None, most: int, found: list[int]) -> bytes:
        """So many octets; none if the end comes first and nothing was begun."""
        got = bytearray()
        while len(got) < size:
            try:
                some = self._some(size - len(got), most, found)
            except BlockingIOError:
                try:
                    self._wait(select.POLLIN, deadline)
                except TimeoutError:
                    raise ClosedError("it stopped in the middle of a frame") from None
                continue
            except ConnectionError:
                some = b""
            if not some:
                if got or deadline is not None:
                    raise ClosedError("it ended in the middle of a frame")
                break
            got += some
            if deadline is None:
                deadline = clock.monotonic() + self._patience
        return bytes(got)

    def _some(self, size: int, most: int, found: list[int]) -> bytes:
        if not most:
            return self._sock.recv(size)
        octets, extra, _, _ = self._sock.recvmsg(
            size, socket.CMSG_SPACE(most * _INT), socket.MSG_CMSG_CLOEXEC
        )
        for level, kind, data in extra:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers = array.array("i")
                numbers.frombytes(data[: len(data) - len(data) % _INT])
                found += numbers
        return octets

    def _wait(self, event: int, deadline: float | None) -> None:
        poll = select.poll()
        poll.register(self._sock, event)
        if deadline is None:
            poll.poll()
        else:
            left = deadline - clock.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise TimeoutError("it was too slow")
