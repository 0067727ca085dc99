"""What a worker may have signed in the course of one request: by kind, by URL, and so many times.

With a signature under words of its own choice a worker could have a certificate for a key of its own, give
our account another key, or end it. So it never chooses the words: they are laid down here, by whoever makes
the request, before the worker hears of it. A signature is good for the URL alone that is in it (RFC 8555
§6.4), so it is counted for each URL by itself.
"""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, NamedTuple

from renewer import words
from renewer.model.value import Value
from renewer.network.acme.messages import AccountNow, Asked, Doubt, Sign, Signature, SignKind
from renewer.network.protocol import BreachError, DoorMessage

if TYPE_CHECKING:
    from renewer.accounts.key import AccountKey

AGAIN = 200
"""How often a request may be signed once more: a nonce is refused now and then, a connection not made."""


class Signer(NamedTuple):
    """A key, and the URL of its account, or None if the key itself is shown (RFC 8555 §6.2)."""

    key: "AccountKey"
    account: str | None


class _Leave(Value):
    """What is signed for one kind: its words for a URL; to which URLs, and how often (None: any)."""

    payload: Callable[[str], bytes]
    urls: frozenset[str] | None = None
    times: int | None = 1


class Permit:
    """Given along with one request; answers what the worker asks while it works on it.

    `signer` says who signs now, `belongs` whether a URL is at the authority, and `doubted` what our account's
    URL is from now on if the authority no longer knows it.
    """

    def __init__(
        self,
        authority: str,
        signer: Callable[[], Signer],
        belongs: Callable[[str], bool],
        doubted: Callable[[Doubt], str] | None = None,
    ) -> None:
        self._authority = authority
        self._signer = signer
        self._belongs = belongs
        self._doubted = doubted
        self._leaves: dict[SignKind, _Leave] = {}
        self._signed: dict[tuple[SignKind, str, str | None], int] = {}
        self._again = 0

    def read(self, *urls: str) -> "Permit":
        """POST-as-GET of these; of whatever is at the authority if none is named."""
        return self.also(SignKind.READ, b"", urls, times=None)

    def also(
        self,
        kind: SignKind,
        payload: bytes | Callable[[str], bytes],
        urls: Collection[str] = (),
        *,
        times: int | None = 1,
    ) -> "Permit":
        """These words as well: to those URLs, or if none is named to any that is at the authority."""
        words = payload if callable(payload) else lambda _: payload
        only = frozenset(urls) if urls else None
        self._leaves[kind] = _Leave(payload=words, urls=only, times=times)
        return self

    def __call__(self, asked: Asked) -> DoorMessage:
        """The answer to what the worker asks. Raises BreachError for what was not laid down."""
        if isinstance(asked, Doubt):
            if self._doubted is None:
                raise self._breach("another account")
            return AccountNow(url=self._doubted(asked))
        return self._sign(asked)

    def _sign(self, asked: Sign) -> Signature:
        leave = self._leaves.get(asked.kind)
        what = f"a signature for {asked.kind.value} at {words.text_of(asked.url, 200)}"
        if leave is None or not self._may_go_to(asked.url, leave):
            raise self._breach(what)
        signer = self._signer()
        place = (asked.kind, asked.url, signer.account)
        done = self._signed.get(place, 0)
        if asked.again and done:
            self._again += 1
            if leave.times is not None and self._again > AGAIN:
                raise self._breach(f"{what}, once too often")
        else:
            if leave.times is not None and done >= leave.times:
                raise self._breach(f"{what}, a second time")
            self._signed[place] = done + 1
        body = signer.key.sign(leave.payload(asked.url), asked.nonce, asked.url, signer.account)
        return Signature(body=body)

    def _may_go_to(self, url: str, leave: _Leave) -> bool:
        return self._belongs(url) if leave.urls is None else url in leave.urls

    def _breach(self, what: str) -> BreachError:
        return BreachError(
            f"who speaks to {self._authority} for us asked for {what}, which nothing here had asked for: "
            "it was refused",
            hint="nothing was signed; if it happens again, please report it with the renewal log",
            kind="worker",
        )
