"""The hook ssh, against a real sshd."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from renewer.hooks import HookResult, HookVerdict
from renewer.model.desired import HookEvent
from tests.hooks.alone import DEPLOY, FILES, ROLLBACK, TEST, Shelf
from tests.hooks.sshd import Sshd

EVENTS = [TEST, DEPLOY, ROLLBACK]


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """Another host, at the loopback."""
    with Sshd(tmp_path_factory.mktemp("sshd") / "it") as server:
        yield server


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Two certificates here."""
    shelf = Shelf(tmp_path / "here")
    shelf.put("www")
    shelf.put("mail.a_b-c")
    return shelf


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The other host's directory, with a name that is hard on shells."""
    place = tmp_path / """it's "there"; $(touch no) `id` \\ * """
    place.mkdir(parents=True)
    return place


def call(shelf: Shelf, sshd: Sshd, there: Path, event: HookEvent, *names: str, **env: str) -> HookResult:
    """Call the hook for this host and directory."""
    return shelf.call("ssh", event, names or ["www"], **(sshd.env | {"SSH_TO": str(there)} | env))


def lies(there: Path, name: str = "www") -> dict[str, bytes]:
    """What lies at the other host for a certificate."""
    return {path.name: path.read_bytes() for path in (there / name).iterdir()}


@pytest.mark.parametrize("event", [DEPLOY, ROLLBACK])
def test_files_lie_there_and_the_reload_is_run(
    shelf: Shelf, sshd: Sshd, there: Path, event: HookEvent
) -> None:
    """Every certificate's files come over whole, then the reload command runs once, with shell and all."""
    reload = f"ls '{there.parent}'/*/www | wc -l >>'{there.parent}/n'"

    result = call(shelf, sshd, there, event, "www", "mail.a_b-c", SSH_RELOAD=reload)

    assert (result.verdict, result.output) == (HookVerdict.DONE, "")
    for name in ("www", "mail.a_b-c"):
        assert lies(there, name) == shelf.files(name)
        modes = [stat.S_IMODE((there / name / file).stat().st_mode) for file in FILES]
        assert modes == [0o600, 0o644, 0o644, 0o644]
    assert (there.parent / "n").read_text().split() == ["4"]
    assert sorted(os.listdir(there)) == ["mail.a_b-c", "www"]


def test_testing_asks_and_changes_nothing(shelf: Shelf, sshd: Sshd, there: Path) -> None:
    """`test` logs in, looks whether it may write, and runs SSH_TEST, whose failure is the hook's."""
    assert call(shelf, sshd, there, TEST, SSH_TEST="echo it would do; true").verdict is HookVerdict.DONE
    result = call(shelf, sshd, there, TEST, SSH_TEST="echo 'error: no such map' >&2; false")
    assert (result.code, result.error is not None and "127.0.0.1 (exit code 1)" in result.error) == (1, True)
    assert "no such map" in result.output
    assert os.listdir(there) == []


def test_the_key_is_nobody_elses_from_its_first_byte(shelf: Shelf, there: Path) -> None:
    """While the files come in, they lie in a directory that only its user may enter; the key has its mode."""
    watch = there.parent / "tar"
    watch.write_text(
        "#!/bin/sh\n"  # tar of the other host: looks where it is to unpack, before and after
        f"for at; do :; done; {{ stat -c %a \"$at\"; umask; }} >'{there.parent}/seen'\n"
        f'/usr/bin/tar "$@" || exit 1; stat -c %a "$at/privkey.pem" >>\'{there.parent}/seen\'\n'
    )
    watch.chmod(0o755)
    path = f"{there.parent}:/usr/bin:/bin"
    with Sshd(there.parent / "second", f"SetEnv PATH={path}\n") as second:
        assert call(shelf, second, there, DEPLOY).verdict is HookVerdict.DONE

    assert (there.parent / "seen").read_text().split() == ["700", "0077", "600"]


def test_a_renewal_takes_the_old_ones_place(shelf: Shelf, sshd: Sshd, there: Path) -> None:
    """The old file stays whole for who has it open: the new one was renamed over it."""
    call(shelf, sshd, there, DEPLOY)
    before = shelf.files()
    shelf.put("www")

    with (there / "www" / "privkey.pem").open("rb") as held:
        assert call(shelf, sshd, there, DEPLOY).verdict is HookVerdict.DONE
        assert held.read() == before["privkey.pem"]
    assert lies(there) == shelf.files()


