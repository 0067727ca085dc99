"""Answers below a webroot: readable for the web server, led astray by nobody, removed to the last bit."""

import os
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renewer.errors import GiveUp, OurFault, RetryLater
from renewer.issue.solvers import solver_for, sweep
from renewer.model import token as tokens
from renewer.model.desired import Http01
from renewer.model.facts import Debris
from renewer.model.solver import Solver
from renewer.provisioning import walk
from tests.challenges.tasks import THUMBPRINT, TOKEN, task

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts and other users need root")


@pytest.fixture
def webroot(tmp_path: Path) -> Path:
    """A web server's directory."""
    path = tmp_path / "html"
    path.mkdir()
    return path


@pytest.fixture(autouse=True)
def _fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test begins as a new process does: it has made no directory yet."""
    monkeypatch.setattr(walk, "_made", {})


def solver(webroot: Path, *left: Debris) -> Solver:
    """The solver that a config with this webroot gets."""
    return solver_for(Http01(webroot=str(webroot)), left=left)


def file_of(webroot: Path, token: str = TOKEN) -> Path:
    """Where RFC 8555 §8.3 puts the token."""
    return webroot / ".well-known" / "acme-challenge" / token


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Another umask for a while."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def test_answer_is_the_key_authorization(webroot: Path) -> None:
    """The file of the token holds exactly the key authorization (RFC 8555 §8.3)."""
    presented = solver(webroot).present(task())
    assert f"{TOKEN}.{THUMBPRINT}" == file_of(webroot).read_text()
    assert str(file_of(webroot)) == presented.where


def test_umask_does_not_hide_the_token(webroot: Path) -> None:
    """Under umask 0077 the web server can still read the file and walk the directories."""
    with umask(0o077):
        solver(webroot).present(task())
    file = file_of(webroot)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (file.parent.parent, file.parent, file)]
    assert modes == [0o755, 0o755, 0o644]


def test_modes_of_directories_that_exist_stay(webroot: Path) -> None:
    """A directory that somebody else made keeps the mode that they gave it."""
    (webroot / ".well-known").mkdir(mode=0o711)
    solver(webroot).present(task())
    assert stat.S_IMODE((webroot / ".well-known").stat().st_mode) == 0o711


def test_clean_up_leaves_the_webroot_as_it_was(webroot: Path) -> None:
    """File and directories go again."""
    one = solver(webroot)
    one.present(task())
    assert one.clean_up(task()) is None
    assert list(webroot.iterdir()) == []


@pytest.mark.parametrize("existing", [".well-known", ".well-known/acme-challenge"])
def test_directories_of_others_stay(webroot: Path, existing: str) -> None:
    """Only directories that we made are removed, however empty the others are."""
    (webroot / existing).mkdir(parents=True)
    one = solver(webroot)
    one.present(task())
    one.clean_up(task())
    assert (webroot / existing).is_dir()
    assert list((webroot / existing).iterdir()) == []


def test_directories_with_a_strangers_file_stay(webroot: Path) -> None:
    """Somebody who puts a file into our directory keeps it, and with it the directory."""
    one = solver(webroot)
    one.present(task())
    (webroot / ".well-known" / "security.txt").write_text("Contact: …")
    assert one.clean_up(task()) is None
    assert [webroot / ".well-known" / "security.txt"] == list((webroot / ".well-known").iterdir())


def test_clean_up_without_present_is_quiet(webroot: Path) -> None:
    """Cleaning up what was never presented changes nothing and is no debris."""
    assert solver(webroot).clean_up(task()) is None
    assert solver(webroot / "missing").clean_up(task()) is None


def test_own_leftover_is_taken_over(webroot: Path) -> None:
    """An identical file, from a run that was killed, is used, made readable, and removed in the end."""
    file = file_of(webroot)
    file.parent.mkdir(parents=True)
    file.write_text(task().key_authorization)
    file.chmod(0o600)
    one = solver(webroot)
    one.present(task())
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    one.clean_up(task())
    assert not file.exists()


@pytest.mark.parametrize("length", [0, 1, 43, 44, 60])
def test_half_written_leftover_is_replaced(webroot: Path, length: int) -> None:
    """A beginning of our answer, from a run killed while it wrote, is written anew."""
    file = file_of(webroot)
    file.parent.mkdir(parents=True)
    file.write_text(task().key_authorization[:length])
    solver(webroot).present(task())
    assert task().key_authorization == file.read_text()


def test_foreign_file_is_refused_and_stays(webroot: Path) -> None:
    """A file of that name with other content is neither overwritten nor removed; the message says so."""
    file = file_of(webroot)
    file.parent.mkdir(parents=True)
    file.write_text("somebody else's secret")
    one = solver(webroot)
    with pytest.raises(GiveUp, match="already a file") as refused:
        one.present(task())
    assert "secret" not in refused.value.text
    assert one.clean_up(task()) is None
    assert file.read_text() == "somebody else's secret"


def test_hard_link_is_never_written_through(webroot: Path, tmp_path: Path) -> None:
    """A hard link to an empty file of ours elsewhere is refused: writing would change that file."""
    victim = tmp_path / "victim"
    victim.touch()
    file = file_of(webroot)
    file.parent.mkdir(parents=True)
    file.hardlink_to(victim)
    with pytest.raises(GiveUp):
        solver(webroot).present(task())
    assert victim.read_text() == ""


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_symbolic_links_below_the_webroot_are_refused(webroot: Path, tmp_path: Path, depth: int) -> None:
    """A link in place of any component leads nowhere; nothing is made or changed behind it."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place = (webroot / ".well-known", file_of(webroot).parent, file_of(webroot))[depth]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(elsewhere / "target" if depth == 2 else elsewhere)
    one = solver(webroot)
    with pytest.raises(GiveUp, match="symbolic link" if depth < 2 else "not a regular file"):
        one.present(task())
    assert one.clean_up(task()) is None
    assert list(elsewhere.iterdir()) == []
    assert place.is_symlink()


