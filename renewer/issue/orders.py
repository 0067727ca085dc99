"""The orders of one certificate, as the ledger has them: begun, taken up, parked, let go."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from renewer import clock
from renewer.errors import GiveUp, OurFault, RenewerError, StateError
from renewer.model.decision import EventName
from renewer.model.facts import Order, Ordered, OrderState, Parked
from renewer.network.acme.lost import DATES
from renewer.policy import budget
from renewer.policy.orders import TRIES, Fate, aside, expiry, forgotten, further, over
from renewer.policy.wanted import order_fits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from renewer.accounts.session import Session
    from renewer.context import Context
    from renewer.model.facts import Record, Situation
    from renewer.network.acme.resources import AcmeOrder

OUR_SIDE = frozenset({"untrusted", DATES, "ca_bundle", "url", "directory", "secret", "account-key"})
KEY_REFUSED = frozenset({"badPublicKey", "badCSR"})  # RFC 8555 §6.7: what an authority says of a key
_UNTRIED = frozenset({"rateLimited", "paused"})  # an authority that says so has not looked at the order


class Orders:
    """What is known of the orders of one certificate; `current` is the one that is worked on."""

    def __init__(self, context: Context, situation: Situation) -> None:
        self.context = context
        self.situation = situation
        self.name = situation.wish.name
        self.current: Order | None = situation.order
        self.parked: list[Parked] = list(situation.parked)
        self.former: str | None = None

    @property
    def known(self) -> Order:
        """The order that is worked on; there is one."""
        assert self.current is not None  # noqa: S101  every way begins with one
        return self.current

    # --- what is kept of it -------------------------------------------------------------------------------

    def begin(self, order: Order, key: bytes, request: bytes = b"") -> None:
        """Key (or `request` for one that is elsewhere) and wish on disk, before anything leaves this host."""
        order = msgspec.structs.replace(order, former=self.former)
        wish = msgspec.json.encode(order)
        self.context.store.prepare(self.name, order.pending, key, wish, request=request)
        self.save(order)

    def save(self, order: Order) -> None:
        """Remember what is known now."""
        self.context.ledger.save(order)
        self.current = order

    def newest_of_all(self, now: datetime) -> datetime:
        """Now; after every version that there is, though it was made while the clock was ahead.

        "Older" goes by this moment: what looked older than its predecessor would be ordered for ever.
        """
        versions = self.situation.versions
        return max([now, *(one.made_at + timedelta(seconds=1) for one in versions if not one.placeholder)])

    def placed(self, session: Session, found: AcmeOrder, replaces: str | None, counted: Record) -> Order:
        """The authority has accepted it: its URL is on record, in one piece with what it `counted`."""
        self.current = msgspec.structs.replace(
            self.known, state=OrderState.OPEN, account=session.account, url=found.url, replaces=replaces
        )
        self.note(found)
        self.context.ledger.save(self.known, counted)
        return self.known

    def note(self, found: AcmeOrder, proven: int = 0) -> None:
        """How far it is; on record at the latest when the run leaves it."""
        order = self.known
        order = msgspec.structs.replace(
            order,
            expires=found.expires or order.expires,
            finalize=found.finalize,
            authorizations=found.authorizations,
            sent=order.sent and found.status not in ("pending", "ready", "invalid"),
        )
        if further(order, found.status, proven):
            order = msgspec.structs.replace(
                order,
                tries=0,
                progress_at=clock.now(),
                reached=found.status,
                proven=max(proven, order.proven),
            )
        if found.status == "processing" and found.retry_after is not None:
            order = msgspec.structs.replace(order, deferred=TRIES)
        self.current = order

    def sending(self, *, sent: bool) -> None:
        """The CSR is about to be sent (on record before it leaves), or it was refused."""
        self.save(msgspec.structs.replace(self.known, sent=sent))

    def failed(self, error: RenewerError, *, stopped: bool) -> None:
        """One more try that got nowhere, if the authority was asked and nobody `stopped` the run."""
        order = self.known
        if _tried(error) and not stopped:
            deferred = order.deferred if error.kind == "waiting" else max(order.deferred - 1, 0)
            order = msgspec.structs.replace(order, tries=order.tries + 1, deferred=deferred)
        self.save(order)

    def drop(self) -> None:
        """Forget an order that will never be finished; its key was never used."""
        order = self.known
        self.context.ledger.drop(order)
        self.context.store.clear(self.name, order.pending)
        self.former = order.url or order.former
        self.current = None

    # --- taken up, put aside ------------------------------------------------------------------------------

    def find_again(self, session: Session) -> AcmeOrder | None:
        """Look an open order up: by its URL, else in the account's list where the authority has one.

        None if the authority does not know it, if it is not ours any more, or if it is refused.
        """
        order = self.known
        if order.url is None:
            found = session.find_order(order.identifiers)
            if found is None and session.lists_orders:
                self.context.ledger.save(
                    *budget.never_sent(self.context.ledger.load(Ordered, self.name), order.at)
                )
        else:
            found = _look(session, order, order.url)
        if found is None:  # nothing can come of it, whatever was sent
            self.current = msgspec.structs.replace(order, sent=False)
            return None
        if order.url is None:
            self.save(
                msgspec.structs.replace(order, state=OrderState.OPEN, account=session.account, url=found.url)
            )
        self.note(found)
        return found if found.status != "invalid" else None

    def put_aside(self, session: Session | None) -> None:
        """Another order is made in the place of the current one: park it, or let it go.

        What is pending of it is given up before, lest the authority hands the same order back, and lest it
        counts against the account. Without `session` its authority is not asked.
        """
        order = self.known
        if aside(order) is Fate.PARKED and self._may_still_serve(order):
            parked = Parked(certificate=self.name, order=order, at=clock.now(), until=expiry(order))
            self.context.ledger.save(parked)
            self.context.ledger.drop(order)
            self.parked.append(parked)
            self.current = None
            self._tell(f"the order {order.url} is put aside, and another one is made")
            return
        if session is not None and order.url is not None:
            self._give_up_pending(session, order, order.url)
        self.drop()
        if order.url is not None:
            self._tell(f"the order {order.url} is let go, and another one is made")

    def _may_still_serve(self, order: Order) -> bool:
        return order_fits(order, self.situation) and self.situation.order_ready

    def _give_up_pending(self, session: Session, order: Order, url: str) -> None:
        urls = order.authorizations
        try:
            if not urls:
                urls = session.order(url).authorizations
        except RenewerError:
            return  # it is the authority that keeps it from being tidy
        give_up(session, urls, ("pending",))

    def recovered(
        self, session_of: Callable[[str], Session], fetch: Callable[[Session, AcmeOrder], bytes]
    ) -> bool:
        """Whether a parked order became a certificate meanwhile: that is the renewal. One look at each.

        It is the current order then, its chain beside its key.
        """
        now = clock.now()
        for parked in tuple(self.parked):
            order, gone = parked.order, False
            if not self._has_key(order) or not order_fits(order, self.situation) or order.url is None:
                self._forget(parked)
                continue
            try:
                session = session_of(order.authority)
                found = _look(session, order, order.url)
                gone = found is None or found.status == "invalid"
                if found is not None and found.status == "valid":
                    chain = fetch(session, found)
                    self._take_back(parked, now)
                    self.issued(chain)
                    return True
            except RenewerError as error:  # perhaps next time
                self.context.journal.tell(EventName.NOTICE, self.name, text=f"{order.url}: {error.text}")
            if gone or over(parked, now):  # this was the last look
                self._forget(parked)
        return False

    def issued(self, chain: bytes) -> None:
        """The chain beside its key: from here on it is ours, whatever happens."""
        self.context.store.keep_chain(self.name, self.known.pending, chain)
        self.save(msgspec.structs.replace(self.known, state=OrderState.ISSUED))

    def _has_key(self, order: Order) -> bool:
        try:
            return self.context.store.pending(self.name, order.pending).has_key
        except RenewerError:
            return False

    def take_back(self, url: str) -> bool:
        """Whether that is the URL of a parked order; then it is worked on again, and the current one goes."""
        parked = next((one for one in self.parked if one.order.url == url), None)
        if parked is None:
            return False
        self.drop()
        self._take_back(parked, clock.now())
        return True

    def is_former(self, url: str) -> bool:
        """Whether that is the URL of an order that was given up or put aside before."""
        return url == self.known.former or any(one.order.url == url for one in self.parked)

    def _take_back(self, parked: Parked, now: datetime) -> None:
        # The name may be another one by now; and older than the newest version it would be ordered anew
        self.save(
            msgspec.structs.replace(parked.order, certificate=self.name, at=self.newest_of_all(now), tries=0)
        )
        self.context.ledger.drop(parked)
        self.parked.remove(parked)

    def _forget(self, parked: Parked) -> None:
        self.parked.remove(parked)
        self.context.ledger.drop(parked)
        self.context.store.clear(self.name, parked.order.pending)

    def _tell(self, text: str) -> None:
        self.context.journal.tell(EventName.NOTICE, self.name, text=text)


def forget(context: Context, situations: Iterable[Situation]) -> None:
    """Drop the orders that have long been over, with their keys."""
    for situation in situations:
        name = situation.wish.name
        try:
            for one in forgotten(situation, clock.now()):
                context.store.clear(name, one.order.pending if isinstance(one, Parked) else one.pending)
                context.ledger.drop(one)
        except RenewerError as error:  # one certificate's trouble is not the others'
            context.journal.tell(EventName.NOTICE, name, text=error.text, hint=error.hint)


def give_up(session: Session, authorizations: Iterable[str], statuses: tuple[str, ...]) -> None:
    """Deactivate those authorizations that stand so (RFC 8555 §7.5.2); whatever goes wrong is no matter.

    One that cannot be looked at may be what the order is stuck at: it goes, too.
    """
    for url in authorizations:
        with contextlib.suppress(RenewerError):
            if session.authorization(url).status not in statuses:
                continue
        try:
            session.deactivate_authorization(url)
        except RenewerError as error:
            if getattr(error, "timed_out", False):
                return  # it only would have been kind


def ends(error: RenewerError, *, sent: bool) -> bool:
    """Whether somebody said that the order, or one of its names, is refused: then nothing can come of it.

    A disk that is full, or a trust that was misconfigured meanwhile, says nothing of the order: given up, the
    same certificate would be ordered again. Nor does an answer that makes no sense. Once the CSR was `sent`
    only the order itself says that it is refused.
    """
    if error.local or error.unasked:
        return False
    if error.identifiers or error.kind == "key" or (error.kind in KEY_REFUSED and not sent):
        return True
    if isinstance(error, GiveUp):
        return not sent and error.kind not in OUR_SIDE and error.kind != "gone"
    return isinstance(error, OurFault) and error.kind == "defect" and not sent


def _tried(error: RenewerError) -> bool:
    """Whether a failure says that the order got no further, not that nobody could be asked."""
    from renewer.network.acme.lost import Unreached

    ours = isinstance(error, StateError | Unreached) or error.kind in OUR_SIDE
    return not (ours or error.local or error.unasked) and error.kind not in _UNTRIED


def _look(session: Session, order: Order, url: str) -> AcmeOrder | None:
    """The order at its URL; None if the authority has forgotten it, or it is not ours any more."""
    from renewer.network.acme.resources import AcmeOrder, OrderStatus

    before = AcmeOrder(
        url=url,
        status=OrderStatus.PENDING,
        identifiers=order.identifiers,
        authorizations=order.authorizations,
        finalize=order.finalize or "",
        expires=order.expires,
    )
    try:
        return session.order(url, before if order.finalize else None)
    except GiveUp as error:
        if error.kind not in ("gone", "unauthorized"):
            raise
        return None
