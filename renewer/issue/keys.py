"""The key of an order: a fresh one, one that is kept, or one that is elsewhere.

One that an authority refused is never sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from renewer import clock, x509
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.decision import EventName
from renewer.model.facts import RefusedKey, Revoked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from renewer.context import Context
    from renewer.model.facts import Order, Situation


class Keys:
    """The keys of one certificate."""

    def __init__(self, context: Context, situation: Situation) -> None:
        self.context = context
        self.situation = situation
        self.wish = situation.wish

    def choose(self, *, anew: bool) -> bytes:
        """A fresh key; or the newest version's if the config says so and it is of the right type.

        But not if somebody asks for another one (`anew`), or if it is compromised or was refused.
        """
        if self.wish.reuse_key and not anew:
            compromised = {record.spki for record in self.context.ledger.load(Revoked, self.wish.name)}
            refused = {record.spki: record for record in self.context.ledger.load(RefusedKey, self.wish.name)}
            for privkey in self._kept():
                spki = x509.key_fingerprint(privkey)
                if spki in refused:
                    one = refused[spki]
                    text = f"{one.authority} refused the key that was to be kept: a new one is made"
                    self.context.journal.tell(EventName.NOTICE, self.wish.name, text=text)
                    break  # an older one would be no better
                if spki not in compromised:
                    return privkey
        return x509.new_key(self.wish.key)

    def demand_request(self, authority: str) -> None:
        """Make sure that a request of the operator's may be sent there. Raises GiveUp, which is local."""
        csr = self.wish.csr
        if csr is None:
            return
        bad = any(one.spki == csr.spki for one in self.context.ledger.load(Revoked, self.wish.name))
        why = "its key is compromised" if bad else ""
        for one in self.context.ledger.load(RefusedKey, self.wish.name):
            if one.spki == csr.spki and one.authority == authority:
                why = f"{authority} refused it: {one.text}"
        if why:
            hint = f"make a new key and request where the key is, and put the request at {csr.path}"
            raise GiveUp(f"{csr.path} is not sent again: {why}", hint=hint, kind="csr", local=True)

    def refused(self, order: Order, error: GiveUp) -> RenewerError:
        """What to tell of a refused key; it is on record if it would be sent again."""
        spki, fresh = order.csr, False
        if spki is None:
            spki = x509.key_fingerprint(self.context.store.pending_key(self.wish.name, order.pending))
            fresh = all(x509.key_fingerprint(kept) != spki for kept in self._kept())
        if fresh:
            return error
        self.context.ledger.save(
            RefusedKey(
                certificate=self.wish.name,
                spki=spki,
                authority=order.authority,
                at=clock.now(),
                text=error.text,
            )
        )
        if order.csr is not None:
            return error
        return RetryLater(
            f"{order.authority} refused the key that was to be kept: {error.text}",
            hint="nothing need be done: the next order has a new key",
            kind=error.kind,
        )

    def _kept(self) -> Iterator[bytes]:
        """The keys of the versions, newest first, as far as they can be kept and read."""
        for version in self.situation.versions:
            if not version.placeholder and version.csr is None and version.leaf.key == self.wish.key:
                yield self.context.store.read(self.wish.name, version.id).privkey
