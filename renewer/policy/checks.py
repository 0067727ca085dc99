"""What the checks of `due` speak of: the facts before them, and the needs that they find."""

from datetime import datetime, timedelta

from renewer.model.decision import Reason, Step
from renewer.model.facts import Situation, Version, Window
from renewer.model.names import Identifier
from renewer.model.value import Value
from renewer.policy.authority import Choice
from renewer.policy.terms import Terms


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
