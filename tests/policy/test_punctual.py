"""Whether runs still come."""

from datetime import datetime, timedelta

import pytest

from renewer.model.facts import RunRecord
from renewer.policy.watchdog import begun, ended, patience, stopped_since
from tests.builders import DAY, HOST, HOUR, MINUTE, NOW


def record(at: datetime, **changes: object) -> RunRecord:
    """A run of this host."""
    return RunRecord(certificate="", run="r", host=HOST, at=at, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wake", "deadline", "allowed"),
    [
        pytest.param(HOUR, 50 * MINUTE, 3 * HOUR, id="three wakes"),
        pytest.param(MINUTE, 50 * MINUTE, 51 * MINUTE, id="a run may use its deadline"),
        pytest.param(DAY, 50 * MINUTE, 3 * DAY, id="a daily timer"),
    ],
)
def test_patience(wake: timedelta, deadline: timedelta, allowed: timedelta) -> None:
    """Three wakes, and never less than a run may take."""
    assert patience(wake, deadline) == allowed


def test_never_run_is_not_stopped() -> None:
    """Nobody knows since when, so nobody is alarmed."""
    assert stopped_since(None, 3 * HOUR, NOW) is None


def test_first_run_that_never_ends() -> None:
    """Killed each time from the very first: counted from when that one began."""
    first = begun([], "1", HOST, NOW)
    second = begun([first], "2", HOST, NOW + 2 * HOUR)
    third = begun([second], "3", HOST, NOW + 4 * HOUR)
    assert stopped_since(second, 3 * HOUR, NOW + 3 * HOUR) is None
    assert stopped_since(third, 3 * HOUR, NOW + 4 * HOUR) == NOW


def test_a_run_that_ends_begins_the_count_anew() -> None:
    """The end counts, not the beginning; a run of some certificates only does not count."""
    before = begun([], "1", HOST, NOW)
    part = ended(before, NOW + HOUR, 0, (), all_of_them=False)
    whole = ended(before, NOW + HOUR, 0, ("odd",), all_of_them=True)
    assert stopped_since(part, HOUR, NOW + 2 * HOUR) == NOW
    assert stopped_since(whole, HOUR, NOW + 2 * HOUR) is None
    assert (whole.ended_at, whole.exit, whole.findings) == (NOW + HOUR, 0, ("odd",))


def test_other_hosts_count_for_themselves() -> None:
    """A fleet's ledger holds the runs of all its hosts."""
    other = RunRecord(certificate="", run="r", host="web-2", at=NOW - DAY, quiet_since=NOW - DAY)
    assert begun([other], "1", HOST, NOW).quiet_since == NOW


def test_record_of_an_earlier_release() -> None:
    """It says only when that run ended."""
    assert stopped_since(record(NOW - DAY, ended_at=NOW - DAY + MINUTE), 3 * HOUR, NOW) == NOW - DAY + MINUTE
    assert stopped_since(record(NOW - DAY), 3 * HOUR, NOW) == NOW - DAY
