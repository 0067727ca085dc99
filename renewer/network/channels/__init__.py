"""Delivers what people are told, by mail and to URLs: main's side, asking a worker through the door."""

from collections.abc import Iterable
from typing import Any

from renewer import words
from renewer.network.channels.messages import Content, Mail, Mailed, Post, Posted
from renewer.network.protocol import SHARE, trusting

_OCTETS = SHARE * 3 // 4  # in base64 they are a share


class Courier:
    """Delivers for one channel, whose servers' certificates lead to `roots` (PEM; "": the system's)."""

    def __init__(self, roots: str = "") -> None:
        from renewer.network.channels.duty import Deliverer
        from renewer.network.door import Door

        self._door: Door[Any] = Door(Deliverer())
        for share in trusting(roots):
            self._door.do(share)

    def mail(self, request: Mail, content: bytes) -> str:
        """Have a mail delivered; who did not get it, as words for people ("" if all did).

        Raises RenewerError if nobody got it.
        """
        self._say(content)
        return words.clean(self._door.ask(request, Mailed).refused)

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
        self._say(body)
        request = Post(url=url, headers=tuple(headers), limit=limit, proxy=proxy)
        status: int = self._door.ask(request, Posted).status
        return status

    def _say(self, content: bytes) -> None:
        for at in range(0, len(content), _OCTETS):
            self._door.do(Content(octets=content[at : at + _OCTETS]))
