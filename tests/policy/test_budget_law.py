"""The law of the order budget, and that it never costs a certificate: any authority, any clock, any wake.

A state machine plays the agent: at each run it decides, and what it decides to order is accepted, refused,
spoiled, or issued with a window that is now. `policy` alone is at work, so that a week takes milliseconds.
"""

from datetime import datetime, timedelta
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from renewer.errors import GiveUp, OurFault, RenewerError, RetryLater
from renewer.model.decision import Decision, Step
from renewer.model.facts import Asked, Order, Ordered, OrderState, Situation
from renewer.policy import budget
from renewer.policy.backoff import count
from renewer.policy.due import decide
from renewer.policy.issuing import RENEWALS, calling
from renewer.policy.terms import Terms
from renewer.policy.wanted import ASSUMED_LIFETIME
from renewer.policy.window import in_emergency
from tests.builders import DAY, HOUR, NOW, WISH, absent, version, window, wish
from tests.marks import examples

AUTHORITIES = ("letsencrypt", "google")
BAD = (("www.example.org", "no such host"),)
FATES = ("away", "refused", "bad name", "never ends", "spoiled", "issued", "window now", "short", "gone")
LIFETIMES = (90 * DAY, 45 * DAY, 20 * DAY, 6 * DAY, 5 * DAY)


class Agent:
    """One certificate's life; `sent` has when something was ordered, of whom, and whether it was urgent."""

    def __init__(self, lifetime: timedelta, wake: timedelta, authorities: tuple[str, ...]) -> None:
        self.lifetime, self.wake = lifetime, wake
        self.facts: Situation = absent(wish=wish(authorities=authorities, hooks=(), endpoints=()))
        self.facts = replace(
            self.facts,
            asked=tuple(
                Asked(authority=name, wish=WISH, directory=f"https://{name}/") for name in authorities
            ),
        )
        self.now = NOW
        self.ahead = timedelta(0)
        self.number = 0
        self.sent: list[tuple[datetime, str, bool]] = []
        self.versions = 0

    @property
    def clock(self) -> datetime:
        """What the agent believes."""
        return self.now + self.ahead

    def terms(self, **changes: Any) -> Terms:
        """Those of a run now."""
        given: dict[str, Any] = {"now": self.clock, "wake": self.wake}
        return Terms(**(given | changes))

    def run(self, fate: str) -> int:
        """A run: decide, order, and again, as `rounds` does; how many newOrders were accepted."""
        for record in budget.seen_by(self.facts, self.clock):
            self._keep(record)
        ordered: set[tuple[str, frozenset[str]]] = set()
        made, done = 0, False
        for turn in range(4):
            terms = self.terms(begun=turn > 0, ordered=frozenset(ordered))
            decision = decide(self.facts, terms)
            if decision.step is not Step.ISSUE or done:
                break
            made += self._order(decision, terms, fate)
            names = frozenset(str(name) for name in decision.names or self.facts.wish.names)
            if fate != "away" and decision.authority:
                ordered.add((decision.authority, names))
            done = fate in ("issued", "window now", "short")
        return made

    def _keep(self, record: Ordered) -> None:
        others = tuple(one for one in self.facts.ordered if one.key != record.key)
        self.facts = replace(self.facts, ordered=(*others, record))

    def _order(self, decision: Decision, terms: Terms, fate: str) -> int:
        assert decision.authority is not None
        self.number += 1
        order = Order(
            certificate="www",
            pending=f"{self.number}",
            state=OrderState.OPEN,
            authority=decision.authority,
            directory=f"https://{decision.authority}/",
            identifiers=decision.names or self.facts.wish.names,
            degraded=bool(decision.names),
            key_type=self.facts.wish.key,
            profile=None,
            at=max([self.clock, *(v.made_at + timedelta(seconds=1) for v in self.facts.versions)]),
        )
        call = terms.call if order.degraded else calling(self.facts, terms)
        call = replace(call, renewal=decision.reason in RENEWALS)
        assert budget.next_order(self.facts, decision.authority, call) is None, "decided and not allowed"
        record = budget.reserved(self.facts, decision.authority, order, call)
        if fate == "away":
            self._fail(RetryLater("it is away"), decision)
            return 0
        self._keep(budget.accepted(record, f"/{self.number}"))
        urgent = any(in_emergency(one.leaf, self.clock) for one in self.facts.versions[:1])
        self.sent.append((self.now, decision.authority, urgent))
        self._end(fate, order, decision)
        return 1

    def _end(self, fate: str, order: Order, decision: Decision) -> None:
        match fate:
            case "refused":
                self._fail(GiveUp("no", kind="rejectedIdentifier"), decision)
            case "bad name":
                self._fail(RetryLater("no such host", identifiers=BAD), decision)
            case "never ends":
                self._fail(RetryLater("still at work", kind="waiting"), decision)
            case "spoiled" | "gone":
                kept = budget.wasted(self.facts.ordered, order.at) if fate == "spoiled" else ()
                for record in kept:
                    self._keep(record)
                self._fail(OurFault("the chain is none", kind="unsound"), decision)
            case _:
                self._issue(fate, order)

    def _fail(self, error: RenewerError, decision: Decision) -> None:
        assert decision.authority is not None
        failed = count(self.facts, decision.authority, error, self.clock, in_part=bool(decision.names))
        others = tuple(one for one in self.facts.failures if one.authority != failed.authority)
        self.facts = replace(self.facts, failures=(*others, failed))

    def _issue(self, fate: str, order: Order) -> None:
        """A certificate; with the fate "short" it is nearly over when it comes."""
        age = self.lifetime * 0.9 if fate == "short" else timedelta(0)
        fresh = version(
            self.number,
            at=self.clock,
            age=age,
            lifetime=self.lifetime,
            authority=order.authority,
            directory=order.directory,
            degraded=order.degraded,
        )
        fresh = replace(fresh, made_at=order.at, leaf=replace(fresh.leaf, names=order.identifiers))
        told = (window(fresh, self.clock - HOUR, self.clock + HOUR / 60),) if fate == "window now" else ()
        self.versions += 1
        self.facts = replace(
            self.facts,
            versions=(fresh, *self.facts.versions)[:5],
            live=fresh.id,
            failures=self.facts.failures if order.degraded else (),
            windows=told,
        )

    def most_in(self, span: timedelta, *, urgent: bool) -> int:
        """The most orders that one authority accepted in any time so long; unless `urgent`, of calm ones."""
        most = 0
        for begin, authority, _ in self.sent:
            within = [
                rushed for at, whom, rushed in self.sent if whom == authority and begin <= at <= begin + span
            ]
            if urgent or not any(within):
                most = max(most, len(within))
        return most


