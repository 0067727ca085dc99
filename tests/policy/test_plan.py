"""Decisions in the order in which they are done."""

import itertools

from renewer.model.decision import Decision, Reason, Step
from renewer.policy.due import arrange, decide
from tests.builders import (
    MINUTE,
    NOW,
    absent,
    failure,
    order,
    situation,
    terms,
    wish,
)


def _decision(name: str, step: Step, minutes: int | None = None) -> Decision:
    moment = None if minutes is None else NOW + minutes * MINUTE
    return Decision(certificate=name, step=step, reason=Reason.ABSENT, because="so", not_before=moment)


def test_what_is_nearly_done_comes_first() -> None:
    """An installed certificate frees a server from an old one sooner than a new order does."""
    plan = arrange([_decision("www", step) for step in reversed(Step)], NOW)

    assert [decision.step for decision in plan.decisions] == [
        *(Step.INSTALL, Step.DEPLOY, Step.RESUME, Step.ISSUE, Step.LOOK, Step.WAIT, Step.KEEP)
    ]


def test_who_waits_shortest_comes_first() -> None:
    """Then by name, so that two runs print the same."""
    waiting = [
        _decision("b", Step.WAIT, 9),
        _decision("c", Step.WAIT),
        _decision("a", Step.WAIT, 9),
        _decision("d", Step.WAIT, 1),
    ]

    assert "".join(one.certificate for one in arrange(waiting, NOW).decisions) == "dabc"


def test_a_plan_is_idle_when_nothing_can_be_done_now() -> None:
    """Waiting and keeping are doing nothing."""
    assert arrange([_decision("a", Step.KEEP), _decision("b", Step.WAIT)], NOW).idle
    assert not arrange([_decision("a", Step.KEEP), _decision("b", Step.LOOK)], NOW).idle
    assert arrange([], NOW).idle


def test_the_plan_ignores_the_order_of_its_input() -> None:
    """Law "fair": no certificate is favoured by its place in the config."""
    decisions = [
        decide(facts, terms())
        for facts in (
            situation(wish=wish(name="a")),
            absent(wish=wish(name="b")),
            absent(wish=wish(name="c"), failures=(failure(4),)),
            absent(wish=wish(name="d"), order=order(), order_ready=True),
        )
    ]
    plans = {arrange(shuffled, NOW).decisions for shuffled in itertools.permutations(decisions)}

    assert len(plans) == 1
