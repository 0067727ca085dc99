"""What the checks of `due` speak of: the facts before them, and the needs that they find."""

from datetime import datetime, timedelta

from renewer.model.decision import Reason, Step
from renewer.model.facts import Situation, Version, Window
from renewer.model.names import Identifier
from renewer.model.value import Value
from renewer.policy.authority import Choice
from renewer.policy.budget import OrderTerms
from renewer.policy.window import slack

ALL_STEPS = frozenset({Step.RESUME, Step.INSTALL, Step.DEPLOY, Step.ISSUE, Step.LOOK})


class Terms(Value):
    """What else a decision depends on: the moment, the time until anybody looks again, the order's limits.

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


class Need(Value):
    """Something to be done; held back until `not_before` if that is set.

    `since` is when what failed failed, or when it may be done at the earliest: that is no matter of a little
    early. `waits_for` says what it is that holds it back.
    """

    step: Step
    reason: Reason
    because: str
    not_before: datetime | None = None
    since: datetime | None = None
    authority: str | None = None
    names: tuple[Identifier, ...] = ()
    waits_for: Reason = Reason.BACKOFF

    def may_act(self, terms: Terms) -> bool:
        """Whether its moment has come, or nearly so; of a wait after a failure a tenth at most is spared."""
        if self.not_before is None:
            return True
        early = terms.reached - terms.now
        if self.since is not None:
            early = min(early, max(self.not_before - self.since, timedelta(0)) / 10)
        return self.not_before - early <= terms.now


class Facts(Value):
    """A situation with what every check wants to know of it."""

    situation: Situation
    terms: Terms
    wanted: Version | None
    serve: Version | None
    live: Version | None
    choice: Choice


def window_of(situation: Situation, version: Version) -> Window | None:
    """What the authority said about this version."""
    return next((window for window in situation.windows if window.serial == version.leaf.serial), None)
