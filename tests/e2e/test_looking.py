"""Every run looks at the ports that were not seen for long, and tells what changed there."""

import json
from datetime import timedelta
from pathlib import Path

from renewer.model.facts import EndpointState, Sighting
from tests.hooks.bed import Bed
from tests.hooks.conftest import bed
from tests.hooks.test_nginx import Served
from tests.servers.handshake import wait_until

__all__ = ["bed"]  # a fixture


def told(bed: Bed, run: str) -> list[str]:
    """The events of looking in the renewal log of one run."""
    lines = map(json.loads, (bed.state / "renewal.log").read_text().splitlines())
    looked = ("verified", "failed")
    return [line["event"] for line in lines if line["run"] == run and line["event"] in looked]


def seen(bed: Bed) -> Sighting:
    """What the ledger remembers of the port."""
    with bed.context() as context:
        (sighting,) = context.ledger.load(Sighting)
    return sighting


def config(bed: Bed) -> Path:
    """The config of nginx itself."""
    return bed.directory / "nginx" / "nginx.conf"


def test_what_is_as_it_was_is_not_told_again(bed: Bed) -> None:
    """An hourly look is a fact and no news; a server that is gone and one that is back are told."""
    bed.serve(Served(bed))
    bed.put()
    first = bed.run()
    assert told(bed, first.run) == ["verified"]
    before = seen(bed)

    bed.age(timedelta(hours=2))
    second = bed.run()
    assert (second.exit, told(bed, second.run)) == (0, [])
    assert seen(bed).at > before.at
    assert seen(bed).state is EndpointState.VERIFIED

    bed.server.stop()
    bed.age(timedelta(hours=2))
    third = bed.run()
    assert (third.exit, told(bed, third.run)) == (1, ["failed"])

    bed.server.start()
    bed.age(timedelta(hours=2))
    fourth = bed.run()
    assert (fourth.exit, told(bed, fourth.run)) == (0, ["verified"])


def test_a_host_restored_from_backup_is_found(bed: Bed) -> None:
    """An old link and an old certificate at the port: the next run brings the newest back."""
    bed.serve(Served(bed))
    first = bed.put()
    bed.run()
    second = bed.put()
    bed.run()
    bed.live.unlink()
    bed.live.symlink_to(f"versions/{first.id}")
    assert bed.call("deploy") == 0
    wait_until(lambda: bed.served() == first.leaf.serial)

    assert bed.run().exit == 0

    assert bed.served() == second.leaf.serial
    assert bed.live_id() == second.id


def test_a_forgotten_server_is_told(bed: Bed) -> None:
    """A port that goes on showing an older one is deployed again, and then a person must act."""
    bed.serve(Served(bed))
    first = bed.put()
    bed.run()
    bed.put()
    bed.run()
    text = config(bed).read_text()
    config(bed).write_text(text.replace(f"{bed.live}/", f"{bed.live.parent}/versions/{first.id}/"))
    assert bed.call("deploy") == 0
    wait_until(lambda: bed.served() == first.leaf.serial)

    bed.age(timedelta(hours=2))
    assert bed.run().exit in (1, 3)
    bed.age(timedelta(days=2))
    report = bed.run()

    assert report.exit == 3
    assert any("serves an older certificate of ours" in one.detail for one in report.outcomes), report
    (row,) = bed.cli("status", code=3)["certificates"]
    assert [one["state"] for one in row["endpoints"]] == ["stale"]

    config(bed).write_text(text)
    bed.age(timedelta(days=2))
    assert bed.run().exit == 0
