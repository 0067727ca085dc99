"""One certificate's way through one order, as RFC 8555 §7.1 tells it; steps take an `Order`, and return it.

On the way the order is yielded whenever more is known of it: so whoever hears that something went wrong knows
where it stood.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

from msgspec.structs import replace

from renewer import clock, words, x509
from renewer.errors import GiveUp, OurFault, RenewerError, RetryLater
from renewer.issue import allowance, chains, keys, orders
from renewer.issue.clocks import CLOCK
from renewer.issue.orders import KEY_REFUSED, ends, give_up
from renewer.issue.proof import Proof
from renewer.issue.readiness import Readiness
from renewer.model.decision import EventName, Outcome, Reason, Result, Step
from renewer.model.facts import Order, OrderState
from renewer.policy import budget
from renewer.policy.backoff import count, known
from renewer.policy.wanted import fits

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from renewer.accounts.session import Session
    from renewer.context import Context
    from renewer.issue.issuer import Issuer
    from renewer.model.decision import Decision
    from renewer.model.desired import Certificate
    from renewer.model.facts import Situation, Version
    from renewer.model.names import Identifier
    from renewer.network.acme.resources import AcmeOrder

T = TypeVar("T")
NAP = 0.25  # seconds: how soon it is noticed that the end of waiting came nearer
_NOTICED = 3  # findings of our own beside the authority's words


class Attempt(NamedTuple):
    """One try at one certificate: what is known when it begins, and what this host can do for it.

    `said` is for people though all goes well.
    """

    issuer: Issuer
    situation: Situation
    decision: Decision
    authority: str
    ready: Readiness
    started: float
    said: list[str]

    @property
    def context(self) -> Context:
        """What the run works with."""
        return self.issuer.context

    @property
    def wish(self) -> Certificate:
        """The certificate as configured."""
        return self.situation.wish

    @property
    def names(self) -> tuple[Identifier, ...]:
        """Those to be ordered."""
        if self.decision.step is Step.RESUME and self.situation.order:
            return self.situation.order.identifiers
        return self.decision.names or self.wish.names

    def tell(self, event: EventName, **details: object) -> None:
        """A line of the renewal log."""
        self.context.journal.tell(event, self.wish.name, **details)


def obtain(issuer: Issuer, situation: Situation, decision: Decision) -> Outcome:
    """The whole way of one certificate, with whatever goes wrong as an outcome."""
    authority = decision.authority or situation.wish.authorities[0]
    ready = Readiness(issuer, situation.wish, authority, known(situation, authority))
    attempt = Attempt(issuer, situation, decision, authority, ready, clock.monotonic(), [])
    order = situation.order
    try:
        for order in _way(attempt):  # noqa: B007  where it stood when something went wrong
            pass
    except RenewerError as error:
        return _failed(attempt, order, error)
    except Exception as error:  # noqa: BLE001  what nobody foresaw is this certificate's failure alone
        attempt.context.journal.trace(situation.wish.name, error)
        return _failed(attempt, order, OurFault.of(error))
    assert order is not None  # noqa: S101  every way ends with one
    return _done(attempt, order)


Way: TypeAlias = "Generator[Order | None, None, T]"
"""Steps that yield the order whenever more is known of it; None once it is dropped."""


def _way(attempt: Attempt) -> Way[None]:
    session = _reach(attempt)
    order, found = yield from _take_up(attempt, session)
    if found is None:
        return
    if found.status != "valid" or found.certificate is None:
        order = yield from _prove(attempt, session, order, found)
        order, found = yield from _finalise(attempt, session, order, found)
    yield orders.issued(attempt.context, order, _fetch(attempt, session, order, found))


def _reach(attempt: Attempt) -> Session:
    """What can be known here is known first; then who stands in the way is stopped, the authority asked."""
    issuer, situation, ready = attempt.issuer, attempt.situation, attempt.ready
    order = situation.order
    if attempt.decision.step is Step.ISSUE or order is None or order.url is None:
        keys.demand_request(attempt.context, attempt.wish, attempt.authority)
        ready.files(ready.unproven(attempt.names))
    if disturbing := issuer.disturbs(situation):
        _clocks_agree(attempt, early=True)
    issuer.before(situation)
    ready.disturbed |= disturbing
    session = issuer.session(attempt.authority)
    _clocks_agree(attempt)
    return session


def _clocks_agree(attempt: Attempt, *, early: bool = False) -> None:
    """Ours and the authority's. `early`, before servers are stopped for it, only that is told.

    What else goes wrong may be put right by the hooks that are called then.
    """
    clocks = attempt.issuer.clocks
    try:
        patiently(attempt.context, lambda: clocks.check(attempt.authority, attempt.situation))
    except RenewerError as error:
        if not early or error.kind == CLOCK:
            raise


# --- intent and order ---------------------------------------------------------------------------------------


def _take_up(attempt: Attempt, session: Session) -> Way[tuple[Order, AcmeOrder | None]]:
    """The order of an earlier run if it can still be finished, else a new one.

    None beside one that was parked and has become a certificate: its chain is here.
    """
    context, situation, order, former = attempt.context, attempt.situation, attempt.situation.order, None
    if order is not None and attempt.decision.step is Step.RESUME:
        earlier = order
        order, found = patiently(context, lambda: orders.find_again(context, session, earlier))
        yield order
        if found is not None:
            attempt.tell(EventName.ORDERED, url=found.url, resumed=True)
            return order, found
    elif order is not None:
        # It is for another wish, its key is gone, it gets no further, or its authority is passed over
        _wasted(attempt, order)
    if order is not None and (attempt.decision.step is not Step.RESUME or order.url is not None):
        same = order.authority == attempt.authority
        former = orders.put_aside(context, situation, order, session if same else None)
        order = None
        yield order
    recovered = yield from _recover(attempt)
    if recovered is not None:
        return recovered, None
    attempt.ready.ports(attempt.ready.unproven(attempt.names))
    if order is None:
        order = _intend(attempt, session, former)
        yield order
    order, found = yield from _place(attempt, session, order)
    if attempt.issuer.blank and allowance.is_known_there(context, attempt.wish, session, found):
        attempt.said.append(allowance.forgets(context, attempt.wish, attempt.authority))
    return order, found


def _recover(attempt: Attempt) -> Way[Order | None]:
    """A parked order that became a certificate meanwhile: the order now, its chain beside its key."""
    if attempt.decision.reason is Reason.NEW_KEY:  # what was ordered with the old one is no answer
        return None
    context, situation = attempt.context, attempt.situation
    found = orders.recovered(
        context,
        situation,
        attempt.issuer.session,
        lambda session, order, found: _fetch(attempt, session, order, found),
    )
    if found is None:
        return None
    parked, chain = found
    order = orders.take_back(context, situation, parked)
    yield order
    order = orders.issued(context, order, chain)
    yield order
    attempt.tell(EventName.ORDERED, url=order.url, resumed=True)
    return order


def _intend(attempt: Attempt, session: Session, former: str | None) -> Order:
    """What is to be ordered, before anything leaves this host."""
    now, wish, context = clock.now(), attempt.wish, attempt.context
    order = Order(
        certificate=wish.name,
        pending=f"{now:%Y%m%dT%H%M%SZ}-{now.microsecond:08x}",
        state=OrderState.INTENT,
        authority=attempt.authority,
        directory=context.config.authorities[attempt.authority].directory,
        identifiers=attempt.names,
        degraded=bool(attempt.decision.names),
        key_type=wish.key,
        profile=_profile(attempt, session),
        at=orders.newest_of_all(attempt.situation, now),
        former=former,
        csr=wish.csr.spki if wish.csr else None,
    )
    if wish.csr:
        return orders.begin(context, order, b"", wish.csr.der)
    anew = attempt.decision.reason is Reason.NEW_KEY
    return orders.begin(context, order, keys.choose(context, attempt.situation, anew=anew))


def _profile(attempt: Attempt, session: Session) -> str | None:
    """The first of the config that the authority offers. Raises GiveUp if it offers none."""
    asked = next((one for one in attempt.situation.asked if one.authority == attempt.authority), None)
    return session.choose_profile(asked.profiles) if asked else None


def _place(attempt: Attempt, session: Session, order: Order) -> Way[tuple[Order, AcmeOrder]]:
    """Send newOrder and keep the order's URL before anything waits (RFC 8555 §7.4).

    An authority may hand back the very order that was let go: it is ended there, and this said once more.
    """
    context, situation = attempt.context, attempt.situation
    with attempt.issuer.allowance.spent(situation, order, attempt.decision) as record:
        found, replaced = _order_anew(attempt, session, order)
        if orders.is_former(context, order, found.url):
            give_up(session, found.authorizations, ("pending", "valid"))
            found, replaced = _order_anew(attempt, session, order)
    if parked := orders.parked_at(context, order.certificate, found.url):
        orders.drop(context, order)  # it insists on an order whose CSR was sent: that has its own key
        yield None
        order = orders.take_back(context, situation, parked)
        yield order
    order = replace(orders.opened(order, session.account, found), replaces=replaced)
    order = orders.placed(context, order, found, budget.accepted(record, found.url))
    yield order
    attempt.tell(
        EventName.ORDERED,
        authority=attempt.authority,
        url=found.url,
        profile=order.profile,
        without=words.several([name for name in attempt.wish.names if name not in order.identifiers]),
        replaces_refused=found.replaces_refused,
    )
    return order, found


def _order_anew(attempt: Attempt, session: Session, order: Order) -> tuple[AcmeOrder, str | None]:
    replaced = _replaced(attempt, session)
    replaces = replaced.leaf.ari_id if replaced else None
    found = patiently(
        attempt.context,
        lambda: session.new_order(order.identifiers, profile=order.profile, replaces=replaces),
    )
    return found, replaces


def _replaced(attempt: Attempt, session: Session) -> Version | None:
    """The newest certificate by that account for that wish: the one a renewal replaces (RFC 9773 §5)."""
    for version in attempt.situation.versions:
        same_account = version.authority == attempt.authority and version.account == session.account
        if same_account and version.leaf.ari_id and fits(version, attempt.situation):
            return version
    return None


# --- proof and certificate ----------------------------------------------------------------------------------


def _prove(attempt: Attempt, session: Session, order: Order, found: AcmeOrder) -> Way[Order]:
    """Answer every pending authorization of an order that still needs it."""
    if found.status != "pending":
        return order
    proof = Proof(attempt.ready, session, found)
    try:
        proof.run(attempt.authority, until(attempt.context), lambda act: patiently(attempt.context, act))
    finally:
        attempt.ready.tried = proof.failed
        order = orders.note(order, found, proof.proven)
        yield order
    attempt.tell(EventName.VALIDATED, names=words.several(order.identifiers))
    return order


def _finalise(
    attempt: Attempt, session: Session, order: Order, found: AcmeOrder
) -> Way[tuple[Order, AcmeOrder]]:
    """Send the CSR, and wait for the certificate (RFC 8555 §7.4).

    What the order's URL shows is the truth: an order that is ready again is handed the CSR once more.
    """
    from renewer.network.acme.problems import order_error

    request = _request(attempt.context, order)
    end = until(attempt.context)
    for _ in range(2):
        if found.status in ("pending", "ready"):
            order, found = yield from _hand_in(attempt, session, order, found, request)
        if found.status in ("pending", "processing") or not found.certificate:
            order, found = yield from _await(session, order, found, end)
        if found.status != "ready":
            break
    if found.status == "invalid":
        raise order_error(found.error, attempt.authority)
    if found.status != "valid":
        text = f"{attempt.authority} took the CSR, and the order {found.url} is {found.status} as before"
        raise RetryLater(text, kind="not-finalized")
    return order, found


def _hand_in(
    attempt: Attempt, session: Session, order: Order, found: AcmeOrder, request: bytes
) -> Way[tuple[Order, AcmeOrder]]:
    """The CSR is sent; that it may have been is on record before."""
    context = attempt.context
    order = orders.sending(context, order, sent=True)
    yield order
    try:
        found = patiently(context, lambda: session.finalize(found, request))
    except GiveUp as error:
        if error.kind != "gone":  # the authority refused it: nothing can come of the order as it is
            order = orders.sending(context, order, sent=False)
            yield order
        if error.kind in KEY_REFUSED:
            raise keys.refused(context, attempt.situation, order, error) from error
        raise
    order = orders.note(order, found)
    yield order
    return order, found


def _await(
    session: Session, order: Order, found: AcmeOrder, end: Callable[[], float]
) -> Way[tuple[Order, AcmeOrder]]:
    """Until the authority is done with it; each answer says how far it is."""
    stands = [order]
    try:
        found = session.wait_order(
            found.url, end, found, lambda shown: stands.append(orders.note(stands[-1], shown))
        )
    finally:
        yield stands[-1]
    return stands[-1], found


def _request(context: Context, order: Order) -> bytes:
    """The CSR. Raises OurFault if the key that was kept for it cannot be read any more."""
    if order.csr:
        return context.store.pending_request(order.certificate, order.pending)
    try:
        return x509.csr(context.store.pending_key(order.certificate, order.pending), order.identifiers)
    except ValueError as error:
        text = f"the key of the order at {order.authority} is damaged: {error}"
        raise OurFault(text, kind="key", hint="a new one is made for the next order") from None


def _fetch(attempt: Attempt, session: Session, order: Order, found: AcmeOrder) -> bytes:
    """The chain, as the config prefers it for the order's authority."""
    context, name = attempt.context, attempt.wish.name
    return patiently(context, lambda: chains.download(context, session, found, name, order.authority))


