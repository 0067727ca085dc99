"""What a decision depends on beside the facts: the moment, who asks, and what this run has done already."""

from collections.abc import Collection
from datetime import datetime, timedelta

from msgspec.structs import replace

from renewer.model.decision import Outcome, Result, Step
from renewer.model.value import Value
from renewer.policy.budget import OrderTerms
from renewer.policy.window import slack

ALL_STEPS = frozenset(Step) - {Step.WAIT, Step.KEEP}


class Terms(Value):
    """The moment, the time until anybody looks again, and the order's limits.

    `force` issues though nothing is due and overrules the backoff after failures; `redeploy` deploys
    though all was done. `steps` are those that this run may take. `asked` is whether a person wants orders
    now, and `urged` deployments: every wait is overruled but an authority's Retry-After, a paused account,
    deploy windows and holds. `begun` is whether this run has acted on it already: then waits count in full,
    so that what failed a moment ago is not tried again at once. `ordered` has what this run has ordered of it
    already: authorities with the names; `passed_over` the authorities that it leaves alone, as long as there
    are others. `new_key` is whether a person wants another key, due or not.
    """

    now: datetime
    wake: timedelta
    steps: frozenset[Step] = ALL_STEPS
    force: bool = False
    new_key: bool = False
    redeploy: bool = False
    asked: bool = False
    urged: bool = False
    begun: bool = False
    ordered: frozenset[tuple[str, frozenset[str]]] = frozenset()
    passed_over: frozenset[str] = frozenset()

    @property
    def call(self) -> OrderTerms:
        """The same for the order budget."""
        return OrderTerms(now=self.now, wake=self.wake, asked=self.asked, force=self.force)

    @property
    def reached(self) -> datetime:
        """The latest moment that counts as come: a little ahead, because runs are not on the second."""
        return self.now if self.begun else self.now + slack(self.wake)


class Acted(Value):
    """What one run has done for one certificate: every step that it took, and what came of it so far."""

    taken: tuple[Step, ...] = ()
    failed: frozenset[Step] = frozenset()
    issued: bool = False

    def begins(self, step: Step) -> "Acted":
        """One step more."""
        return replace(self, taken=(*self.taken, step))

    def asked_nobody(self, step: Step) -> "Acted":
        """The last one is as if it had not been taken."""
        last = len(self.taken) - 1 - self.taken[::-1].index(step)
        return replace(self, taken=self.taken[:last] + self.taken[last + 1 :])

    def ended(self, outcome: Outcome) -> "Acted":
        """What came of a step."""
        issued = self.issued or (outcome.result is Result.DONE and outcome.step is Step.ISSUE)
        failed = self.failed | {outcome.step} if outcome.result is Result.FAILED else self.failed
        return replace(self, issued=issued, failed=failed)


def after(terms: Terms, acted: Acted, *, orders: bool = True) -> Terms:
    """What a run's terms mean for a certificate after what was done for it; `orders` is whether it may order.

    What overrules waits counts once, and a certificate is issued once a run, however short it lives. What
    failed a moment ago waits for its moment: only before anything was done is a little early enough.
    """
    over = {Step.INSTALL} & acted.failed  # it knows no backoff
    if acted.issued:
        over |= {Step.ISSUE}
    if not orders:
        over |= {Step.ISSUE, Step.RESUME}
    ordered = Step.ISSUE in acted.taken or Step.RESUME in acted.taken
    deployed = Step.DEPLOY in acted.taken
    return replace(
        terms,
        steps=terms.steps - over,
        force=terms.force and not ordered,
        new_key=terms.new_key and not ordered,
        asked=terms.asked and not ordered,
        urged=terms.urged and not deployed,
        redeploy=terms.redeploy and not deployed,
        begun=terms.begun or bool(acted.taken),
    )


def for_batch(terms: Terms, batch: Collection[Acted]) -> Terms:
    """What they mean for certificates that are deployed together, before that: each hook is called once.

    A deployment is asked for again only if none of them had one, and waits count in full if all had.
    """
    before = [Step.DEPLOY in acted.taken for acted in batch]
    return replace(
        terms,
        redeploy=terms.redeploy and not any(before),
        urged=terms.urged and not all(before),
        begun=all(before),
    )


def for_the_next_run(terms: Terms) -> Terms:
    """Those of the run after this one, which nobody asks for anything."""
    return replace(terms, force=False, new_key=False, redeploy=False, steps=ALL_STEPS, begun=True)
