import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from renewer import proc
from renewer.errors import RenewerError

ENV = {"PATH": "/usr/bin:/bin"}
LIMITS = (0.3, 3.0, 30.0)  # seconds for a program that hangs: in the end so many that it has come to that


def sh(script: str, *, stdin: bytes = b"", timeout: float = 30) -> proc.ProcResult:
    """Run a few words of shell."""
    return proc.run(["/bin/sh", "-c", script], stdin=stdin, env=ENV, timeout=timeout)


def is_running(pid: int) -> bool:
    """Whether a process is there and not merely waiting to be reaped by whoever adopted it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until_gone(pid: int) -> None:
    """A killed process that is not our child may take a moment to go, and nobody tells us when."""
    deadline = time.monotonic() + 60
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def wait_for(path: Path) -> str:
    """What a program writes to a file, once it is there."""
    deadline = time.monotonic() + 60
    while not path.exists() or not path.read_text().strip():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return path.read_text().strip()


def test_exit_code_and_both_outputs_in_order() -> None:
    """The exit code is the program's; stdout and stderr come back as they were written."""
    result = sh("echo out; echo err >&2; echo again; exit 42")

    assert (result.code, result.output, result.timed_out) == (42, "out\nerr\nagain\n", False)


def test_a_signal_ends_as_in_the_shell() -> None:
    """A program that a signal ended has the code that a shell would give it."""
    assert sh("kill -9 $$").code == 128 + signal.SIGKILL


def test_no_shell_reads_the_arguments() -> None:
    """Arguments arrive as they are, whatever a shell would make of them."""
    result = proc.run(["/bin/echo", "$HOME;`id`", "a  b"], env=ENV, timeout=30)

    assert result.output == "$HOME;`id` a  b\n"


def test_the_environment_is_exactly_what_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of our own environment reaches the program."""
    monkeypatch.setenv("PYTHONPATH", "/ours")

    result = proc.run(["/usr/bin/env"], env={"A": "1"}, timeout=30)

    assert result.output == "A=1\n"


def test_it_runs_where_it_is_told(tmp_path: Path) -> None:
    """The working directory is `/` unless another is given."""
    here = proc.run(["/bin/pwd"], env=ENV, timeout=30)
    there = proc.run(["/bin/pwd"], env=ENV, timeout=30, cwd=str(tmp_path))

    assert (here.output, there.output) == ("/\n", f"{tmp_path}\n")


def test_a_session_of_its_own() -> None:
    """The program leads its own group: what is sent to ours does not reach it."""
    result = proc.run(["/bin/sh", "-c", "cut -d' ' -f1,5,6 /proc/$$/stat"], env=ENV, timeout=30)

    pid, group, session = result.output.split()
    assert pid == group == session


def test_input_and_output_larger_than_any_pipe() -> None:
    """Feeding and reading go on side by side, so that neither waits for the other."""
    result = sh("cat", stdin=b"x" * 3_000_000)

    assert result.code == 0
    assert f"{3_000_000 - proc.OUTPUT_LIMIT} bytes left out" in result.output


@pytest.mark.parametrize("script", ["exit 3", "exec <&-; sleep 0.1; exit 3", "head -c 1 >/dev/null; exit 3"])
def test_input_that_nobody_reads(script: str) -> None:
    """A program need not read what it is given."""
    assert sh(script, stdin=b"x" * 1_000_000).code == 3


def test_an_output_closed_early() -> None:
    """A program that closes its output is still waited for."""
    assert sh("exec >&- 2>&-; sleep 0.2; exit 5").code == 5


def test_a_flood_is_bounded_at_both_ends() -> None:
    """Of a flood the beginning and the end are kept, and what was left out is said."""
    result = sh("echo first; yes flood | head -c 5000000; echo; echo last")

    assert result.output.startswith("first\n")
    assert result.output.endswith("last\n")
    assert "bytes left out" in result.output
    assert len(result.output) < proc.OUTPUT_LIMIT + 100


def test_binary_output_is_made_harmless() -> None:
    """Whatever bytes come, the text is printable: no escapes, no controls, no turned writing."""
    data = bytes(range(256)) + b"\x1b[31mred\x1b[0m\x1b]0;title\x07 \xe2\x80\xaeturned\xc2\x9b1m\r\nend\rover"

    result = proc.run(["/bin/cat"], stdin=data, env=ENV, timeout=30)

    assert "red turned1m\nend\nover" in result.output
    assert [char for char in result.output if not char.isprintable() and char not in "\n\t"] == []


def test_the_time_limit_ends_the_whole_group(tmp_path: Path) -> None:
    """At the time limit the children go as well."""
    note = tmp_path / "pid"

    for limit in LIMITS:
        result = sh(f"sleep 300 & echo $! > {note}; echo begun; wait", timeout=limit)
        if result.output:
            break

    assert (result.code, result.timed_out, result.output) == (None, True, "begun\n")
    wait_until_gone(int(note.read_text()))


@pytest.mark.slow
def test_who_does_not_listen_to_term_is_killed(tmp_path: Path) -> None:
    """TERM is a request, KILL is not; a child that ignores TERM goes too."""
    note = tmp_path / "pid"

    for limit in LIMITS:
        result = sh(
            f"trap '' TERM; (sleep 300 & echo $! > {note}; wait) & while :; do sleep 1; done", timeout=limit
        )
        if note.exists() and note.read_text():
            break

    assert result.timed_out
    wait_until_gone(int(note.read_text()))


def test_there_is_time_for_last_words() -> None:
    """Between TERM and KILL a program may tidy up, and what it says is heard."""
    for limit in LIMITS:
        result = sh("trap 'echo tidied; exit 0' TERM; sleep 300 & wait", timeout=limit)
        if result.output:
            break

    assert (result.code, result.timed_out) == (None, True)
    assert "tidied" in result.output


def test_a_flood_does_not_outlast_the_time_limit() -> None:
    """A program that never stops writing is ended like any other."""
    assert sh("exec yes", timeout=0.3).timed_out


def test_a_child_in_the_background_is_left_alone(tmp_path: Path) -> None:
    """The end is the process's own: a daemon that it started and that holds the pipe lives on."""
    note = tmp_path / "pid"

    result = sh(f"sleep 300 & echo $! > {note}; echo done", timeout=30)

    daemon = int(note.read_text())
    try:
        assert (result.code, result.output, result.timed_out) == (0, "done\n", False)
        assert is_running(daemon)
    finally:
        os.kill(daemon, signal.SIGKILL)