# --- endings ------------------------------------------------------------------------------------------------


def until(context: Context) -> Callable[[], float]:
    """The end of waiting, on `clock.monotonic`; it comes nearer when somebody stops the run."""
    limit = clock.monotonic() + context.order_limit
    return lambda: min(limit, context.deadline)


def patiently(context: Context, act: Callable[[], T]) -> T:
    """Do it, and again if the authority is out of order for a moment and says for how long (503)."""
    end = until(context)
    while True:
        try:
            return act()
        except RetryLater as error:
            if error.not_before is None or error.kind not in ("http-503", "serverInternal"):
                raise
            _rest(error, clock.monotonic() + (error.not_before - clock.now()).total_seconds(), end)


def _rest(error: RenewerError, moment: float, end: Callable[[], float]) -> None:
    """Until the authority wants to be asked again. Raises the error if the end of waiting comes first."""
    while (now := clock.monotonic()) < moment:
        if moment > end():
            raise error
        clock.sleep(min(moment - now, NAP))


def _done(attempt: Attempt, order: Order) -> Outcome:
    took = round((clock.monotonic() - attempt.started) * 1000)
    attempt.tell(EventName.ISSUED, authority=order.authority, took_ms=took)
    return Outcome(
        certificate=attempt.wish.name,
        step=attempt.decision.step,
        result=Result.DONE,
        detail=f"{order.authority} issued a certificate for {words.several(order.identifiers)}",
        hint="; ".join(attempt.said),
        took_ms=took,
    )


