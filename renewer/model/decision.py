"""What shall be done next, and why."""

from datetime import datetime
from enum import StrEnum

from renewer.model.names import Identifier
from renewer.model.value import Value


class Step(StrEnum):
    """What a certificate needs next."""

    RESUME = "resume"
    INSTALL = "install"
    DEPLOY = "deploy"
    ISSUE = "issue"
    LOOK = "look"
    WAIT = "wait"
    KEEP = "keep"


class Reason(StrEnum):
    """Why; these words are an interface: scripts may match them."""

    ORDER_OPEN = "order-open"
    ISSUED_NOT_INSTALLED = "issued-not-installed"
    NOT_LIVE = "not-live"
    HOOK_PENDING = "hook-pending"
    COPY_PENDING = "copy-pending"
    SERVED_STALE = "served-stale"
    ABSENT = "absent"
    EXPIRED = "expired"
    REVOKED = "revoked"
    WISH_CHANGED = "wish-changed"
    WINDOW_REACHED = "window-reached"
    WINDOW_WOULD_BE_MISSED = "window-would-be-missed"
    LIFETIME_SHARE = "lifetime-share"
    RENEW_BEFORE = "renew-before"
    EMERGENCY = "emergency"
    NAMES_FAIL = "names-fail"
    REFUSED = "refused"
    FORCED = "forced"
    NEW_KEY = "new-key"
    STATE_IS_OLDER = "state-is-older"
    NOT_SEEN = "not-seen"
    BACKOFF = "backoff"
    ORDER_BUDGET = "order-budget"
    DEPLOY_WINDOW = "deploy-window"
    DEPLOY_AFTER = "deploy-after"
    AUTHORITY_ASKED_TO_WAIT = "authority-asked-to-wait"
    UNREADABLE = "unreadable"
    STEP_NOT_ALLOWED = "step-not-allowed"
    NOT_DUE = "not-due"
    NOTHING_TO_DO = "nothing-to-do"


class Decision(Value):
    """A step for one certificate with its reason; `because` is that reason as a sentence with the facts.

    `not_before` is set for WAIT (the earliest moment anything may act); `look_again` for KEEP: when
    the next thing falls due. `held` names the step that waits. `names` are those to order if not all are.
    `way_out` says of WAIT which command does not wait, or why none helps.
    """

    certificate: str
    step: Step
    reason: Reason
    because: str
    not_before: datetime | None = None
    look_again: datetime | None = None
    held: Step | None = None
    authority: str | None = None
    then: tuple[Step, ...] = ()
    names: tuple[Identifier, ...] = ()
    way_out: str = ""


class Plan(Value):
    """Decisions in the order in which they are done."""

    at: datetime
    decisions: tuple[Decision, ...]

    @property
    def idle(self) -> bool:
        """Whether nothing can be done now."""
        return all(decision.step in (Step.KEEP, Step.WAIT) for decision in self.decisions)
