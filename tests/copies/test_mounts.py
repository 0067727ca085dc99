"""Real mounts that ignore modes: no key is left where others could read it, and each command says so."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.copies.host import Host, new_host
from tests.copies.pairs import pair, password_file

Mount = Callable[[Path], Path]
WAYS_OUT = ("keep keys on a file system with modes", "umask=0077")
OPEN = ("--chmod-ignore", "--perms=a+rX")


def said(text: str) -> str:
    """What was said, without the lines it was broken into."""
    return " ".join(text.split())


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts an empty directory so that modes are taken and not kept; away again at the end."""
    tmp_path.chmod(0o755)
    made: list[Path] = []

    def mounted(name: str, *options: str) -> Path:
        source, place = tmp_path / f"{name}.source", tmp_path / name
        for directory in (source, place):
            directory.mkdir(exist_ok=True)
        subprocess.run(
            ["/usr/bin/bindfs", *(options or OPEN), str(source), str(place)], check=True, timeout=30
        )
        made.append(place)
        return place

    yield mounted
    for place in reversed(made):
        subprocess.run(["/bin/umount", "--lazy", str(place)], check=True, timeout=30)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host whose certificate is on disk."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    made = new_host(tmp_path / "host")
    password_file(made.directory)
    made.give(90)
    return made


def others_can_read(directory: Path) -> list[str]:
    """Files with a key in them that others may read."""
    found = []
    for path in directory.rglob("*"):
        if path.is_file() and path.stat().st_mode & 0o044:
            data = path.read_bytes()
            if b"PRIVATE KEY" in data or data.startswith(b"\x30") or pair().privkey in data:
                found.append(path.name)
    return found


@pytest.mark.parametrize("part", ["key", "key_der", "combined", "pkcs12", "jks"])
def test_copies_with_a_key(host: Host, mount: Callable[..., Path], part: str) -> None:
    """`config check`, `doctor` and the run say it with the way out; nothing with the key stays there."""
    place = mount("host/copies")
    host.copies(part, "cert")
    for command in (("config", "check"), ("doctor", "--timeout", "1"), ("run",)):
        ended = host.cli(*command)
        text = said(ended.out + ended.err)
        assert "its file system ignores modes" in text, command
        assert str(place / part) in text
        assert all(way in text for way in WAYS_OUT)
        assert ended.code == {"config": 2, "doctor": 3, "run": 1}[command[0]], text
        assert others_can_read(place) == []
        assert not [path for path in place.iterdir() if path.name.startswith(".renewer-probe")]


def test_copies_without_a_key(host: Host, mount: Callable[..., Path]) -> None:
    """What everybody may read anyway is no matter: written, and nobody complains."""
    place = mount("host/copies")
    host.copies("fullchain", "der")
    assert host.cli("config", "check").code == 0
    assert "modes" not in host.cli("doctor", "--timeout", "1").out
    assert host.cli("run").code == 0
    assert (place / "fullchain").read_bytes() == pair().fullchain


def test_a_mount_that_gives_away(host: Host, mount: Callable[..., Path]) -> None:
    """Modes are kept, and every file is somebody else's: he could read the key."""
    place = mount("host/copies", "--force-user=nobody", "--chown-ignore", "--create-for-user=nobody")
    place.chmod(0o755)
    host.copies("key")
    check, doctor, run = (host.cli(*one) for one in (("config", "check"), ("doctor",), ("run",)))
    for ended, code in ((check, 2), (doctor, 3), (run, 1)):
        assert "nobody" in said(ended.out + ended.err), ended
        assert ended.code == code
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("existing", [False, True], ids=["new", "there"])
def test_state(host: Host, mount: Callable[..., Path], *, existing: bool) -> None:
    """A state directory on such a mount is refused by check and doctor before anything is ordered."""
    place = mount("host/elsewhere")
    state = place / "state"
    if existing:
        state.mkdir(mode=0o700)
    host.tables["agent"]["state"] = str(state)
    check = host.cli("config", "check")
    assert check.code == 2
    assert "its file system ignores modes" in said(check.out + check.err)
    assert str(state) in said(check.out + check.err)
    doctor = host.cli("doctor", "--timeout", "1")
    assert doctor.code == 3
    assert "modes-ignored" in doctor.out
    run = host.cli("run")
    assert run.code in (1, 3)
    assert others_can_read(place) == []


def test_a_file_system_with_modes(host: Host) -> None:
    """Nobody complains where what was asked is what is there, and nothing is left of the look."""
    host.copies("key", "pkcs12", mode="0640")
    before = sorted(os.listdir(host.place))
    assert host.cli("config", "check").code == 0
    assert "modes-ignored" not in host.cli("doctor", "--timeout", "1").out
    assert sorted(os.listdir(host.place)) == before