def _failed(attempt: Attempt, order: Order | None, error: RenewerError) -> Outcome:
    """Remember the failure; an order that can still be finished stays for the next run."""
    issuer, context, situation = attempt.issuer, attempt.context, attempt.situation
    error = issuer.clocks.blame(error, attempt.authority, situation)
    if error.kind in (allowance.BUDGET, CLOCK):
        return _waits(attempt, order, error)
    if error.kind == "gone" and isinstance(error, GiveUp):  # nobody need do anything: others will come
        error = RetryLater(error.text, kind=error.kind)
    if error.identifiers and (noticed := issuer.noticed.get(attempt.wish.name)):
        seen_here = "seen from here: " + "; ".join(noticed[:_NOTICED])
        error.hint = f"{seen_here} / {error.hint}" if error.hint else seen_here
    part, tried = bool(attempt.decision.names), attempt.ready.tried
    failure = count(situation, attempt.authority, error, clock.now(), in_part=part, tried=tried)
    stopped = error.kind == "waiting" and context.stopping.is_set()
    if not stopped:  # that we were told to stop is nobody's failure
        context.ledger.save(failure)
    if order is not None:
        if ends(error, sent=order.sent):
            _wasted(attempt, order)
            orders.drop(context, order)
        else:
            orders.failed(context, order, error, stopped=stopped)
    return Outcome.failed(
        *(context.journal.tell, attempt.wish.name, attempt.decision.step, error.text),
        hint=error.hint,
        stopped=stopped,
        took_ms=round((clock.monotonic() - attempt.started) * 1000),
        authority=attempt.authority,
        problem=error.kind,
    )


def _wasted(attempt: Attempt, order: Order) -> None:
    """What was issued for an order that is given up comes to nothing: the budget remembers that."""
    if order.reached == "valid":
        attempt.issuer.allowance.wasted(order)


def _waits(attempt: Attempt, order: Order | None, error: RenewerError) -> Outcome:
    """The order budget or a clock says not now: nobody has failed."""
    if order is not None and order.url is None:
        orders.drop(attempt.context, order)
    attempt.tell(EventName.NOTICE, text=error.text)
    return Outcome(
        certificate=attempt.wish.name,
        step=attempt.decision.step,
        result=Result.WAITING,
        detail=error.text,
        hint=error.hint,
    )
