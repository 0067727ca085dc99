"""kill -9 at every change of a takeover, and of its undo: the other one or the same again makes it whole."""

import shutil
from itertools import count
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.e2e.runner import Runner
from tests.moving.old import Certbot, Newcomer, copied
from tests.servers.pebble import Pebble

WWW = "www.example.org"
STEPS = 3  # each test takes every third of the changes, from its own on


class Case:
    """A host with certbot's certificate, imported; made anew as often as it is needed."""

    def __init__(self, directory: Path, certbot: Certbot, pebble: Pebble, runner: Runner) -> None:
        self.first = directory / "first"
        self.host = directory / "host"
        home = copied(certbot.config, self.first / "letsencrypt")
        for conf in (home / "renewal").glob("*.conf"):
            if conf.stem != WWW:
                conf.unlink()
        (home / "renewal-hooks/deploy/10-all").unlink()
        self.agent = Newcomer.at(self.host, pebble, runner)
        self.home, self.live = self.host / "letsencrypt", self.host / "letsencrypt/live"
        shutil.copytree(self.first, self.host, symlinks=True, dirs_exist_ok=True)
        self.agent.json("import", "certbot", *self.at)
        shutil.rmtree(self.first)
        shutil.copytree(self.host, self.first, symlinks=True)

    @property
    def at(self) -> tuple[str, str]:
        """Where certbot's state lies."""
        return "--from", str(self.home)

    def anew(self) -> None:
        """As it was after the import."""
        shutil.rmtree(self.host)
        shutil.copytree(self.first, self.host, symlinks=True)

    def call(self, *options: str, at: int = 0) -> bool:
        """The command; whether it was killed before its change of that number, else it went well."""
        ran = self.agent.run(
            "takeover", "certbot", *self.at, *options, fault="kill" if at else "", at=at, places=[self.host]
        )
        assert ran.killed or ran.code == 0, ran.said
        return ran.killed

    def demand_pair(self) -> None:
        """Who reads certbot's path finds a key and a chain that belong to each other."""
        key = load_pem_private_key((self.live / WWW / "privkey.pem").read_bytes(), None)
        leaf = x509.load_pem_x509_certificates((self.live / WWW / "fullchain.pem").read_bytes())[0]
        assert key.public_key() == leaf.public_key()

    def demand_taken(self) -> None:
        """It leads to ours, and certbot finds no certificate."""
        assert (self.live / WWW).resolve().is_relative_to(self.agent.state)
        assert not (self.home / f"renewal/{WWW}.conf").exists()
        self.demand_pair()

    def demand_back(self) -> None:
        """All is certbot's, nothing of ours is left there, and our configuration knows nothing of it."""
        assert not (self.live / WWW).is_symlink()
        assert (self.live / WWW / "privkey.pem").resolve().is_relative_to(self.home / "archive")
        assert [path.name for path in (self.home / "renewal").iterdir()] == [f"{WWW}.conf"]
        assert not list(self.home.rglob("*before-renewer*"))
        assert self.agent.files_of_config == ["from-certbot.toml.handed-back"]
        self.demand_pair()


@pytest.fixture
def case(tmp_path: Path, certbot: Certbot, believing: Pebble, runner: Runner) -> Case:
    """One host."""
    return Case(tmp_path, certbot, believing, runner)


@pytest.mark.parametrize("first", range(1, STEPS + 1))
def test_killed_at_every_change(case: Case, first: int) -> None:
    """Killed before any change of a takeover it is finished by saying it again, or undone by --undo."""
    for number in count(first, STEPS):
        case.anew()
        if not case.call(at=number):
            break
        case.demand_pair()
        if number % 2:
            case.call("--undo")
            case.demand_back()
        else:
            case.call()
            case.demand_taken()
    assert number > 5


def test_the_way_back_killed_at_every_change(case: Case) -> None:
    """Killed before a change of the undo, with a newer certificate to be handed over: finished later."""
    case.call()
    assert case.agent.json("run", WWW, "--force")["exit"] == 0
    newest = case.agent.chain(WWW)[0]
    shutil.rmtree(case.first)
    shutil.copytree(case.host, case.first, symlinks=True)
    for number in count(1, 2):
        case.anew()
        killed = case.call("--undo", at=number)
        case.demand_pair()
        if not killed:
            break
        case.call("--undo")
        case.demand_back()
        leaf = x509.load_pem_x509_certificates((case.live / WWW / "fullchain.pem").read_bytes())[0]
        assert leaf == newest
    assert number > 5