def test_a_child_in_the_background_that_floods_is_left_after_a_second(tmp_path: Path) -> None:
    """Also a child that never stops talking does not keep us."""
    note = tmp_path / "pid"

    result = sh(f"yes & echo $! > {note}", timeout=30)

    assert (result.code, result.timed_out) == (0, False)
    wait_until_gone(int(note.read_text()))  # its next word meets a closed pipe


def test_without_pidfd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old kernels and tight sandboxes know no pidfd; the end is noticed all the same."""

    def missing(pid: int, flags: int = 0) -> int:
        raise OSError(38, f"no pidfd for {pid} {flags}")

    monkeypatch.setattr(os, "pidfd_open", missing)

    assert sh("sleep 0.1; echo late; exit 7").code == 7
    assert sh("sleep 300", timeout=0.2).timed_out


def script(path: Path, text: str, mode: int = 0o755) -> str:
    """Write a program."""
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_what_cannot_be_started_is_said_with_its_cure(tmp_path: Path) -> None:
    """Each reason why a program does not start has its own words."""
    cases = {
        str(tmp_path / "missing"): "there is no such program",
        script(tmp_path / "plain", "#!/bin/sh\n", 0o644): "it may not be executed",
        script(tmp_path / "orphan", "#!/no/such/sh\n"): "the interpreter in its first line does not exist",
        script(tmp_path / "words", "\0\1\2 no program\n"): "it is no program and no script",
        str(tmp_path): "it may not be executed",
        "nul\0nul": "embedded null byte",
    }
    for program, why in cases.items():
        with pytest.raises(RenewerError, match=why) as caught:
            proc.run([program], env=ENV, timeout=30)
        assert caught.value.kind == "program"


def test_a_missing_working_directory_is_said(tmp_path: Path) -> None:
    """The program is not blamed for a directory that is not there."""
    with pytest.raises(RenewerError, match="its working directory"):
        proc.run(["/bin/true"], env=ENV, timeout=30, cwd=str(tmp_path / "gone"))


@pytest.mark.slow
def test_an_interrupt_ends_the_program(tmp_path: Path) -> None:
    """Whoever interrupts us does not leave a program behind that nobody watches over."""
    note = tmp_path / "pid"

    def interrupt() -> None:
        wait_for(note)
        while starting(threading.main_thread()):  # before Popen has returned Python knows no program to end
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    # who starts tests in the background of a shell has interrupts ignored, and so have they
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            sh(f"echo $$ > {note}; sleep 300", timeout=60)
    finally:
        signal.signal(signal.SIGINT, before)

    wait_until_gone(int(note.read_text()))


def starting(thread: threading.Thread) -> bool:
    """Whether this thread is still about to start a program, and not waiting for what it says."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        if frame.f_code.co_filename.endswith("selectors.py"):
            return False
        frame = frame.f_back
    return True


def test_nothing_is_left_open() -> None:
    """No descriptor and no zombie stays, however a program ended."""
    before = open_files(), zombies()

    for _ in range(5):
        sh("true", stdin=b"x" * 100_000)
        sh("sleep 300", timeout=0.05)
        with pytest.raises(RenewerError):
            proc.run(["/no/such"], env=ENV, timeout=1)

    assert (open_files(), zombies()) == before


def open_files() -> int:
    """How many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


def zombies() -> int:
    """How many children of this process have ended without being reaped."""
    count = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            count += state == "Z" and int(parent) == os.getpid()
    return count


def test_many_at_once() -> None:
    """Threads may run programs side by side."""
    results: list[proc.ProcResult] = []

    def one(number: int) -> None:
        results.append(sh(f"cat; exit {number}", stdin=b"y" * 200_000))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(result.code or 0 for result in results) == list(range(20))


def test_outputs_kept_apart() -> None:
    """Who hands stdout on to somebody gets it without complaints; both are bounded and waited for."""
    script = "echo out; echo err >&2; head -c 200000 /dev/zero | tr '\\0' x >&2; exit 3"
    result = proc.run(["/bin/sh", "-c", script], env=ENV, timeout=30, apart=True)

    assert (result.code, result.output) == (3, "out\n")
    assert result.complaints.startswith("err\nxxx")
    assert len(result.complaints) < 2 * proc.OUTPUT_LIMIT


def test_the_scrubbed_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs of the operator's see a sane PATH and nothing of our Python (certbot#10176)."""
    for name in ("PYTHONPATH", "VIRTUAL_ENV", "LD_PRELOAD", "SECRET"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("PATH", "/venv/bin")
    monkeypatch.setenv("TZ", "Europe/Zurich")

    env = proc.scrubbed_environment()

    assert sorted(env) == ["HOME", "LANG", "PATH", "TZ"]
    assert env["PATH"].startswith("/usr/local/sbin:")
    assert env["TZ"] == "Europe/Zurich"
