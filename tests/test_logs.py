"""The renewal log: an event a line, safe under rotation and on a full disk; journald and syslog beside it."""

import fcntl
import gzip
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from renewer import clock
from renewer.logs import Journal
from renewer.logs.daemons import JOURNALD, SYSLOG, Journald, Syslog
from renewer.logs.file import Rotation, shift
from renewer.logs.reading import Reader
from renewer.model.decision import EventName
from renewer.model.desired import Agent
from tests.servers.handshake import wait_until


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


# --- what is no file, and what is not whole -----------------------------------------------------------------


def test_pipe_without_a_reader_holds_up_nothing(tmp_path: Path) -> None:
    """A FIFO where the log should be: opening it would wait for ever, so it is refused and told."""
    path = tmp_path / "renewal.log"
    os.mkfifo(path)
    log = journal(path)
    log.tell(EventName.RUN_STARTED)
    log.close()
    assert log.faults == (f"the renewal log {path} cannot be written: it is no regular file",)


def test_line_torn_by_an_earlier_run_is_ended(tmp_path: Path) -> None:
    """A run that was killed in the middle of a line costs that line, not the next one."""
    path = tmp_path / "renewal.log"
    path.write_bytes(b'{"at":"2026-11-22T12:00')
    log = journal(path)
    log.tell(EventName.RUN_STARTED)
    log.close()
    torn, whole = path.read_bytes().splitlines()
    assert (torn, msgspec.json.decode(whole)["event"]) == (b'{"at":"2026-11-22T12:00', "run-started")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    mounting = ["/usr/bin/mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "renewer-test", str(place)]
    subprocess.run(mounting, check=True)
    yield place
    subprocess.run(["/usr/bin/umount", str(place)], check=True)


@pytest.mark.real  # a mount
def test_disk_that_is_really_full(small: Path) -> None:
    """Told, and nothing more happens; with room again the next line is whole, whatever was cut off before."""
    path = small / "renewal.log"
    log = Journal(str(path), host="web-1", run="r1", rotation=Rotation(size=20_000, keep=9))
    for number in range(100):
        log.tell(EventName.NOTICE, text=f"{number} " + "x" * 900)
    assert log.fault == f"the renewal log {path} cannot be written: No space left on device"
    for old in sorted(small.glob("renewal.log.*"))[1:]:
        old.unlink()
    log.tell(EventName.RUN_FINISHED, exit=1)
    log.close()
    assert [line["event"] for line in Reader(str(path)).events()][-1] == "run-finished"


# --- rotation ---------------------------------------------------------------------------------------------


def full(path: Path, *, count: int, size: int = 1000, keep: int = 3, group: str | None = None) -> Journal:
    """A journal after so many numbered lines, about 150 bytes each."""
    rotation = Rotation(size=size, keep=keep)
    log = Journal(str(path), host="web-1", run="r1", rotation=rotation, group=group)
    for number in range(count):
        log.tell(EventName.NOTICE, number=number, text="x" * 40)
    log.close()
    return log


def _number(event: Mapping[str, object]) -> int:
    number = event["number"]
    assert isinstance(number, int)
    return number


def numbers(path: Path) -> list[int]:
    """The numbers of all lines, as `renewer log` reads them."""
    return [_number(event) for event in Reader(str(path)).events()]


def test_log_gives_way_before_it_is_too_large(tmp_path: Path) -> None:
    """No file grows beyond its size; the oldest are let go; what is kept is read in order, without a gap."""
    path = tmp_path / "renewal.log"
    log = full(path, count=60)
    found = numbers(path)
    assert sorted(os.listdir(tmp_path)) == ["renewal.log", *(f"renewal.log.{n}" for n in (1, 2, 3))]
    assert all(file.stat().st_size <= 1000 for file in tmp_path.iterdir())
    assert found == list(range(found[0], 60))
    assert log.faults == ()


def test_rotation_turned_off(tmp_path: Path) -> None:
    """With size 0 the log is logrotate's affair."""
    path = tmp_path / "renewal.log"
    full(path, count=60, size=0)
    assert os.listdir(tmp_path) == ["renewal.log"]


@pytest.mark.real  # groups that only root may give files to
def test_new_log_has_the_rights_of_the_old_one(tmp_path: Path) -> None:
    """What an administrator gave to a group stays with it; a first one is for the agent's group."""
    path = tmp_path / "renewal.log"
    full(path, count=1, group="adm")
    assert (path.stat().st_gid, stat.S_IMODE(path.stat().st_mode)) == (4, 0o640)
    path.chmod(0o644)
    os.chown(path, -1, 1)
    full(path, count=20)
    assert [(one.stat().st_gid, stat.S_IMODE(one.stat().st_mode)) for one in sorted(tmp_path.iterdir())] == [
        (1, 0o644)
    ] * len(os.listdir(tmp_path))


def test_mode_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    """A strict umask would keep the group from reading."""
    before = os.umask(0o077)
    try:
        full(tmp_path / "renewal.log", count=1)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "renewal.log").stat().st_mode) == 0o640


