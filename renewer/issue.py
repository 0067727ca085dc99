"""One order from the intent to the downloaded chain, as RFC 8555 §7.1 tells it.

intent → order → present all → wait all → answer all → poll all → clean all → finalise → download.
Each step leaves a fact behind before the next begins: a run killed anywhere resumes the same order.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

import msgspec

from renewer import clock, x509
from renewer.challenges.solvers import solver_for
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.decision import Decision, Step
from renewer.model.facts import Debris, Order, OrderState, Situation, Version
from renewer.model.outcome import EventName, Outcome, Result
from renewer.policy import challenge as choosing
from renewer.policy.backoff import count
from renewer.policy.wanted import fits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from renewer.acme.client import Session
    from renewer.acme.nouns import AcmeOrder, Authorization, Offer
    from renewer.challenges.contract import Presented, Solver, Task
    from renewer.kit import Kit
    from renewer.model.desired import Challenge

ORDER_LIMIT = 300.0  # seconds that one run waits for an authority to validate or to sign
PARALLEL_NAMES = 8  # authorizations fetched at a time


class Issuer:
    """Issues certificates, any number at a time; solvers are shared and closed at the end."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self._solvers: dict[Challenge, Solver] = {}
        self._gone: list[Debris] = []
        self._down: dict[str, RetryLater] = {}
        self._guard = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for solver in self._solvers.values():
            solver.close()
        if self._gone:
            self.kit.ledger.drop(*self._gone)

    def solver(self, challenge: Challenge) -> Solver:
        """The one solver for a way to prove names: certificates that share it share its listener."""
        with self._guard:
            if challenge not in self._solvers:
                left = self.kit.ledger.load(Debris)
                self._solvers[challenge] = solver_for(challenge, left=left)
            return self._solvers[challenge]

    def gone(self, debris: Debris) -> None:
        """What was on record is cleaned up: forgotten when the solvers are closed: some end only then."""
        self._gone.append(debris)

    def session(self, authority: str) -> Session:
        """The conversation with an authority; one that cannot be reached is tried once a run.

        Raises RetryLater or GiveUp.
        """
        with self._guard:
            if authority in self._down:
                raise self._down[authority]
        try:
            session = self.kit.session(authority)
            _ = session.directory
        except RetryLater as error:
            with self._guard:
                self._down[authority] = error
            raise
        return session

    def obtain(self, situation: Situation, decision: Decision) -> Outcome:
        """Get the chain for one certificate and keep it beside its key. Never raises a RenewerError."""
        return _Attempt(self, situation, decision).run()


