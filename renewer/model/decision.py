"""What shall be done next, and why."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol, Self, assert_never

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


class AboutStep(NamedTuple):
    """What there is to know of a step.

    `place` is that in a plan: what is nearly done comes first, since it frees a server from an old
    certificate soonest. `verb` says in a notice what is done, `noun` on the page what waits, `word` in a
    table; `then` is what follows from it.
    """

    place: int
    verb: str
    noun: str
    word: str
    then: tuple[Step, ...] = ()


def about(step: Step) -> AboutStep:  # noqa: PLR0911  one return a step
    """The one place that knows all steps: a new one is said here, or mypy reports it."""
    match step:
        case Step.INSTALL:
            verb = "installs what was issued"
            return AboutStep(0, verb, "the installation", "install", (Step.DEPLOY, Step.LOOK))
        case Step.DEPLOY:
            return AboutStep(1, "deploys it again", "the deployment", "deploy", (Step.LOOK,))
        case Step.RESUME:
            follows = (Step.INSTALL, Step.DEPLOY, Step.LOOK)
            return AboutStep(2, "goes on with the order", "the open order", "order goes on", follows)
        case Step.ISSUE:
            follows = (Step.INSTALL, Step.DEPLOY, Step.LOOK)
            return AboutStep(3, "orders it again", "a new order", "order", follows)
        case Step.LOOK:
            return AboutStep(4, "looks at its ports again", "a look at its ports", "look")
        case Step.WAIT:
            return AboutStep(5, "waits", "wait", "wait")
        case Step.KEEP:
            return AboutStep(6, "keeps it", "keep", "keep")
    assert_never(step)


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

    @property
    def acts(self) -> bool:
        """Whether something can be done now."""
        return self.step not in (Step.KEEP, Step.WAIT)


class Plan(Value):
    """Decisions in the order in which they are done."""

    at: datetime
    decisions: tuple[Decision, ...]

    @property
    def idle(self) -> bool:
        """Whether nothing can be done now."""
        return not any(decision.acts for decision in self.decisions)


class Result(StrEnum):
    """How a step ended."""

    DONE = "done"
    WAITING = "waiting"
    FAILED = "failed"


class EventName(StrEnum):
    """What the renewal log tells of."""

    RUN_STARTED = "run-started"
    DECIDED = "decided"
    ORDERED = "ordered"
    CHALLENGE_PRESENTED = "challenge-presented"
    VALIDATED = "validated"
    ISSUED = "issued"
    INSTALLED = "installed"
    HOOK_RUN = "hook-run"
    DEPLOYED = "deployed"
    VERIFIED = "verified"
    RENEWED = "renewed"
    FAILED = "failed"
    RECOVERED = "recovered"
    ROLLED_BACK = "rolled-back"
    NOTICE = "notice"
    TOLD = "told"
    RUN_FINISHED = "run-finished"


class Told(Protocol):
    """Writes an event to the renewal log, with details of any kind."""

    def __call__(self, event: EventName, certificate: str = "", **details: object) -> None:
        """Tell it."""


class Outcome(Value):
    """How one step went for one certificate; `detail` is a sentence, `hint` what the reader can do.

    One that failed is made by `failed`, which tells the renewal log of it, too.
    """

    certificate: str
    step: Step
    result: Result
    detail: str
    hint: str = ""
    took_ms: int = 0
    next_attempt: datetime | None = None

    @classmethod
    def failed(  # noqa: PLR0913  what is told, and what comes of it
        cls,
        tell: Told,
        certificate: str,
        step: Step,
        error: str,
        *,
        hint: str = "",
        after: str = "",
        took_ms: int = 0,
        stopped: bool = False,
        **details: object,
    ) -> Self:
        """What failed, told in the same breath with `details`.

        `after` is what else the outcome says; of a run that is `stopped` it waits for the next one.
        """
        tell(EventName.FAILED, certificate, step=step, error=error, hint=hint, **details)
        result = Result.WAITING if stopped else Result.FAILED
        return cls(
            certificate=certificate,
            step=step,
            result=result,
            detail=error + after,
            hint=hint,
            took_ms=took_ms,
        )

    @classmethod
    def all_failed(
        cls, tell: Told, decisions: Iterable[tuple[str, Step]], error: str, hint: str, **details: object
    ) -> list[Self]:
        """What kept all of them from being done, told once."""
        tell(EventName.FAILED, "", error=error, hint=hint, **details)
        return [
            cls(certificate=name, step=step, result=Result.FAILED, detail=error, hint=hint)
            for name, step in decisions
        ]


class State(StrEnum):
    """What a certificate is, first match from the top (design: state and health)."""

    ABSENT = "absent"
    EXPIRED = "expired"
    EXPIRING = "expiring"
    FAILED = "failed"
    ISSUED = "issued"
    INSTALLED = "installed"
    DEPLOYED = "deployed"
    VERIFIED = "verified"


class WatchState(StrEnum):
    """What is known of a watched certificate, first match from the top; an interface."""

    UNKNOWN = "unknown"  # not looked at yet
    EXPIRED = "expired"
    EXPIRING = "expiring"  # a week left, or the same share of a shorter lifetime
    UNTRUSTED = "untrusted"  # seen, and not as it should be: its chain, its names
    UNREACHABLE = "unreachable"  # no certificate could be seen, at its port or in its file
    OK = "ok"


class RunReport(Value):
    """A whole run: what was planned first, what came of it, how the process should exit."""

    run: str
    host: str
    at: datetime
    ended_at: datetime
    plan: Plan
    outcomes: tuple[Outcome, ...]
    exit: int
    findings: tuple[str, ...] = ()
