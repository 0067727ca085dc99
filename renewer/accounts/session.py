"""What main says to an authority (RFC 8555 §7): one `Session` a run and authority, shared by all threads.

It is said by a worker behind a door; here is what it may have signed for it, and what its answers mean.
Everything that goes wrong is one of ours: RetryLater (with `not_before` if the authority named a moment),
GiveUp (nothing changes until the operator changes something), OurFault, or StateError from the account's
files.
"""

import base64
import contextlib
import posixpath
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from renewer import words
from renewer.accounts.account import Account
from renewer.accounts.door import AuthorityDoor
from renewer.accounts.key import AccountKey
from renewer.accounts.permit import Permit, Signer
from renewer.errors import GiveUp, OurFault, RenewerError, RetryLater
from renewer.model.desired import Authority
from renewer.model.names import Identifier
from renewer.network.acme import messages as say
from renewer.network.acme.lost import Lost
from renewer.network.acme.messages import SignKind
from renewer.network.acme.resources import (
    AcmeOrder,
    Authorization,
    Directory,
    Offer,
    Renewal,
    token_is_safe,
)
from renewer.network.protocol import BreachError
from renewer.threads import Renewable

Deadline = float | Callable[[], float]


class Session:
    """The authority as seen from here, with our account in hand. Make one by `open`; safe for threads."""

    def __init__(self, door: AuthorityDoor, holder: Account) -> None:
        self._door = door
        self._holder = holder
        self._url = Renewable(holder.ensure)
        self._lists_orders = False
        self._lost: dict[str, bool] = {}
        self._asking = threading.Lock()

    @classmethod
    def open(
        cls, authority: Authority, *, state: str, eab_hmac: str | None = None, timeout: float = 30.0
    ) -> "Session":
        """A session that has asked nothing yet; `timeout` (seconds) bounds each request.

        `state` is the state directory, `eab_hmac` the key of the authority's `eab`, as the operator got it.
        """
        door = AuthorityDoor(authority, timeout)
        return cls(door, Account(authority, state, eab_hmac, door))

    # --- what the authority is ------------------------------------------------------------------------------

    @property
    def directory(self) -> Directory:
        """What the authority offers (§7.1.1), fetched once a run."""
        return self._door.directory()

    @property
    def account(self) -> str:
        """Our account's URL; registered now if there is none yet (§7.3)."""
        return self._url.get()

    @property
    def registered_now(self) -> bool:
        """Whether our account was made by this very session."""
        return self._holder.made

    @property
    def thumbprint(self) -> str:
        """Of our account's key (RFC 7638), in base64url."""
        _ = self.account
        return self._holder.key.thumbprint

    @property
    def date_skew(self) -> timedelta | None:
        """The authority's Date minus our clock, as of its last reply; exact to about a second."""
        with contextlib.suppress(RenewerError):  # it is asked in passing
            return (
                self._door.ask(say.CompareClocks(ask=False), say.ClocksCompared).ahead
                if self._door.is_open
                else None
            )
        return None

    def compare_clocks(self) -> timedelta | None:
        """The same, from a reply that is fetched now if there was none; None if it says no Date."""
        return self._door.ask(say.CompareClocks(ask=True), say.ClocksCompared).ahead

    def renewal_info(self, ari_id: str, failures: int = 0) -> Renewal | None:
        """When a certificate should be renewed (RFC 9773); None if the authority has no such thing.

        `failures` is how many temporary errors in a row there were before; the answer counts on. Raises only
        if the directory cannot be had.
        """
        return self._door.ask(say.AskWindow(ari_id=ari_id, failures=failures), say.WindowShown).renewal

    # --- orders ---------------------------------------------------------------------------------------------

    def new_order(
        self, identifiers: Iterable[Identifier], *, profile: str | None = None, replaces: str | None = None
    ) -> AcmeOrder:
        """Order a certificate (§7.4). `replaces` is an ARI id; it is said only to authorities that have ARI.

        If an order with `replaces` is refused it is sent once more without (RFC 9773 §5), and what was said
        stands in `replaces_refused`. A lost reply is not repeated: the order may exist, see `find_order`.
        """
        self._check_profile(profile)
        wanted = tuple(identifiers)
        order: dict[str, object] = {"identifiers": [{"type": i.type.value, "value": i.value} for i in wanted]}
        if profile is not None:
            order["profile"] = profile
        refused = ""
        made = None
        if replaces is not None and self.directory.renewal_info:
            placed = self._place({**order, "replaces": replaces}, replaces=True)
            made, refused = placed.order, placed.refused
        made = made or self._place(order, replaces=False).order
        if made is None or frozenset(made.identifiers) != frozenset(wanted):
            text = f"{self._door.name} answered an order with one for other names: {made and made.url}"
            raise RetryLater(text, kind="bad-reply")
        return msgspec.structs.replace(made, replaces_refused=refused) if refused else made

    def order(self, url: str, known: AcmeOrder | None = None) -> AcmeOrder:
        """An order as it stands now. Raises GiveUp with kind "gone" if the authority has it no more.

        `known` is the order as it was: what the answer leaves out of it is taken from there.
        """
        request = say.LookAtOrder(account=self.account, url=url, known=known)
        return self._shown(self._door.ask(request, say.OrderShown, self._permit().read(url)), url, known)

    def find_order(self, identifiers: Iterable[Identifier]) -> AcmeOrder | None:
        """An unfinished order for exactly these names, from the account's list (§7.1.2.1).

        None if there is none or if the authority has no such list, as most have not.
        """
        return self._search(identifiers, None)

    @property
    def lists_orders(self) -> bool:
        """Whether `find_order` saw the account's list: what is not in it was never accepted."""
        return self._lists_orders

    def was_issued(self, identifiers: Iterable[Identifier], now: datetime) -> bool:
        """Whether the account's list has a finished order for exactly these names, made within days."""
        return self._search(identifiers, now) is not None

    def wait_order(
        self,
        url: str,
        deadline: Deadline,
        known: AcmeOrder | None = None,
        note: Callable[[AcmeOrder], None] = lambda _: None,
    ) -> AcmeOrder:
        """The order once it is neither pending nor processing: ready, invalid, or valid with its certificate.

        `deadline` is on clock.monotonic(), a function if it may come nearer. Raises RetryLater if it comes
        first, or if the authority wants to be asked only after it: the order can be taken up again then.
        `known` as in `order`; `note` is told of each answer.
        """
        until = _until(deadline)
        request = say.AwaitOrder(account=self.account, url=url, known=known)
        seen = None
        for shown in self._door.ask_all(request, say.OrderShown, self._permit().read(url), until):
            seen = self._shown(shown, url, known)
            note(seen)
        if seen is None:
            raise self._astray(url)
        return seen

    def finalize(self, order: AcmeOrder, csr: bytes) -> AcmeOrder:
        """Hand in the CSR (DER) of an order that is ready (§7.4); harmless for one that was handed in before.

        A lost reply, an error of the server and an answer that says nothing are made good by looking at the
        order: its URL is the truth. An order that is not ready yet comes back as it is.
        """
        permit = self._permit().read(order.url)
        permit.also(SignKind.FINALIZE, _json({"csr": _b64(csr)}), (order.finalize,), times=2)
        shown = self._door.ask(say.FinalizeOrder(account=self.account, order=order), say.OrderShown, permit)
        return self._shown(shown, order.url, order)

    def download(
        self,
        order: AcmeOrder,
        *,
        choose: Callable[[bytes], bool] | None = None,
        fails: Callable[[str, RenewerError], None] = lambda *_: None,
    ) -> bytes:
        """The chain as PEM, leaf first, as the authority sent it (§7.4.2).

        If `choose` does not like the chain that comes first, its alternates (every Link header) are fetched
        one by one until it likes one; if it likes none, the first is handed back. An alternate that
        cannot be had is told to `fails` and passed over.
        """
        if order.certificate is None:
            text = f"{self._door.name} names no certificate of the order {order.url} ({order.status})"
            raise RetryLater(text, kind="bad-reply")
        first = self._chain(order.certificate)
        if choose is None or choose(first.chain):
            return first.chain
        unanswered = 0
        for url in first.alternates:
            try:
                chain = self.alternate(url)
            except RenewerError as error:
                fails(url, error)
                unanswered += isinstance(error, Lost)
                if unanswered > 1:
                    break  # the rest would only take the run's time
                continue
            if choose(chain):
                return chain
        return first.chain

    def alternate(self, url: str) -> bytes:
        """Another chain of a certificate, from its own URL, as PEM (§7.4.2)."""
        return self._chain(url).chain

    # --- authorizations and challenges ----------------------------------------------------------------------

    def authorization(self, url: str) -> Authorization:
        """An authorization with its challenges, as it stands now (§7.5)."""
        request = say.LookAtAuthorization(account=self.account, url=url)
        found = self._door.ask(request, say.AuthorizationShown, self._permit().read(url)).authorization
        if found.url != url:
            raise self._astray(url)
        return found

    def answer(self, offer: Offer) -> None:
        """Tell the authority that a challenge's answer is in its place (§7.5.1)."""
        permit = self._permit().also(SignKind.ANSWER, b"{}", (offer.url,))
        self._door.do(say.AnswerChallenge(account=self.account, offer=offer), permit)

    def wait_authorizations(self, urls: Sequence[str], deadline: Deadline) -> list[Authorization]:
        """All of them, in the order given, once none is pending any more; those that failed are among them.

        `deadline` is on clock.monotonic(). Raises RetryLater as `wait_order` does.
        """
        until = _until(deadline)
        request = say.AwaitAuthorizations(account=self.account, urls=tuple(urls))
        found: dict[str, Authorization] = {}
        for shown in self._door.ask_all(request, say.AuthorizationShown, self._permit().read(*urls), until):
            found[shown.authorization.url] = shown.authorization
        if missing := [url for url in urls if url not in found]:
            raise self._astray(missing[0])
        return [found[url] for url in urls]

    def deactivate_authorization(self, url: str) -> None:
        """Give an authorization up (§7.5.2); one that is final already is no error."""
        account = self.account
        if _is_same(url, account):  # the same words would end it
            text = f"{self._door.name} shows our account as an authorization: {words.text_of(url, 200)}"
            raise RetryLater(text, kind="bad-reply")
        permit = self._permit().also(SignKind.DEACTIVATE, _json({"status": "deactivated"}), (url,))
        self._door.do(say.DeactivateAuthorization(account=account, url=url), permit)

    def key_authorization(self, token: str) -> str:
        """The token with our key's thumbprint (§8.1)."""
        if not token_is_safe(token):
            raise OurFault(f"the authority's token is not base64url: '{words.text_of(token, 80)}'")
        return f"{token}.{self.thumbprint}"

    def revoke(self, certificate: bytes, reason: int | None = None, *, key: bytes | None = None) -> None:
        """Revoke a certificate (DER) by the account that got it (§7.6); one revoked before is no error.

        With its own private `key` (PEM) no account is needed, and none is asked for.
        """
        words: dict[str, object] = {"certificate": _b64(certificate)}
        if reason is not None:
            words["reason"] = reason
        if key is None:
            permit, account = self._permit(), self.account
        else:
            own = Signer(key=AccountKey.load(key, "the certificate's private key"), account=None)
            permit, account = self._door.permit(lambda: own), None
        permit.also(SignKind.REVOKE, _json(words))
        self._door.do(say.RevokeCertificate(account=account), permit)

    def close(self) -> None:
        """Close the kept connections; the session can still be used and then opens new ones."""
        self._door.close()

    def choose_profile(self, wished: Sequence[str]) -> str | None:
        """The first of these profiles that is offered (draft-ietf-acme-profiles §3); None if none is wished.

        Of an authority that lists none it is the first: it may have them all the same. Raises GiveUp.
        """
        return self._door.choose_profile(wished)

    def _check_profile(self, profile: str | None) -> None:
        offered = self.directory.profiles
        if profile is not None and offered and profile not in offered:
            raise GiveUp(
                f"{self._door.name} has no profile '{profile}'; it offers {', '.join(sorted(offered))}",
                kind="invalidProfile",
                hint="choose one of these, or remove profile",
            )

    def _shown(self, shown: say.OrderShown, url: str, known: AcmeOrder | None) -> AcmeOrder:
        """The order that was asked for. Raises RetryLater if it is another one."""
        found = shown.order
        if found.url != url or (known and frozenset(found.identifiers) != frozenset(known.identifiers)):
            raise self._astray(url)
        return found

    def _astray(self, url: str) -> RetryLater:
        text = f"who speaks to {self._door.name} for us showed nothing of {words.text_of(url, 200)}"
        return RetryLater(text, kind="worker")

    def _place(self, order: dict[str, object], *, replaces: bool) -> say.OrderPlaced:
        permit = self._permit().also(SignKind.NEW_ORDER, _json(order))
        return self._door.ask(say.NewOrder(account=self.account, replaces=replaces), say.OrderPlaced, permit)

    def _search(self, identifiers: Iterable[Identifier], finished_after: datetime | None) -> AcmeOrder | None:
        account = self.account
        self._door.is_at(account)
        request = say.FindOrder(
            account=account, identifiers=tuple(identifiers), finished_after=finished_after
        )
        found = self._door.ask(request, say.OrderSearched, self._permit().read())
        self._lists_orders = self._lists_orders or found.listed
        return found.order

    def _chain(self, url: str) -> say.ChainFetched:
        request = say.FetchChain(account=self.account, url=url)
        return self._door.ask(request, say.ChainFetched, self._permit().read(url))

    # --- our account, while it is spoken for ----------------------------------------------------------------

    def _permit(self) -> Permit:
        return self._door.permit(lambda: Signer(key=self._holder.key, account=self.account), self._doubted)

    def _doubted(self, doubt: say.Doubt) -> str:
        """Our account from now on: one that the authority has lost is found again, or made anew, once a run.

        Whether it is lost is asked once a run, and who comes later or waited knows it, too.
        """
        if doubt.sure or self._has_lost(doubt.account):
            self._url.renew(doubt.account, lambda: self._holder.forget(doubt.account))
        return self.account

    def _has_lost(self, account: str) -> bool:
        with self._asking:
            if account not in self._lost:
                try:
                    self._lost[account] = self._holder.is_lost(account)
                except BreachError:
                    raise
                except RenewerError:
                    self._lost[account] = False  # nothing was learnt; the refusal itself will be told
            return self._lost[account]


def _is_same(url: str, account: str) -> bool:
    """Whether a server may take both for the same thing, however it is spelled."""

    def plain(one: str) -> tuple[str, str]:
        parts = urlsplit(one)
        return (parts.hostname or "", posixpath.normpath("/" + unquote(parts.path).lower().strip("/")))

    try:
        return plain(url) == plain(account)
    except ValueError:
        return True


def _until(deadline: Deadline) -> Callable[[], float]:
    return deadline if callable(deadline) else lambda: deadline


def _json(words: dict[str, Any]) -> bytes:
    return msgspec.json.encode(words)


def _b64(data: bytes) -> str:
    """base64url without padding (RFC 8555 §6.1)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