def test_link_to_identical_content_is_refused(webroot: Path, tmp_path: Path) -> None:
    """Even a link to our own answer is not followed, neither when writing nor when removing."""
    target = tmp_path / "target"
    target.write_text(task().key_authorization)
    file_of(webroot).parent.mkdir(parents=True)
    file_of(webroot).symlink_to(target)
    one = solver(webroot)
    with pytest.raises(GiveUp):
        one.present(task())
    one.clean_up(task())
    assert target.exists()


def test_webroot_itself_may_be_a_link(webroot: Path, tmp_path: Path) -> None:
    """`current -> releases/42` is a usual webroot: the operator named it, so it is followed."""
    link = tmp_path / "current"
    link.symlink_to(webroot)
    one = solver(link)
    one.present(task())
    assert file_of(webroot).exists()
    one.clean_up(task())
    assert list(webroot.iterdir()) == []


def test_directory_swapped_for_a_link_before_clean_up(webroot: Path, tmp_path: Path) -> None:
    """A link put there after presenting does not lead the removal astray."""
    one = solver(webroot)
    one.present(task())
    elsewhere = tmp_path / "elsewhere"
    (webroot / ".well-known").rename(elsewhere)
    (webroot / ".well-known").symlink_to(elsewhere)
    one.clean_up(task())
    assert (elsewhere / "acme-challenge" / TOKEN).exists()


@pytest.mark.parametrize("kind", ["fifo", "directory"])
def test_other_things_in_the_tokens_place_are_refused(webroot: Path, kind: str) -> None:
    """A FIFO must not make us hang and a directory not crash."""
    file_of(webroot).parent.mkdir(parents=True)
    if kind == "fifo":
        os.mkfifo(file_of(webroot))
    else:
        file_of(webroot).mkdir()
    one = solver(webroot)
    with pytest.raises(GiveUp, match="not a regular file"):
        one.present(task())
    assert one.clean_up(task()) is None
    assert file_of(webroot).exists()


