"""Acts until everything is seen at its ports or must wait: decide, act, read again, decide again.

Orders run side by side; deployments wait for them, so that each server is reloaded once a batch, but not for
stragglers. A step that makes no progress is not taken for ever.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import msgspec

from renewer import acceptance, clock, deploy, install, inventory, refresh
from renewer.context import Context
from renewer.doctor.preflight import FirstOrders
from renewer.errors import OurFault, RenewerError
from renewer.issue import Issuer
from renewer.issue.allowance import Allowance
from renewer.model.decision import Decision, EventName, Outcome, Plan, Result, Step
from renewer.model.facts import DeploymentState, EndpointState, Situation
from renewer.observe import look
from renewer.policy.authority import candidates
from renewer.policy.deploy_window import closed_until
from renewer.policy.due import Terms, decide
from renewer.policy.health import ended_holds, removable
from renewer.pre_post import Around

ENOUGH = 3  # times that one run takes the same step for one certificate: more is a defect, not progress
STRAGGLERS = 60.0  # seconds after the first is ready to be deployed, then the others are not waited for
_ORDERING = (Step.RESUME, Step.ISSUE, Step.INSTALL)


class Reconciler:
    """The acting part of one run. `situations` is kept up to date as facts change."""

    def __init__(self, context: Context, terms: Terms, situations: dict[str, Situation]) -> None:
        self.context = context
        self.terms = terms
        self.situations = dict(situations)
        self.outcomes: list[Outcome] = []
        self.open: dict[str, Decision] = {}  # what may be done, but for what is in flight
        self.taken: Counter[tuple[str, Step]] = Counter()
        self.failed: defaultdict[str, set[Step]] = defaultdict(set)
        self.flying: dict[Future[list[Outcome]], Decision] = {}
        self.preflight = FirstOrders(context)
        self.ready_since: float | None = None
        self.allowance: Allowance | None = None
        self.issued: set[str] = set()

    def work(self, plan: Plan) -> tuple[list[Outcome], dict[str, Situation]]:
        """Carry a plan out, and what follows from it; returns what came of it and the facts at the end."""
        self.open = {decision.certificate: decision for decision in plan.decisions if _acts(decision)}
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
        if judged := acceptance.judge(
            self.context, taken.values()
        ):  # what was just issued goes live only then
            taken |= inventory.take(self.context, judged)
        for name, situation in taken.items():
            self.situations[name] = situation
            decision = decide(situation, self._terms_for(name))
            self.open.pop(name, None)
            if _acts(decision):
                self.open[name] = decision

    def _round(self, issuer: Issuer, pool: ThreadPoolExecutor) -> set[str]:
        """Whatever can be done next; returns whose facts changed, nobody's when all is done or must wait."""
        may = [decision for decision in self.open.values() if self._may_act(decision)]
        room = self._room()
        for decision in may:
            if decision.step in _ORDERING and room.get(decision.authority, 1) > 0:
                if decision.authority in room:
                    room[decision.authority] -= 1
                del self.open[decision.certificate]  # until it has landed
                self._explain(decision)
                self._take(decision)
                self.flying[pool.submit(self._order, issuer, decision)] = decision
        deploying = [decision for decision in may if decision.step is Step.DEPLOY]
        if deploying and self.ready_since is None:
            self.ready_since = clock.monotonic()
        patience = (
            STRAGGLERS - (clock.monotonic() - self.ready_since) if self.ready_since is not None else None
        )
        if self.flying and (not deploying or (patience or 0) > 0):
            return self._land(patience if deploying else None) or {
                decision.certificate for decision in deploying
            }
        if deploying:
            return self._deploy(deploying)
        looking = [decision for decision in may if decision.step is Step.LOOK]
        return self._look(looking) if looking else set()

    def _room(self) -> dict[str | None, int]:
        """How many more orders each authority with a bound of its own may be sent at the same time."""
        bounds = {
            a.name: a.workers for a in self.context.config.authorities.values() if a.workers is not None
        }
        flying = Counter(decision.authority for decision in self.flying.values()) if bounds else Counter()
        return {name: bound - flying[name] for name, bound in bounds.items()}

    def _may_act(self, decision: Decision) -> bool:
        return not self._over() and self.taken[decision.certificate, decision.step] < ENOUGH

    def _over(self) -> bool:
        """Whether nothing new is begun: somebody told the run to end, or its deadline came."""
        return self.context.stopping.is_set() or self.context.time_left() <= 0

    def _take(self, decision: Decision) -> None:
        self.taken[decision.certificate, decision.step] += 1

    def _explain(self, decision: Decision) -> None:
        """Why something else is ordered in the same run: another authority's turn, or fewer names."""
        if decision.step is Step.ISSUE and self.taken[decision.certificate, Step.ISSUE]:
            self.context.journal.tell(
                EventName.DECIDED,
                decision.certificate,
                step=decision.step.value,
                reason=decision.reason.value,
                because=decision.because,
            )

    def _terms_for(self, name: str) -> Terms:
        """What overrules waits counts once; a certificate is issued once a run, however short it lives.

        What failed a moment ago waits for its moment: only before anything was done is a little early enough.
        """
        issued = self.taken[name, Step.ISSUE] + self.taken[name, Step.RESUME]
        failed = self.failed.get(name, set())
        over = {Step.INSTALL} & failed  # it knows no backoff
        if name in self.issued:
            over.add(Step.ISSUE)
        passed_over = frozenset(self.context.passed_over)
        if self.context.distrust or passed_over.issuperset(candidates(self.situations[name])):
            over |= {Step.ISSUE, Step.RESUME}
        return msgspec.structs.replace(
            self.terms,
            now=clock.now(),
            steps=self.terms.steps - over,
            force=self.terms.force and not issued,
            new_key=self.terms.new_key and not issued,
            asked=self.terms.asked and not issued,
            urged=self.terms.urged and not self.taken[name, Step.DEPLOY],
            redeploy=self.terms.redeploy and not self.taken[name, Step.DEPLOY],
            begun=any(self.taken[name, step] for step in Step),
            ordered=self.allowance.ordered(name) if self.allowance else frozenset(),
            passed_over=passed_over,
        )

    # orders --------------------------------------------------------------------------------------------

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
            self.context.journal.tell(
                EventName.FAILED, name, step=decision.step.value, error=error.text, hint=error.hint
            )
            outcomes.append(_failed(name, decision.step, error))
        except Exception as error:  # noqa: BLE001  a defect that one certificate meets must not end the run
            self.context.journal.trace(name, error)
            outcomes.append(_failed(name, decision.step, OurFault.of(error)))
        return outcomes

    def _land(self, patience: float | None) -> set[str]:
        """Wait for an order to end, at most for `patience` seconds; whose they were that did."""
        done, _ = wait(self.flying, timeout=patience, return_when=FIRST_COMPLETED)
        touched = set()
        for future in done:
            decision = self.flying.pop(future)
            touched.add(decision.certificate)
            if decision.authority in self.context.passed_over:  # it was asked for nothing: another's turn
                self.taken[decision.certificate, decision.step] -= 1
            self._keep(future.result())
        return touched

    def _keep(self, outcomes: Iterable[Outcome]) -> None:
        for one in outcomes:
            self.outcomes.append(one)
            if one.result is Result.FAILED:
                self.failed[one.certificate].add(one.step)
            elif one.result is Result.DONE and one.step is Step.ISSUE:
                self.issued.add(one.certificate)

    # servers -------------------------------------------------------------------------------------------

    def _deploy(self, decisions: list[Decision]) -> set[str]:
        for decision in decisions:
            self._take(decision)
        names = [decision.certificate for decision in decisions]
        redeploy = self.terms.redeploy and all(self.taken[name, Step.DEPLOY] == 1 for name in names)
        begun = all(self.taken[name, Step.DEPLOY] > 1 for name in names)
        urged = self.terms.urged and not begun
        terms = msgspec.structs.replace(
            self.terms, now=clock.now(), redeploy=redeploy, urged=urged, begun=begun
        )
        self._deploy_all([self.situations[name] for name in names], terms)
        self.ready_since = None
        return set(names)

    def _deploy_all(self, situations: Sequence[Situation], terms: Terms) -> None:
        try:
            self._keep(deploy.run(self.context, situations, terms))
        except RenewerError as error:
            self.context.journal.tell(
                EventName.FAILED, step=Step.DEPLOY.value, error=error.text, hint=error.hint
            )
            self._keep(_failed(situation.wish.name, Step.DEPLOY, error) for situation in situations)

    def _catch_up(self, names: Iterable[str]) -> None:
        """What waited for a server that `pre` had stopped, now that `post` has started it."""
        self.situations |= inventory.take(self.context, names)
        found = [self.situations[name] for name in sorted(names)] if not self._over() else []
        late = [one for one in found if _put_off(one)]
        if late and Step.DEPLOY in self.terms.steps:
            terms = msgspec.structs.replace(self.terms, now=clock.now(), redeploy=False, urged=False)
            self._deploy_all(late, terms)
        unseen = [one for one in found if one not in late and _unreached(one)]
        if unseen and Step.LOOK in self.terms.steps:
            self._look_at(unseen)
        self.situations |= inventory.take(self.context, names)

    def _look(self, decisions: list[Decision]) -> set[str]:
        for decision in decisions:
            self._take(decision)
        self._look_at([self.situations[decision.certificate] for decision in decisions])
        return {decision.certificate for decision in decisions}

    def _look_at(self, situations: Sequence[Situation]) -> None:
        found = look(self.context, situations)
        found.save()
        self._keep(found.outcomes())

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


def _acts(decision: Decision) -> bool:
    return decision.step not in (Step.KEEP, Step.WAIT)


def _not_begun(decision: Decision) -> Outcome:
    return Outcome(
        certificate=decision.certificate,
        step=decision.step,
        result=Result.WAITING,
        detail="not begun: the run had to end; the next one does it",
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


def _failed(certificate: str, step: Step, error: RenewerError) -> Outcome:
    return Outcome(
        certificate=certificate,
        step=step,
        result=Result.FAILED,
        detail=error.text,
        hint=error.hint,
    )
