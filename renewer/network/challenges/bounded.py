"""An answer over a socket, read until a deadline and up to a limit: neither a drip nor a flood holds us."""

import http.client
import io
import socket
from typing import TYPE_CHECKING

from renewer import clock

if TYPE_CHECKING:
    from typing_extensions import Buffer


def left(deadline: float) -> float:
    """Seconds until a deadline of `clock.monotonic`. Raises TimeoutError if there are none."""
    seconds = deadline - clock.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


class Bounded(io.RawIOBase):
    """A socket's bytes, as http.client reads them."""

    def __init__(self, sock: socket.socket, deadline: float, limit: int) -> None:
        self._sock = sock
        self._deadline = deadline
        self._room = limit

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: "Buffer") -> int:
        """What comes next. Raises TimeoutError or HTTPException at the bounds."""
        if self._room <= 0:
            raise http.client.HTTPException("too long an answer")
        self._sock.settimeout(left(self._deadline))
        count = self._sock.recv_into(memoryview(buffer)[: self._room])
        self._room -= count
        return count

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What http.client asks of a socket."""
        return io.BufferedReader(self)
