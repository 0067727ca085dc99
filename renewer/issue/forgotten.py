"""A host that forgets everything between two starts, as a container without a volume: each costs an order.

Authorities allow a few certificates a week for the same names. Only they can know: an account that is not new
has ordered the names within days, and nothing here remembers it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from renewer import clock
from renewer.errors import RenewerError
from renewer.model.decision import EventName
from renewer.model.facts import Ordered, VersionFacts

if TYPE_CHECKING:
    from renewer.accounts.session import Session
    from renewer.context import Context
    from renewer.model.desired import Certificate
    from renewer.network.acme.resources import AcmeOrder


def is_blank(context: Context) -> bool:
    """Whether nothing was ever ordered by what this host remembers, for any certificate."""
    issued = (record for record in context.ledger.load(VersionFacts) if not record.version.placeholder)
    return not context.ledger.load(Ordered) and next(issued, None) is None


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


def tell(context: Context, wish: Certificate, authority: str) -> str:
    """Say so, once a start: in the log, which is lost as well, and by the sentence that is returned."""
    state = context.config.agent.state
    text = (
        f"the account at {authority} has ordered these names within the last days, and nothing in {state} "
        "remembers it: each start without its state costs an order, and authorities allow a few a week"
    )
    hint = f"keep {state} between starts (in a container: a volume); docs/operations.md"
    context.journal.tell(EventName.NOTICE, wish.name, text=text, hint=hint)
    return f"{text}: {hint}"
