"""By hand, by cron and by timer, under a booted systemd: every shipped hook with its server, and others'."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from tests.package.booted import booted
from tests.package.debian import CHECKOUT


def test_what_works_by_hand_works_by_timer(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """`hooks test`, `rehearse`, a run by hand, by cron and by systemd's timer come to the same, hook by hook.

    What a hook meets (umask, signals, limits, environment, namespaces, capabilities) is the same.
    """
    out = tmp_path / "out.json"
    with booted(tmp_path, [tmp_path, Path(sys.prefix).resolve()]) as system:
        ended = system.run(
            sys.executable, "-m", "tests.package.alike", str(out), env={"PYTHONPATH": str(CHECKOUT)}
        )
        assert ended.returncode == 0, ended.stderr[-4000:] + ended.stdout[-1000:]
    document = json.loads(out.read_text())
    hand, cron, timer = (document["ways"][way] for way in ("hand", "cron", "timer"))

    for way in (hand, cron, timer):
        assert "Traceback" not in way["said"]
        states = {name: one["state"] for name, one in way["outcome"].items()}
        assert states.pop("broken") == "failed", way["said"]
        assert set(states.values()) <= {"verified", "deployed"}, (states, way["said"], document["journal"])
        assert set(states) == {*document["shipped"], "foreign"}
        assert all(way["written"].values()), way["written"]
        assert way["outcome"] == hand["outcome"]
        assert way["probe"] == hand["probe"]
    assert len(document["shipped"]) == len(list((CHECKOUT / "hooks").iterdir()))
    assert len(document["foreign"]) >= 12
    assert document["trials"] == dict.fromkeys(document["trials"], True)
    assert json.loads(document["rehearsal"])["well"], document["rehearsal"]
    record_property("alike by hand and by timer", [*document["shipped"], *document["foreign"]])
