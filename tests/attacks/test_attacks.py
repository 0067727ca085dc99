"""Who owns the directory that root's agent writes to wins nothing by swapping things there. As root."""

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from renewer import copies
from renewer.errors import RenewerError
from renewer.issue.solvers import TokenPreflight
from renewer.logs.file import LogFile, Rotation
from renewer.model.desired import Copy, CopyPart
from renewer.model.desired import Preflight as Mode
from renewer.provisioning.webroot import WebrootSolver
from renewer.report.files import publish
from tests import toml
from tests.attacks.eve import Eve, at_work
from tests.attacks.table import PROPERTY
from tests.challenges.tasks import TOKEN, task
from tests.copies.pairs import pair
from tests.e2e.runner import Runner, Task
from tests.servers.bendable import Bendable, BendableFactory

EVE = 40001  # a user that nothing else here has
SECONDS, LEAST = 1.0, 20  # how long the agent writes again and again, and how often at least
STEPS = {
    "link_at_the_name": "a link at the name",
    "link_on_the_way": "a link on the way",
    "directory_of_roots": "a directory of root's on the way",
    "file_first": "a file of hers first",
    "file_of_roots": "a file of root's at the name",
    "draft": "a link at the draft",
    "hard_link": "hard links",
}
Write = Callable[[int], None]


class Scene:
    """Eve's own directory, and what of root's she would like to change or read."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.own, self.system = place / "eve", place / "system"
        self.own.mkdir()
        (self.own / "tls").mkdir()
        os.chown(self.own, EVE, EVE)
        os.chown(self.own / "tls", EVE, EVE)
        self.system.mkdir()
        (self.system / "precious").write_text("root's")
        (self.system / "precious").chmod(0o600)
        (self.own / "letter").write_text("root's letter")
        (self.own / "letter").chmod(0o600)
        (self.own / "private").mkdir(mode=0o700)
        for name in ("diary", *(name.rpartition("/")[2] for name, _ in WRITTEN.values())):
            (self.own / "private" / name).write_text("root's diary")
            (self.own / "private" / name).chmod(0o600)
        inner = self.own / "web" / ".well-known" / "acme-challenge"
        inner.mkdir(parents=True)
        for made in (inner, *inner.parents[:2]):
            os.chown(made, EVE, EVE)
        self._held = {
            name: os.open(self.own / name, os.O_RDONLY)
            for name in ("letter", "private", *(f"private/{one}" for one in os.listdir(self.own / "private")))
        }
        self._before = self._looks()

    def _looks(self) -> dict[str, object]:
        """All of root's: whose, who may read it, what is in it; by descriptor, wherever she moved it."""
        found: dict[str, object] = {"system": sorted(os.listdir(self.system))}
        for name, fd in self._held.items():
            entry = os.fstat(fd)
            what = None if stat.S_ISDIR(entry.st_mode) else os.pread(fd, 100, 0)
            lost = name.startswith("private/") and entry.st_nlink == 0  # she herself could not remove it
            found[name] = (entry.st_uid, stat.S_IMODE(entry.st_mode), what, lost)
        entry = (self.system / "precious").stat()
        found["precious"] = (
            entry.st_uid,
            stat.S_IMODE(entry.st_mode),
            (self.system / "precious").read_text(),
        )
        return found

    def won(self) -> list[str]:
        """What of root's is not as it was."""
        now = self._looks()
        return [f"changed {name}" for name, before in self._before.items() if now[name] != before]

    def close(self) -> None:
        """Let go of what was opened."""
        for fd in self._held.values():
            os.close(fd)


def _copy(target: Path) -> Write:
    wish = Copy(paths=((CopyPart.COMBINED, str(target)),))

    def write(number: int) -> None:
        done = copies.put(wish, pair(90 + number % 2), {})
        if number % 3 == 0:
            copies.undo(done)

    return write


def _webroot(target: Path) -> Write:
    root = str(target.parents[2])

    def write(_: int) -> None:
        one = WebrootSolver(root, preflight=TokenPreflight(Mode.OFF))
        debris = one.debris_of(task())
        try:
            one.present(task())
        finally:
            if (one.clean_up(task()) or debris) is not None and debris is not None:
                one.sweep(debris)

    return write


def _log(target: Path) -> Write:
    def write(number: int) -> None:
        log = LogFile(str(target), Rotation(size=200, keep=3))
        try:
            for _ in range(4):
                log.write(b'{"at":"2026-11-27T12:00:00Z","number":%d}\n' % number)
        finally:
            log.close()

    return write


def _published(target: Path) -> Write:
    def write(number: int) -> None:
        publish(str(target), b"renewer %d" % number)

    return write


