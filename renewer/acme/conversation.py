"""How things are said to one authority: its directory, our account, and signed requests between them."""

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from renewer import clock
from renewer.acme import problems, wire
from renewer.acme.account_key import AccountKey
from renewer.acme.accounts import Account
from renewer.acme.nouns import Directory
from renewer.acme.reply import Reply, join
from renewer.acme.transport import Transport
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import Authority

T = TypeVar("T")
JSON = "application/json"


class Once(Generic[T]):
    """Made by whoever needs it first; those who waited share what came of it, also a failure.

    Without that, each of many workers would in turn wait for an authority that does not answer.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: T | None = None
        self._failure: tuple[float, RenewerError] | None = None
        self._lock = threading.Lock()

    def get(self) -> T:
        """What was made; made now if it is not there yet."""
        if (made := self._made) is not None:
            return made
        asked = clock.monotonic()
        with self._lock:
            if self._made is None:
                if self._failure and self._failure[0] >= asked:
                    raise self._failure[1]
                try:
                    self._made = self._make()
                except RenewerError as error:
                    self._failure = (clock.monotonic(), error)
                    raise
            return self._made

    def renew(self, old: T) -> None:
        """Make it anew, unless somebody else has done so since `old`."""
        with self._lock:
            if self._made == old:
                self._made = self._make()


class Conversation:
    """With one authority, in the name of our account; safe for threads."""

    def __init__(self, authority: Authority, state: str, eab_hmac: str | None, timeout: float) -> None:
        self.name = authority.name
        self.transport = Transport(ca_bundle=authority.ca_bundle, proxy=authority.proxy, timeout=timeout)
        self._authority = authority
        self.holder = Account(authority, state, eab_hmac)
        self._directory = Once(self._fetch_directory)
        self._url = Once(lambda: self.holder.ensure(lambda: self.directory, self.signed))
        self._fetched_again = self._found_again = False

    @property
    def directory(self) -> Directory:
        """What the authority offers (RFC 8555 §7.1.1), fetched once a run."""
        return self._directory.get()

    @property
    def account(self) -> str:
        """Our account's URL; registered now if there is none yet (§7.3)."""
        return self._url.get()

    @property
    def thumbprint(self) -> str:
        """Of our account's key (RFC 7638)."""
        _ = self.account
        return self.holder.key.thumbprint

    def post(
        self,
        url: str | Callable[[], str],
        payload: dict[str, Any] | None = None,
        *,
        repeatable: bool = True,
        accept: str = JSON,
    ) -> Reply:
        """A request in the account's name, whatever is answered; without a payload it is POST-as-GET (§6.3).

        A `url` given as a function comes from the directory: answered with 404, the directory is fetched
        again (cached ones go stale), once a run, and the request said where it now belongs. An account that
        the authority has lost is found again or registered anew, once a run.
        """
        account = self.account
        target = url if isinstance(url, str) else url()
        reply = self.signed(target, payload, kid=account, repeatable=repeatable, accept=accept)
        if reply.ok:
            return reply
        if reply.status == 404 and not isinstance(url, str):
            self._fetch_again()
        elif reply.problem().type == "accountDoesNotExist":
            self._find_again(account)
        now = url if isinstance(url, str) else url()
        if (now, self.account) == (target, account):
            return reply
        return self.signed(now, payload, kid=self.account, repeatable=repeatable, accept=accept)

    def accepted(self, reply: Reply, doing: str) -> Reply:
        """The reply, if it is a success; else raises what its problem means.

        What the authority knows no more is GiveUp with kind "gone"; a page in HTML saying so proves nothing.
        """
        if reply.ok:
            return reply
        problem = reply.problem()
        if reply.status in (404, 410) and (problem.type or not reply.body.strip()):
            raise GiveUp(f"{self.name} refused {doing}: it knows {reply.url} no more", kind="gone")
        raise problems.error(problem, doing, self.name)

    def look(self, url: str, read: Callable[[Any, str], T], doing: str) -> tuple[T, Reply]:
        """An object at a URL, read into one of our nouns, with the reply it came in."""
        reply = self.accepted(self.post(url), doing)
        return read(reply.json(), url), reply

    def location(self, reply: Reply) -> str:
        """The URL of what was made (§7.4)."""
        given = reply.headers.get("Location")
        if not given or not (location := join(reply.url, given)):
            raise RetryLater(
                f"{self.name} made something at {reply.url} and did not say where it is", kind="bad-reply"
            )
        return location

    def signed(  # noqa: PLR0913  a request has that many sides
        self,
        url: str,
        payload: dict[str, Any] | None,
        *,
        kid: str | None,
        repeatable: bool = True,
        accept: str = JSON,
        key: AccountKey | None = None,
    ) -> Reply:
        """One signed request whatever is answered: by the account `kid`, or by a key itself (None)."""
        body = b"" if payload is None else msgspec.json.encode(payload)
        key = key or self.holder.key
        return self.transport.post(
            url,
            lambda nonce: key.sign(body, nonce, url, kid),
            new_nonce=self.directory.new_nonce,
            accept=accept,
            repeatable=repeatable,
        )

    def _fetch_directory(self) -> Directory:
        url = self._authority.directory
        reply = self.transport.get(url)
        if reply.status in (404, 405, 410):  # 405: a resource for POST, not the directory
            text = f"there is no ACME directory at {url} (HTTP {reply.status}): it may have moved"
            hint = f"look up the directory's URL in the documentation of {self.name} and correct `directory`"
            raise GiveUp(text, kind="directory", hint=hint)
        return wire.directory(self.accepted(reply, "its directory").json(), url)

    def _fetch_again(self) -> None:
        if not self._fetched_again:
            self._fetched_again = True
            self._directory.renew(self.directory)

    def _find_again(self, account: str) -> None:
        if not self._found_again:
            self._found_again = True
            self.holder.forget(account)
            self._url.renew(account)
