"""A host with one certificate, a clock of its own, and a post office."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from renewer import clock
from tests.servers.certificates import Pair, ServerRoot
from tests.tell.host import Host
from tests.tell.post_office import PostOffice


class Clock:
    """Shows what it is set to."""

    def __init__(self, start: datetime) -> None:
        self.moment = start

    def now(self) -> datetime:
        """In place of the system's."""
        return self.moment

    def advance(self, span: timedelta) -> datetime:
        """Let time pass."""
        self.moment += span
        return self.moment


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The one clock, stopped at a day after this program was made."""
    stopped = Clock(clock.BUILT + timedelta(days=40))
    monkeypatch.setattr(clock, "now", stopped.now)
    monkeypatch.setattr(clock, "sleep", lambda _seconds: None)  # an authority is asked three times a run
    return stopped


@pytest.fixture
def root() -> ServerRoot:
    """Whom the agent is told to trust."""
    return ServerRoot()


@pytest.fixture
def pair(root: ServerRoot, tmp_path: Path) -> Pair:
    """The certificate of a server on this host."""
    return root.issue(tmp_path / "tls", "localhost", "127.0.0.1")


@pytest.fixture
def office(pair: Pair) -> Iterator[PostOffice]:
    """A mail server that insists on STARTTLS."""
    with PostOffice(pair) as server:
        yield server


@pytest.fixture
def bundle(root: ServerRoot, tmp_path: Path) -> Path:
    """The root as a PEM file."""
    return root.write(tmp_path / "root.pem")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host whose only certificate is in order; no authority answers it."""
    return Host(tmp_path)


MakeMail = Callable[..., str]


@pytest.fixture
def mail(office: PostOffice, bundle: Path) -> MakeMail:
    """The table of a channel to the post office."""

    def table(name: str = "ops", **keys: str) -> str:
        given = {
            "type": '"email"',
            "to": '["ops@example.org"]',
            "from": '"renewer@web-1.example.org"',
            "server": f'"{office.address}"',
            "ca_bundle": f'"{bundle}"',
            **keys,
        }
        return f"[notify.{name}]\n" + "".join(f"{key} = {value}\n" for key, value in given.items())

    return table