@pytest.mark.parametrize("step", range(1, 6))
def test_rotation_killed_at_any_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Each move is one rename: dying after any of them loses no line, and the next rotation goes on."""
    path = tmp_path / "renewal.log"
    for number in (3, 2, 1):
        (tmp_path / f"renewal.log.{number}").write_text(f"{number}\n")
    path.write_text("0\n")
    real, left = os.rename, [step - 1]

    def rename(source: str, target: str, **where: int) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        real(source, target, **where)

    monkeypatch.setattr(os, "rename", rename)
    try:
        shift(str(path), 5)
    except KeyboardInterrupt:
        monkeypatch.setattr(os, "rename", real)
        if path.exists():
            shift(str(path), 5)
    kept = sorted(tmp_path.iterdir(), key=lambda one: int(one.suffix[1:]))
    assert [one.read_text() for one in kept] == ["0\n", "1\n", "2\n", "3\n"]


WRITER = """
import sys
from renewer.logs import Journal
from renewer.logs.file import Rotation
from renewer.model.decision import EventName
path, name, count = sys.argv[1:]
log = Journal(path, host="h", run=name, rotation=Rotation(size=20_000, keep=1000))
print("begun", flush=True)
for number in range(int(count)):
    log.tell(EventName.NOTICE, name, number=number, text="x" * 100)
log.close()
"""


def writer(path: Path, name: str, count: int) -> "subprocess.Popen[bytes]":
    """A process that writes numbered lines."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count)], stdout=subprocess.PIPE
    )


@pytest.mark.slow
def test_writers_side_by_side_lose_nothing(tmp_path: Path) -> None:
    """Two processes that both rotate, one that moves the file away as logrotate does: nothing is lost."""
    path = tmp_path / "renewal.log"
    with writer(path, "a", 3000) as first, writer(path, "b", 3000) as second:
        moved = 0
        while first.poll() is None or second.poll() is None:
            try:
                path.rename(tmp_path / f"renewal.log-2026112{moved % 10}{moved}")
                moved += 1
            except FileNotFoundError:
                pass
            clock.sleep(0.02)
        assert (first.wait(), second.wait()) == (0, 0)
    reader = Reader(str(path))
    found: dict[str, list[int]] = {"a": [], "b": []}
    for event in reader.events():
        found[str(event["certificate"])].append(_number(event))
    assert reader.damaged == 0
    assert moved > 0
    assert {name: sorted(numbers) for name, numbers in found.items()} == {
        name: list(range(3000)) for name in "ab"
    }


