"""The renewal log: an event a line, safe under rotation and on a full disk."""

import os
import stat
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from renewer.logs import Journal
from renewer.model.outcome import EventName


def lines(path: Path) -> list[dict[str, Any]]:
    """Every line, decoded."""
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def journal(path: Path) -> Journal:
    """A run's journal."""
    return Journal(str(path), host="web-1", run="r1")


def test_line_has_the_documented_keys(tmp_path: Path) -> None:
    """at, host, run, certificate, event, then the details; times end in Z."""
    log = journal(tmp_path / "renewal.log")
    log.tell(EventName.ISSUED, "www", authority="pebble", took_ms=12, error=None)
    log.close()
    (line,) = lines(tmp_path / "renewal.log")
    assert list(line) == ["at", "host", "run", "certificate", "event", "authority", "took_ms"]
    assert line["at"].endswith("Z")


def test_directory_is_made_and_the_file_is_not_for_everybody(tmp_path: Path) -> None:
    """A log that was never written before appears, readable by its owner and group."""
    path = tmp_path / "new" / "renewal.log"
    log = journal(path)
    log.tell(EventName.RUN_STARTED)
    log.close()
    assert stat.S_IMODE(path.stat().st_mode) & 0o027 == 0


def test_rotation_in_the_middle_of_a_run_loses_nothing(tmp_path: Path) -> None:
    """When logrotate moves the file away, the next line opens a new one."""
    path = tmp_path / "renewal.log"
    log = journal(path)
    log.tell(EventName.RUN_STARTED)
    path.rename(tmp_path / "renewal.log.1")
    log.tell(EventName.RUN_FINISHED, exit=0)
    log.close()
    assert [line["event"] for line in lines(tmp_path / "renewal.log.1")] == ["run-started"]
    assert [line["event"] for line in lines(path)] == ["run-finished"]


def test_lines_of_many_threads_are_whole(tmp_path: Path) -> None:
    """Workers write side by side, and each line is one write."""
    path = tmp_path / "renewal.log"
    log = journal(path)

    def write(number: int) -> None:
        for _ in range(50):
            log.tell(EventName.NOTICE, f"c{number}", text="x" * 300)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert len(lines(path)) == 400


def test_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    """A directory in its place: the fault is kept for the person, and no error comes out."""
    path = tmp_path / "renewal.log"
    path.mkdir()
    log = journal(path)
    log.tell(EventName.RUN_STARTED)
    log.close()
    assert log.fault is not None
    assert str(path) in log.fault


def test_full_disk_leaves_no_torn_line_behind_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line cut off by a full disk is ended, so that the next one can be read."""
    path = tmp_path / "renewal.log"
    log = journal(path)
    real, cut = os.write, [True]

    def write(file: int, data: bytes) -> int:
        if cut and len(data) > 10:
            cut.clear()
            return real(file, data[:10])
        return real(file, data)

    monkeypatch.setattr(os, "write", write)
    log.tell(EventName.RUN_STARTED)
    log.tell(EventName.RUN_FINISHED, exit=0)
    log.close()
    torn, whole = path.read_bytes().splitlines()
    assert len(torn) == 10
    assert msgspec.json.decode(whole)["event"] == "run-finished"


def test_long_output_is_cut(tmp_path: Path) -> None:
    """A hook that floods does not fill the disk with its output."""
    path = tmp_path / "renewal.log"
    log = journal(path)
    log.tell(EventName.HOOK_RUN, "www", output="x" * 100_000)
    log.close()
    assert path.stat().st_size < 10_000


def test_link_in_the_place_of_the_log_is_not_followed(tmp_path: Path) -> None:
    """A link planted at the log's path writes nothing where it leads."""
    target = tmp_path / "precious"
    target.write_text("precious")
    path = tmp_path / "renewal.log"
    path.symlink_to(target)
    log = journal(path)
    log.tell(EventName.RUN_STARTED)
    log.close()
    assert target.read_text() == "precious"
    assert log.fault is not None


def test_screen_that_goes_away(tmp_path: Path) -> None:
    """A closed terminal or the end of a pipe ends neither the log nor the run."""

    def gone(_: dict[str, object]) -> None:
        raise BrokenPipeError

    log = Journal(str(tmp_path / "renewal.log"), host="web-1", run="r1", listener=gone)
    log.tell(EventName.RUN_STARTED)
    log.tell(EventName.RUN_FINISHED)
    log.close()

    assert len(lines(tmp_path / "renewal.log")) == 2