HOSTILE = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "/etc/passwd",
    "a\0b",
    "a=",
    "a b",
    "ä",
    "a\n",
    "%2e%2e",
    "x" * 201,
    ".a",
]


@pytest.mark.parametrize("token", HOSTILE)
def test_hostile_tokens_touch_nothing(webroot: Path, token: str) -> None:
    """Tokens outside RFC 8555 §8.3's alphabet are the authority's fault and reach no file system."""
    one = solver(webroot)
    with pytest.raises(OurFault):
        one.present(task(token))
    assert one.clean_up(task(token)) is None
    assert list(webroot.iterdir()) == []


@given(st.text())
def test_a_well_formed_token_is_a_plain_file_name(token: str) -> None:
    """Whatever passes the check is one visible path component of ASCII letters, digits, '-' and '_'."""
    if tokens.well_formed(token):
        assert token.replace("-", "a").replace("_", "a").isalnum()
        assert token.isascii()
        assert len(token) <= tokens.MAX_LENGTH


def test_missing_webroot_says_path_and_remedy(webroot: Path) -> None:
    """A webroot that does not exist is named, and made by nobody."""
    with pytest.raises(GiveUp, match=f"webroot {webroot}/gone does not exist") as refused:
        solver(webroot / "gone").present(task())
    assert "`webroot`" in refused.value.hint
    assert not (webroot / "gone").exists()


def test_webroot_that_is_a_file(webroot: Path) -> None:
    """A file in place of the webroot is said to be no directory."""
    (webroot / "file").touch()
    with pytest.raises(GiveUp, match="is not a directory"):
        solver(webroot / "file").present(task())


def test_component_that_is_a_file(webroot: Path) -> None:
    """A file named .well-known is said to be in the way, and stays."""
    (webroot / ".well-known").touch()
    with pytest.raises(GiveUp, match=r"\.well-known is not a directory"):
        solver(webroot).present(task())
    assert (webroot / ".well-known").is_file()


def test_file_size_limit_leaves_nothing(webroot: Path) -> None:
    """A write that fails in the middle is told to be tried later, and clean_up removes the half file."""
    one = solver(webroot)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(RetryLater, match="File too large"):
            one.present(task())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert one.clean_up(task()) is None
    assert list(webroot.iterdir()) == []


@contextmanager
def mounted(place: Path, options: str) -> Iterator[None]:
    """A small filesystem of its own."""
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["/bin/umount", place], check=True)


@needs_root
def test_full_disk(webroot: Path) -> None:
    """A full filesystem is told with its path, to be tried later, and nothing of ours stays on it."""
    with mounted(webroot, "size=16k"):
        filler = webroot / "filler"
        with pytest.raises(OSError, match="No space left"):
            filler.write_bytes(b"x" * 100_000)
        one = solver(webroot)
        with pytest.raises(RetryLater, match="No space left") as told:
            one.present(task())
        assert str(webroot) in told.value.text
        assert one.clean_up(task()) is None
        assert [filler] == list(webroot.iterdir())


@needs_root
def test_read_only_filesystem(webroot: Path) -> None:
    """A read-only filesystem stays so until somebody acts; the hint names older units, too."""
    with mounted(webroot, "size=16k,ro"), pytest.raises(GiveUp, match="Read-only") as told:
        solver(webroot).present(task())
    assert "renewer timer install" in told.value.hint


AS_NOBODY = """
import os, sys
from renewer.issue.solvers import solver_for
from renewer.errors import GiveUp
from renewer.model.desired import Http01
from tests.challenges.tasks import task
os.setgid(65534); os.setuid(65534)
solver = solver_for(Http01(webroot=sys.argv[1]))
try:
    solver.present(task())
except GiveUp as error:
    print(error.text, error.hint)
"""


