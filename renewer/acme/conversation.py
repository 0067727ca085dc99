"""How things are said to one authority: its directory, our account, and signed requests between them."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urljoin

import msgspec

from renewer.acme import problems, wire
from renewer.acme.accounts import Account
from renewer.acme.nouns import Directory
from renewer.acme.transport import Reply, Transport
from renewer.errors import GiveUp, OurFault
from renewer.model.desired import Authority

T = TypeVar("T")
JSON = "application/json"


class Conversation:
    """With one authority, in the name of our account; safe for threads."""

    def __init__(self, authority: Authority, state: str, eab_hmac: str | None, timeout: float) -> None:
        self.name = authority.name
        self.transport = Transport(ca_bundle=authority.ca_bundle, proxy=authority.proxy, timeout=timeout)
        self._authority = authority
        self._account = Account(authority, state, eab_hmac)
        self._directory: Directory | None = None
        self._fetched_again = False
        self._lock = threading.Lock()

    @property
    def directory(self) -> Directory:
        """What the authority offers (RFC 8555 §7.1.1), fetched once a run."""
        with self._lock:
            if self._directory is None:
                self._directory = self._fetch_directory()
            return self._directory

    @property
    def account(self) -> str:
        """Our account's URL; registered now if there is none yet (§7.3)."""
        return self._account.url or self._account.ensure(lambda: self.directory, self._signed)

    @property
    def thumbprint(self) -> str:
        """Of our account's key (RFC 7638)."""
        _ = self.account
        return self._account.key.thumbprint

    def post(
        self,
        url: str | Callable[[], str],
        payload: dict[str, Any] | None = None,
        *,
        repeatable: bool = True,
        accept: str = JSON,
    ) -> Reply:
        """A request in the account's name, whatever is answered; without a payload it is POST-as-GET (§6.3).

        A `url` given as a function comes from the directory: answered with 404, the directory is fetched again
        (cached ones go stale), once a run, and the request said where it now belongs.
        """
        account = self.account
        target = url if isinstance(url, str) else url()
        reply = self._signed(target, payload, kid=account, repeatable=repeatable, accept=accept)
        if reply.status == 404 and not isinstance(url, str):
            self._fetch_again()
            if url() != target:
                return self._signed(url(), payload, kid=account, repeatable=repeatable, accept=accept)
        return reply

    def accepted(self, reply: Reply, doing: str) -> Reply:
        """The reply, if it is a success; else raises what its problem means."""
        if not reply.ok:
            raise problems.error(reply.problem(), doing, self.name)
        return reply

    def look(self, url: str, read: Callable[[Any, str], T], doing: str) -> tuple[T, Reply]:
        """An object at a URL, read into one of our nouns, with the reply it came in."""
        reply = self.accepted(self.post(url), doing)
        return read(reply.json(), url), reply

    def location(self, reply: Reply) -> str:
        """The URL of what was made (§7.4)."""
        if not (location := reply.headers.get("Location")):
            raise OurFault(f"{self.name} made something at {reply.url} and did not say where it is")
        return urljoin(reply.url, location)

    def _signed(
        self,
        url: str,
        payload: dict[str, Any] | None,
        *,
        kid: str | None,
        repeatable: bool = True,
        accept: str = JSON,
    ) -> Reply:
        body = b"" if payload is None else msgspec.json.encode(payload)
        key = self._account.key
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
        if reply.status in (404, 410):
            text = f"there is no ACME directory at {url} (HTTP {reply.status}): it may have moved"
            hint = f"look up the directory's URL in the documentation of {self.name} and correct `directory`"
            raise GiveUp(text, kind="directory", hint=hint)
        return wire.directory(self.accepted(reply, "its directory").json(), url)

    def _fetch_again(self) -> None:
        with self._lock:
            if not self._fetched_again:
                self._directory = self._fetch_directory()
                self._fetched_again = True
