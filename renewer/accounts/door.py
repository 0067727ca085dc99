"""Main's side of the door to the worker that speaks to one authority."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from renewer import secrets
from renewer.accounts.permit import Permit, Signer
from renewer.errors import GiveUp
from renewer.model.desired import Authority
from renewer.network.acme.lost import Lost  # with it the errors of this duty are known at the door
from renewer.network.acme.messages import (
    AccountReply,
    AccountRequest,
    Asked,
    Configure,
    DirectoryShown,
    Doubt,
    ShowDirectory,
    SignKind,
)
from renewer.network.acme.resources import Directory, place_of, places
from renewer.network.protocol import DoorMessage, trusting

if TYPE_CHECKING:
    from renewer.accounts.key import AccountKey
    from renewer.network.door import Door

A = TypeVar("A", bound=DoorMessage)

__all__ = ["AuthorityDoor", "Lost"]


class AuthorityDoor:
    """To one authority; opened with the first request, safe for threads.

    `timeout` (seconds) bounds each request to the authority.
    """

    def __init__(self, authority: Authority, timeout: float) -> None:
        self._authority = authority
        self._timeout = timeout
        self._door: Door[Any] | None = None
        self._places = frozenset({place_of(authority.directory)}) - {""}
        self._guard = threading.Lock()
        self._opening = threading.Lock()

    @property
    def name(self) -> str:
        """The authority's, as the config has it."""
        return self._authority.name

    @property
    def is_open(self) -> bool:
        """Whether anything was asked yet."""
        return self._door is not None

    def directory(self) -> Directory:
        """What the authority offers (RFC 8555 §7.1.1), fetched once a run."""
        found = self.ask(ShowDirectory(), DirectoryShown).directory
        if not (there := places(found)) <= self._places:
            with self._guard:
                self._places |= there
        return found

    def choose_profile(self, wished: Sequence[str]) -> str | None:
        """The first of these certificate profiles that it offers (draft-ietf-acme-profiles §3).

        None if none is wished; where it lists none, the first. Raises GiveUp if it has none of several.
        """
        offered = self.directory().profiles
        if not wished or not offered:
            return next(iter(wished), None)
        for one in wished:
            if one in offered:
                return one
        raise GiveUp(
            f"{self.name} has no profile {' and no '.join(repr(one) for one in wished)}; "
            f"it offers {', '.join(sorted(offered))}",
            kind="invalidProfile",
            hint="choose one of these, or remove profile",
        )

    def is_at(self, url: str) -> None:
        """What is where this is belongs to the authority as well."""
        with self._guard:
            self._places |= {place_of(url)} - {""}

    def belongs(self, url: str) -> bool:
        """Whether a URL is where the authority is: its directory, what that names, and our account."""
        place = place_of(url)
        return bool(place) and (place in self._places or place in places(self.directory()))

    def permit(self, signer: Callable[[], Signer], doubted: Callable[[Doubt], str] | None = None) -> Permit:
        """One for a request; nothing is allowed by it yet."""
        return Permit(self.name, signer, self.belongs, doubted)

    def ask(self, request: DoorMessage, kind: type[A], permit: Permit | None = None) -> A:
        """The one answer to a request. Raises one of our errors."""
        answer: A = self._opened().ask(request, kind, grant=permit)
        return answer

    def ask_all(
        self, request: DoorMessage, kind: type[A], permit: Permit, until: Callable[[], float] | None = None
    ) -> Iterator[A]:
        """The answers as they come, until a moment (on `clock.monotonic`) that may come nearer."""
        return self._opened().ask_all(request, kind, grant=permit, until=until)

    def do(self, request: DoorMessage, permit: Permit) -> None:
        """What is answered by its being done."""
        self._opened().do(request, grant=permit)

    def say(
        self,
        kind: SignKind,
        payload: bytes | Callable[[str], bytes],
        key: "AccountKey",
        account: str | None = None,
    ) -> AccountReply:
        """One request about the account, in its name, or (None) of the key itself; whatever is answered."""
        signer = Signer(key=key, account=account)
        to = (account,) if account and kind is not SignKind.KEY_CHANGE else ()
        permit = self.permit(lambda: signer).also(kind, payload, to)
        return self.ask(AccountRequest(kind=kind, account=account), AccountReply, permit)

    def close(self) -> None:
        """Let the worker go; what is asked after that opens another."""
        if self._door is not None:
            self._door.close()

    def _opened(self) -> "Door[Any]":
        with self._opening:
            if self._door is None:
                from renewer.network.door import Door

                self._door = Door[Any]("acme", of=self.name, grants=Asked, greeting=self._greeting)
            return self._door

    def _greeting(self) -> Iterator[DoorMessage]:
        """What a worker is told first; made when it is needed, so that errors are told as any other."""
        given = self._authority.proxy
        proxy = given if given is None or isinstance(given, str) else secrets.proxy(given)
        bundle = self._authority.ca_bundle
        yield from trusting(_trusted(bundle) if bundle else "")
        yield Configure(
            name=self.name,
            directory=self._authority.directory,
            timeout=self._timeout,
            ca_bundle=bundle,
            proxy=proxy,
        )


def _trusted(bundle: str) -> str:
    try:
        return secrets.roots(bundle)
    except GiveUp as error:
        raise GiveUp(f"ca_bundle: {error.text}", kind="ca_bundle", hint=error.hint) from error
