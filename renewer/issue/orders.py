"""What is kept of an order: begun, taken up, parked, let go. Each takes an `Order`, and returns it.

Those with a `context` have it on record before they return; only `note` leaves that to who goes on.
"""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

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


# --- what is kept of one ------------------------------------------------------------------------------------


def begin(context: Context, order: Order, key: bytes, request: bytes = b"") -> Order:
    """Key (or `request` for one that is elsewhere) and wish on disk, before anything leaves this host."""
    wish = msgspec.json.encode(order)
    context.store.prepare(order.certificate, order.pending, key, wish, request=request)
    return save(context, order)


def save(context: Context, order: Order) -> Order:
    """Remember what is known now."""
    context.ledger.save(order)
    return order


def opened(order: Order, account: str, found: AcmeOrder) -> Order:
    """The authority has it: from now on it has a URL."""
    return replace(order, state=OrderState.OPEN, account=account, url=found.url)


def placed(context: Context, order: Order, found: AcmeOrder, counted: Record) -> Order:
    """An order that was opened, on record in one piece with what it `counted`."""
    order = note(order, found)
    context.ledger.save(order, counted)
    return order


def note(order: Order, found: AcmeOrder, proven: int = 0) -> Order:
    """How far it is; on record at the latest when the run leaves it."""
    order = replace(
        order,
        expires=found.expires or order.expires,
        finalize=found.finalize,
        authorizations=found.authorizations,
        sent=order.sent and found.status not in ("pending", "ready", "invalid"),
    )
    if further(order, found.status, proven):
        order = replace(
            order,
            tries=0,
            progress_at=clock.now(),
            reached=found.status,
            proven=max(proven, order.proven),
        )
    if found.status == "processing" and found.retry_after is not None:
        order = replace(order, deferred=TRIES)
    return order


def sending(context: Context, order: Order, *, sent: bool) -> Order:
    """The CSR is about to be sent (on record before it leaves), or it was refused."""
    return save(context, replace(order, sent=sent))


def issued(context: Context, order: Order, chain: bytes) -> Order:
    """The chain beside its key: from here on it is ours, whatever happens."""
    context.store.keep_chain(order.certificate, order.pending, chain)
    return save(context, replace(order, state=OrderState.ISSUED))


def failed(context: Context, order: Order, error: RenewerError, *, stopped: bool) -> Order:
    """One more try that got nowhere, if the authority was asked and nobody `stopped` the run."""
    if _tried(error) and not stopped:
        deferred = order.deferred if error.kind == "waiting" else max(order.deferred - 1, 0)
        order = replace(order, tries=order.tries + 1, deferred=deferred)
    return save(context, order)


def drop(context: Context, order: Order) -> None:
    """Forget an order that will never be finished; its key was never used."""
    context.ledger.drop(order)
    context.store.clear(order.certificate, order.pending)


def newest_of_all(situation: Situation, now: datetime) -> datetime:
    """Now; after every version that there is, though it was made while the clock was ahead.

    "Older" goes by this moment: what looked older than its predecessor would be ordered for ever.
    """
    versions = situation.versions
    return max([now, *(one.made_at + timedelta(seconds=1) for one in versions if not one.placeholder)])


# --- taken up, put aside ------------------------------------------------------------------------------------


def find_again(context: Context, session: Session, order: Order) -> tuple[Order, AcmeOrder | None]:
    """Look an open order up: by its URL, else in the account's list where the authority has one.

    None if the authority does not know it, if it is not ours any more, or if it is refused.
    """
    if order.url is None:
        found = session.find_order(order.identifiers)
        if found is None and session.lists_orders:
            counted = context.ledger.load(Ordered, order.certificate)
            context.ledger.save(*budget.never_sent(counted, order.at))
    else:
        found = _look(session, order, order.url)
    if found is None:  # nothing can come of it, whatever was sent
        return replace(order, sent=False), None
    if order.url is None:
        order = save(context, opened(order, session.account, found))
    order = note(order, found)
    return order, found if found.status != "invalid" else None


def put_aside(context: Context, situation: Situation, order: Order, session: Session | None) -> str | None:
    """Another order is made in its place: park it, or let it go. The URL of one that is let go.

    What is pending of it is given up before, lest the authority hands the same order back, and lest it
    counts against the account. Without `session` its authority is not asked.
    """
    if aside(order) is Fate.PARKED and order_fits(order, situation) and situation.order_ready:
        context.ledger.save(
            Parked(certificate=order.certificate, order=order, at=clock.now(), until=expiry(order))
        )
        context.ledger.drop(order)
        _tell(context, order.certificate, f"the order {order.url} is put aside, and another one is made")
        return None
    if session is not None and order.url is not None:
        _give_up_pending(session, order, order.url)
    drop(context, order)
    if order.url is not None:
        _tell(context, order.certificate, f"the order {order.url} is let go, and another one is made")
    return order.url or order.former


def _give_up_pending(session: Session, order: Order, url: str) -> None:
    urls = order.authorizations
    try:
        if not urls:
            urls = session.order(url).authorizations
    except RenewerError:
        return  # it is the authority that keeps it from being tidy
    give_up(session, urls, ("pending",))


def recovered(
    context: Context,
    situation: Situation,
    session_of: Callable[[str], Session],
    fetch: Callable[[Session, Order, AcmeOrder], bytes],
) -> tuple[Parked, bytes] | None:
    """A parked order that became a certificate meanwhile, and its chain: the renewal. One look at each."""
    now = clock.now()
    for parked in context.ledger.load(Parked, situation.wish.name):
        order, gone = parked.order, False
        if not _has_key(context, parked) or not order_fits(order, situation) or order.url is None:
            _forget(context, parked)
            continue
        try:
            session = session_of(order.authority)
            found = _look(session, order, order.url)
            gone = found is None or found.status == "invalid"
            if found is not None and found.status == "valid":
                return parked, fetch(session, order, found)
        except RenewerError as error:  # perhaps next time
            _tell(context, parked.certificate, f"{order.url}: {error.text}")
        if gone or over(parked, now):  # this was the last look
            _forget(context, parked)
    return None


def parked_at(context: Context, certificate: str, url: str) -> Parked | None:
    """The parked order with that URL."""
    return next((one for one in context.ledger.load(Parked, certificate) if one.order.url == url), None)


def is_former(context: Context, order: Order, url: str) -> bool:
    """Whether that is the URL of an order that was given up or put aside before this one."""
    return url == order.former or parked_at(context, order.certificate, url) is not None


def take_back(context: Context, situation: Situation, parked: Parked) -> Order:
    """One that was put aside is worked on again."""
    # The name may be another one by now; and older than the newest version it would be ordered anew
    name, at = parked.certificate, newest_of_all(situation, clock.now())
    order = save(context, replace(parked.order, certificate=name, at=at, tries=0))
    context.ledger.drop(parked)
    return order


def _has_key(context: Context, parked: Parked) -> bool:
    try:
        return context.store.pending(parked.certificate, parked.order.pending).has_key
    except RenewerError:
        return False


def _forget(context: Context, parked: Parked) -> None:
    context.ledger.drop(parked)
    context.store.clear(parked.certificate, parked.order.pending)


def _tell(context: Context, certificate: str, text: str) -> None:
    context.journal.tell(EventName.NOTICE, certificate, text=text)


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
