"""One certificate's way through one order, as RFC 8555 §7.1 tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from renewer import clock, words, x509
from renewer.errors import GiveUp, OurFault, RenewerError, RetryLater
from renewer.issue import chains
from renewer.issue.allowance import BUDGET
from renewer.issue.clocks import CLOCK
from renewer.issue.orders import KEY_REFUSED, Orders, ends, give_up
from renewer.issue.proof import Proof
from renewer.issue.readiness import Readiness
from renewer.model.decision import Decision, EventName, Outcome, Reason, Result, Step
from renewer.model.facts import Order, OrderState, RefusedKey, Revoked, Situation, Version
from renewer.policy import budget
from renewer.policy.backoff import count, known
from renewer.policy.wanted import fits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from renewer.accounts.session import Session
    from renewer.context import Context
    from renewer.issue.issuer import Issuer
    from renewer.model.desired import Certificate
    from renewer.model.facts import Order, Situation
    from renewer.model.names import Identifier
    from renewer.network.acme.resources import AcmeOrder


T = TypeVar("T")
NAP = 0.25  # seconds: how soon it is noticed that the end of waiting came nearer


_NOTICED = 3  # findings of our own beside the authority's words


class Attempt:
    """One certificate's way through one order."""

    def __init__(self, issuer: Issuer, situation: Situation, decision: Decision) -> None:
        self.issuer = issuer
        self.context = issuer.context
        self.situation = situation
        self.wish = situation.wish
        self.decision = decision
        self.authority = decision.authority or situation.wish.authorities[0]
        self.orders = Orders(self.context, situation)
        self.keys = Keys(self.context, situation)
        failure = known(situation, self.authority)
        self.ready = Readiness(issuer, self.wish, self.authority, failure)
        self.tried: Mapping[str, int] = {}  # by name: the place of the challenge that failed
        self.started = clock.monotonic()
        self.note = ""  # what a person should know though it went well

    def run(self) -> Outcome:
        """The whole way, with whatever goes wrong as an outcome."""
        try:
            if self._is_to_order():
                self.keys.demand_request(self.authority)
                self.ready.files(self.ready.unproven(self._names()))
            if disturbing := self.issuer.disturbs(self.situation):
                self._clocks_agree(early=True)
            self.issuer.before(self.situation)
            self.ready.disturbed |= disturbing
            session = self.issuer.session(self.authority)
            self._clocks_agree()
            if (found := self._take_up(session)) is not None:
                if found.status != "valid" or found.certificate is None:
                    self._prove(session, found)
                    found = self._finalise(session, found)
                self.orders.issued(self._fetch(session, found))
        except RenewerError as error:
            return self._failed(error)
        except Exception as error:  # noqa: BLE001  what nobody foresaw is this certificate's failure alone
            self.context.journal.trace(self.wish.name, error)
            return self._failed(OurFault.of(error))
        took = round((clock.monotonic() - self.started) * 1000)
        self.context.journal.tell(EventName.ISSUED, self.wish.name, authority=self.authority, took_ms=took)
        names = words.several(self.orders.known.identifiers)
        return Outcome(
            certificate=self.wish.name,
            step=self.decision.step,
            result=Result.DONE,
            detail=f"{self.authority} issued a certificate for {names}",
            hint=self.note,
            took_ms=took,
        )

    def _clocks_agree(self, *, early: bool = False) -> None:
        """Ours and the authority's. `early`, before servers are stopped for it, only that is told.

        What else goes wrong may be put right by the hooks that are called then.
        """
        try:
            self._patiently(lambda: self.issuer.clocks.check(self.authority, self.situation))
        except RenewerError as error:
            if not early or error.kind == CLOCK:
                raise

    # intent and order --------------------------------------------------------------------------------

    def _take_up(self, session: Session) -> AcmeOrder | None:
        """The order of an earlier run if it can still be finished, else a new one.

        None if one that was parked has become a certificate: its chain is here.
        """
        orders = self.orders
        if self.decision.step is Step.RESUME and orders.current is not None:
            found = self._patiently(lambda: orders.find_again(session))
            if found is not None:
                self.context.journal.tell(EventName.ORDERED, self.wish.name, url=found.url, resumed=True)
                return found
            if orders.known.url is not None:
                orders.put_aside(session)
        elif orders.current is not None:
            # It is for another wish, its key is gone, it gets no further, or its authority is passed over
            self._wasted()
            same = orders.current.authority == self.authority
            orders.put_aside(session if same else None)
        anew = self.decision.reason is Reason.NEW_KEY  # what was ordered with the old one is no answer
        if not anew and orders.recovered(self.issuer.session, self._fetch):
            self.authority = orders.known.authority
            self.context.journal.tell(EventName.ORDERED, self.wish.name, url=orders.known.url, resumed=True)
            return None
        self.ready.ports(self.ready.unproven(self._names()))
        if orders.current is None:
            self._intend(session)
        found = self._place(session)
        if self.issuer.blank and _is_known_there(self.context, self.wish, session, found):
            self.note = _forgets(self.context, self.wish, self.authority)
        return found

    def _is_to_order(self) -> bool:
        """Whether nothing is open at the authority as far as we know."""
        order = self.situation.order
        return self.decision.step is Step.ISSUE or order is None or order.url is None

    def _names(self) -> tuple[Identifier, ...]:
        """Those to be ordered."""
        if self.decision.step is Step.RESUME and self.situation.order:
            return self.situation.order.identifiers
        return self.decision.names or self.wish.names

    def _intend(self, session: Session) -> None:
        """What is to be ordered, before anything leaves this host."""
        now = clock.now()
        order = Order(
            certificate=self.wish.name,
            pending=f"{now:%Y%m%dT%H%M%SZ}-{now.microsecond:08x}",
            state=OrderState.INTENT,
            authority=self.authority,
            directory=self.context.config.authorities[self.authority].directory,
            identifiers=self._names(),
            degraded=bool(self.decision.names),
            key_type=self.wish.key,
            profile=self._profile(session),
            at=self.orders.newest_of_all(now),
            csr=self.wish.csr.spki if self.wish.csr else None,
        )
        if self.wish.csr:
            self.orders.begin(order, b"", self.wish.csr.der)
        else:
            self.orders.begin(order, self.keys.choose(anew=self.decision.reason is Reason.NEW_KEY))

    def _profile(self, session: Session) -> str | None:
        """The first of the config that the authority offers. Raises GiveUp if it offers none."""
        asked = next((one for one in self.situation.asked if one.authority == self.authority), None)
        return session.choose_profile(asked.profiles) if asked else None

    def _place(self, session: Session) -> AcmeOrder:
        """Send newOrder and keep the order's URL before anything waits (RFC 8555 §7.4).

        An authority may hand back the very order that was let go: it is ended there, and this said once more.
        """
        with self.issuer.allowance.spent(self.situation, self.orders.known, self.decision) as record:
            found, replaced = self._order_anew(session)
            if self.orders.is_former(found.url):
                give_up(session, found.authorizations, ("pending", "valid"))
                found, replaced = self._order_anew(session)
        self.orders.take_back(found.url)  # it insists on an order whose CSR was sent: that has its own key
        order = self.orders.placed(session, found, replaced, budget.accepted(record, found.url))
        self.context.journal.tell(
            EventName.ORDERED,
            self.wish.name,
            authority=self.authority,
            url=found.url,
            profile=order.profile,
            without=words.several([name for name in self.wish.names if name not in order.identifiers]),
            replaces_refused=found.replaces_refused,
        )
        return found

    def _order_anew(self, session: Session) -> tuple[AcmeOrder, str | None]:
        order = self.orders.known
        replaced = self._replaced(session)
        replaces = replaced.leaf.ari_id if replaced else None
        found = self._patiently(
            lambda: session.new_order(order.identifiers, profile=order.profile, replaces=replaces)
        )
        return found, replaces

    def _replaced(self, session: Session) -> Version | None:
        """The newest certificate by that account for that wish: the one a renewal replaces (RFC 9773 §5)."""
        for version in self.situation.versions:
            same_account = version.authority == self.authority and version.account == session.account
            if same_account and version.leaf.ari_id and fits(version, self.situation):
                return version
        return None

    # proof and certificate -----------------------------------------------------------------------------

    def _prove(self, session: Session, found: AcmeOrder) -> None:
        """Answer every pending authorization of an order that still needs it."""
        if found.status != "pending":
            return
        proof = Proof(self.ready, session, found)
        try:
            proof.run(self.authority, self._until(), self._patiently)
        finally:
            self.tried = proof.failed
            self.orders.note(found, proof.proven)
        names = words.several(self.orders.known.identifiers)
        self.context.journal.tell(EventName.VALIDATED, self.wish.name, names=names)

    def _finalise(self, session: Session, found: AcmeOrder) -> AcmeOrder:
        """Send the CSR, and wait for the certificate (RFC 8555 §7.4).

        What the order's URL shows is the truth: an order that is ready again is handed the CSR once more.
        """
        from renewer.network.acme.problems import order_error

        request = self._request(self.orders.known)
        until = self._until()
        for _ in range(2):
            if found.status in ("pending", "ready"):
                found = self._hand_in(session, found, request)
                self.orders.note(found)
            if found.status in ("pending", "processing") or not found.certificate:
                found = session.wait_order(found.url, until, found, self.orders.note)
            if found.status != "ready":
                break
        if found.status == "invalid":
            raise order_error(found.error, self.authority)
        if found.status != "valid":
            text = f"{self.authority} took the CSR, and the order {found.url} is {found.status} as before"
            raise RetryLater(text, kind="not-finalized")
        return found

    def _hand_in(self, session: Session, found: AcmeOrder, request: bytes) -> AcmeOrder:
        """The CSR is sent; that it may have been is on record before."""
        self.orders.sending(sent=True)
        try:
            return self._patiently(lambda: session.finalize(found, request))
        except GiveUp as error:
            if error.kind != "gone":  # the authority refused it: nothing can come of the order as it is
                self.orders.sending(sent=False)
            if error.kind in KEY_REFUSED:
                raise self.keys.refused(self.orders.known, error) from error
            raise

    def _request(self, order: Order) -> bytes:
        """The CSR. Raises OurFault if the key that was kept for it cannot be read any more."""
        if order.csr:
            return self.context.store.pending_request(self.wish.name, order.pending)
        try:
            return x509.csr(self.context.store.pending_key(self.wish.name, order.pending), order.identifiers)
        except ValueError as error:
            text = f"the key of the order at {self.authority} is damaged: {error}"
            raise OurFault(text, kind="key", hint="a new one is made for the next order") from None

    def _fetch(self, session: Session, found: AcmeOrder) -> bytes:
        """The chain, as the config prefers it."""
        return self._patiently(
            lambda: chains.download(self.context, session, found, self.wish.name, self.authority)
        )

    # endings -----------------------------------------------------------------------------------------

    def _until(self) -> Callable[[], float]:
        """The end of waiting, on `clock.monotonic`; it comes nearer when somebody stops the run."""
        limit = clock.monotonic() + self.context.order_limit
        return lambda: min(limit, self.context.deadline)

    def _patiently(self, act: Callable[[], T]) -> T:
        """Do it, and again if the authority is out of order for a moment and says for how long (503)."""
        until = self._until()
        while True:
            try:
                return act()
            except RetryLater as error:
                if error.not_before is None or error.kind not in ("http-503", "serverInternal"):
                    raise
                self._rest(error, clock.monotonic() + (error.not_before - clock.now()).total_seconds(), until)

    @staticmethod
    def _rest(error: RenewerError, moment: float, until: Callable[[], float]) -> None:
        """Until the authority wants to be asked again. Raises the error if the end of waiting comes first."""
        while (now := clock.monotonic()) < moment:
            if moment > until():
                raise error
            clock.sleep(min(moment - now, NAP))

    def _failed(self, error: RenewerError) -> Outcome:
        """Remember the failure; an order that can still be finished stays for the next run."""
        error = self.issuer.clocks.blame(error, self.authority, self.situation)
        if error.kind in (BUDGET, CLOCK):
            return self._waits(error)
        if error.kind == "gone" and isinstance(error, GiveUp):  # nobody need do anything: others will come
            error = RetryLater(error.text, kind=error.kind)
        if error.identifiers and (noticed := self.issuer.noticed.get(self.wish.name)):
            seen_here = "seen from here: " + "; ".join(noticed[:_NOTICED])
            error.hint = f"{seen_here} / {error.hint}" if error.hint else seen_here
        part = bool(self.decision.names)
        failure = count(self.situation, self.authority, error, clock.now(), in_part=part, tried=self.tried)
        stopped = error.kind == "waiting" and self.context.stopping.is_set()
        if not stopped:  # that we were told to stop is nobody's failure
            self.context.ledger.save(failure)
        if self.orders.current is not None:
            if ends(error, sent=self.orders.known.sent):
                self._wasted()
                self.orders.drop()
            else:
                self.orders.failed(error, stopped=stopped)
        return Outcome.failed(
            *(self.context.journal.tell, self.wish.name, self.decision.step, error.text),
            hint=error.hint,
            stopped=stopped,
            took_ms=round((clock.monotonic() - self.started) * 1000),
            authority=self.authority,
            problem=error.kind,
        )

    def _wasted(self) -> None:
        """What was issued for an order that is given up comes to nothing: the budget remembers that."""
        if self.orders.known.reached == "valid":
            self.issuer.allowance.wasted(self.orders.known)

    def _waits(self, error: RenewerError) -> Outcome:
        """The order budget or a clock says not now: nobody has failed."""
        if self.orders.current is not None and self.orders.known.url is None:
            self.orders.drop()
        self.context.journal.tell(EventName.NOTICE, self.wish.name, text=error.text)
        return Outcome(
            certificate=self.wish.name,
            step=self.decision.step,
            result=Result.WAITING,
            detail=error.text,
            hint=error.hint,
        )


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


def _is_known_there(context: Context, wish: Certificate, session: Session, found: AcmeOrder) -> bool:
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


def _forgets(context: Context, wish: Certificate, authority: str) -> str:
    """Say so, once a start: in the log, which is lost as well, and by the sentence that is returned."""
    state = context.config.agent.state
    text = (
        f"the account at {authority} has ordered these names within the last days, and nothing in {state} "
        "remembers it: each start without its state costs an order, and authorities allow a few a week"
    )
    hint = f"keep {state} between starts (in a container: a volume); docs/operations.md"
    context.journal.tell(EventName.NOTICE, wish.name, text=text, hint=hint)
    return f"{text}: {hint}"