def test_taken_away_as_soon_as_another_made_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is there; another process makes it before us, and logrotate takes it before we open it."""
    path, real, came = tmp_path / "renewal.log", os.open, [0]

    def opened(name: str, flags: int, *more: int, **where: int) -> int:
        if name == path.name:
            came[0] += 1
            if came[0] == 2:  # we found none, and are about to make it
                path.write_bytes(b"")
            elif came[0] == 3:  # it was there, and is about to be opened
                path.rename(tmp_path / "renewal.log-20261122")
        return real(name, flags, *more, **where)

    monkeypatch.setattr(os, "open", opened)
    full(path, count=3)
    assert came[0] > 3
    assert len(list(Reader(str(path)).events())) == 3


@pytest.mark.parametrize("again", [True, False], ids=["and another is there", "and none is there"])
def test_rotated_by_another_just_before(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    again: bool,  # noqa: FBT001
) -> None:
    """It is ours to rotate, but somebody did so a moment ago: the line goes on in what stands now."""
    path, real, moved = tmp_path / "renewal.log", fcntl.flock, [0]
    full(path, count=3, keep=1000)

    def flock(fd: int, how: int) -> None:
        if not moved[0]:
            moved[0] += 1
            path.rename(tmp_path / "renewal.log-20261122")
            if again:
                path.write_bytes(b"")
        real(fd, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    log = full(path, count=9, keep=1000)
    assert moved[0]
    assert log.faults == ()
    assert len(numbers(path)) == 12


def test_two_that_rotate_different_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logrotate takes the file away while a run rotates it, and another fills the next: nothing is lost."""
    path, real, moved = tmp_path / "renewal.log", os.rename, [0]
    full(path, count=40, keep=1000)

    def rename(source: str, target: str, **where: int) -> None:
        moved[0] += 1
        if moved[0] == 2:
            real(path, tmp_path / "renewal.log-20261122")
            full(path, count=40, keep=1000)
        real(source, target, **where)

    before = len(list(tmp_path.iterdir()))
    monkeypatch.setattr(os, "rename", rename)
    full(path, count=10, keep=1000)
    told = list(Reader(str(path)).events())
    assert before > 2
    assert moved[0] > 2
    assert len(told) == 90


@pytest.mark.slow
def test_killed_while_it_rotates(tmp_path: Path) -> None:
    """SIGKILL at any instant: every line but perhaps the last is whole, and none before is missing."""
    path = tmp_path / "renewal.log"
    for attempt in range(5):
        before = len(os.listdir(tmp_path))
        # about 100 rotations at most: however late this process notices, what is kept of old logs is enough
        with writer(path, f"k{attempt}", 8000) as process:
            wait_until(lambda: len(os.listdir(tmp_path)) > before + attempt + 1)  # noqa: B023  called at once
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    with writer(path, "last", 1) as process:
        assert process.wait() == 0
    reader = Reader(str(path))
    by_run: dict[str, list[int]] = {}
    for event in reader.events():
        by_run.setdefault(str(event["run"]), []).append(_number(event))
    assert reader.damaged <= 5
    assert len(by_run) == 6
    assert all(found == list(range(len(found))) for found in by_run.values())


def test_file_that_another_process_rotates_is_left_to_it(tmp_path: Path) -> None:
    """While somebody holds the lock on the log, it is written on beyond its size."""
    path = tmp_path / "renewal.log"
    full(path, count=5)
    with path.open("rb") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        full(path, count=20)
    assert os.listdir(tmp_path) == ["renewal.log"]


def test_rotation_that_cannot_be_done_is_told(tmp_path: Path) -> None:
    """A directory in the way of renewal.log.1: the log goes on where it is."""
    path = tmp_path / "renewal.log"
    (tmp_path / "renewal.log.1" / "x").mkdir(parents=True)
    log = full(path, count=20, keep=1)
    assert log.faults == (f"the renewal log {path} cannot be rotated: Is a directory",)
    assert len(lines(path)) == 20


# --- reading ----------------------------------------------------------------------------------------------


