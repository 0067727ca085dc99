"""A host whose clock is wrong orders nothing, and says so; one that differs from the authority's is told."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from renewer import clock
from renewer.config.load import load
from renewer.context import Context
from renewer.model.decision import Reason, Step
from renewer.policy import watchdog
from renewer.run import Limits, run
from renewer.store.lock import Lock

from .builders import NOW, situation

CONFIG = """
[agent]
state = "{state}"
[defaults]
authority = "nowhere"
contact = ["ops@example.org"]
agree_terms = true
[authority.nowhere]
directory = "https://127.0.0.1:1/dir"
[certificate.www]
names = ["www.example.test"]
challenge = {{ type = "http-01", webroot = "{state}", preflight = "off" }}
"""


def test_clock_before_this_program_was_made_orders_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No authority is asked, the rest of the run goes on, and the exit code calls a person."""
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(state=tmp_path / "state"))
    monkeypatch.setattr(clock, "now", lambda: datetime(2020, 1, 1, tzinfo=UTC))
    config = load(str(path))
    with Lock(config.agent.state), Context(config, write=True) as context:
        report = run(context, Limits())
    (decision,) = report.plan.decisions
    assert (decision.step, decision.held, decision.reason) == (Step.WAIT, Step.ISSUE, Reason.STEP_NOT_ALLOWED)
    assert report.outcomes == ()
    assert report.exit == 3
    assert "clock says 2020-01-01" in report.findings[0]
    assert context.sessions() == {}


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(0, None), (5, None), (-5, None), (6, "360 s behind le"), (-90, "5400 s ahead of le")],
)
def test_difference_to_the_authority_is_told(minutes: int, words: str | None) -> None:
    """More than five minutes, with the difference and its side."""
    found = watchdog.skewed_clock("le", timedelta(minutes=minutes))
    assert (found is None) if words is None else (words in str(found))


def test_authority_that_tells_no_date_is_no_finding() -> None:
    """Without a Date there is nothing to compare."""
    assert watchdog.skewed_clock("le", None) is None


def test_wake_longer_than_a_quarter_of_a_lifetime_is_told() -> None:
    """Then one missed run may be one too many."""
    facts = [situation()]
    lifetime = facts[0].versions[0].leaf.lifetime
    assert watchdog.seldom_woken(facts, lifetime / 4) == []
    (found,) = watchdog.seldom_woken(facts, lifetime / 3)
    assert "www lives for 90 days and runs are 30 days apart" in found


def test_right_clock_is_no_finding() -> None:
    """Any moment after this program was made may be right."""
    assert watchdog.wrong_clock(NOW, clock.BUILT) is None
