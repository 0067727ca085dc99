"""Acts until everything is seen at its ports or must wait: decide, act, read again, decide again.

Orders run side by side; deployments wait for them, so that each server is reloaded once a batch, but not for
stragglers. A step that makes no progress is not taken for ever.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import assert_never

import msgspec

from renewer import acceptance, clock, deploy, install, inventory, observe, refresh
from renewer.context import Context
from renewer.doctor.preflight import FirstOrders
from renewer.errors import OurFault, RenewerError
from renewer.issue import Issuer
from renewer.issue.allowance import Allowance
from renewer.model.decision import Decision, EventName, Outcome, Plan, Reason, Result, Step, about
from renewer.model.facts import DeploymentState, EndpointState, Situation
from renewer.policy.authority import candidates
from renewer.policy.deploy_window import closed_until
from renewer.policy.due import decide
from renewer.policy.health import ended_holds, removable
from renewer.policy.terms import Acted, Terms, after, for_batch
from renewer.pre_post import Around
from renewer.report import history

ENOUGH = 3  # times that one run takes the same step for one certificate: more is a defect, not progress
STRAGGLERS = 60.0  # seconds after the first is ready to be deployed, then the others are not waited for
_ORDERING = frozenset({Step.RESUME, Step.ISSUE, Step.INSTALL})


class Reconciler:
    """The acting part of one run. `situations` is kept up to date as facts change."""

    def __init__(self, context: Context, terms: Terms, situations: dict[str, Situation]) -> None:
        self.context = context
        self.terms = terms
        self.situations = dict(situations)
        self.outcomes: list[Outcome] = []
        self.open: dict[str, Decision] = {}  # what may be done, but for what is in flight
        self.acted: defaultdict[str, Acted] = defaultdict(Acted)
        self.flying: dict[Future[list[Outcome]], Decision] = {}
        self.preflight = FirstOrders(context)
        self.ready_since: float | None = None
        self.allowance: Allowance | None = None

    def work(self, plan: Plan) -> tuple[list[Outcome], dict[str, Situation]]:
        """Carry a plan out, and what follows from it; returns what came of it and the facts at the end."""
        self.open = {decision.certificate: decision for decision in plan.decisions if decision.acts}
        workers = max(1, min(self.context.config.agent.workers, len(self.open)))
        ordering = [name for name, one in self.open.items() if one.step in (Step.RESUME, Step.ISSUE)]
        around = Around(self.context, [self.situations[name] for name in ordering])
        posts: list[Outcome] = []
        try:
            # Whoever listens for challenges has ended before `post` starts a server at the same port
            with (
                Issuer(self.context, around.before, self.terms, self.preflight.found) as issuer,
                self._pool(workers) as pool,
            ):
                self.allowance = issuer.allowance
                while touched := self._round(issuer, pool):
                    self._read_again(touched)
        finally:  # what `pre` stopped is started whatever happened
            posts = around.after()
        self._catch_up(around.begun)
        self._keep(posts)
        self._prune()
        return self.outcomes, self.situations

    def _pool(self, workers: int) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(workers, thread_name_prefix="order")

    def _read_again(self, touched: Iterable[str]) -> None:
        """Take in what has changed, and decide anew."""
        taken = inventory.take(self.context, touched)
        # What was just issued goes live only then
        if judged := acceptance.judge(self.context, taken.values()):
            taken |= inventory.take(self.context, judged)
        for name, situation in taken.items():
            self.situations[name] = situation
            decision = decide(situation, self._terms_for(name))
            self.open.pop(name, None)
            if decision.acts:
                self.open[name] = decision

    def _round(self, issuer: Issuer, pool: ThreadPoolExecutor) -> set[str]:
        """Whatever can be done next; returns whose facts changed, nobody's when all is done or must wait."""
        may = [decision for decision in self.open.values() if self._may_act(decision)]
        self.start_orders([decision for decision in may if decision.step in _ORDERING], issuer, pool)
        deploying = [decision.certificate for decision in may if decision.step is Step.DEPLOY]
        if deploying and self.ready_since is None:
            self.ready_since = clock.monotonic()
        if self.flying:
            patience = STRAGGLERS - (clock.monotonic() - (self.ready_since or 0)) if deploying else None
            if patience is None or patience > 0:
                return self._land(patience) or set(deploying)
        step = min({one.step for one in may} - _ORDERING, key=lambda one: about(one).place, default=Step.KEEP)
        return self._act(step, [decision.certificate for decision in may if decision.step is step])

    def _act(self, step: Step, names: Collection[str]) -> set[str]:
        """Take a step for these certificates together, but orders: each of those goes its own way."""
        match step:
            case Step.DEPLOY:
                return self.deploy_batch(names)
            case Step.LOOK:
                return self.look(names)
            case Step.RESUME | Step.ISSUE | Step.INSTALL | Step.WAIT | Step.KEEP:
                return set()
        assert_never(step)

    def _may_act(self, decision: Decision) -> bool:
        taken = self.acted[decision.certificate].taken
        return not self._over() and taken.count(decision.step) < ENOUGH

    def _over(self) -> bool:
        """Whether nothing new is begun: somebody told the run to end, or its deadline came."""
        return self.context.stopping.is_set() or self.context.time_left() <= 0

    def _begin(self, names: Iterable[str], step: Step) -> None:
        for name in names:
            self.acted[name] = self.acted[name].begins(step)

    def _terms_for(self, name: str) -> Terms:
        passed_over = frozenset(self.context.passed_over)
        may_order = not (self.context.distrust or passed_over.issuperset(candidates(self.situations[name])))
        return msgspec.structs.replace(
            after(self.terms, self.acted[name], orders=may_order),
            now=clock.now(),
            ordered=self.allowance.ordered(name) if self.allowance else frozenset(),
            passed_over=passed_over,
        )

    # orders --------------------------------------------------------------------------------------------

    def start_orders(self, decisions: Iterable[Decision], issuer: Issuer, pool: ThreadPoolExecutor) -> None:
        """Begin those that their authorities have room for; each is closed until it has landed."""
        bounds = {
            a.name: a.workers for a in self.context.config.authorities.values() if a.workers is not None
        }
        flying = Counter(decision.authority for decision in self.flying.values()) if bounds else Counter()
        for decision in decisions:
            authority, name = decision.authority, decision.certificate
            if authority in bounds and flying[authority] >= bounds[authority]:
                continue
            flying[authority] += 1
            del self.open[name]
            if decision.step is Step.ISSUE and Step.ISSUE in self.acted[name].taken:
                history.decision(self.context, decision)  # another authority's turn, or fewer names
            self._begin([name], decision.step)
            self.flying[pool.submit(self._order, issuer, decision)] = decision

    def _order(self, issuer: Issuer, decision: Decision) -> list[Outcome]:
        """Order, install and ask for the window of one certificate; runs in a worker."""
        name = decision.certificate
        if self._over():  # while it stood in line
            return [_not_begun(decision)]
        situation = self.situations[name]
        outcomes: list[Outcome] = []
        try:
            if decision.step is Step.ISSUE:
                self.preflight.look(situation)
            if decision.step is not Step.INSTALL:
                outcomes.append(issuer.obtain(situation, decision))
                situation = inventory.take(self.context, [name])[name]
            following = decide(situation, self._terms_for(name))
            if following.step is Step.INSTALL:
                outcomes.append(install.put(self.context, situation))
                refresh.windows(self.context, inventory.take(self.context, [name]).values())
        except RenewerError as error:
            outcomes.append(self._failed(decision, error))
        except Exception as error:  # noqa: BLE001  a defect that one certificate meets must not end the run
            self.context.journal.trace(name, error)
            outcomes.append(self._failed(decision, OurFault.of(error)))
        return outcomes

    def _failed(self, decision: Decision, error: RenewerError) -> Outcome:
        tell, name = self.context.journal.tell, decision.certificate
        return Outcome.failed(tell, name, decision.step, error.text, hint=error.hint)

    def _land(self, patience: float | None) -> set[str]:
        """Wait for an order to end, at most for `patience` seconds; whose they were that did."""
        done, _ = wait(self.flying, timeout=patience, return_when=FIRST_COMPLETED)
        touched = set()
        for future in done:
            decision = self.flying.pop(future)
            touched.add(decision.certificate)
            if decision.authority in self.context.passed_over:  # another's turn
                name = decision.certificate
                self.acted[name] = self.acted[name].asked_nobody(decision.step)
            self._keep(future.result())
        return touched

    def _keep(self, outcomes: Iterable[Outcome]) -> None:
        for one in outcomes:
            self.outcomes.append(one)
            self.acted[one.certificate] = self.acted[one.certificate].ended(one)

    # servers -------------------------------------------------------------------------------------------

    def deploy_batch(self, names: Collection[str]) -> set[str]:
        """Deploy them together; returns whose facts changed."""
        terms = for_batch(self.terms, [self.acted[name] for name in names])
        self._begin(names, Step.DEPLOY)
        self._deploy_all([self.situations[name] for name in names], terms)
        self.ready_since = None
        return set(names)

    def _deploy_all(self, situations: Sequence[Situation], terms: Terms) -> None:
        terms = msgspec.structs.replace(terms, now=clock.now())
        self._show(Step.DEPLOY, len(situations))
        try:
            self._keep(deploy.run(self.context, situations, terms))
        except RenewerError as error:
            steps = [(situation.wish.name, Step.DEPLOY) for situation in situations]
            tell = self.context.journal.tell
            self._keep(Outcome.all_failed(tell, steps, error.text, error.hint, step=Step.DEPLOY))

    def _catch_up(self, names: Iterable[str]) -> None:
        """What waited for a server that `pre` had stopped, now that `post` has started it."""
        self.situations |= inventory.take(self.context, names)
        found = [self.situations[name] for name in sorted(names)] if not self._over() else []
        late = [one for one in found if _put_off(one)]
        if late and Step.DEPLOY in self.terms.steps:
            self._deploy_all(late, msgspec.structs.replace(self.terms, redeploy=False, urged=False))
        unseen = [one for one in found if one not in late and _unreached(one)]
        if unseen and Step.LOOK in self.terms.steps:
            self._look_at(unseen)
        self.situations |= inventory.take(self.context, names)

    def look(self, names: Collection[str]) -> set[str]:
        """Look at their ports; returns whose facts changed."""
        self._begin(names, Step.LOOK)
        self._look_at([self.situations[name] for name in names])
        return set(names)

    def _look_at(self, situations: Sequence[Situation]) -> None:
        self._show(Step.LOOK, len(situations))
        found = observe.look(self.context, situations)
        found.save()
        self._keep(found.outcomes())

    def _show(self, step: Step, number: int) -> None:
        """To who watches: so many are at that step now."""
        self.context.journal.show(EventName.DECIDED, step=step, number=number)

    def _prune(self) -> None:
        """Old versions go once the new one is everywhere; if one cannot be removed, that is told."""
        for name in {outcome.certificate for outcome in self.outcomes if outcome.step is Step.DEPLOY}:
            for version in removable(self.situations[name], clock.now()):
                try:
                    self.context.store.remove(name, version)
                except RenewerError as error:
                    self.context.journal.tell(EventName.NOTICE, name, text=error.text)
            if over := ended_holds(self.situations[name]):
                self.context.ledger.drop(*over)


def _not_begun(decision: Decision) -> Outcome:
    asked = decision.reason in (Reason.FORCED, Reason.NEW_KEY)  # by a person, of this run alone
    more = "--new-key" if decision.reason is Reason.NEW_KEY else "--force"
    again = (
        f"ask for it again: renewer run {decision.certificate} {more}" if asked else "the next one does it"
    )
    return Outcome(
        certificate=decision.certificate,
        step=decision.step,
        result=Result.WAITING,
        detail=f"not begun: the run had to end; {again}",
    )


def _put_off(situation: Situation) -> bool:
    """Whether a server was not running that is to load what is live, and may be touched at this moment."""
    if closed_until(situation, clock.now()) is not None:
        return False
    live, later = situation.live, DeploymentState.LATER
    return any(record.version == live and record.state is later for record in situation.deployments)


def _unreached(situation: Situation) -> bool:
    """Whether a port of the live version did not answer."""
    return any(
        sighting.state is EndpointState.UNREACHABLE and sighting.version == situation.live
        for sighting in situation.sightings
    )
