"""Delivers what people are told, by mail and to URLs: main's side, asking a worker through the door."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from renewer import clock, words
from renewer.network.channels.messages import Content, Mail, Mailed, Post, Posted, TellService, ToldService
from renewer.network.protocol import SHARE, trusting

if TYPE_CHECKING:
    from renewer.network.door import Opener

A = TypeVar("A", Mailed, Posted)
_GRACE = 5.0  # seconds for a worker to say that its time was over
_OCTETS = SHARE * 3 // 4  # in base64 they are a share


class Courier:
    """Delivers for one channel, whose servers' certificates lead to `roots` (PEM; "": the system's)."""

    def __init__(self, roots: str = "", of: str = "") -> None:
        from renewer.network.door import Door

        self._door: Door[Any] = Door("channel", of=of, greeting=lambda: trusting(roots))

    def mail(self, request: Mail, content: bytes) -> str:
        """Have a mail delivered; who did not get it, as words for people ("" if all did).

        Raises RenewerError if nobody got it.
        """
        return words.clean(self._said(content, request, Mailed, request.limit).refused)

    def post(
        self,
        url: str,
        body: bytes,
        headers: Iterable[tuple[str, str]],
        *,
        limit: float,
        proxy: str | None = None,
    ) -> int:
        """The status of the answer to one POST; no redirect is followed, and no word of the URL is told.

        `limit` in seconds is for all of it; `proxy` (a URL, perhaps with a password) comes before that of the
        environment. In clear it goes to this host only. Raises RetryLater if there was no answer, GiveUp for
        a URL that cannot be used.
        """
        request = Post(url=url, headers=tuple(headers), limit=limit, octets=len(body), proxy=proxy)
        return self._said(body, request, Posted, limit).status

    def _said(self, content: bytes, request: Mail | Post, kind: type[A], limit: float) -> A:
        end = clock.monotonic() + limit + _GRACE
        try:
            for at in range(0, len(content), _OCTETS):
                self._door.do(Content(octets=content[at : at + _OCTETS]), until=lambda: end)
            answer: A = self._door.ask(request, kind, until=lambda: end)
            return answer
        finally:
            self._door.close()


def tell_service(request: TellService, of: str, opener: "Opener") -> ToldService:
    """Whether a service of apprise's took it, by a worker that knows its URL alone. Raises RenewerError."""
    from renewer.network.door import Door

    door = Door[Any]("service", of=of, opener=opener)
    try:
        door.open()
        end = clock.monotonic() + request.limit + _GRACE
        told: ToldService = door.ask(request, ToldService, until=lambda: end)
        return told
    finally:
        door.close()
