"""What the orders of one run share: solvers, and the knowledge that an authority does not answer."""

from __future__ import annotations

import threading
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from renewer.errors import RetryLater
from renewer.issue import order
from renewer.issue.allowance import Allowance
from renewer.issue.clocks import Clocks
from renewer.issue.solvers import solver_for
from renewer.model.decision import EventName
from renewer.model.desired import HookEvent
from renewer.model.facts import Debris, Ordered, VersionFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from renewer.accounts.session import Session
    from renewer.context import Context
    from renewer.model.decision import Decision, Outcome
    from renewer.model.desired import Challenge
    from renewer.model.facts import Situation
    from renewer.model.solver import Solver
    from renewer.policy.terms import Terms


class Issuer:
    """Issues certificates, any number at a time; solvers are shared and closed at the end.

    `before` is called ahead of each order and raises RetryLater if it must not be begun; `terms` are those of
    the run, for the order budget. `noticed` is what we saw ourselves of a certificate's names before, `blank`
    whether this host remembers nothing.
    """

    def __init__(
        self,
        context: Context,
        before: Callable[[Situation], None] = lambda _: None,
        terms: Terms | None = None,
        noticed: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        self.context = context
        self.before = before
        self.noticed = noticed
        self.allowance = Allowance(context, terms)
        self.clocks = Clocks(context, self.session)
        self.blank = is_blank(context)
        self._solvers: dict[Challenge, Solver] = {}
        self._left: list[Debris] | None = None
        self._gone: list[tuple[Solver, Debris]] = []
        self._down: dict[str, RetryLater] = {}
        self._guard = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        faults = {id(solver): solver.close() for solver in self._solvers.values()}
        for fault in filter(None, faults.values()):
            self.context.journal.tell(EventName.NOTICE, text=f"{fault}; the next run calls it again")
        gone = [debris for solver, debris in self._gone if faults.get(id(solver)) is None]
        if gone:
            self.context.ledger.drop(*gone)

    def solver(self, challenge: Challenge) -> Solver:
        """The one solver for a way to prove names: certificates that share it share its listener."""
        with self._guard:
            if challenge not in self._solvers:
                if self._left is None:  # once: what this run leaves meanwhile, its solvers know themselves
                    self._left = self.context.ledger.load(Debris)
                made = solver_for(challenge, left=self._left, until=lambda: self.context.deadline)
                self._solvers[challenge] = made
            return self._solvers[challenge]

    def disturbs(self, situation: Situation) -> bool:
        """Whether `before` calls programs of the operator's for this certificate."""
        named = (self.context.config.hooks[name] for name in situation.wish.hooks)
        return any(HookEvent.PRE in hook.events for hook in named)

    def gone(self, solver: Solver, debris: Debris) -> None:
        """What was on record is cleaned up; forgotten when its solver is closed well: some end only then."""
        self._gone.append((solver, debris))

    def session(self, authority: str) -> Session:
        """The conversation with an authority; one that cannot be reached is tried once a run.

        Raises RetryLater or GiveUp.
        """
        with self._guard:
            if authority in self._down:
                raise self._down[authority]
        try:
            session = self.context.session(authority)
            _ = session.directory
        except RetryLater as error:
            with self._guard:
                self._down[authority] = error
            raise
        return session

    def obtain(self, situation: Situation, decision: Decision) -> Outcome:
        """Get the chain for one certificate and keep it beside its key. Never raises a RenewerError."""
        return order.obtain(self, situation, decision)


def is_blank(context: Context) -> bool:
    """Whether nothing was ever ordered by what this host remembers, for any certificate."""
    issued = (record for record in context.ledger.load(VersionFacts) if not record.version.placeholder)
    return not context.ledger.load(Ordered) and next(issued, None) is None
