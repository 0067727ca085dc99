"""What is said at the door about listening: main binds, a worker answers who comes."""

from typing import Literal

from renewer.network.protocol import DoorMessage

ListenerKind = Literal["http-01", "tls-alpn-01"]


class Listen(DoorMessage):
    """Serve on the listening sockets that come with this, for challenges of this kind."""

    kind: ListenerKind


class Serve(DoorMessage):
    """Answer who asks for `what`: a path by a body, a server name by a key with its certificate (PEM)."""

    what: str
    answer: bytes


class Unserve(DoorMessage):
    """Answer no more for it; what is not served is no error."""

    what: str


class CloseUp(DoorMessage):
    """Close the sockets, and drop who is still there."""


OfListener = Listen | Serve | Unserve | CloseUp