@pytest.mark.parametrize("event", EVENTS)
def test_a_changed_host_key_is_refused(shelf: Shelf, sshd: Sshd, there: Path, event: HookEvent) -> None:
    """A host with another key than the known one gets nothing, and it is a failure that a person must see."""
    other = sshd.directory / "known to another"
    known = other if other.exists() else sshd.stranger()

    result = call(shelf, sshd, there, event, SSH_KNOWN_HOSTS=str(known))

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in result.output
    assert os.listdir(there) == []


@pytest.mark.parametrize("event", EVENTS)
def test_an_unknown_host_key_is_refused(
    shelf: Shelf, sshd: Sshd, there: Path, tmp_path: Path, event: HookEvent
) -> None:
    """A host that nobody has vouched for is not trusted at first sight, and not remembered."""
    empty = tmp_path / "empty"
    empty.touch()

    result = call(shelf, sshd, there, event, SSH_KNOWN_HOSTS=str(empty))

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "Host key verification failed" in result.output
    assert empty.read_bytes() == b""
    assert os.listdir(there) == []


@pytest.mark.parametrize("event", EVENTS)
def test_a_host_that_does_not_answer_is_later(
    shelf: Shelf, tmp_path: Path, there: Path, event: HookEvent
) -> None:
    """Nobody listens: 75, so that nothing is turned back here for it, and the next run tries again."""
    stopped = Sshd(tmp_path / "stopped")

    result = call(shelf, stopped, there, event)

    assert (result.verdict, result.code) == (HookVerdict.LATER, 75)
    assert "Connection refused" in (result.error or "")
    with stopped:
        assert call(shelf, stopped, there, event).verdict is HookVerdict.DONE


@pytest.mark.parametrize("event", EVENTS)
def test_a_login_that_is_refused(
    shelf: Shelf, sshd: Sshd, there: Path, tmp_path: Path, event: HookEvent
) -> None:
    """A key that may not enter fails at once, without a question for a password."""
    stranger = Sshd(tmp_path / "stranger")

    result = call(shelf, sshd, there, event, SSH_IDENTITY=str(stranger.identity))

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "Permission denied" in (result.error or "") + result.output


@pytest.mark.parametrize(
    ("reload", "code"), [("echo 'error: no' >&2; exit 3", 1), ("exit 75", 75), ("exit 42", 1)]
)
def test_a_reload_that_fails_there(shelf: Shelf, sshd: Sshd, there: Path, reload: str, code: int) -> None:
    """The reload command's failure is the hook's; 75 is passed on, 42 is no word between them."""
    result = call(shelf, sshd, there, DEPLOY, SSH_RELOAD=reload)

    assert result.code == code
    assert lies(there) == shelf.files()


def test_no_room_there(shelf: Shelf, sshd: Sshd, there: Path) -> None:
    """A directory that is not there fails the test and the deployment, and nothing is reloaded."""
    gone = there / "gone"
    for event in (TEST, DEPLOY):
        result = call(shelf, sshd, gone, event, SSH_RELOAD=f"touch '{there.parent}/reloaded'")
        assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert not (there.parent / "reloaded").exists()


def test_a_copy_that_breaks_off_leaves_the_old_files(shelf: Shelf, sshd: Sshd, there: Path) -> None:
    """A file that is missing here: what lies there stays as it was, and nothing is left beside it."""
    call(shelf, sshd, there, DEPLOY)
    before = shelf.files()
    live = shelf.put("www")
    (live / "fullchain.pem").unlink()

    result = call(shelf, sshd, there, DEPLOY, SSH_RELOAD=f"touch '{there.parent}/reloaded'")

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert lies(there) == before
    assert not (there.parent / "reloaded").exists()


def test_nothing_configured(shelf: Shelf) -> None:
    """Without SSH_HOST there is nowhere to go, and that is said."""
    assert "set SSH_HOST in the hook's env" in (shelf.call("ssh", TEST).error or "")


@pytest.mark.parametrize("bits", [0o777, 0o775, 0o1777])
def test_a_directory_of_others_is_refused(shelf: Shelf, sshd: Sshd, there: Path, bits: int) -> None:
    """Whoever may swap files there while they are written gets none; the sentence says which directory."""
    there.chmod(bits)
    for event in (TEST, DEPLOY):
        result = call(shelf, sshd, there, event)
        assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
        assert "may be written to by others than root and " in (result.error or "")
    assert os.listdir(there) == []
