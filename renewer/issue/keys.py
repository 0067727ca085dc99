"""The keys of one certificate: which one an order gets, and which is not sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from renewer import clock, x509
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.decision import EventName
from renewer.model.facts import RefusedKey, Revoked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from renewer.context import Context
    from renewer.model.desired import Certificate
    from renewer.model.facts import Order, Situation


def choose(context: Context, situation: Situation, *, anew: bool) -> bytes:
    """A fresh key; or the newest version's if the config says so and it is of the right type.

    But not if somebody asks for another one (`anew`), or if it is compromised or was refused.
    """
    wish = situation.wish
    if wish.reuse_key and not anew:
        compromised = {record.spki for record in context.ledger.load(Revoked, wish.name)}
        refused = {record.spki: record for record in context.ledger.load(RefusedKey, wish.name)}
        for privkey in _kept(context, situation):
            spki = x509.key_fingerprint(privkey)
            if spki in refused:
                one = refused[spki]
                text = f"{one.authority} refused the key that was to be kept: a new one is made"
                context.journal.tell(EventName.NOTICE, wish.name, text=text)
                break  # an older one would be no better
            if spki not in compromised:
                return privkey
    return x509.new_key(wish.key)


def demand_request(context: Context, wish: Certificate, authority: str) -> None:
    """Make sure that a request of the operator's may be sent there. Raises GiveUp, which is local."""
    csr = wish.csr
    if csr is None:
        return
    bad = any(one.spki == csr.spki for one in context.ledger.load(Revoked, wish.name))
    why = "its key is compromised" if bad else ""
    for one in context.ledger.load(RefusedKey, wish.name):
        if one.spki == csr.spki and one.authority == authority:
            why = f"{authority} refused it: {one.text}"
    if why:
        hint = f"make a new key and request where the key is, and put the request at {csr.path}"
        raise GiveUp(f"{csr.path} is not sent again: {why}", hint=hint, kind="csr", local=True)


def refused(context: Context, situation: Situation, order: Order, error: GiveUp) -> RenewerError:
    """What to tell of a refused key; it is on record if it would be sent again."""
    spki, fresh, name = order.csr, False, situation.wish.name
    if spki is None:
        spki = x509.key_fingerprint(context.store.pending_key(name, order.pending))
        fresh = all(x509.key_fingerprint(kept) != spki for kept in _kept(context, situation))
    if fresh:
        return error
    now = clock.now()
    context.ledger.save(
        RefusedKey(certificate=name, spki=spki, authority=order.authority, at=now, text=error.text)
    )
    if order.csr is not None:
        return error
    return RetryLater(
        f"{order.authority} refused the key that was to be kept: {error.text}",
        hint="nothing need be done: the next order has a new key",
        kind=error.kind,
    )


def _kept(context: Context, situation: Situation) -> Iterator[bytes]:
    """The keys of the versions, newest first, as far as they can be kept and read."""
    name, wanted = situation.wish.name, situation.wish.key
    for version in situation.versions:
        if not version.placeholder and version.csr is None and version.leaf.key == wanted:
            yield context.store.read(name, version.id).privkey