@needs_root
def test_no_permission() -> None:
    """Without the right to write, the message says where, and that the user needs it."""
    place = Path("/tmp") / f"renewer-test-{os.getpid()}"  # noqa: S108  pytest's own directories are closed to others
    place.mkdir(mode=0o755)
    try:
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, place], capture_output=True, text=True, check=True
        )
    finally:
        place.rmdir()
    assert "Permission denied" in done.stdout
    assert f"{place}/.well-known" in done.stdout


def test_threads_share_directories(webroot: Path) -> None:
    """Fifty certificates with solvers of their own that present and clean up at once never meet."""
    faults: list[BaseException] = []

    def work(number: int) -> None:
        try:
            one = solver(webroot)
            for turn in range(20):
                mine = task(f"token-{number}-{turn}")
                one.debris_of(mine)
                one.present(mine)
                assert mine.key_authorization == file_of(webroot, mine.token).read_text()
                assert one.clean_up(mine) is None
        except BaseException as error:  # noqa: BLE001  told by the test
            faults.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert list(webroot.iterdir()) == []


def test_others_may_remove_directories_meanwhile(webroot: Path) -> None:
    """Another client that removes the empty directories again and again does not make us fail."""
    stop = threading.Event()

    def meddle() -> None:
        while not stop.wait(0.0005):
            for place in (file_of(webroot).parent, file_of(webroot).parent.parent):
                with suppress(OSError):
                    place.rmdir()

    meddler = threading.Thread(target=meddle)
    meddler.start()
    try:
        one = solver(webroot)
        for _ in range(300):
            one.present(task())
            one.clean_up(task())
    finally:
        stop.set()
        meddler.join()


KILLED = """
import os, sys
from renewer.issue.solvers import solver_for
from renewer.model.desired import Http01
from tests.challenges.tasks import task
import msgspec
solver = solver_for(Http01(webroot=sys.argv[1]))
debris = solver.debris_of(task())
print(msgspec.json.encode(debris).decode(), flush=True)
solver.present(task())
os.kill(os.getpid(), 9)
"""


def killed_run(webroot: Path) -> Debris:
    """Present in a process that is killed before it can clean up; returns what it had recorded."""
    import msgspec

    done = subprocess.run([sys.executable, "-c", KILLED, webroot], capture_output=True, check=False)
    assert done.returncode == -9
    assert file_of(webroot).exists()
    return msgspec.json.decode(done.stdout, type=Debris)


def test_killed_run_is_swept(webroot: Path) -> None:
    """What a killed run recorded before it acted is enough to remove file and directories later."""
    debris = killed_run(webroot)
    assert sweep(debris)
    assert list(webroot.iterdir()) == []
    assert sweep(debris)


def test_killed_runs_directories_are_ours_in_the_next(webroot: Path) -> None:
    """A run that resumes the same token records and removes the directories of the killed one."""
    debris = killed_run(webroot)
    one = solver(webroot, debris)
    again = one.debris_of(task())
    assert again is not None
    assert (debris.key, debris.detail) == (again.key, again.detail)
    one.present(task())
    assert one.clean_up(task()) is None
    assert list(webroot.iterdir()) == []


def test_killed_before_the_mode_was_set(webroot: Path) -> None:
    """A directory left by a run killed between mkdir and chmod gets the mode that the web server needs."""
    one = solver(webroot)
    debris = one.debris_of(task())
    assert debris is not None
    (webroot / ".well-known").mkdir(mode=0o700)
    two = solver(webroot, debris)
    two.present(task())
    assert stat.S_IMODE((webroot / ".well-known").stat().st_mode) == 0o755


def test_debris_names_only_what_is_missing(webroot: Path) -> None:
    """The record names the file and the directories that are to be made; making it makes nothing."""
    (webroot / ".well-known").mkdir()
    debris = solver(webroot).debris_of(task())
    assert debris is not None
    assert ("www", str(file_of(webroot)), ".well-known/acme-challenge") == (
        debris.certificate,
        debris.where,
        debris.detail,
    )
    assert [webroot / ".well-known"] == list(webroot.iterdir())


