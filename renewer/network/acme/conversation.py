"""How things are said to one authority: its directory, and signed requests in our account's name."""

from collections.abc import Callable
from typing import Any, TypeVar

from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.network.acme import problems, wire
from renewer.network.acme.lost import elsewhere
from renewer.network.acme.messages import (
    OBJECT,
    AccountNow,
    Configure,
    Doubt,
    Sign,
    Signature,
    SignKind,
)
from renewer.network.acme.reply import Reply, join
from renewer.network.acme.resources import Directory
from renewer.network.acme.transport import REDIRECTS, Transport
from renewer.network.door import Asker
from renewer.threads import Renewable

T = TypeVar("T")
JSON = "application/json"
_ANY = "*/*"
_MOVED = (*REDIRECTS, 404, 405, 410)  # what a URL from a stale directory may be answered with


class Conversation:
    """With one authority; safe for threads. `roots` (PEM) are trusted; the system's, if there are none."""

    def __init__(self, given: Configure, roots: str) -> None:
        self.name = given.name
        self.transport = Transport(
            roots=roots, ca_bundle=given.ca_bundle, proxy=given.proxy, timeout=given.timeout
        )
        self._url = given.directory
        self._directory = Renewable(self._fetch_directory)

    @property
    def directory(self) -> Directory:
        """What the authority offers (RFC 8555 §7.1.1), fetched once a run."""
        return self._directory.get()

    def renew_directory(self, stale: Directory) -> None:
        """Fetch it again, once a run, if it is still this one."""
        self._directory.renew(stale)

    def _fetch_directory(self) -> Directory:
        reply = self.transport.get(self._url)
        try:
            return self._directory_in(reply)
        except RenewerError as error:
            if reply.url == self._url:
                raise
            raise elsewhere(self._url, reply.url, error) from error

    def _directory_in(self, reply: Reply) -> Directory:
        if reply.status in (404, 405, 410):  # 405: a resource for POST, not the directory
            text = f"there is no ACME directory at {self._url} (HTTP {reply.status}): it may have moved"
            hint = f"look up the directory's URL in the documentation of {self.name} and correct `directory`"
            raise GiveUp(text, kind="directory", hint=hint)
        return wire.directory(object_in(accepted(reply, "its directory", self.name)), self._url)


class Voice:
    """What is said in the course of one request of main's, in the name of the account with that URL.

    Main signs, and knows the account: each signature, and whether there still is such an account, is asked of
    it. Without an account (None) the request is signed by a key itself.
    """

    def __init__(self, talk: Conversation, main: Asker, account: str | None) -> None:
        self.talk = talk
        self.name = talk.name
        self.account = account or ""
        self._main = main

    def post(
        self,
        url: str | Callable[[], str],
        kind: SignKind = SignKind.READ,
        *,
        repeatable: bool = True,
        accept: str = JSON,
        again: bool = False,
    ) -> Reply:
        """A request in the account's name, whatever is answered; to read it is POST-as-GET (§6.3).

        A `url` given as a function comes from the directory: answered with 404, or led elsewhere, the
        directory is fetched again (cached ones go stale), once a run, and the request said where it now
        belongs. An account that the authority has lost is found again or registered anew by main, once a run;
        whether it is lost the authority is asked, once a run, when a refusal could mean that.
        """
        account = self.account
        target = url if isinstance(url, str) else url()
        reply = self.signed(target, kind, repeatable=repeatable, accept=accept, again=again)
        if reply.status == 406 and accept != _ANY:
            return self.post(url, kind, repeatable=repeatable, accept=_ANY, again=True)
        if reply.ok:
            return reply
        if reply.status in _MOVED and not isinstance(url, str):
            directory = self.talk.directory
            if url() == target:
                self.talk.renew_directory(directory)
        sure = reply.problem().type == "accountDoesNotExist"
        if sure or may_be_lost(reply):
            self.account = self._main.ask(Doubt(account=account, sure=sure), AccountNow).url
        now = url if isinstance(url, str) else url()
        if (now, self.account) == (target, account):
            return reply
        return self.signed(now, kind, repeatable=repeatable, accept=accept)

    def signed(
        self,
        url: str,
        kind: SignKind,
        *,
        repeatable: bool = True,
        accept: str = JSON,
        again: bool = False,
    ) -> Reply:
        """One signed request, whatever is answered; `again` if the same came to nothing before."""

        def sign(nonce: str) -> bytes:
            nonlocal again
            request = Sign(kind=kind, url=url, nonce=nonce, again=again)
            again = True
            return self._main.ask(request, Signature).body

        return self.talk.transport.post(
            url, sign, new_nonce=self.talk.directory.new_nonce, accept=accept, repeatable=repeatable
        )

    def accepted(self, reply: Reply, doing: str) -> Reply:
        """The reply, if it is a success; else raises what its problem means."""
        return accepted(reply, doing, self.name)

    def look(self, url: str, read: Callable[[Any, str], T], doing: str) -> tuple[T, Reply]:
        """An object at a URL, read into one of our nouns, with the reply it came in."""
        reply = self.accepted(self.post(url), doing)
        return read(object_in(reply), url), reply

    def location(self, reply: Reply) -> str:
        """The URL of what was made (§7.4)."""
        if location := location_of(reply):
            return location
        raise RetryLater(
            f"{self.name} made something at {reply.url} and did not say where it is", kind="bad-reply"
        )


def accepted(reply: Reply, doing: str, authority: str) -> Reply:
    """The reply, if it is a success; else raises what its problem means.

    What the authority knows no more is GiveUp with kind "gone"; a page in HTML saying so proves nothing.
    """
    if reply.ok:
        return reply
    if is_gone(reply):
        raise GiveUp(f"{authority} refused {doing}: it knows {reply.url} no more", kind="gone")
    raise problems.error(reply.problem(), doing, authority)


def object_in(reply: Reply) -> Any:
    """The JSON object of a reply. Raises RetryLater if it is none, or larger than may cross the door."""
    if len(reply.body) > OBJECT:
        text = f"{reply.url} sent more than {OBJECT >> 10} KiB, which no ACME authority does"
        raise RetryLater(text, kind="bad-reply", hint="check the URL of the directory")
    return reply.json()


def location_of(reply: Reply) -> str | None:
    """Where what was made is, absolute; None if that is not said."""
    given = reply.headers.get("Location")
    return (join(reply.url, given) or None) if given else None


def is_gone(reply: Reply) -> bool:
    """Whether the authority itself says that there is no such thing; a page in HTML proves nothing."""
    return reply.status in (404, 410) and (bool(reply.problem().type) or not reply.body.strip())


def may_be_lost(reply: Reply) -> bool:
    """Whether a refusal of what our account said may mean that there is no such account any more.

    RFC 8555 §7.3.1 has accountDoesNotExist for it, but authorities that lost their accounts answered 401,
    403, 404, "malformed" or 500 as well. A busy one (503, 429) says nothing of the account.
    """
    if reply.status >= 500:
        return reply.status != 503
    return reply.status in (400, 401, 403, 404) and problems.is_vague(reply.problem().type)