WRITTEN: dict[str, tuple[str, Callable[[Path], Write]]] = {
    "copy": ("tls/site.pem", _copy),
    "webroot": (f"tls/.well-known/acme-challenge/{TOKEN}", _webroot),
    "webroot of hers": (f"web/.well-known/acme-challenge/{TOKEN}", _webroot),
    "log": ("tls/renewal.log", _log),
    "page": ("tls/index.html", _published),
    "metrics": ("tls/renewer.prom", _published),
}


@pytest.fixture
def scene(place: Path) -> Iterator[Scene]:
    """A directory of Eve's and one of root's."""
    made = Scene(place)
    yield made
    made.close()


def _loose(scene: Scene) -> list[str]:
    """Files with a private key in Eve's directory that are hers, or that others may read."""
    found = []
    for directory, _, names in os.walk(scene.own):
        for name in names:
            path = Path(directory, name)
            entry = path.lstat()
            if not stat.S_ISREG(entry.st_mode) or b"PRIVATE KEY" not in path.read_bytes():
                continue
            if EVE in (entry.st_uid, entry.st_gid) or entry.st_mode & 0o077:
                found.append(f"a key in {name}")
    return found


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("written", WRITTEN)
def test_nothing_is_won(
    scene: Scene, written: str, step: str, record_property: Callable[[str, object], None]
) -> None:
    """Whatever she swaps in a tight loop: nothing of root's is changed or opened up, no key can be read."""
    name, make = WRITTEN[written]
    target = scene.own / name
    write = make(target)
    with at_work(EVE, step, Eve(target, scene.own, scene.system)) as said:
        end, number = time.monotonic() + SECONDS, 0
        while time.monotonic() < end or number < LEAST:
            number += 1
            with contextlib.suppress(OSError, RenewerError):
                write(number)
    times, _, spied = said[0].strip().partition(" ")
    won = [*scene.won(), *_loose(scene), *([spied] if spied else [])]
    record_property(PROPERTY, (written, STEPS[step], int(times), "; ".join(won)))
    assert won == []


# --- the whole command -------------------------------------------------------------------------------------

RUNS = 4
WHOLE = "the whole command"


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    """Forks the command, each time a process of its own."""
    with Runner() as running:
        yield running


def _configured(scene: Scene, authority: Bendable) -> list[str]:
    """A config whose every file outside of the state lies in her directory; the command's arguments."""
    own = scene.own
    tables: dict[str, dict[str, object]] = {
        "agent": {
            "state": scene.place / "state",
            "host": "web-1",
            "preflight": "off",
            "log": own / "tls" / "renewal.log",
        },
        "report": {"page": own / "tls" / "index.html", "metrics": own / "tls" / "renewer.prom"},
        "authority.bent": {
            "directory": authority.directory,
            "ca_bundle": authority.ca_bundle,
            "agree_terms": True,
            "roots": "any",
        },
        "certificate.www": {
            "names": ["www.example.org", "example.org"],
            "authority": "bent",
            "challenge": {"type": "http-01", "webroot": own / "web", "preflight": "off"},
            "copies": [{"combined": own / "tls" / "site.pem"}],
        },
    }
    config = scene.place / "config.toml"
    config.write_text(toml.tables(tables))
    config.chmod(0o600)
    return ["--config", str(config), "run", "--force", "--only", "www"]


@pytest.mark.parametrize("step", STEPS)
def test_nothing_is_won_of_the_whole_command(
    scene: Scene,
    runner: Runner,
    bendable: BendableFactory,
    step: str,
    record_property: Callable[[str, object], None],
) -> None:
    """`renewer run` as root, an order each time: challenge, copy, log, page and metrics in her directory."""
    authority = bendable()
    arguments = _configured(scene, authority)
    places = ["tls/site.pem", "tls/renewal.log", "tls/index.html", "tls/renewer.prom"]
    eves = [Eve(scene.own / one, scene.own, scene.system) for one in places]
    eves.append(Eve(scene.own / "web" / ".well-known" / "acme-challenge", scene.own, scene.system))
    with at_work(EVE, step, *eves) as said:
        ended = [
            runner.run(Task(arguments=arguments, places=[], state=str(scene.place / "state")))
            for _ in range(RUNS)
        ]
    assert {one.code for one in ended} <= {0, 1, 3}, ended  # never torn, never a defect
    assert not [one for one in ended if "Traceback" in one.said or "defect" in one.said], ended
    assert len(authority.orders) >= 1
    times, _, spied = said[0].strip().partition(" ")
    won = [*scene.won(), *_loose(scene), *([spied] if spied else [])]
    record_property(PROPERTY, (WHOLE, STEPS[step], int(times), "; ".join(won)))
    assert won == []
