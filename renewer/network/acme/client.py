"""What is said to the authority (RFC 8555 §7): one `Session` a run and authority, shared by every worker.

Everything that goes wrong is one of ours: RetryLater (with `not_before` if the authority named a moment),
GiveUp (nothing changes until the operator changes something), OurFault, or StateError from the account's
files.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from renewer.errors import GiveUp, OurFault, RenewerError, RetryLater
from renewer.model.desired import Authority
from renewer.model.names import Identifier
from renewer.network.acme import ari, orders, polling, problems, profiles, wire
from renewer.network.acme.account_key import AccountKey
from renewer.network.acme.conversation import Conversation, is_gone
from renewer.network.acme.lost import Lost
from renewer.network.acme.reply import Reply
from renewer.network.acme.resources import (
    AcmeOrder,
    Authorization,
    AuthorizationStatus,
    Directory,
    Offer,
    OrderStatus,
    Renewal,
)

PEM_CHAIN = "application/pem-certificate-chain"
_REPLACES_REFUSED = (400, 403, 404, 409, 500)
_MAX_ALTERNATES = 10


class Session:
    """The authority as seen from here, with our account in hand. Make one by `open`; safe for threads."""

    def __init__(self, talk: Conversation) -> None:
        self._talk = talk

    @classmethod
    def open(
        cls, authority: Authority, *, state: str, eab_hmac: str | None = None, timeout: float = 30.0
    ) -> "Session":
        """A session that has asked nothing yet; `timeout` (seconds) bounds each request.

        `state` is the state directory, `eab_hmac` the key of the authority's `eab`, as the operator got it.
        """
        return cls(Conversation(authority, state, eab_hmac, timeout))

    # --- what the authority is ------------------------------------------------------------------------------

    @property
    def directory(self) -> Directory:
        """What the authority offers (§7.1.1), fetched once a run."""
        return self._talk.directory

    @property
    def account(self) -> str:
        """Our account's URL; registered now if there is none yet (§7.3)."""
        return self._talk.account

    @property
    def registered_now(self) -> bool:
        """Whether our account was made by this very session."""
        return self._talk.holder.made

    @property
    def thumbprint(self) -> str:
        """Of our account's key (RFC 7638), in base64url."""
        return self._talk.thumbprint

    @property
    def date_skew(self) -> timedelta | None:
        """The authority's Date minus our clock, as of its last reply; exact to about a second."""
        return self._talk.transport.date_skew

    def compare_clocks(self) -> timedelta | None:
        """The same, from a reply that is fetched now if there was none; None if it says no Date."""
        self._talk.transport.compare_clocks(self.directory.new_nonce)
        return self.date_skew

    def renewal_info(self, ari_id: str, failures: int = 0) -> Renewal | None:
        """When a certificate should be renewed (RFC 9773); None if the authority has no such thing.

        `failures` is how many temporary errors in a row there were before; the answer counts on. Raises only
        if the directory cannot be had.
        """
        base = self.directory.renewal_info
        return ari.fetch(self._talk.transport.get, base, ari_id, failures) if base else None

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
        order: dict[str, Any] = {"identifiers": [{"type": i.type.value, "value": i.value} for i in wanted]}
        if profile is not None:
            order["profile"] = profile
        refused = None
        reply = None
        if replaces is not None and self.directory.renewal_info:
            reply = self._order_with({**order, "replaces": replaces})
            if reply.status in _REPLACES_REFUSED:
                problem = reply.problem()
                refused = f"{problem.detail or 'no reason given'} ({problem.type or 'HTTP'}, {reply.status})"
                reply = None
        reply = reply or self._order_with(order)
        made = wire.order(self._talk.accepted(reply, "the order").json(), self._talk.location(reply))
        if frozenset(made.identifiers) != frozenset(wanted):
            text = f"{self._talk.name} answered an order with one for other names: {made.url}"
            raise RetryLater(text, kind="bad-reply")
        return msgspec.structs.replace(made, replaces_refused=refused) if refused else made

    def order(self, url: str, known: AcmeOrder | None = None) -> AcmeOrder:
        """An order as it stands now. Raises GiveUp with kind "gone" if the authority has it no more.

        `known` is the order as it was: what the answer leaves out of it is taken from there.
        """
        return orders.look(self._talk, url, known)[0]

    def find_order(self, identifiers: Iterable[Identifier]) -> AcmeOrder | None:
        """An unfinished order for exactly these names, from the account's list (§7.1.2.1).

        None if there is none or if the authority has no such list, as most have not.
        """
        return orders.find(self._talk, identifiers)

    @property
    def lists_orders(self) -> bool:
        """Whether `find_order` saw the account's list: what is not in it was never accepted."""
        return self._talk.lists_orders

    def was_issued(self, identifiers: Iterable[Identifier], now: datetime) -> bool:
        """Whether the account's list has a finished order for exactly these names, made within days."""
        return orders.issued(self._talk, identifiers, now) is not None

    def wait_order(
        self,
        url: str,
        deadline: polling.Deadline,
        known: AcmeOrder | None = None,
        note: Callable[[AcmeOrder], None] = lambda _: None,
    ) -> AcmeOrder:
        """The order once it is neither pending nor processing: ready, invalid, or valid with its certificate.

        `deadline` is on clock.monotonic(). Raises RetryLater if it comes first, or if the authority wants to
        be asked only after it: the order can be taken up again then. `known` as in `order`; `note` is told of
        each answer.
        """

        def look(one: str) -> tuple[AcmeOrder, Reply]:
            seen, reply = orders.look(self._talk, one, known)
            note(seen)
            return seen, reply

        return polling.until(
            [url],
            look,
            lambda order: order.status in (OrderStatus.READY, OrderStatus.INVALID) or orders.is_done(order),
            deadline,
            f"{self._talk.name} is still at work on the order",
        )[0]

    def finalize(self, order: AcmeOrder, csr: bytes) -> AcmeOrder:
        """Hand in the CSR (DER) of an order that is ready (§7.4); harmless for one that was handed in before.

        A lost reply, an error of the server and an answer that says nothing are made good by looking at the
        order: its URL is the truth. An order that is not ready yet comes back as it is.
        """
        return orders.finalize(self._talk, order, csr)

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
            text = f"{self._talk.name} names no certificate of the order {order.url} ({order.status})"
            raise RetryLater(text, kind="bad-reply")
        first, alternates = self._chain(order.certificate)
        if choose is None or choose(first):
            return first
        unanswered = 0
        for url in alternates[:_MAX_ALTERNATES]:
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
        return first

    def alternate(self, url: str) -> bytes:
        """Another chain of a certificate, from its own URL, as PEM (§7.4.2)."""
        return self._chain(url)[0]

    # --- authorizations and challenges ----------------------------------------------------------------------

    def authorization(self, url: str) -> Authorization:
        """An authorization with its challenges, as it stands now (§7.5)."""
        return self._talk.look(url, wire.authorization, "to show the authorization")[0]

    def answer(self, offer: Offer) -> None:
        """Tell the authority that a challenge's answer is in its place (§7.5.1)."""
        reply = self._talk.post(offer.url, {})
        # An answer whose reply was lost is sent again, and then may be late: the authorization will tell.
        if reply.ok:
            reply.json()  # a portal's page would let us wait for a validation of which nobody knows
        elif is_gone(reply):
            text = f"{self._talk.name} knows the challenge {offer.type} that it offered no more"
            raise RetryLater(f"{text} (HTTP {reply.status})", kind="challenge-gone")
        elif reply.problem().type != "malformed":
            raise problems.error(reply.problem(), f"the answer to {offer.type}", self._talk.name)

    def wait_authorizations(self, urls: Sequence[str], deadline: polling.Deadline) -> list[Authorization]:
        """All of them, in the order given, once none is pending any more; those that failed are among them.

        `deadline` is on clock.monotonic(). Raises RetryLater as `wait_order` does.
        """
        seen: dict[str, Authorization] = {}

        def look(one: str) -> tuple[Authorization, Reply]:
            seen[one], reply = self._talk.look(one, wire.authorization, "to show the authorization")
            return seen[one], reply

        try:
            return polling.until(
                urls,
                look,
                lambda found: found.status is not AuthorizationStatus.PENDING,
                deadline,
                f"{self._talk.name} is still validating",
            )
        except RenewerError as error:
            raise problems.with_causes(error, seen.values()) from None

    def deactivate_authorization(self, url: str) -> None:
        """Give an authorization up (§7.5.2); one that is final already is no error."""
        reply = self._talk.post(url, {"status": "deactivated"})
        if not reply.ok and reply.status >= 500:
            raise problems.error(reply.problem(), "to deactivate an authorization", self._talk.name)

    def key_authorization(self, token: str) -> str:
        """The token with our key's thumbprint (§8.1)."""
        if not wire.token_is_safe(token):
            raise OurFault(f"the authority's token is not base64url: '{problems.clean(token, 80)}'")
        return f"{token}.{self._talk.thumbprint}"

    def revoke(self, certificate: bytes, reason: int | None = None, *, key: bytes | None = None) -> None:
        """Revoke a certificate (DER) by the account that got it (§7.6); one revoked before is no error.

        With its own private `key` (PEM) no account is needed, and none is asked for.
        """
        if self.directory.revoke_cert is None:
            raise GiveUp(f"{self._talk.name} offers no revocation", kind="revocation")
        request: dict[str, Any] = {"certificate": orders.b64(certificate)}
        if reason is not None:
            request["reason"] = reason
        if key is None:
            reply = self._talk.post(lambda: self.directory.revoke_cert or "", request)
        else:
            own = AccountKey.load(key, "the certificate's private key")
            reply = self._talk.signed(self.directory.revoke_cert, request, kid=None, key=own)
        if not reply.ok and reply.problem().type != "alreadyRevoked":
            raise problems.error(reply.problem(), "to revoke", self._talk.name)

    def close(self) -> None:
        """Close the kept connections; the session can still be used and then opens new ones."""
        self._talk.transport.close()

    def choose_profile(self, wished: Sequence[str]) -> str | None:
        """The first of these profiles that is offered (draft-ietf-acme-profiles §3); None if none is wished.

        Of an authority that lists none it is the first: it may have them all the same. Raises GiveUp.
        """
        return profiles.choose(self._talk.name, self.directory.profiles, wished)

    def _check_profile(self, profile: str | None) -> None:
        offered = self.directory.profiles
        if profile is not None and offered and profile not in offered:
            raise GiveUp(
                f"{self._talk.name} has no profile '{profile}'; it offers {', '.join(sorted(offered))}",
                kind="invalidProfile",
                hint="choose one of these, or remove profile",
            )

    def _order_with(self, order: dict[str, Any]) -> Reply:
        return self._talk.post(lambda: self.directory.new_order, order, repeatable=False)

    def _chain(self, url: str) -> tuple[bytes, list[str]]:
        reply = self._talk.accepted(self._talk.post(url, accept=PEM_CHAIN), "to hand out the certificate")
        if b"-----BEGIN CERTIFICATE-----" not in reply.body:
            said = problems.clean(reply.body[:120].decode("utf-8", "replace"), 80)
            text = f"{self._talk.name} handed out something that is no certificate: '{said}'"
            raise RetryLater(text, kind="bad-reply")
        return reply.body, reply.links("alternate")