def test_logs_that_logrotate_made_are_read_in_order(tmp_path: Path) -> None:
    """Numbers or dates, packed or not: the order is that of the events."""
    path = tmp_path / "renewal.log"
    full(path, count=30, keep=9)
    os.rename(tmp_path / "renewal.log.1", tmp_path / "renewal.log-20261122")
    for old in ("renewal.log.3", "renewal.log.2"):
        with (tmp_path / old).open("rb") as plain, gzip.open(tmp_path / f"{old}.gz", "wb") as packed:
            shutil.copyfileobj(plain, packed)
    (tmp_path / "renewal.log.3").unlink()
    (tmp_path / "renewal.log.old").write_text("not of the log")
    assert numbers(path) == list(range(30))


def test_damaged_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    """Whatever the disk made of them: torn lines, rubbish, a packed file cut in half."""
    path = tmp_path / "renewal.log"
    full(path, count=3)
    whole = gzip.compress(b'{"at":"2026-11-22T12:00:00Z","number":-1}\n' * 3)
    (tmp_path / "renewal.log.1.gz").write_bytes(whole[:-9])
    with path.open("ab") as file:
        file.write(b"[1]\nrubbish\n\n\xff\xfe\n" + b'{"at":"20')
    reader = Reader(str(path))
    assert [event["number"] for event in reader.events()][-3:] == [0, 1, 2]
    assert reader.damaged == 5


def test_old_files_are_not_opened_for_recent_events(tmp_path: Path) -> None:
    """With years of packed logs, `--since 1h` reads the last one."""
    path = tmp_path / "renewal.log"
    full(path, count=3)
    (tmp_path / "renewal.log.1").write_text("rubbish\n")
    os.utime(tmp_path / "renewal.log.1", (1_000_000_000, 1_000_000_000))
    reader = Reader(str(path))
    assert len(list(reader.events(clock.now() - timedelta(hours=1)))) == 3
    assert (reader.damaged, reader.files) == (0, 1)


def test_following_across_rotations_and_truncation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written while somebody follows comes once and in order, whatever becomes of the file."""
    path = tmp_path / "renewal.log"
    full(path, count=2)

    def copy_and_truncate() -> None:
        shutil.copy(path, tmp_path / "renewal.log-1")
        os.truncate(path, 0)

    steps: Iterator[Callable[[], object]] = iter(
        [
            lambda: full(path, count=30, keep=99),
            lambda: None,
            copy_and_truncate,
            (tmp_path / "renewal.log-1").unlink,
            lambda: full(path, count=3, size=0),
        ]
    )
    ends: list[bool] = []

    def act(_: float) -> None:
        step = next(steps, None)
        if step is None:
            ends.append(True)
            raise KeyboardInterrupt
        step()

    monkeypatch.setattr(clock, "sleep", act)
    found = []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012  it ends by being interrupted
        for event in Reader(str(path)).events(follow=True):
            found.append(event["number"])  # noqa: PERF401  what came before counts
    assert (found, ends) == ([0, 1, *range(30), 0, 1, 2], [True])


# --- journald and syslog ----------------------------------------------------------------------------------


@pytest.fixture
def daemon(place: Path) -> Iterator[socket.socket]:
    """A log daemon's datagram socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(place / "log"))
        listening.settimeout(60)
        yield listening


def received(daemon: socket.socket) -> bytes:
    """One datagram."""
    return daemon.recv(1 << 17)


def fields(datagram: bytes) -> dict[str, str]:
    """A datagram of the journal's native protocol, taken apart as its documentation says."""
    found = {}
    while datagram:
        line, _, datagram = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(datagram[:8], "little")
            value, datagram = datagram[8 : 8 + size], datagram[8 + size + 1 :]
        found[name.decode()] = value.decode()
    return found


