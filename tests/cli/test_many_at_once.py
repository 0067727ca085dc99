"""Many orders at once: who types it is asked whether that is meant, and a timer is never kept waiting."""

from pathlib import Path

import pytest

from renewer.policy.due import MANY
from tests.cli.terminal import on_terminal, plain
from tests.command import Ended, renewer
from tests.tell.host import Host

pytestmark = pytest.mark.real

_ONE = """
[certificate.n{number}]
names = ["n{number}.example.org"]
authority = "nowhere"
challenge = {{ type = "http-01", webroot = "{root}", preflight = "off" }}
"""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host that has nothing yet, and one certificate more than anybody expects."""
    host = Host(tmp_path)
    host.configure(*(_ONE.format(number=number, root=tmp_path) for number in range(MANY)))
    return host


def _said(drawn: str) -> str:
    return " ".join(" ".join(plain(drawn)).split())


def test_who_types_it_is_asked(host: Host) -> None:
    """It says how many, why that is odd, and what to type; nothing is done."""
    code, drawn = on_terminal(host.path, "run", columns=200)

    assert code == 2
    assert f"{MANY + 1} certificates would be ordered at once: {MANY + 1} for the first time" in _said(drawn)
    assert "renewer plan" in _said(drawn)
    assert "renewer run --all" in _said(drawn)
    assert host.log() == []


@pytest.mark.parametrize("arguments", [("--all",), ("www",), ("--steps", "look")])
def test_what_was_said_on_purpose_is_done(host: Host, arguments: tuple[str, ...]) -> None:
    """With --all, with names, and where nothing is ordered, nobody is asked."""
    _, drawn = on_terminal(host.path, "run", *arguments, columns=200)

    assert "ordered at once" not in _said(drawn)
    assert host.log("run-finished")


def _without_terminal(host: Host, command: str) -> Ended:
    return renewer("--config", host.path, command)


def test_a_timer_is_not_kept_waiting(host: Host) -> None:
    """`plan` tells how many there are; without a terminal all are begun, each with its own retries."""
    planned, ended = _without_terminal(host, "plan"), _without_terminal(host, "run")

    assert f"note: {MANY + 1} certificates would be ordered at once" in planned.out
    assert ended.code == 1
    assert len({line["certificate"] for line in host.log("failed")}) == MANY + 1


def test_as_many_as_expected(host: Host) -> None:
    """At the bound itself nobody is asked."""
    host.configure(*(_ONE.format(number=number, root=host.root) for number in range(MANY - 1)))
    code, drawn = on_terminal(host.path, "run", columns=200)

    assert (code, "ordered at once" in _said(drawn)) == (1, False)
