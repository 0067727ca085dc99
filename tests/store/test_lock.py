import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from renewer.errors import LockHeld, StateError
from renewer.store.lock import Lock

_HOLDER = """
import sys, time
from renewer.store.lock import Lock
with Lock(sys.argv[1], command="renewer run --only www").acquire(30):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@contextmanager
def _another(state: Path, seconds: float) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the lock for so long."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(state), str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_free_lock(tmp_path: Path) -> None:
    """Taking the lock makes the state directory, private, with its parents; letting go leaves it free."""
    state = tmp_path / "var" / "lib" / "renewer"
    lock = Lock(str(state), command="renewer run")
    assert lock.holder() is None
    assert not state.parent.parent.exists()
    with lock.acquire():
        assert (state.stat().st_mode & 0o777, (state / "lock").stat().st_mode & 0o777) == (0o700, 0o600)
        holder = Lock(str(state)).holder()
        assert holder is not None
        assert (holder.pid, holder.command) == (os.getpid(), "renewer run")
    assert Lock(str(state)).holder() is None
    lock.release()


def test_with_takes_it(tmp_path: Path) -> None:
    """Used without acquire, the context manager takes it at once or not at all."""
    with Lock(str(tmp_path / "state")), pytest.raises(LockHeld), Lock(str(tmp_path / "state")):
        pytest.fail("taken twice")


def test_held_by_another_process(tmp_path: Path) -> None:
    """Who has to go without is told which process has it, what it does and since when."""
    with _another(tmp_path / "state", 60) as process:
        with pytest.raises(LockHeld) as caught:
            Lock(str(tmp_path / "state")).acquire()
        assert f"pid {process.pid} (renewer run --only www) since 2" in caught.value.text
        assert caught.value.text.endswith(" UTC")
        holder = Lock(str(tmp_path / "state")).holder()
        assert holder is not None
        assert holder.pid == process.pid


def test_waiting_in_vain(tmp_path: Path) -> None:
    """Waiting ends when its time is over."""
    with _another(tmp_path / "state", 60):
        start = time.monotonic()
        with pytest.raises(LockHeld):
            Lock(str(tmp_path / "state")).acquire(0.3)
        assert time.monotonic() - start >= 0.3


def test_waiting(tmp_path: Path) -> None:
    """Who waits gets it when the other one is done."""
    with _another(tmp_path / "state", 0.4), Lock(str(tmp_path / "state")).acquire(30) as lock:
        holder = lock.holder()
        assert holder is not None
        assert holder.pid == os.getpid()


def test_killed_holder(tmp_path: Path) -> None:
    """The lock of a process that was killed is free at once, whatever it wrote."""
    with _another(tmp_path / "state", 60) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert Lock(str(tmp_path / "state")).holder() is None
        Lock(str(tmp_path / "state")).acquire().release()


def test_children_do_not_inherit_it(tmp_path: Path) -> None:
    """A hook's child that outlives the run does not keep the lock."""
    lock = Lock(str(tmp_path / "state")).acquire()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    try:
        lock.release()
        Lock(str(tmp_path / "state")).acquire().release()
    finally:
        child.communicate()


def test_asking_does_not_disturb(tmp_path: Path) -> None:
    """Somebody who keeps asking who holds it never makes an agent believe that it is held."""
    Lock(str(tmp_path / "state")).acquire().release()
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            Lock(str(tmp_path / "state")).holder()
            time.sleep(0.0005)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(50):
            Lock(str(tmp_path / "state")).acquire().release()
    finally:
        stop.set()
        asking.join()


def test_unreadable_card(tmp_path: Path) -> None:
    """A holder that has not written yet who it is, is a holder all the same."""
    with Lock(str(tmp_path / "state")).acquire():
        (tmp_path / "state" / "lock").write_bytes(b"")
        with pytest.raises(LockHeld, match="has not said"):
            Lock(str(tmp_path / "state")).acquire()


def test_link_instead_of_lock(tmp_path: Path) -> None:
    """A link where the lock belongs is refused, and nothing is written where it leads."""
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "state" / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(StateError, match="lock"):
        Lock(str(tmp_path / "state")).acquire()
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_state_that_cannot_be_made(tmp_path: Path) -> None:
    """A file on the way to the state directory is told of, not traced."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StateError, match=r"Not a directory|File exists"):
        Lock(str(tmp_path / "file" / "state")).acquire()


def test_group(tmp_path: Path) -> None:
    """With a group the state directory can be entered by it; the lock stays ours."""
    with Lock(str(tmp_path / "state"), group=str(os.getgid())).acquire():
        assert (tmp_path / "state").stat().st_mode & 0o777 == 0o750