class Budget(RuleBasedStateMachine):
    """Anything that an authority, a timer, a clock or a careless person may do."""

    @initialize(
        lifetime=st.sampled_from(LIFETIMES),
        wakes=st.sampled_from((300, 100, 30, 12, 4)),
        several=st.booleans(),
    )
    def begin(self, lifetime: timedelta, wakes: int, several: bool) -> None:  # noqa: FBT001
        """A certificate that is not there yet."""
        wake = max(lifetime / wakes, HOUR / 12)
        self.strange: set[int] = set()
        self.agent = Agent(lifetime, wake, AUTHORITIES[: 2 if several else 1])

    @rule(fate=st.sampled_from(FATES), runs=st.integers(1, 40), share=st.sampled_from((1, 4, 20)))
    def runs(self, fate: str, runs: int, share: int) -> None:
        """Some runs, at the timer's pace or more often, that all meet the same fate."""
        for _ in range(runs):
            made = self.agent.run(fate)
            assert made <= 2 * len(self.agent.facts.wish.authorities)
            self.agent.now += max(self.agent.wake / share, HOUR / 12)

    @rule(days=st.sampled_from((-200, -20, -1, 0, 1, 20, 200)))
    @precondition(lambda self: self.agent.ahead == timedelta(0))
    def jump(self, days: int) -> None:
        """A clock that goes wrong, and comes back: every run in the wrong time meets a refusal."""
        self.strange.add(days)  # a clock that goes to a new time may also have been switched off till then
        self.agent.ahead = days * DAY
        self.agent.run("refused")
        self.agent.ahead = timedelta(0)
        self.agent.run("refused")

    @rule()
    def the_ledger_is_lost(self) -> None:
        """But for the orders of which nothing is left elsewhere: those that failed are forgiven."""
        if all(one[0] < self.agent.now - 31 * DAY for one in self.agent.sent):
            self.agent.facts = replace(self.agent.facts, ordered=(), failures=())

    @rule()
    def the_wish_changes(self) -> None:
        """Earlier failures count no more; orders do."""
        self.agent.facts = replace(self.agent.facts, failures=())

    @invariant()
    def few(self) -> None:
        """The law."""
        if not hasattr(self, "agent") or self.agent.ahead:
            return
        lifetime = self.agent.lifetime
        assert self.agent.most_in(min(7 * DAY, 0.7 * lifetime), urgent=False) <= 10 + budget.CAPACITY * len(
            self.strange - {0}
        )
        assert self.agent.most_in(7 * DAY, urgent=True) <= 31 + budget.CAPACITY * len(self.strange - {0})

    @invariant()
    def never_stuck(self) -> None:
        """The counter-law: if all goes well from now on, what is due is ordered within r and a wake."""
        if not hasattr(self, "agent") or self.agent.ahead:
            return
        agent, facts = self.agent, self.agent.facts
        due = decide(replace(facts, failures=(), ordered=()), agent.terms())
        if due.step is not Step.ISSUE:
            return
        held = [
            hold.until
            for name in facts.wish.authorities
            if (hold := budget.next_order(facts, name, calling(facts, agent.terms())))
        ]
        spent = any(one.wasted or one.renewal for record in facts.ordered for one in record.orders)
        lifetime = agent.lifetime if facts.versions else ASSUMED_LIFETIME
        longest = budget.issued_step(lifetime) if spent else budget.step(lifetime)
        names = calling(facts, agent.terms()).spare
        assert len(held) < len(facts.wish.authorities) or min(held) - agent.clock <= longest * (1 + names)


TestBudget = Budget.TestCase
TestBudget.settings = settings(
    max_examples=examples(25),
    stateful_step_count=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
