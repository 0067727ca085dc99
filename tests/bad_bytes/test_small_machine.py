"""A machine that is out of something: it is named, with what to do, and never called a defect."""

import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from renewer import clock, inventory
from renewer.errors import SHORTAGE, OurFault, RetryLater, shortage
from renewer.logs import defects
from tests.bad_bytes.place import WELL, Place, place

__all__ = ["place"]
CHECKOUT = Path(__file__).resolve().parents[2]
MIB = 1 << 20


def limited(place: Place, which: int, amount: int, *words: str) -> tuple[int, str]:
    """A command in a process of its own under a limit: its exit code, and all that it said."""
    ended = subprocess.run(
        [sys.executable, "-m", "renewer", "--config", str(place.config), *words],
        capture_output=True,
        text=True,
        timeout=90,
        cwd="/",
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(CHECKOUT),
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",  # Python itself writes half a file where no more fits
        },
        preexec_fn=lambda: resource.setrlimit(which, (amount, amount)),
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


LIMITS = {
    "8 files": (resource.RLIMIT_NOFILE, 8, "no more files can be open"),
    "6 files": (resource.RLIMIT_NOFILE, 6, "no more files can be open"),
    "100 MiB": (resource.RLIMIT_AS, 100 * MIB, "there is no memory left"),
    "60 MiB": (resource.RLIMIT_AS, 60 * MIB, "there is no memory left"),
    "28 MiB": (resource.RLIMIT_AS, 28 * MIB, "there is no memory left"),
}


@pytest.mark.parametrize(("which", "amount", "words"), LIMITS.values(), ids=LIMITS)
def test_limits(place: Place, which: int, amount: int, words: str) -> None:
    """A run with something to do says what there is too little of; nothing is ordered."""
    place.restore()
    clock_of_order = place.state / "certificates" / "late" / "pending"
    before = sorted(one.name for one in clock_of_order.iterdir())
    code, said = limited(place, which, amount, "run", "late")
    assert (code, words in said, "limit" in said) == (1, True, True), said
    assert "out of resources" in said
    assert not [word for word in ("defect", "Traceback", "please report") if word in said], said
    assert sorted(one.name for one in clock_of_order.iterdir()) == before


@pytest.mark.parametrize("files", [5, 6, 7, 8, 9, 10, 12])
def test_what_cannot_be_opened_is_not_missing(place: Place, files: int) -> None:
    """Whoever cannot open a certificate must not say that there is none: that would order it."""
    place.restore()
    code, said = limited(place, resource.RLIMIT_NOFILE, files, "plan", *WELL)
    assert "issue" not in said
    assert (code, "out of resources" in said) in {(1, True), (0, False)}, said


@pytest.mark.parametrize("kib", [1, 8, 64])
def test_files_that_may_not_grow(place: Place, kib: int) -> None:
    """A run tells what it cannot write; status answers from what is there."""
    place.restore()
    code, said = limited(place, resource.RLIMIT_FSIZE, kib * 1024, "run")
    assert code in (0, 1), said
    assert "defect" not in said
    code, said = limited(place, resource.RLIMIT_FSIZE, kib * 1024, "status")
    assert code in (0, 1)
    assert "www\tinstalled" in said, said


ERRORS: dict[str, tuple[Exception, str]] = {
    "descriptors": (OSError(errno.EMFILE, "Too many open files"), "files"),
    "descriptors of the host": (OSError(errno.ENFILE, "Too many open files in system"), "files"),
    "memory": (MemoryError(), "memory"),
    "memory for a fork": (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
    "processes": (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "processes"),
    "threads": (RuntimeError("can't start new thread"), "threads"),
    "room": (OSError(errno.ENOSPC, "No space left on device"), "room"),
    "quota": (OSError(errno.EDQUOT, "Disk quota exceeded"), "room"),
    "a library": (ImportError("libssl.so.3: failed to map segment from shared object"), "memory"),
    "a limit of size": (OSError(errno.EFBIG, "File too large"), "grow"),
    "read-only": (OSError(errno.EROFS, "Read-only file system"), "written"),
}


@pytest.mark.parametrize(("error", "words"), ERRORS.values(), ids=ERRORS)
def test_every_shortage_has_its_name(error: Exception, words: str) -> None:
    """Also where a library wraps it; none is a defect."""
    wrapped = OSError("it failed")
    wrapped.__cause__ = error
    for one in (error, wrapped):
        told = OurFault.of(one)
        assert isinstance(told, RetryLater)
        assert (told.kind, words in told.text, bool(told.hint)) == (SHORTAGE, True, True)


def test_defects_stay_defects() -> None:
    """What is ours is told as ours, though something was short while it was handled."""
    defect = TypeError("unhashable")
    defect.__context__ = OSError(errno.ENOSPC, "No space left on device")
    assert shortage(defect) is None
    assert shortage(RuntimeError("dictionary changed size during iteration")) is None
    assert OurFault.of(KeyError("x")).kind == "defect"


def test_traces(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A defect while one certificate is read is its trouble; status tells where its trace is."""
    place.restore()
    real = inventory._order

    def broken(context: object, name: str, *rest: object) -> object:
        if name == "www":
            raise LookupError("nobody foresaw this")
        return real(context, name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(inventory, "_order", broken)
    place.run()
    said = capsys.readouterr()
    assert "nobody foresaw this" in said.out + said.err
    trace = place.state / defects.NAME
    assert (trace.stat().st_mode & 0o777, "LookupError" in trace.read_text()) == (0o600, True)
    place.command("status", "--json")
    document = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in document["certificates"]}
    assert [name for name in WELL if not rows[name]["healthy"]] == ["www"]
    (note,) = [one for one in document["findings"] if defects.NAME in one]
    assert f"rm {trace}" in note
    assert not list(
        (place.state / "certificates" / "www").glob("pending/*")
    )  # nothing was ordered in its place
    monkeypatch.undo()
    trace.unlink()
    place.command("status", "--json")
    assert not [one for one in json.loads(capsys.readouterr().out)["findings"] if defects.NAME in one]


def test_traces_are_bounded(tmp_path: Path) -> None:
    """The newest first, in one file that does not grow for ever, whatever stood in its place."""
    for number in range(100):
        defects.keep(str(tmp_path), ValueError(f"{number} " + "x" * 5000))
    found = (tmp_path / defects.NAME).read_bytes()
    assert len(found) <= 64 * 1024
    assert b"ValueError: 99 " in found[:6000]
    assert os.listdir(tmp_path) == [defects.NAME]


def test_a_command_that_breaks(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last net keeps the trace in the state directory, and names it."""
    place.restore()

    def broken(*_: object) -> None:
        raise LookupError("nobody foresaw this")

    monkeypatch.setattr("renewer.run.plan", broken)
    assert place.command("plan") == 1
    said = capsys.readouterr().err
    assert "a defect of this program: LookupError" in said
    assert str(place.state / defects.NAME) in said
    assert "Traceback" not in said


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setattr(clock, "sleep", lambda _: time.sleep(0.001))
