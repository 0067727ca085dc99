"""What proves control of a name to who comes and looks: sockets that main bound, served by a worker."""

import contextlib
from collections.abc import Iterator, Sequence
from socket import socket
from typing import TYPE_CHECKING, Any

from renewer import clock
from renewer.errors import RenewerError

if TYPE_CHECKING:
    from renewer.network.challenges.messages import ListenerKind
    from renewer.network.protocol import DoorMessage

_GRACE = 10.0
"""Seconds for a worker to do what is done at once: a frozen one holds nobody up for longer."""


class Listening:
    """A server on sockets that are its own from now on. Raises RetryLater if its worker fails.

    A worker that ended is replaced with the next answer, and the new one gets all answers in hand.
    """

    def __init__(self, kind: "ListenerKind", sockets: Sequence[socket]) -> None:
        from renewer.network.door import Door

        self._kind = kind
        self._sockets = tuple(sockets)
        self._answers: dict[str, bytes] = {}
        numbers = [one.fileno() for one in sockets]
        self._door = Door[Any]("listen", of=kind, greeting=self._greeting, handed=numbers)
        try:
            self._door.open()
        except BaseException:
            self._end()
            raise

    def show(self, what: str, answer: bytes) -> None:
        """Answer who asks for this path by a body, for this server name by a key with its certificate."""
        from renewer.network.challenges.messages import Serve

        self._answers[what] = answer
        self._do(Serve(what=what, answer=answer))

    def hide(self, what: str) -> None:
        """Answer no more for it; what is not shown is no error."""
        from renewer.network.challenges.messages import Unserve

        if self._answers.pop(what, None) is not None:
            with contextlib.suppress(RenewerError):  # a worker that is gone answers nobody
                self._do(Unserve(what=what))

    def stop(self) -> None:
        """Close the sockets; a worker that does not is ended, and the port is free then, too."""
        # None is shut down: what systemd handed over would be shut for it as well.
        from renewer.network.challenges.messages import CloseUp

        with contextlib.suppress(RenewerError):
            self._do(CloseUp())
        self._end()

    def _greeting(self) -> "Iterator[DoorMessage]":
        from renewer.network.challenges.messages import Listen, Serve

        yield Listen(kind=self._kind)
        for what, answer in list(self._answers.items()):
            yield Serve(what=what, answer=answer)

    def _do(self, request: "DoorMessage") -> None:
        end = clock.monotonic() + _GRACE
        self._door.do(request, until=lambda: end)

    def _end(self) -> None:
        self._door.close()
        for one in self._sockets:
            one.close()
