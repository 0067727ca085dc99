"""A deploy hook that goes wrong at first and works later is called again until its server serves.

`python -m tests.benchmarks.hooks` shows the same beside certbot, which never calls it again.
"""

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.conftest import SiteFactory
from tests.e2e.site import CHECKOUT, Site
from tests.servers.handshake import wait_until

TELL = "echo called >> $calls"
RUNS = 3  # of the timer, after the one in which it went wrong


def own(site: Site, *lines: str) -> Path:
    """A reload script of one's own is the only hook."""
    path = site.add_hook("mine", *lines)
    site.change(hooks=["mine"])
    return path


def certbots(site: Site, *lines: str) -> Path:
    """A directory of certbot's deploy hooks is the only hook."""
    directory = site.directory / "renewal-hooks/deploy"
    directory.mkdir(parents=True)
    site.hooks["mine"] = {"run": directory, "convention": "certbot"}
    site.change(hooks=["mine"])
    return site.script(directory / "10-reload", *lines)


@pytest.fixture(params=[own, certbots], ids=["a script of one's own", "certbot's directory"])
def put(request: pytest.FixtureRequest) -> Callable[..., Path]:
    """Both kinds of hook that people bring along."""
    kind: Callable[..., Path] = request.param
    return kind


def served_before(site: Site) -> str:
    """A first certificate is served; the calls so far are forgotten."""
    site.json("run")
    (site.directory / "calls").unlink()
    return site.served(trusted=True)


def finished_by_later_runs(site: Site, new: str) -> None:
    """The next runs bring it to the port, order nothing, and are quiet when it was seen there."""
    mark, calls = site.pebble.mark(), len(site.calls)
    codes = [site.cli("run").code for _ in range(RUNS)]
    assert codes == [0] * RUNS
    assert site.served(trusted=True) == new
    assert site.status()["state"] == "verified"
    assert len(site.calls) == calls + 1
    assert site.pebble.orders_created(mark) == 0


def test_fails_once(make_site: SiteFactory, put: Callable[..., Path]) -> None:
    """It fails: exit 1, the old one is served; the next run calls it again, and the new one is served."""
    site = make_site()
    first = site.directory / "went-wrong"
    first.touch()
    put(site, TELL, f"if [ ! -e {first} ]; then touch {first}; echo no database; exit 1; fi", "reload")
    old = served_before(site)
    first.unlink()
    mark = site.pebble.mark()

    document = site.json("run", "--force", exit_code=1)

    (new,) = site.issued(mark)
    (failed,) = [one["detail"] for one in document["outcomes"] if one["result"] == "failed"]
    assert "no database" in failed
    assert (site.served(trusted=True), site.live_serial()) == (old, old)
    assert site.status()["healthy"] is False
    finished_by_later_runs(site, new)


def test_fails_for_days(make_site: SiteFactory, put: Callable[..., Path]) -> None:
    """It fails at every run for a while: every run says so, calls it again, and one day it works."""
    site = make_site()
    works = site.directory / "works"
    works.touch()
    put(site, TELL, f"[ -e {works} ] || exit 1", "reload")
    old = served_before(site)
    works.unlink()
    mark = site.pebble.mark()
    site.json("run", "--force", exit_code=1)
    for _ in range(RUNS):
        called = len(site.calls)
        site.age()
        site.json("run", exit_code=1)
        assert len(site.calls) > called
        assert site.served(trusted=True) == old
    works.touch()
    site.age()

    site.json("run")

    assert [site.served(trusted=True)] == site.issued(mark)


def test_killed_in_the_middle(make_site: SiteFactory, put: Callable[..., Path]) -> None:
    """Kill -9 while the hook runs, and of the hook: the next run calls it, and the new one is served."""
    site = make_site()
    first, running = site.directory / "went-wrong", site.directory / "running"
    first.touch()
    wait = "n=0; while [ $n -lt 1200 ]; do n=$((n+1)); sleep 0.05; done"
    put(site, TELL, f"if [ ! -e {first} ]; then touch {first}; echo $$ > {running}; {wait}; fi", "reload")
    old = served_before(site)
    first.unlink()
    mark = site.pebble.mark()
    run = subprocess.Popen(
        site.argv("run", "--force"), cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: running.exists() and bool(running.read_text().strip()), timeout=60)
    finally:
        run.kill()
        run.wait()
        if running.exists():
            with suppress(ProcessLookupError):
                os.kill(int(running.read_text()), signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL
    (new,) = site.issued(mark)
    assert site.served(trusted=True) == old

    finished_by_later_runs(site, new)
