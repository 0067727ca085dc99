"""Modes, owners and links: nobody else reads a key, and nobody leads us elsewhere."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from renewer.errors import StateError
from renewer.store.disk import DiskStore
from renewer.store.lock import Lock
from tests.store.looking import live_pair, modes, widest
from tests.store.mutations import watched
from tests.store.pairs import pair

_HOME = "certificates/www"
_NOBODY = 65534


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state with one live version."""
    path = tmp_path / "state"
    _fill(DiskStore(str(path)))
    return path


def _fill(store: DiskStore, number: int = 1, key_mode: int = 0o600) -> None:
    version, material = pair(number)
    store.put("www", version, material, key_mode=key_mode)
    store.turn("www", version.id)


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """A umask, put back afterwards."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_modes_under_any_umask(tmp_path: Path, umask: int) -> None:
    """Directories are 0700 and files 0600 whatever the umask says."""
    state = tmp_path / "state"
    store = DiskStore(str(state))
    with Lock(str(state)).acquire():
        _fill(store)
        store.prepare("www", "x", pair(2)[1].privkey, b"{}")
        store.keep_chain("www", "x", b"chain")
    for path, mode in modes(state).items():
        expected = 0o600 if path.endswith((".pem", ".json", "lock")) else 0o700
        assert expected == mode, (path, oct(umask))


def test_modes_with_a_group(tmp_path: Path, umask: int) -> None:
    """With a group, what leads to a version is 0750 and 0640; keys have the mode that was asked for."""
    state = tmp_path / "state"
    store = DiskStore(str(state), group=str(os.getgid()))
    _fill(store, 1, key_mode=0o640)
    _fill(store, 2, key_mode=0o600)
    store.prepare("www", "x", pair(2)[1].privkey, b"{}")
    found = modes(state)
    first, second = (f"{_HOME}/versions/{pair(number)[0].id}" for number in (1, 2))
    for shared in (".", "certificates", _HOME, f"{_HOME}/versions", first):
        assert found[shared] == 0o750, (shared, oct(umask))
    assert found[f"{first}/privkey.pem"] == found[f"{first}/fullchain.pem"] == 0o640
    assert (found[f"{second}/privkey.pem"], found[f"{second}/cert.pem"]) == (0o600, 0o640)
    assert found["tmp"] == found[f"{_HOME}/pending"] == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another group")
def test_group_of_another_number(tmp_path: Path) -> None:
    """Everything on the way to a version belongs to the group, also what was there before it was named."""
    state = tmp_path / "state"
    _fill(DiskStore(str(state)))
    _fill(DiskStore(str(state), group="nogroup"), 2, key_mode=0o640)
    home = state / _HOME
    fresh = home / "versions" / pair(2)[0].id
    for path in (state, state / "certificates", home, home / "versions", fresh, fresh / "privkey.pem"):
        assert path.stat().st_gid == _NOBODY, path


def test_unknown_group(tmp_path: Path) -> None:
    """A group that the system does not know is told, with the way out."""
    with pytest.raises(StateError, match="no group 'no-such-group'") as caught:
        _fill(DiskStore(str(tmp_path / "state"), group="no-such-group"))
    assert "groupadd" in caught.value.hint


def test_never_readable_by_others(tmp_path: Path) -> None:
    """With umask 0, before every single mutation: no file and no directory is open to anybody else."""
    state = tmp_path / "state"
    before = os.umask(0)
    try:
        with watched(lambda _: _demand_private(state)):
            _fill(DiskStore(str(state)))
            _fill(DiskStore(str(state)), 2)
    finally:
        os.umask(before)
    _demand_private(state)


def _demand_private(state: Path) -> None:
    if state.exists():
        assert widest(state) == 0


def test_keys_are_not_for_everybody(state: Path) -> None:
    """A mode that lets others read or anybody write is refused."""
    for mode in (0o644, 0o660, 0o700):
        with pytest.raises(StateError, match="too wide"):
            _fill(DiskStore(str(state)), 2, key_mode=mode)


def test_modes_are_put_right(state: Path) -> None:
    """Directories that somebody opened for reading are closed again by the next write."""
    for path in (state, state / _HOME, state / "tmp"):
        path.chmod(0o755)
    _fill(DiskStore(str(state)))
    assert {modes(state)[path] for path in (".", _HOME, "tmp")} == {0o700}


@pytest.mark.parametrize("place", [".", "certificates", _HOME, f"{_HOME}/versions"])
def test_writable_by_others(state: Path, place: str) -> None:
    """Where others may write, nothing is believed and nothing written; the hint says how to close it."""
    (state / place).chmod(0o777)
    for act in (
        lambda: _fill(DiskStore(str(state)), 2),
        lambda: DiskStore(str(state)).about("www", pair(1)[0].id),
    ):
        with pytest.raises(StateError, match=r"write|written") as caught:
            act()
        assert "chmod go-w" in caught.value.hint
    if place in (_HOME, f"{_HOME}/versions"):
        with pytest.raises(StateError, match="write"):
            DiskStore(str(state)).shelf("www")


def test_version_writable_by_others(state: Path) -> None:
    """The same of a version's directory and of its files."""
    version = state / _HOME / "versions" / pair(1)[0].id
    for path in (version, version / "privkey.pem"):
        before = path.stat().st_mode
        path.chmod(0o777)
        with pytest.raises(StateError, match="others may write"):
            DiskStore(str(state)).read("www", version.name)
        path.chmod(before)


