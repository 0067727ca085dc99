"""One certificate's way through one order, as RFC 8555 §7.1 tells it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from renewer import clock, x509
from renewer.errors import GiveUp, OurFault, RenewerError
from renewer.issue import chains
from renewer.issue.allowance import BUDGET
from renewer.issue.proof import Proof, resumable, shortly
from renewer.issue.readiness import Readiness
from renewer.model.decision import Decision, Step
from renewer.model.facts import Order, Ordered, OrderState, Revoked, Situation, Version
from renewer.model.outcome import EventName, Outcome, Result
from renewer.policy import budget
from renewer.policy.backoff import count, known
from renewer.policy.wanted import fits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from renewer.acme.client import Session
    from renewer.acme.nouns import AcmeOrder
    from renewer.issue.issuer import Issuer
    from renewer.model.names import Identifier


class Attempt:
    """One certificate's way through one order."""

    def __init__(self, issuer: Issuer, situation: Situation, decision: Decision) -> None:
        self.issuer = issuer
        self.kit = issuer.kit
        self.situation = situation
        self.wish = situation.wish
        self.decision = decision
        self.authority = decision.authority or situation.wish.authorities[0]
        self.order: Order | None = None
        self.valid = False  # whether the authority has issued it
        failure = known(situation, self.authority)
        self.ready = Readiness(issuer, self.wish, self.authority, failure)
        self.tried: Mapping[str, int] = {}  # by name: the place of the challenge that failed
        self.started = clock.monotonic()

    def run(self) -> Outcome:
        """The whole way, with whatever goes wrong as an outcome."""
        try:
            if self._is_to_order():
                self.ready.files(self.ready.unproven(self._names()))
            self.issuer.before(self.situation)
            self.ready.disturbed |= self.issuer.disturbs(self.situation)
            session = self.issuer.session(self.authority)
            found = self._take_up(session)
            if found.status != "valid":
                self._prove(session, found)
                found = self._finalise(session, found)
            self._download(session, found)
        except RenewerError as error:
            return self._failed(error)
        except Exception as error:  # noqa: BLE001  what nobody foresaw is this certificate's failure alone
            self.kit.journal.trace(self.wish.name, error)
            return self._failed(OurFault.of(error))
        took = round((clock.monotonic() - self.started) * 1000)
        self.kit.journal.tell(EventName.ISSUED, self.wish.name, authority=self.authority, took_ms=took)
        return Outcome(
            certificate=self.wish.name,
            step=self.decision.step,
            result=Result.DONE,
            detail=f"{self.authority} issued a certificate for {shortly(self._known_order().identifiers)}",
            took_ms=took,
        )

    # intent and order --------------------------------------------------------------------------------

    def _take_up(self, session: Session) -> AcmeOrder:
        """The order of an earlier run if it can still be finished, else a new one."""
        if self.decision.step is Step.RESUME and self.situation.order:
            self.order = self.situation.order
            found = self._find_again(session, self.order)
            if found is not None and found.status not in ("invalid", "expired"):
                self.kit.journal.tell(EventName.ORDERED, self.wish.name, url=found.url, resumed=True)
                return found
            if self.order.url is not None:
                self._abandon()
        elif self.situation.order is not None:
            self.order = self.situation.order
            self._abandon()  # it is for another wish, or its key is gone
        self.ready.ports(self.ready.unproven(self._names()))
        if self.order is None:
            self._intend()
        return self._place(session)

    def _is_to_order(self) -> bool:
        """Whether nothing is open at the authority as far as we know."""
        order = self.situation.order
        return self.decision.step is Step.ISSUE or order is None or order.url is None

    def _names(self) -> tuple[Identifier, ...]:
        """Those to be ordered."""
        if self.decision.step is Step.RESUME and self.situation.order:
            return self.situation.order.identifiers
        return self.decision.names or self.wish.names

    def _find_again(self, session: Session, order: Order) -> AcmeOrder | None:
        """Look an open order up: by its URL, else in the account's list where the authority has one."""
        if order.url is None:
            found = session.find_order(order.identifiers)
            if found is not None:
                self._keep_url(session, found)
            return found
        try:
            return session.order(order.url)
        except GiveUp as error:
            if error.kind not in ("gone", "unauthorized"):
                raise
            return None  # the authority has forgotten it, or it is not ours any more

    def _intend(self) -> None:
        """Key and wish on disk, intent in the ledger, before anything leaves this host."""
        now = clock.now()
        pending = f"{now:%Y%m%dT%H%M%SZ}-{now.microsecond:08x}"
        order = Order(
            certificate=self.wish.name,
            pending=pending,
            state=OrderState.INTENT,
            authority=self.authority,
            directory=self.kit.config.authorities[self.authority].directory,
            identifiers=self._names(),
            degraded=bool(self.decision.names),
            key_type=self.wish.key,
            profile=self._profile(),
            at=self._newest_of_all(now),
        )
        self.kit.store.prepare(self.wish.name, pending, self._key(), msgspec.json.encode(order))
        self.kit.ledger.save(order)
        self.order = order

    def _newest_of_all(self, now: datetime) -> datetime:
        """Now; after every version that there is, though it was made while the clock was ahead.

        "Older" goes by this moment: what looked older than its predecessor would be ordered for ever.
        """
        made = (one.made_at + timedelta(seconds=1) for one in self.situation.versions if not one.placeholder)
        return max([now, *made])

    def _key(self) -> bytes:
        """A fresh key, or the newest version's if the config says so and it is of the right type."""
        if self.wish.reuse_key:
            compromised = {record.spki for record in self.kit.ledger.load(Revoked, self.wish.name)}
            for version in self.situation.versions:
                if not version.placeholder and version.leaf.key == self.wish.key:
                    privkey = self.kit.store.read(self.wish.name, version.id).privkey
                    if x509.key_fingerprint(privkey) not in compromised:
                        return privkey
        return x509.new_key(self.wish.key)

    def _profile(self) -> str | None:
        return next((one.profile for one in self.situation.asked if one.authority == self.authority), None)

    def _place(self, session: Session) -> AcmeOrder:
        """Send newOrder and keep the order's URL before anything waits (RFC 8555 §7.4)."""
        order = self._known_order()
        replaced = self._replaced(session)
        replaces = replaced.leaf.ari_id if replaced else None
        with self.issuer.allowance.spent(self.situation, order, self.decision) as record:
            found = session.new_order(order.identifiers, profile=order.profile, replaces=replaces)
        self._keep_url(session, found, budget.accepted(record, found.url), replaces=replaces)
        self.kit.journal.tell(
            EventName.ORDERED,
            self.wish.name,
            authority=self.authority,
            url=found.url,
            profile=order.profile,
            without=shortly([name for name in self.wish.names if name not in order.identifiers]),
            replaces_refused=found.replaces_refused,
        )
        return found

    def _replaced(self, session: Session) -> Version | None:
        """The newest certificate by that account for that wish: the one a renewal replaces (RFC 9773 §5)."""
        for version in self.situation.versions:
            same_account = version.authority == self.authority and version.account == session.account
            if same_account and version.leaf.ari_id and fits(version, self.situation):
                return version
        return None

    def _keep_url(
        self, session: Session, found: AcmeOrder, *counted: Ordered, replaces: str | None = None
    ) -> None:
        order = msgspec.structs.replace(
            self._known_order(),
            state=OrderState.OPEN,
            account=session.account,
            url=found.url,
            expires=found.expires,
            replaces=replaces,
        )
        self.kit.ledger.save(order, *counted)
        self.order = order

    def _known_order(self) -> Order:
        assert self.order is not None  # noqa: S101  every way here passes _intend or an order found
        return self.order

    # proof and certificate -----------------------------------------------------------------------------

    def _prove(self, session: Session, found: AcmeOrder) -> None:
        """Answer every pending authorization of an order that still needs it."""
        if found.status != "pending":
            return
        proof = Proof(self.ready, session, found)
        try:
            proof.run(self.authority, self._until())
        finally:
            self.tried = proof.failed
        names = shortly(self._known_order().identifiers)
        self.kit.journal.tell(EventName.VALIDATED, self.wish.name, names=names)

    def _finalise(self, session: Session, found: AcmeOrder) -> AcmeOrder:
        """Send the CSR, and wait for the certificate (RFC 8555 §7.4)."""
        from renewer.acme.problems import order_error

        order = self._known_order()
        request = self._request(order)
        if found.status != "processing":
            found = session.finalize(found, request)
        if found.status in ("pending", "processing"):  # not ready yet, or not signed yet
            found = session.wait_order(found.url, self._until())
        if found.status == "ready":
            found = session.finalize(found, request)
        if found.status == "processing":
            found = session.wait_order(found.url, self._until())
        if found.status == "invalid":
            raise order_error(found.error, self.authority)
        return found

    def _request(self, order: Order) -> bytes:
        """The CSR. Raises OurFault if the key that was kept for it cannot be read any more."""
        try:
            return x509.csr(self.kit.store.pending_key(self.wish.name, order.pending), order.identifiers)
        except ValueError as error:
            text = f"the key of the order at {self.authority} is damaged: {error}"
            raise OurFault(text, kind="key", hint="a new one is made for the next order") from None

    def _download(self, session: Session, found: AcmeOrder) -> None:
        """Fetch the chain and put it beside its key."""
        order, self.valid = self._known_order(), True
        chain = chains.download(self.kit, session, found, self.wish.name, self.authority)
        self.kit.store.keep_chain(self.wish.name, order.pending, chain)
        self.order = msgspec.structs.replace(order, state=OrderState.ISSUED)
        self.kit.ledger.save(self.order)

    # endings -----------------------------------------------------------------------------------------

    def _until(self) -> Callable[[], float]:
        """The end of waiting, on `clock.monotonic`; it comes nearer when somebody stops the run."""
        limit = clock.monotonic() + self.kit.order_limit
        return lambda: min(limit, self.kit.deadline)

    def _abandon(self) -> None:
        """Forget an order that will never be finished; its key was never used."""
        order = self._known_order()
        self.kit.ledger.drop(order)
        self.kit.store.clear(self.wish.name, order.pending)
        self.order = None

    def _failed(self, error: RenewerError) -> Outcome:
        """Remember the failure; an order that can still be finished stays for the next run."""
        if error.kind == BUDGET:
            return self._waits(error)
        part = bool(self.decision.names)
        failure = count(self.situation, self.authority, error, clock.now(), in_part=part, tried=self.tried)
        stopped = error.kind == "waiting" and self.kit.stopping.is_set()
        if not stopped:  # that we were told to stop is nobody's failure
            self.kit.ledger.save(failure)
        if self.order is not None and not resumable(error):
            if self.valid:
                self.issuer.allowance.wasted(self.order)
            self._abandon()
        self.kit.journal.tell(
            EventName.FAILED,
            self.wish.name,
            step=self.decision.step,
            authority=self.authority,
            error=error.text,
            hint=error.hint,
            problem=error.kind,
        )
        return Outcome(
            certificate=self.wish.name,
            step=self.decision.step,
            result=Result.WAITING if stopped else Result.FAILED,
            detail=error.text,
            hint=error.hint,
            took_ms=round((clock.monotonic() - self.started) * 1000),
            final=failure.final,
        )

    def _waits(self, error: RenewerError) -> Outcome:
        """The order budget says not now: nobody has failed."""
        if self.order is not None and self.order.url is None:
            self._abandon()
        self.kit.journal.tell(EventName.NOTICE, self.wish.name, text=error.text)
        return Outcome(
            certificate=self.wish.name, step=self.decision.step, result=Result.WAITING, detail=error.text
        )
