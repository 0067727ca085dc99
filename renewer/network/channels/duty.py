"""The duty of delivering what people are told, on the worker's side of the door."""

from collections.abc import Iterator

from renewer.network.channels import messages, post
from renewer.network.door import Asker
from renewer.network.protocol import DoorMessage, Trust


def prepare() -> None:
    """Import what is else imported when it is needed: before rights are given up."""
    import renewer.network.channels.mail
    import renewer.network.tls  # noqa: F401


class Deliverer:
    """Delivers for one channel."""

    asks = messages.Asked

    def __init__(self) -> None:
        self._roots = ""
        self._content = b""

    def answer(self, request: messages.Asked, main: Asker) -> Iterator[DoorMessage]:  # noqa: ARG002
        """What came of it."""
        match request:
            case Trust(pem=pem):
                self._roots += pem
            case messages.Content(octets=octets):
                self._content += octets
            case messages.Mail():
                from renewer.network.channels import mail  # smtplib and email, for mail alone

                yield messages.Mailed(refused=mail.deliver(request, self._taken(), self._roots or None))
            case messages.Post():
                yield messages.Posted(status=post.post(request, self._taken(), self._roots or None))

    def _taken(self) -> bytes:
        content, self._content = self._content, b""
        return content
