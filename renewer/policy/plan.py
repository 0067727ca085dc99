"""Decisions in the order in which they are done: the most urgent first, whatever order they came in."""

from collections.abc import Iterable
from datetime import UTC, datetime

from renewer.model.decision import Decision, Plan, Step

# What is nearly done first: it frees a server from an old certificate soonest
_ORDER = (Step.INSTALL, Step.DEPLOY, Step.RESUME, Step.ISSUE, Step.LOOK, Step.WAIT, Step.KEEP)
_NEVER = datetime.max.replace(tzinfo=UTC)


def arrange(decisions: Iterable[Decision], now: datetime) -> Plan:
    """A sorted plan; the printed plan is the executed plan."""
    return Plan(
        at=now,
        decisions=tuple(
            sorted(
                decisions,
                key=lambda decision: (
                    _ORDER.index(decision.step),
                    decision.not_before or decision.look_again or _NEVER,
                    decision.certificate,
                ),
            )
        ),
    )
