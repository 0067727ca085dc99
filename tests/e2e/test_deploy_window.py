"""A deploy window with a real nginx: issued ahead, served on, deployed inside the window or by hand."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.hooks.bed import Bed
from tests.hooks.conftest import bed
from tests.hooks.test_nginx import Served

__all__ = ["bed"]  # a fixture


def window(begin: datetime) -> str:
    """A window of an hour that begins at that minute."""
    return f"{begin:%a %H:%M}-{begin + timedelta(hours=1):%H:%M} UTC"


def test_issued_ahead_deployed_inside(bed: Bed) -> None:
    """Outside it the old one is served and status is well and says when; inside it the new one is seen."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    later, open_now = window(now + timedelta(days=1)), window(now - timedelta(minutes=10))
    bed.serve(Served(bed))
    bed.write_config(deploy_window=later)
    first = bed.put()
    assert bed.run().exit == 0
    assert bed.served() == first.leaf.serial  # nothing good was live: the first one does not wait

    second = bed.put()

    assert (bed.run().exit, bed.served()) == (0, first.leaf.serial)
    (row,) = bed.cli("status")["certificates"]
    assert (row["state"], row["healthy"], row["renewal"]["step"]) == ("verified", True, "deploy")
    assert row["renewal"]["next_attempt"] == f"{now + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    (step,) = bed.cli("plan")["steps"]
    assert (step["step"], step["reason"], later in step["because"]) == ("wait", "deploy-window", True)

    bed.write_config(deploy_window=["Sun 00:00-00:01 UTC", open_now])
    assert bed.run().exit == 0
    assert bed.served() == second.leaf.serial


def test_by_hand_at_any_time(bed: Bed) -> None:
    """`renewer deploy` and `renewer rollback` do not wait for the window."""
    bed.serve(Served(bed))
    bed.write_config(deploy_window=window(datetime.now(UTC) + timedelta(days=1)))
    first = bed.put()
    bed.run()
    second = bed.put()
    bed.cli("deploy", "www")
    assert bed.served() == second.leaf.serial
    bed.cli("rollback", "www")
    assert bed.served() == first.leaf.serial
    assert Path(bed.live).resolve().name == first.id
