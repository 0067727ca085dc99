import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from renewer.hooks import HookVerdict
from renewer.model.desired import HookEvent
from tests.hooks.alone import DEPLOY, FILES, ROLLBACK, TEST, Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Two certificates."""
    shelf = Shelf(tmp_path)
    shelf.put("www")
    shelf.put("mail")
    return shelf


@pytest.fixture
def to(tmp_path: Path) -> Path:
    """The directory to copy to, with a name that is hard on shells."""
    place = tmp_path / "a share's $HOME; *"
    place.mkdir()
    return place


def mode(path: Path) -> int:
    """The permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("event", [DEPLOY, ROLLBACK])
def test_every_certificate_of_the_batch_is_copied(shelf: Shelf, to: Path, event: HookEvent) -> None:
    """A certificate gets a directory of its name, the key is its owner's only, nothing else is left."""
    assert shelf.call("copy", TEST, ["www", "mail"], COPY_TO=str(to)).verdict is HookVerdict.DONE
    assert list(to.iterdir()) == []
    assert shelf.call("copy", event, ["www", "mail"], COPY_TO=str(to)).verdict is HookVerdict.DONE

    assert sorted(os.listdir(to)) == ["mail", "www"]
    for name in ("www", "mail"):
        assert {path.name: path.read_bytes() for path in (to / name).iterdir()} == shelf.files(name)
        assert [mode(to / name / file) for file in FILES] == [0o600, 0o644, 0o644, 0o644]


def test_a_renewal_replaces_the_files(shelf: Shelf, to: Path) -> None:
    """The new files take the old ones' places by a rename: who has the old one open reads it to its end."""
    shelf.call("copy", DEPLOY, COPY_TO=str(to))
    before = shelf.files()
    shelf.put("www")

    with (to / "www" / "fullchain.pem").open("rb") as held:
        assert shelf.call("copy", DEPLOY, COPY_TO=str(to)).verdict is HookVerdict.DONE
        assert held.read() == before["fullchain.pem"]
    assert {path.name: path.read_bytes() for path in (to / "www").iterdir()} == shelf.files()


def test_owner_mode_and_choice(shelf: Shelf, to: Path) -> None:
    """COPY_FILES chooses, COPY_OWNER and COPY_MODE are those of the key in its place."""
    owner = f"{os.getuid()}:{os.getgid()}"
    env = {"COPY_FILES": "fullchain.pem privkey.pem", "COPY_OWNER": owner, "COPY_MODE": "0640"}

    assert shelf.call("copy", DEPLOY, COPY_TO=str(to), **env).verdict is HookVerdict.DONE
    assert sorted(os.listdir(to / "www")) == ["fullchain.pem", "privkey.pem"]
    assert mode(to / "www" / "privkey.pem") == 0o640


@pytest.mark.parametrize(
    ("env", "code", "said"),
    [
        ({}, 1, "set COPY_TO in the hook's env"),
        ({"COPY_TO": "relative"}, 1, "beginning with /"),
        ({"COPY_TO": "/no/such/share"}, 75, "/no/such/share is not there"),
        ({"COPY_TO": "/srv", "COPY_FILES": "fullchain"}, 1, "there is no 'fullchain'"),
    ],
)
def test_what_is_wrong_is_said(shelf: Shelf, env: dict[str, str], code: int, said: str) -> None:
    """A missing or wrong setting fails; a directory that is not there may be mounted later."""
    for event in (TEST, DEPLOY):
        result = shelf.call("copy", event, **env)
        assert result.code == code
        assert said in (result.error or "")


def test_what_cannot_be_written_leaves_the_old_files(shelf: Shelf, to: Path) -> None:
    """An owner that does not exist: the old file stays whole, and no half-made one is left beside it."""
    shelf.call("copy", DEPLOY, COPY_TO=str(to))
    before = shelf.files()
    shelf.put("www")

    result = shelf.call("copy", DEPLOY, COPY_TO=str(to), COPY_OWNER="no-such-user")

    assert result.verdict is HookVerdict.FAILED
    assert "no-such-user" in result.output
    assert {path.name: path.read_bytes() for path in (to / "www").iterdir()} == before


def test_a_directory_in_a_files_place(shelf: Shelf, to: Path) -> None:
    """What somebody put in the key's place is not moved into."""
    (to / "www" / "privkey.pem").mkdir(parents=True)

    assert shelf.call("copy", DEPLOY, COPY_TO=str(to)).verdict is HookVerdict.FAILED
    assert [str(path.relative_to(to)) for path in to.rglob("*")] == ["www", "www/privkey.pem"]


def _open(to: Path) -> None:
    to.chmod(0o777)


def _group(to: Path) -> None:
    to.chmod(0o775)


def _sticky(to: Path) -> None:
    to.chmod(0o1777)


def _given(to: Path) -> None:
    shutil.chown(to, "nobody")


def _above(to: Path) -> None:
    shutil.chown(to.parent, "nobody")


def _within(to: Path) -> None:
    (to / "www").mkdir()
    shutil.chown(to / "www", "nobody")


@pytest.mark.parametrize("how", [_open, _group, _sticky, _given, _above, _within])
def test_a_directory_of_others_is_refused(shelf: Shelf, to: Path, how: Callable[[Path], None]) -> None:
    """Whoever may swap a file for a link while it is written gets nothing: it is refused before the first."""
    how(to)
    before = sorted(to.rglob("*"))
    for event in (TEST, DEPLOY, ROLLBACK):
        result = shelf.call("copy", event, COPY_TO=str(to), COPY_OWNER="nobody")
        assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
        assert "may be written to by others than root and root" in (result.error or "")
        assert "[[certificate.NAME.copies]]" in (result.error or "")
    assert sorted(to.rglob("*")) == before


def test_an_attacker_wins_nothing(shelf: Shelf, to: Path) -> None:
    """Its owner swaps whatever appears in the directory for a link: a file of root's keeps owner and mode."""
    treasure = to.parent / "treasure"
    treasure.write_text("root's\n")
    treasure.chmod(0o600)
    for path in (to.parent, *to.parent.parents):
        path.chmod(path.stat().st_mode | 0o001)
    shutil.chown(to, "nobody")
    swap = (
        'cd "$1" && echo ready && while :; do for one in */.p* .p* */.new* www; do'
        ' [ -e "$one" ] && rm -rf "$one" && ln -s "$2" "$one"; done; done'
    )
    argv = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "sh", "-c", swap, "sh"]
    with subprocess.Popen([*argv, to, treasure], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as attack:
        try:
            assert attack.stdout is not None
            assert attack.stdout.readline() == b"ready\n"
            for _ in range(5):
                shelf.call("copy", DEPLOY, COPY_TO=str(to), COPY_OWNER="nobody", COPY_MODE="0644")
        finally:
            attack.kill()
    assert (treasure.stat().st_uid, mode(treasure), treasure.read_text()) == (os.getuid(), 0o600, "root's\n")


def test_without_a_key(shelf: Shelf, to: Path) -> None:
    """Where the key is in an HSM the other three files are copied, and nothing is missed."""
    live = shelf.files()
    for path in shelf.directory.rglob("privkey.pem"):
        path.unlink()
    assert shelf.call("copy", TEST, COPY_TO=str(to)).verdict is HookVerdict.DONE
    assert shelf.call("copy", DEPLOY, COPY_TO=str(to)).verdict is HookVerdict.DONE
    copied = {path.name: path.read_bytes() for path in (to / "www").iterdir()}
    assert copied == {name: data for name, data in live.items() if name != "privkey.pem"}
