"""A run with a person before it: a bar while orders are in flight, and an end when it is told to stop."""

import os
import pty
import signal
import subprocess
from collections.abc import Callable

import pytest

from tests.e2e.conftest import SiteFactory
from tests.e2e.site import CHECKOUT
from tests.e2e.test_many import SIX
from tests.servers.handshake import wait_until
from tests.servers.pebble import Pebble

LIMIT = 60.0  # seconds, far more than anything here takes


def on_a_terminal(argv: list[str]) -> tuple[int, str]:
    """Run a program with a terminal as stderr: its exit code and what was drawn there."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=theirs, cwd=CHECKOUT, env=env) as process:
        os.close(theirs)
        drawn = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # EIO: the other side has closed the terminal
                break
            if not piece:
                break
            drawn += piece
        process.communicate(timeout=LIMIT)
    os.close(ours)
    return process.returncode, drawn.decode(errors="replace")


def test_bar_on_a_terminal(make_site: SiteFactory) -> None:
    """Several orders at once show a bar that counts them, and what matters line by line."""
    site = make_site(certificates=SIX)
    code, drawn = on_a_terminal(site.argv("run"))
    assert code == 0
    assert "certificates" in drawn
    assert "6/6" in drawn
    assert "c3: renewed" in drawn


def test_log_stays_quiet(make_site: SiteFactory) -> None:
    """Where nobody watches, stderr is empty: a timer's mail has only the answer."""
    site = make_site(certificates=SIX)
    ended = site.cli("run")
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop(number: signal.Signals, make_site: SiteFactory, pebble_factory: Callable[..., Pebble]) -> None:
    """What is in flight gets a moment, challenges are cleaned up, and the next run goes on to the end."""
    slow = pebble_factory(env={"PEBBLE_VA_NOSLEEP": "0", "PEBBLE_VA_SLEEPTIME": "8"})
    site = make_site(pebble=slow)
    mark = slow.mark()
    with subprocess.Popen(
        site.argv("run"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=CHECKOUT
    ) as process:
        wait_until(lambda: bool(site.challenge_files()))
        process.send_signal(number)
        out, err = process.communicate(timeout=LIMIT)
    assert "stopping" in err
    assert "Traceback" not in out + err
    assert site.challenge_files() == []
    site.pair()
    assert site.cli("run").code == 0
    (issued,) = site.issued(mark)
    assert site.served() == issued
