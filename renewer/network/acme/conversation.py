"""How things are said to one authority: its directory, our account, and signed requests between them."""

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from renewer import clock
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import Authority
from renewer.network.acme import problems, wire
from renewer.network.acme.account_key import AccountKey
from renewer.network.acme.accounts import Account
from renewer.network.acme.lost import elsewhere
from renewer.network.acme.reply import Reply, join
from renewer.network.acme.resources import Directory
from renewer.network.acme.transport import REDIRECTS, Transport

T = TypeVar("T")
JSON = "application/json"
_ANY = "*/*"
_MOVED = (*REDIRECTS, 404, 405, 410)  # what a URL from a stale directory may be answered with


class Once(Generic[T]):
    """Made by whoever needs it first; those who waited share what came of it, also a failure.

    Without that, each of many workers would in turn wait for an authority that does not answer.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: T | None = None
        self._failure: tuple[float, RenewerError] | None = None
        self._renewed = False
        self._failed_again: RenewerError | None = None
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

    def renew(self, old: T, before: Callable[[], object] = lambda: None) -> None:
        """Make it anew, once a run, `before` having been done; nothing if it is not `old` any more.

        Whoever comes meanwhile, or later, waits for that and shares what came of it, also a failure.
        """
        with self._lock:
            if self._made != old:
                return
            if self._renewed:
                if self._failed_again:
                    raise self._failed_again
                return
            self._renewed = True
            try:
                before()
                self._made = self._make()
            except RenewerError as error:
                self._failed_again = error
                raise


class Conversation:
    """With one authority, in the name of our account; safe for threads."""

    def __init__(self, authority: Authority, state: str, eab_hmac: str | None, timeout: float) -> None:
        self.name = authority.name
        self.transport = Transport(ca_bundle=authority.ca_bundle, proxy=authority.proxy, timeout=timeout)
        self._authority = authority
        self.lists_orders = False  # whether the account's list of orders was seen (RFC 8555 §7.1.2.1)
        self.holder = Account(authority, state, eab_hmac)
        self._directory = Once(self._fetch_directory)
        self._url = Once(lambda: self.holder.ensure(lambda: self.directory, self.signed))
        self._lost: dict[str, bool] = {}
        self._asking = threading.Lock()

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

        A `url` given as a function comes from the directory: answered with 404, or led elsewhere, the
        directory is fetched again (cached ones go stale), once a run, and the request said where it now
        belongs. An account that the authority has lost is found again or registered anew, once a run; whether
        it is lost the authority is asked, once a run, when a refusal could mean that.
        """
        account = self.account
        target = url if isinstance(url, str) else url()
        reply = self.signed(target, payload, kid=account, repeatable=repeatable, accept=accept)
        if reply.status == 406 and accept != _ANY:
            return self.post(url, payload, repeatable=repeatable, accept=_ANY)
        if reply.ok:
            return reply
        if reply.status in _MOVED and not isinstance(url, str):
            directory = self.directory
            if url() == target:
                self._directory.renew(directory)
        if reply.problem().type == "accountDoesNotExist" or self.has_lost(reply, account):
            self._url.renew(account, lambda: self.holder.forget(account))
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
        if is_gone(reply):
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
        try:
            return self._directory_in(reply, url)
        except RenewerError as error:
            if reply.url == url:
                raise
            raise elsewhere(url, reply.url, error) from error

    def _directory_in(self, reply: Reply, url: str) -> Directory:
        if reply.status in (404, 405, 410):  # 405: a resource for POST, not the directory
            text = f"there is no ACME directory at {url} (HTTP {reply.status}): it may have moved"
            hint = f"look up the directory's URL in the documentation of {self.name} and correct `directory`"
            raise GiveUp(text, kind="directory", hint=hint)
        return wire.directory(self.accepted(reply, "its directory").json(), url)

    def has_lost(self, reply: Reply, account: str) -> bool:
        """Whether a refusal of what our account said means that the authority has no such account any more.

        It is asked once a run, and who comes later or waited knows it, too.
        """
        if not _may_be_lost(reply):
            return False
        with self._asking:
            if account not in self._lost:
                try:
                    self._lost[account] = self.holder.is_lost(account, lambda: self.directory, self.signed)
                except RenewerError:
                    self._lost[account] = False  # nothing was learnt; the refusal itself will be told
            return self._lost[account]


def is_gone(reply: Reply) -> bool:
    """Whether the authority itself says that there is no such thing; a page in HTML proves nothing."""
    return reply.status in (404, 410) and (bool(reply.problem().type) or not reply.body.strip())


def _may_be_lost(reply: Reply) -> bool:
    """Whether a refusal of what our account said may mean that there is no such account any more.

    RFC 8555 §7.3.1 has accountDoesNotExist for it, but authorities that lost their accounts answered 401,
    403, 404, "malformed" or 500 as well. A busy one (503, 429) says nothing of the account.
    """
    if reply.status >= 500:
        return reply.status != 503
    return reply.status in (400, 401, 403, 404) and problems.is_vague(reply.problem().type)