class _Attempt:
    """One certificate's way through one order."""

    def __init__(self, issuer: Issuer, situation: Situation, decision: Decision) -> None:
        self.issuer = issuer
        self.kit = issuer.kit
        self.situation = situation
        self.wish = situation.wish
        self.decision = decision
        self.authority = decision.authority or situation.wish.authorities[0]
        self.order: Order | None = None
        self.expected: dict[str, Debris] = {}  # by token: what a killed run would leave behind
        self.started = clock.monotonic()

    def run(self) -> Outcome:
        """The whole way, with whatever goes wrong as an outcome."""
        try:
            session = self.issuer.session(self.authority)
            found = self._take_up(session)
            if found.status != "valid":
                self._prove(session, found)
                found = self._finalise(session, found)
            self._download(session, found)
        except RenewerError as error:
            return self._failed(error)
        took = round((clock.monotonic() - self.started) * 1000)
        self.kit.journal.tell(EventName.ISSUED, self.wish.name, authority=self.authority, took_ms=took)
        return Outcome(
            certificate=self.wish.name,
            step=self.decision.step,
            result=Result.DONE,
            detail=f"{self.authority} issued a certificate for {_names(self._known_order().identifiers)}",
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
        if self.order is None:
            self._intend()
        return self._place(session)

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
            identifiers=self.decision.names or self.wish.names,
            degraded=bool(self.decision.names),
            key_type=self.wish.key,
            profile=self._profile(),
            at=now,
        )
        self.kit.store.prepare(self.wish.name, pending, self._key(), msgspec.json.encode(order))
        self.kit.ledger.save(order)
        self.order = order

    def _key(self) -> bytes:
        """A fresh key, or the newest version's if the config says so and it is of the right type."""
        if self.wish.reuse_key:
            for version in self.situation.versions:
                if not version.placeholder and version.leaf.key == self.wish.key:
                    return self.kit.store.read(self.wish.name, version.id).privkey
        return x509.new_key(self.wish.key)

    def _profile(self) -> str | None:
        return next((one.profile for one in self.situation.asked if one.authority == self.authority), None)

    def _place(self, session: Session) -> AcmeOrder:
        """Send newOrder and keep the order's URL before anything waits (RFC 8555 §7.4)."""
        order = self._known_order()
        replaced = self._replaced(session)
        found = session.new_order(
            order.identifiers, profile=order.profile, replaces=replaced.leaf.ari_id if replaced else None
        )
        self._keep_url(session, found, replaces=replaced.leaf.ari_id if replaced else None)
        self.kit.journal.tell(
            EventName.ORDERED,
            self.wish.name,
            authority=self.authority,
            url=found.url,
            profile=order.profile,
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

    def _keep_url(self, session: Session, found: AcmeOrder, replaces: str | None = None) -> None:
        order = msgspec.structs.replace(
            self._known_order(),
            state=OrderState.OPEN,
            account=session.account,
            url=found.url,
            expires=found.expires,
            replaces=replaces,
        )
        self.kit.ledger.save(order)
        self.order = order

    def _known_order(self) -> Order:
        assert self.order is not None  # noqa: S101  every way here passes _intend or an order found
        return self.order

    # proof -------------------------------------------------------------------------------------------

    def _prove(self, session: Session, found: AcmeOrder) -> None:
        """Answer every pending authorization; all are presented, then waited for together."""
        if found.status != "pending":
            return
        authorizations = self._authorizations(session, found)
        tasks = [self._task(session, one) for one in authorizations if one.status == "pending"]
        try:
            presented = [(solver, self._present(solver, task)) for solver, task, _ in tasks]
            for solver in {id(one): one for one, _ in presented}.values():
                solver.wait([p for s, p in presented if s is solver], self._warn)
            for _, _, offer in tasks:
                session.answer(offer)
            pending = [one.url for one in authorizations if one.status == "pending"]
            judged = session.wait_authorizations(pending, self._until())
            self._demand_valid(session, judged)
        finally:
            for solver, task, _ in tasks:
                self._clean_up(solver, task)
        self.kit.journal.tell(
            EventName.VALIDATED, self.wish.name, names=_names(self._known_order().identifiers)
        )

    def _authorizations(self, session: Session, found: AcmeOrder) -> list[Authorization]:
        if len(found.authorizations) == 1:
            return [session.authorization(found.authorizations[0])]
        with ThreadPoolExecutor(min(PARALLEL_NAMES, len(found.authorizations))) as pool:
            return list(pool.map(session.authorization, found.authorizations))

    def _task(self, session: Session, authorization: Authorization) -> tuple[Solver, Task, Offer]:
        """The challenge to answer for one name. Raises GiveUp if the configured one is not offered."""
        from renewer.challenges.contract import Task

        challenge = choosing.configured(self.wish, authorization.identifier, wildcard=authorization.wildcard)
        wanted = choosing.type_of(challenge)
        offers = {offer.type: offer for offer in authorization.challenges}
        if fault := choosing.fault(authorization.identifier, wanted, offers):
            raise GiveUp(
                fault, hint=f"choose another challenge for {authorization.identifier}", kind="challenge"
            )
        offer = offers[wanted]
        token = offer.token or ""
        task = Task(
            certificate=self.wish.name,
            identifier=authorization.identifier,
            type=wanted,
            token=token,
            key_authorization=session.key_authorization(token),
        )
        return self.issuer.solver(challenge), task, offer

    def _present(self, solver: Solver, task: Task) -> Presented:
        """What will be left behind is on record before it is there."""
        if debris := solver.debris_of(task):
            self.kit.ledger.save(debris)
            self.expected[task.token] = debris
        presented = solver.present(task)
        self.kit.journal.tell(
            EventName.CHALLENGE_PRESENTED,
            self.wish.name,
            identifier=str(task.identifier),
            type=task.type,
            where=presented.where,
        )
        return presented

    def _clean_up(self, solver: Solver, task: Task) -> None:
        left = solver.clean_up(task)
        if left is not None:
            self.kit.ledger.save(left)
            text = f"the challenge for {task.identifier} could not be removed: {left.where}"
            self._warn(f"{text}; the next run tries again")
        elif task.token in self.expected:
            self.issuer.gone(self.expected[task.token])

    def _demand_valid(self, session: Session, judged: Sequence[Authorization]) -> None:
        """Raise what the authority saw, for every name that failed; the order is dead then (§7.1.6)."""
        from renewer.acme.problems import failed_authorizations

        if error := failed_authorizations(list(judged), self.authority):
            for one in judged:
                if (
                    one.status == "pending"
                ):  # frees the account's quota of pending ones; valid ones stay useful
                    session.deactivate_authorization(one.url)
            raise error

    # certificate -------------------------------------------------------------------------------------

    def _finalise(self, session: Session, found: AcmeOrder) -> AcmeOrder:
        """Send the CSR, and wait for the certificate (RFC 8555 §7.4)."""
        from renewer.acme.problems import order_error

        order = self._known_order()
        request = x509.csr(self.kit.store.pending_key(self.wish.name, order.pending), order.identifiers)
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

    def _download(self, session: Session, found: AcmeOrder) -> None:
        """Fetch the chain and put it beside its key."""
        preferred = self.kit.config.authorities[self.authority].chain

        def leads_there(chain: bytes) -> bool:
            return preferred is None or x509.leads_to(chain, preferred)

        order = self._known_order()
        chain = session.download(found, choose=leads_there)
        self.kit.store.keep_chain(self.wish.name, order.pending, chain)
        self.order = msgspec.structs.replace(order, state=OrderState.ISSUED)
        self.kit.ledger.save(self.order)

    # endings -----------------------------------------------------------------------------------------

    def _until(self) -> Callable[[], float]:
        """The end of waiting, on `clock.monotonic`; it comes nearer when somebody stops the run."""
        limit = clock.monotonic() + ORDER_LIMIT
        return lambda: min(limit, self.kit.deadline)

    def _abandon(self) -> None:
        """Forget an order that will never be finished; its key was never used."""
        order = self._known_order()
        self.kit.ledger.drop(order)
        self.kit.store.clear(self.wish.name, order.pending)
        self.order = None

    def _failed(self, error: RenewerError) -> Outcome:
        """Remember the failure; an order that can still be finished stays for the next run."""
        part = bool(self.decision.names)
        failure = count(self.situation, self.authority, error, clock.now(), in_part=part)
        stopped = error.kind == "waiting" and self.kit.stopping.is_set()
        if not stopped:  # that we were told to stop is nobody's failure
            self.kit.ledger.save(failure)
        if self.order is not None and not _resumable(error):
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

    def _warn(self, text: str) -> None:
        self.kit.journal.tell(EventName.NOTICE, self.wish.name, text=text)


def _resumable(error: RenewerError) -> bool:
    """Whether the order may still be alive: nobody said that it or one of its names is refused."""
    return isinstance(error, RetryLater) and not error.identifiers


def _names(names: Sequence[object]) -> str:
    """The names for people: a few, then how many more."""
    shown = ", ".join(str(name) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
