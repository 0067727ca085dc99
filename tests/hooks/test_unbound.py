"""The hook unbound and a real Unbound."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from renewer.hooks import HookVerdict
from renewer.model.desired import HookEvent
from tests.hooks.alone import DEPLOY, ROLLBACK, TEST
from tests.hooks.bed import Bed
from tests.hooks.laid import Laid, laid
from tests.hooks.standing import Standing
from tests.hooks.walk import Note, walk
from tests.servers.foreground import program
from tests.servers.unbound import Unbound


class Served(Standing):
    """An Unbound."""

    hook = "unbound"


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running Unbound takes every step of the table."""
    bed.serve(Served(bed, Unbound))
    walk(bed, record_property)


@pytest.fixture
def stand(place: Path) -> Iterator[Laid[Unbound]]:
    """An Unbound, not yet started, and its copies."""
    with laid(place, "unbound", Unbound) as stand:
        yield stand


@pytest.mark.parametrize("way", ["reload", "reload_keep_cache"])
def test_a_reload_would_not_do(stand: Laid[Unbound], way: str) -> None:
    """Unbound 1.17 does not read its key and certificate again; a restart does. Else reload in the hook."""
    before = stand.lay()
    stand.server.start()
    new = stand.lay()

    control = program("unbound-control", "unbound")
    subprocess.run([control, "-c", stand.server.config, way], check=True, timeout=20)
    assert stand.served == before
    assert stand.call(DEPLOY).verdict is HookVerdict.DONE
    assert stand.served == new


def test_what_would_keep_it_from_starting_fails_the_test(stand: Laid[Unbound]) -> None:
    """A config that is wrong, or a key that does not fit: not restarted."""
    before = stand.lay()
    stand.server.start()
    stand.break_it()
    result = stand.call(TEST)
    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "does not belong to the certificate" in (result.error or "")

    stand.lay()
    stand.server.config.write_text(stand.server.config.read_text() + "server:\n  no-such-key: 1\n")
    result = stand.call(TEST)
    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "unknown keyword" in result.output
    assert stand.served == before


@pytest.mark.parametrize(("event", "code"), [(TEST, 75), (DEPLOY, 75), (ROLLBACK, 0)])
def test_without_a_process(stand: Laid[Unbound], tmp_path: Path, event: HookEvent, code: int) -> None:
    """75; but at `rollback` it is started, for it ran before `deploy`. A number of another's is none."""
    stand.server.directory.mkdir()
    stand.server.configure()
    started = tmp_path / "started"
    restart = tmp_path / "restart"
    restart.write_text(f"#!/bin/sh\necho yes >>{started}\n")
    restart.chmod(0o755)
    for pid in ("", "1\n", "words\n"):
        stand.server.pid_file.write_text(pid)
        assert stand.call(event, UNBOUND_RESTART=str(restart)).code == code
    assert started.exists() == (code == 0)


@pytest.mark.parametrize("running", [True, False])
def test_by_systemd(stand: Laid[Unbound], tmp_path: Path, *, running: bool) -> None:
    """Without a program to restart it, the unit's main process is looked at and the unit restarted."""
    stand.server.start()
    pid = int(stand.server.pid_file.read_text()) if running else 0
    asked = tmp_path / "asked"
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f'#!/bin/sh\ncase $1 in show) echo {pid} ;; *) echo "$@" >>{asked} ;; esac\n')
    systemctl.chmod(0o755)

    result = stand.call(DEPLOY, UNBOUND_RESTART="", PATH=f"{tmp_path}:/usr/sbin:/usr/bin:/bin")

    assert result.code == (0 if running else 75)
    assert (asked.read_text() if asked.exists() else "") == ("restart unbound.service\n" if running else "")
