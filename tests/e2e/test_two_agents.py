"""Two runs at once: one works, the other says who does, or waits."""

import subprocess
from pathlib import Path

from tests.e2e.conftest import SiteFactory
from tests.e2e.site import Site
from tests.servers.handshake import wait_until


def held_up(make_site: SiteFactory) -> tuple[Site, Path, "subprocess.Popen[str]"]:
    """A site with a run in the middle of its work: its hook waits for a file to come."""
    site = make_site()
    go = site.directory / "go"
    site.add_hook("slow", "echo begun >> $calls", f"until [ -e {go} ]; do sleep 0.02; done", timeout="60s")
    site.change(hooks=["nginx", "slow"])
    first = subprocess.Popen(
        site.argv("run"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_until(lambda: site.calls == ["begun"], what="the first run's hook", timeout=30)
    return site, go, first


def test_two_at_once(make_site: SiteFactory) -> None:
    """The second ends at once with 75 and names pid, command and since when; the first is not disturbed."""
    site, go, first = held_up(make_site)
    try:
        second = site.cli("run")
        document = site.json("run", exit_code=75)
        looking = site.cli("status")
        go.touch()
        out, err = first.communicate(timeout=60)
    finally:
        first.kill()
        first.wait()
    assert (second.code, second.out) == (75, "")
    assert f"another run is at work: pid {first.pid} (" in second.err
    assert " run) since 20" in second.err
    assert " UTC" in second.err
    assert "→ wait until it ends" in second.err
    assert document["error"]["kind"] == "locked"
    assert f"pid {first.pid}" in document["error"]["faults"][0]["text"]
    assert f"a run is at work: pid {first.pid}" in looking.out
    assert first.returncode == 0, out + err
    assert site.cli("run").code == 0


def test_waiting_for_the_other(make_site: SiteFactory) -> None:
    """`run --wait` begins when the first has ended; it finds nothing left to do."""
    site, go, first = held_up(make_site)
    mark = site.pebble.mark()
    try:
        second = subprocess.Popen(
            site.argv("run", "--wait", "60s"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            wait_until(lambda: _has_open(second.pid, site.state / "lock"), what="the second to wait")
            assert second.poll() is None
            go.touch()
            assert first.wait(60) == 0
            out, err = second.communicate(timeout=60)
        finally:
            second.kill()
            second.wait()
    finally:
        first.kill()
        first.communicate()
    assert (second.returncode, err) == (0, "")
    assert out.startswith("nothing to do for 1 certificate")
    assert site.pebble.orders_created(mark) == 0
    assert site.calls == ["begun"]


def _has_open(pid: int, path: Path) -> bool:
    try:
        return any(one.resolve() == path for one in Path(f"/proc/{pid}/fd").iterdir())
    except FileNotFoundError:
        return False
