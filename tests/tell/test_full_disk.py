"""The state's file system is full for weeks: nothing can be remembered, and all of it is told."""

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from renewer.cli import app
from tests.tell.conftest import Clock
from tests.tell.host import Host
from tests.tell.listener import Listener

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
CHECK = "/ping/1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"
_SIZE = "24m"  # room for the reserve, and for the reserve to be laid


@pytest.fixture
def small(host: Host) -> Iterator[Path]:
    """The state directory on a file system of its own."""
    host.state.mkdir(mode=0o700)
    mounting = [
        "/usr/bin/mount",
        "-t",
        "tmpfs",
        "-o",
        f"size={_SIZE},mode=0700",
        "renewer-test",
        str(host.state),
    ]
    subprocess.run(mounting, check=True)
    yield host.state
    subprocess.run(["/usr/bin/umount", "--lazy", str(host.state)], check=True)


def fill(place: Path) -> Path:
    """To the last byte."""
    filler = place / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (1 << 20, 4096, 512, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return filler


def configure(host: Host, checks: Listener) -> Path:
    """A host with a heartbeat, metrics, and a program that is called with each notice."""
    told = host.root / "told"
    script = host.root / "tell.sh"
    script.write_text(f"#!/bin/sh\ncat >> {told}\necho >> {told}\n")
    script.chmod(0o700)
    host.configure(
        f'[notify.ops]\ntype = "command"\nrun = ["{script}"]\n',
        f'[report]\nmetrics = "{host.root}/renewer.prom"\n'
        f"heartbeat = {host.secret('heartbeat', checks.url(CHECK))}\n",
    )
    return told


def subjects(told: Path) -> list[str]:
    """Of every notice that went out."""
    found = told.read_text().split("\n{") if told.exists() else []
    return [one for one in found if one.strip()]


@pytest.mark.real  # a mount
def test_weeks_without_room(host: Host, time: Clock, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Until it expired and beyond: exit 3, notices with bounded repeats, heartbeat, metrics, and status."""
    end = time.moment + 32 * DAY
    with Listener() as checks:
        told = configure(host, checks)
        host.install(not_before=end - 90 * DAY, not_after=end)
        assert host.run().exit == 0
        assert (small / "reserve").stat().st_blocks
        time.moment = end - 5 * DAY
        fill(small)
        first = host.run()  # the reserve is given up, and so this run is remembered
        assert first.exit != 0
        assert not (small / "reserve").exists()
        assert any("reserve" in note for note in first.findings)
        fill(small)
        while time.moment < end + 2 * DAY:
            time.advance(6 * HOUR)
            report = host.run()
            assert report.exit == (3 if time.moment >= end else report.exit) != 0
            assert any("cannot be" in note and "df -h" in note for note in report.findings), report.findings
        metrics = (host.root / "renewer.prom").read_text()
        assert 'renewer_run_last_exit_status{host="web-1"} 3' in metrics
        assert (
            f'renewer_run_last_completed_timestamp_seconds{{host="web-1"}} {time.moment.timestamp():.0f}'
            in metrics
        )
        assert 'renewer_certificate_healthy{name="www",host="web-1"} 0' in metrics
        assert checks.paths[-2:] == [f"{CHECK}/start", f"{CHECK}/3"]
        text = told.read_text()
        assert "EXPIRED" in text
        assert text.count("EXPIRED") >= 2
        before = told.stat().st_size
        for _ in range(5):
            time.advance(timedelta(minutes=30))
            assert host.run().exit == 3
        assert told.stat().st_size == before  # what nobody remembers is not repeated at every run
        _status_answers(host, capsys)
        os.unlink(small / "filler")
        time.advance(HOUR)
        report = host.run()
        assert not [note for note in report.findings if "remembered" in note]
        assert (small / "reserve").exists()


def _status_answers(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """From the disk, with why nothing is renewed and what to do."""
    capsys.readouterr()
    assert app._run(["--config", str(host.path), "status", "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["certificates"][0]["state"] == "expired"
    assert any("df -h" in note for note in document["unread"]), document["unread"]
    assert app._run(["--config", str(host.path), "status"]) == 3
    said = capsys.readouterr().out
    assert "df -h" in said
    assert "www\texpired" in said