@pytest.mark.parametrize("place", ["certificates", _HOME, f"{_HOME}/versions", "tmp"])
def test_link_instead_of_directory(state: Path, tmp_path: Path, place: str) -> None:
    """A link where a directory of ours belongs is never followed: nothing is written where it leads."""
    target = tmp_path / "elsewhere"
    (state / place).rename(target)
    (state / place).symlink_to(target)
    before = sorted(target.rglob("*"))
    with pytest.raises(StateError) as caught:
        _fill(DiskStore(str(state)), 2)
    assert "namei -l" in caught.value.hint
    assert before == sorted(target.rglob("*"))


@pytest.mark.parametrize("name", ["privkey.pem", "cert.pem"])
def test_link_instead_of_file(state: Path, tmp_path: Path, name: str) -> None:
    """A link where a file of a version belongs is not read."""
    path = state / _HOME / "versions" / pair(1)[0].id / name
    path.rename(tmp_path / "secret")
    path.symlink_to(tmp_path / "secret")
    with pytest.raises(StateError):
        DiskStore(str(state)).read("www", pair(1)[0].id)


def test_pipe_instead_of_file(state: Path) -> None:
    """A pipe where a file belongs neither stops us nor is read."""
    path = state / _HOME / "versions" / pair(1)[0].id / "chain.pem"
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(StateError, match="not a plain file"):
        DiskStore(str(state)).read("www", pair(1)[0].id)


def test_huge_file(state: Path) -> None:
    """A file too long to be ours is not read into memory."""
    path = state / _HOME / "versions" / pair(1)[0].id / "chain.pem"
    os.truncate(path, 1 << 40)
    with pytest.raises(StateError, match="too many"):
        DiskStore(str(state)).read("www", pair(1)[0].id)


@pytest.mark.parametrize("target", ["/etc", "../../evil", "versions/../../evil", "versions", "versions/x"])
def test_live_leading_elsewhere(state: Path, target: str) -> None:
    """A live link that names no version of ours counts as none, and turning puts it right."""
    live = state / _HOME / "live"
    live.unlink()
    live.symlink_to(target)
    assert DiskStore(str(state)).shelf("www").live is None
    DiskStore(str(state)).turn("www", pair(1)[0].id)
    live_pair(state)


def test_live_is_no_link(state: Path) -> None:
    """A directory in the place of the link is told of and not removed."""
    live = state / _HOME / "live"
    live.unlink()
    live.mkdir()
    (live / "privkey.pem").write_bytes(b"somebody's")
    with pytest.raises(StateError, match="not a symbolic link") as caught:
        DiskStore(str(state)).turn("www", pair(1)[0].id)
    assert "ls -ld" in caught.value.hint
    assert (live / "privkey.pem").exists()


def test_state_behind_a_link(state: Path, tmp_path: Path) -> None:
    """The way to the state may lead through links of the operator's own."""
    (tmp_path / "link").symlink_to(state)
    _fill(DiskStore(str(tmp_path / "link")), 2)
    assert DiskStore(str(state)).shelf("www").live == pair(2)[0].id


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
@pytest.mark.parametrize("place", [".", "certificates", _HOME, f"{_HOME}/versions"])
def test_foreign_owner(state: Path, place: str) -> None:
    """What belongs to another user is not trusted; the message names the place."""
    os.chown(state / place, _NOBODY, -1)
    store = DiskStore(str(state))
    for act in (lambda: _fill(store, 2), lambda: store.about("www", pair(1)[0].id)):
        with pytest.raises(StateError, match=r"belongs to|not safe"):
            act()


def test_file_in_the_way(tmp_path: Path) -> None:
    """A file where the state directory belongs is told, with the path."""
    (tmp_path / "state").write_bytes(b"")
    with pytest.raises(StateError, match=str(tmp_path)):
        _fill(DiskStore(str(tmp_path / "state")))


_AS_NOBODY = """
import os, sys
from renewer.errors import StateError
from renewer.store.disk import DiskStore
from tests.store.mutations import KilledError, killed, watched
from tests.store.pairs import pair
from tests.store.looking import live_pair, modes
from pathlib import Path
def fill(state, number):
    version, material = pair(number)
    store = DiskStore(state)
    store.put("www", version, material, key_mode=0o600)
    store.turn("www", version.id)
base = sys.argv[1]
pair(1)
if os.geteuid() == 0:  # only now: an ordinary user may not be able to read the interpreter
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
os.umask(0o777)
for number in range(1, 40):
    state = f"{base}/{number}"
    with watched(killed(number)):
        try:
            fill(state, 1)
        except KilledError:
            pass
    fill(state, 1)
    live_pair(Path(state))
    assert {m for p, m in modes(Path(state)).items() if not p.endswith((".pem", ".json"))} == {0o700}
os.umask(0o022)
sealed = f"{base}/sealed"
os.mkdir(sealed, 0o500)
try:
    fill(f"{sealed}/state", 1)
except StateError as error:
    assert "Permission denied" in error.text and "run as root" in error.hint, (error.text, error.hint)
else:
    raise AssertionError
print("fine")
"""


@pytest.mark.slow
def test_without_root() -> None:
    """As an ordinary user with umask 0777, killed at every mutation: the next run finishes."""
    with tempfile.TemporaryDirectory() as place:  # not tmp_path: only root may enter that
        if os.geteuid() == 0:
            os.chown(place, _NOBODY, _NOBODY)
        done = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, place],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.stdout == "fine\n", done.stderr
