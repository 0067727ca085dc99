"""What came of it."""

from datetime import datetime
from enum import StrEnum

from renewer.model.decision import Plan, Step
from renewer.model.value import Value


class Result(StrEnum):
    """How a step ended."""

    DONE = "done"
    WAITING = "waiting"
    FAILED = "failed"


class Outcome(Value):
    """How one step went for one certificate; `detail` is a sentence, `hint` what the reader can do."""

    certificate: str
    step: Step
    result: Result
    detail: str
    hint: str = ""
    took_ms: int = 0
    next_attempt: datetime | None = None


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