def test_sweep_spares_what_is_not_an_answer(webroot: Path, tmp_path: Path) -> None:
    """A record never removes files of another shape, place or content, whatever it says."""
    debris = solver(webroot).debris_of(task())
    assert debris is not None
    file = file_of(webroot)
    file.parent.mkdir(parents=True)
    file.write_text("not an answer")
    precious = tmp_path / "precious"
    precious.write_text("")
    for where in (file, precious, file.parent / ".." / ".." / ".." / "precious", Path("precious"), Path("/")):
        assert sweep(Debris(certificate="www", what=debris.what, where=str(where), at=debris.at))
    assert file.exists()
    assert precious.exists()


def test_sweep_takes_any_accounts_answer_of_that_token(webroot: Path) -> None:
    """An answer to this very token is ours, whatever account it names; one to another token is not."""
    debris = solver(webroot).debris_of(task())
    assert debris is not None
    file = file_of(webroot)
    file.parent.mkdir(parents=True)
    file.write_text(f"other.{THUMBPRINT}")
    assert sweep(debris)
    assert file.exists()
    file.write_text(f"{TOKEN}.{'z' * 43}")
    assert sweep(debris)
    assert not file.exists()


@needs_root
def test_what_cannot_be_removed_is_debris(webroot: Path) -> None:
    """On a filesystem turned read-only clean_up does not raise but reports, and a later sweep succeeds."""
    with mounted(webroot, "size=64k"):
        one = solver(webroot)
        one.present(task())
        subprocess.run(["/bin/mount", "-o", "remount,ro", webroot], check=True)
        debris = one.clean_up(task())
        assert debris is not None
        assert "Read-only" in debris.detail
        assert not sweep(debris)
        subprocess.run(["/bin/mount", "-o", "remount,rw", webroot], check=True)
        assert one.sweep(debris)
        assert list(webroot.iterdir()) == []


# --- what somebody else puts in the token's place ----------------------------------------------------------


@pytest.mark.parametrize("content", ["root's secret", f"{TOKEN}.{THUMBPRINT}"[:-1] + "?"])
@pytest.mark.parametrize(
    "mode",
    [0o600, 0o400, pytest.param(0o000, marks=pytest.mark.real), 0o4750],  # 000: root alone reads it
)
def test_a_file_renamed_over_the_token_is_as_it_was(webroot: Path, content: str, mode: int) -> None:
    """Whoever owns the directory moves a file of root's there before clean-up: neither opened nor removed."""
    one = solver(webroot)
    one.present(task())
    secret = file_of(webroot).with_name("of roots")
    secret.write_text(content)
    secret.chmod(mode)
    held = os.open(secret, os.O_PATH)
    try:
        secret.rename(file_of(webroot))
        one.clean_up(task())
        entry = os.fstat(held)
        assert (stat.S_IMODE(entry.st_mode), entry.st_nlink) == (mode, 1)
        assert file_of(webroot).read_text() == content
    finally:
        os.close(held)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_in_the_tokens_place_before_is_as_it_was(webroot: Path, mode: int) -> None:
    """Also if it stood there before: the answer is refused, and nobody else may read the file afterwards."""
    file_of(webroot).parent.mkdir(parents=True)
    file_of(webroot).write_text("root's secret")
    file_of(webroot).chmod(mode)
    with pytest.raises((GiveUp, RetryLater)):
        solver(webroot).present(task())
    assert stat.S_IMODE(file_of(webroot).stat().st_mode) == mode
    assert file_of(webroot).read_text() == "root's secret"


def test_the_sweep_of_the_next_run_spares_it_too(webroot: Path) -> None:
    """A run was killed, and somebody moved a file of root's over the token since."""
    left = solver(webroot).debris_of(task())
    assert left is not None
    solver(webroot).present(task())
    secret = file_of(webroot).with_name("of roots")
    secret.write_text("root's secret")
    secret.chmod(0o600)
    secret.rename(file_of(webroot))
    sweep(left)
    assert stat.S_IMODE(file_of(webroot).stat().st_mode) == 0o600
    assert file_of(webroot).read_text() == "root's secret"
