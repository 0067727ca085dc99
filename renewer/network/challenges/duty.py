"""The duty of answering who looks for the proof of a challenge, on the worker's side of the door."""

import socket
from collections.abc import Iterator

from renewer.errors import OurFault
from renewer.network.challenges import messages as said
from renewer.network.challenges.http01.server import Server
from renewer.network.duties import Asker
from renewer.network.protocol import DoorMessage


class Listener:
    """Serves on sockets that others bound; what it answers is made by them, too."""

    asks = said.OfListener

    def __init__(self) -> None:
        self._server: Server | None = None

    def answer(self, request: said.OfListener, main: Asker) -> Iterator[DoorMessage]:
        """All of it is answered by its being done."""
        match request:
            case said.Listen(kind=kind):
                sockets = [socket.socket(fileno=number) for number in main.descriptors]
                self._server = _server(kind, sockets)
            case said.Serve(what=what, answer=answer):
                self._listening.show(what, answer)
            case said.Unserve(what=what):
                self._listening.hide(what)
            case said.CloseUp():
                self._listening.stop()
        return iter(())

    @property
    def _listening(self) -> Server:
        if self._server is None:
            raise OurFault("a defect of this program: a listener without sockets", kind="defect")
        return self._server


def _server(kind: said.ListenerKind, sockets: list[socket.socket]) -> Server:
    if kind == "http-01":
        return Server(sockets)
    from renewer.network.challenges.tlsalpn01.server import TlsServer  # 20 ms that only TLS pays

    return TlsServer(sockets)
