"""Proving control of an order's names (RFC 8555 §7.5): all are presented, then waited for together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from renewer.challenges.contract import Task
from renewer.errors import GiveUp, RenewerError, RetryLater, StateError
from renewer.model.outcome import EventName
from renewer.policy import challenge as choosing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from renewer.acme.client import Session
    from renewer.acme.nouns import AcmeOrder, Authorization, Offer
    from renewer.challenges.contract import Presented, Solver
    from renewer.issue.issuer import Issuer
    from renewer.model.desired import Certificate
    from renewer.model.facts import Debris

_OUR_SIDE = frozenset({"untrusted", "ca_bundle", "url", "directory", "secret", "account-key"})
PARALLEL_NAMES = 8  # authorizations fetched at a time


class Proof:
    """The authorizations of one order, from the challenges to the authority's verdict."""

    def __init__(self, issuer: Issuer, wish: Certificate, session: Session, found: AcmeOrder) -> None:
        self.issuer = issuer
        self.kit = issuer.kit
        self.wish = wish
        self.session = session
        self.found = found
        self.expected: dict[str, Debris] = {}  # by token: what a killed run would leave behind

    def run(self, authority: str, until: Callable[[], float]) -> None:
        """Prove every name that is not proven yet; `until` is on clock.monotonic.

        Whatever happens, what was presented is cleaned up. Raises RetryLater or GiveUp.
        """
        from renewer.acme.problems import failed_authorizations

        pending = [one for one in self._authorizations() if one.status == "pending"]
        tasks = [self._task(one) for one in pending]
        try:
            presented = [(solver, self._present(solver, group)) for solver, group in _by_solver(tasks)]
            for solver, shown in presented:
                solver.wait(shown, self._warn)
            for _, _, offer in tasks:
                self.session.answer(offer)
            judged = self._judged(pending, until)
            if error := failed_authorizations(list(judged), authority):
                raise error
        except RenewerError as error:
            if not resumable(error):
                self._give_up(pending)
            raise
        finally:
            for solver, group in _by_solver(tasks):
                self._clean_up(solver, group)

    def _judged(
        self, pending: Sequence[Authorization], until: Callable[[], float]
    ) -> Sequence[Authorization]:
        """The authority's verdicts; if some do not come in time, those that did, if one of them is a refusal.

        Then the order is dead already, and the names that failed must be told, not that others are slow.
        """
        urls = [one.url for one in pending]
        try:
            return self.session.wait_authorizations(urls, until)
        except RetryLater as error:
            if error.kind != "waiting":
                raise
            judged = [one for one in map(self.session.authorization, urls) if one.status != "pending"]
            if all(one.status == "valid" for one in judged):
                raise
            return judged

    def _give_up(self, pending: Sequence[Authorization]) -> None:
        """The order is lost: what is pending is given up, lest it count against the account (§7.5.2).

        Those that became valid meanwhile stay: they shorten the next try.
        """
        for one in pending:
            try:
                if self.session.authorization(one.url).status == "pending":
                    self.session.deactivate_authorization(one.url)
            except RenewerError:
                return  # it only would have been kind

    def _authorizations(self) -> list[Authorization]:
        if len(self.found.authorizations) == 1:
            return [self.session.authorization(self.found.authorizations[0])]
        with ThreadPoolExecutor(min(PARALLEL_NAMES, len(self.found.authorizations))) as pool:
            return list(pool.map(self.session.authorization, self.found.authorizations))

    def _task(self, authorization: Authorization) -> tuple[Solver, Task, Offer]:
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
            key_authorization=self.session.key_authorization(token),
        )
        return self.issuer.solver(challenge), task, offer

    def _present(self, solver: Solver, tasks: Sequence[Task]) -> Sequence[Presented]:
        """What will be left behind is on record before it is there."""
        solver.prepare(tasks)
        expected = {task.token: debris for task in tasks if (debris := solver.debris_of(task))}
        if expected:
            self.kit.ledger.save(*expected.values())
            self.expected.update(expected)
        presented = solver.present_all(tasks)
        for one in presented:
            self.kit.journal.tell(
                EventName.CHALLENGE_PRESENTED,
                self.wish.name,
                identifier=str(one.task.identifier),
                type=one.task.type,
                where=one.where,
            )
        return presented

    def _clean_up(self, solver: Solver, tasks: Sequence[Task]) -> None:
        left = solver.clean_up_all(tasks)
        for debris in left:
            self.kit.ledger.save(debris)
            self._warn(f"left behind by a challenge: {debris.where}; the next run tries again to remove it")
        still_there = {debris.key for debris in left}
        for task in tasks:
            if (expected := self.expected.get(task.token)) and expected.key not in still_there:
                self.issuer.gone(expected)

    def _warn(self, text: str) -> None:
        self.kit.journal.tell(EventName.NOTICE, self.wish.name, text=text)


def _by_solver(tasks: Sequence[tuple[Solver, Task, Offer]]) -> list[tuple[Solver, list[Task]]]:
    """The tasks of each solver together: they may share one call to somebody."""
    groups: dict[int, tuple[Solver, list[Task]]] = {}
    for solver, task, _ in tasks:
        groups.setdefault(id(solver), (solver, []))[1].append(task)
    return list(groups.values())


def resumable(error: RenewerError) -> bool:
    """Whether the order may still be alive: nobody said that it or one of its names is refused.

    A disk that is full, or a trust that was misconfigured meanwhile, says nothing of the order: given up, the
    same certificate would be ordered again.
    """
    if error.identifiers:
        return False
    return isinstance(error, RetryLater | StateError) or error.kind in _OUR_SIDE


def shortly(names: Sequence[object]) -> str:
    """The names for people: a few, then how many more."""
    shown = ", ".join(str(name) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
