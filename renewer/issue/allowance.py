"""The gate before newOrder: the order budget is asked, and what is ordered is on record before it is sent.

It fails closed: what cannot be written down is not ordered, and what was written down counts until it is
known that the authority did not accept it.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from renewer import clock
from renewer.errors import RenewerError, RetryLater, StateError
from renewer.model.decision import Decision, EventName, Reason
from renewer.model.facts import Ordered, Situation
from renewer.policy import budget
from renewer.policy.issuing import RENEWALS, calling
from renewer.policy.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from renewer.accounts.session import Session
    from renewer.context import Context
    from renewer.model.desired import Certificate
    from renewer.model.facts import Order
    from renewer.network.acme.resources import AcmeOrder

ROOM = 256 * 1024  # octets: key, chain, version and the ledger's pages of an order many times over
BUDGET = "budget"  # the kind of error that says: not now


class Allowance:
    """What the orders of one run may still be; safe for threads."""

    def __init__(self, context: Context, terms: Terms | None = None) -> None:
        self._context = context
        self._terms = terms or Terms(now=clock.now(), wake=context.config.agent.wake)
        self._ordered: dict[str, set[tuple[str, frozenset[str]]]] = {}
        self._guard = threading.Lock()

    def ordered(self, certificate: str) -> frozenset[tuple[str, frozenset[str]]]:
        """What this run has ordered of a certificate, as `Terms.ordered`."""
        with self._guard:
            return frozenset(self._ordered.get(certificate, ()))

    def ask(self, situation: Situation, order: Order, decision: Decision) -> Ordered:
        """Leave to send newOrder for this order, and the record that it may be sent; it is on disk already.

        Raises RetryLater with kind "budget" if it must wait, StateError if it cannot be written down.
        """
        names = frozenset(str(name) for name in order.identifiers)
        with self._guard:
            if (order.authority, names) in self._ordered.get(order.certificate, ()):
                raise RetryLater(
                    f"{order.authority} was sent an order for it in this run already", kind=BUDGET
                )
        call = self._call(situation, order, decision)
        known = tuple(self._context.ledger.load(Ordered, order.certificate))
        situation = replace(situation, ordered=known)
        if hold := budget.next_order(situation, order.authority, call):
            text = f"{hold.because}; the next order not before {hold.until:%Y-%m-%d %H:%M:%SZ}"
            raise RetryLater(text, kind=BUDGET, not_before=hold.until)
        self._context.store.demand_room(ROOM)
        record = budget.reserved(situation, order.authority, order, call)
        self._context.ledger.save(record)
        with self._guard:  # not before it is on disk, and never taken back but by `_refused`
            self._ordered.setdefault(order.certificate, set()).add((order.authority, names))
        return record

    @contextmanager
    def spent(self, situation: Situation, order: Order, decision: Decision) -> Iterator[Ordered]:
        """Around newOrder: an order that fails in it does not count. Raises as `ask`."""
        record = self.ask(situation, order, decision)
        try:
            yield record
        except RenewerError:
            self._refused(order, record)
            raise

    def _refused(self, order: Order, record: Ordered) -> None:
        """It does not count; if that cannot be written down it does."""
        names = frozenset(str(name) for name in order.identifiers)
        with suppress(StateError):
            self._context.ledger.save(budget.refused(record))
            with self._guard:
                self._ordered[order.certificate].discard((order.authority, names))

    def wasted(self, order: Order) -> None:
        """Something was issued for it that came to nothing: the next order has to wait longer."""
        with suppress(StateError):
            records = self._context.ledger.load(Ordered, order.certificate)
            self._context.ledger.save(*budget.wasted(records, order.at))

    def _call(self, situation: Situation, order: Order, decision: Decision) -> budget.OrderTerms:
        terms = replace(self._terms, now=clock.now())
        call = terms.call if order.degraded else calling(situation, terms)
        return replace(
            call,
            force=call.force or decision.reason is Reason.FORCED,
            renewal=decision.reason in RENEWALS,
        )


def is_known_there(context: Context, wish: Certificate, session: Session, found: AcmeOrder) -> bool:
    """Whether the account has ordered these names within days, by the answer to a new order or by its list.

    Names that another certificate of the config has too were perhaps proved for that one.
    """
    others = (one for one in context.config.certificates.values() if one.name != wish.name)
    if session.registered_now or any(set(one.names) & set(wish.names) for one in others):
        return False
    if found.status in ("ready", "valid"):  # all names were proven before it was made
        return True
    try:
        return session.was_issued(found.identifiers, clock.now())
    except RenewerError:
        return False  # it was asked in passing


def forgets(context: Context, wish: Certificate, authority: str) -> str:
    """Say so, once a start: in the log, which is lost as well, and by the sentence that is returned."""
    state = context.config.agent.state
    text = (
        f"the account at {authority} has ordered these names within the last days, and nothing in {state} "
        "remembers it: each start without its state costs an order, and authorities allow a few a week"
    )
    hint = f"keep {state} between starts (in a container: a volume); docs/operations.md"
    context.journal.tell(EventName.NOTICE, wish.name, text=text, hint=hint)
    return f"{text}: {hint}"
