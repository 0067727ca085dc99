"""The few words in clear after which a connection turns to TLS."""

import socket

from renewer.model.desired import Starttls


class StarttlsError(OSError):
    """The other side does not offer TLS, or does not speak the protocol."""


def upgrade(plain: socket.socket, protocol: Starttls, server_name: str, deadline: float) -> None:
    """Talk until the next byte is TLS."""
    raise StarttlsError(f"STARTTLS for {protocol} is not known yet ({server_name} {deadline} {plain})")
