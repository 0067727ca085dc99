"""The duty of delivering what people are told, on the worker's side of the door."""

from collections.abc import Iterator

from renewer.errors import RetryLater
from renewer.network.channels import messages, post
from renewer.network.door import Asker
from renewer.network.protocol import DoorMessage, Trust


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

                content = self._taken(request.octets)
                yield messages.Mailed(refused=mail.deliver(request, content, self._roots or None))
            case messages.Post():
                content = self._taken(request.octets)
                yield messages.Posted(status=post.post(request, content, self._roots or None))

    def _taken(self, octets: int) -> bytes:
        content, self._content = self._content, b""
        if len(content) != octets:  # what heard the rest of it has ended meanwhile
            raise RetryLater("the worker that should deliver it has but a part of it", kind="worker")
        return content