def test_journald_gets_every_event_with_its_fields(tmp_path: Path, daemon: socket.socket) -> None:
    """The run's id, the certificate and the event can be searched for; a hook's output keeps its lines."""
    sender = Journald(daemon.getsockname())
    log = Journal(str(tmp_path / "log"), host="web-1", run="r1", senders=(sender,))
    log.tell(EventName.HOOK_RUN, "www", hook="nginx", result="failed", error="it is\ndown", output="a\nb")
    log.tell(EventName.FAILED, "www", step="deploy", error="hook nginx failed")
    log.close()

    assert fields(received(daemon)) == {
        "MESSAGE": 'www: hook-run it is down hook=nginx result=failed output="a b"',
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "renewer",
        "RENEWER_CERTIFICATE": "www",
        "RENEWER_EVENT": "hook-run",
        "RENEWER_RUN": "r1",
        "RENEWER_HOST": "web-1",
        "RENEWER_ERROR": "it is\ndown",
        "RENEWER_HOOK": "nginx",
        "RENEWER_RESULT": "failed",
        "RENEWER_OUTPUT": "a\nb",
    }
    second = fields(received(daemon))
    assert (second["PRIORITY"], second["MESSAGE"]) == ("3", "www: failed hook nginx failed step=deploy")


def test_syslog_gets_a_line_an_event(tmp_path: Path, daemon: socket.socket) -> None:
    """Framed as the C library does: priority, local time, name and process; one line, whatever it holds."""
    log = Journal(str(tmp_path / "log"), host="web-1", run="r1", senders=(Syslog(daemon.getsockname()),))
    log.tell(EventName.FAILED, "www", error="two\nlines\x1b[31m")
    log.tell(EventName.NOTICE, text="x" * 9000)
    log.close()

    line = received(daemon).decode()
    head, _, text = line.partition(f"renewer[{os.getpid()}]: ")
    assert head.startswith("<27>")
    assert len(head) == len("<27>Nov 22 12:00:00 ")
    assert text == "www: failed two lines [31m run=r1"
    assert len(received(daemon)) == 2000


@pytest.mark.parametrize("make", [Journald, Syslog])
def test_daemon_that_is_not_there(tmp_path: Path, place: Path, make: type[Journald | Syslog]) -> None:
    """Nothing waits, the renewal log has everything, and it is told once."""
    sender = make(str(place / "nobody"))
    log = Journal(str(tmp_path / "log"), host="web-1", run="r1", senders=(sender,))
    for _ in range(3):
        log.tell(EventName.RUN_STARTED)
    log.close()
    assert log.faults == (f"{sender} takes nothing: No such file or directory",)
    assert len(lines(tmp_path / "log")) == 3


@pytest.mark.parametrize("make", [Journald, Syslog])
def test_daemon_that_reads_nothing(
    tmp_path: Path, daemon: socket.socket, make: type[Journald | Syslog]
) -> None:
    """A full socket is not waited for."""
    log = Journal(str(tmp_path / "log"), host="web-1", run="r1", senders=(make(daemon.getsockname()),))
    begun = clock.monotonic()
    for _ in range(2000):
        log.tell(EventName.NOTICE, text="x" * 500)
    log.close()
    assert clock.monotonic() - begun < 60
    assert len(lines(tmp_path / "log")) == 2000
    (fault,) = log.faults
    assert "too busy" in fault


@pytest.mark.parametrize("make", [Journald, Syslog])
def test_daemon_that_is_started_anew(tmp_path: Path, place: Path, make: type[Journald | Syslog]) -> None:
    """Its socket is another one at the same path: the next event goes there."""
    path = place / "log"
    log = Journal(str(tmp_path / "log"), host="web-1", run="r1", senders=(make(str(path)),))
    for _ in range(2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            listening.bind(str(path))
            listening.settimeout(60)
            log.tell(EventName.RUN_STARTED)
            assert b"run-started" in received(listening)
        path.unlink()
    log.close()
    assert log.faults == ()


def test_config_names_what_else_is_told(tmp_path: Path) -> None:
    """[agent] journald and syslog; without them neither module is loaded."""
    agent = Agent(log=str(tmp_path / "log"), host="web-1", journald=True, syslog=True)
    log = Journal.of(agent, run="r1")
    assert [str(sender) for sender in log._senders] == [
        f"the systemd journal ({JOURNALD})",
        f"syslog ({SYSLOG})",
    ]
    probe = "import sys, renewer.logs; print('socket' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
