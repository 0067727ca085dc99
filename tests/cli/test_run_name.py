"""`renewer run NAME`: who is named, what is completed, and which lines say what does not wait."""

from pathlib import Path
from typing import Any

import pytest

from tests import toml
from tests.command import renewer
from tests.servers.ports import free_port

CHECKOUT = Path(__file__).resolve().parents[2]


class Desk:
    """A configuration whose authority is not reached, and the real command."""

    def __init__(self, directory: Path) -> None:
        """Two certificates, whose webroot is there."""
        self.config = directory / "config.toml"
        webroot = directory / "www"
        webroot.mkdir()
        challenge = {"type": "http-01", "webroot": str(webroot), "preflight": "off"}
        usual = {"authority": "ours", "challenge": challenge, "placeholder": False}
        tables: dict[str, dict[str, Any]] = {
            "agent": {"state": str(directory / "state"), "preflight": "off"},
            "authority.ours": {"directory": f"https://127.0.0.1:{free_port()}/dir", "agree_terms": True},
            "certificate.shop": {"names": ["shop.example.org"], **usual},
            "certificate.mail": {"names": ["mail.example.org"], **usual},
        }
        self.config.write_text(toml.tables(tables))
        self.config.chmod(0o600)

    def say(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """How a command ends and all that it says, without a terminal."""
        ended = renewer("--config", self.config, *arguments, env=environment, together=True)
        return ended.code, ended.out


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A desk of its own for each test."""
    return Desk(tmp_path)


@pytest.mark.parametrize("arguments", [("run", "shpo"), ("run", "--only", "shpo"), ("plan", "shpo")])
def test_an_unknown_name_changes_nothing(desk: Desk, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Exit 2, a suggestion, and no state directory was made."""
    code, said = desk.say(*arguments)
    assert code == 2
    assert "there is no certificate 'shpo'" in said
    assert "→ did you mean shop?" in said
    assert not (tmp_path / "state").exists()


def test_only_the_named_is_tried(desk: Desk) -> None:
    """Names as arguments, any number of them, and --only beside them."""
    code, said = desk.say("run", "shop")
    assert (code, "shop: issue" in said, "mail" in said) == (1, True, False)
    code, said = desk.say("run", "shop", "--only", "mail")
    assert (code, "shop: issue" in said, "mail: issue" in said) == (1, True, True)


def test_every_wait_ends_with_what_does_not_wait(desk: Desk) -> None:
    """In run, plan, status and log; and the command that they name does not wait."""
    assert desk.say("run")[0] == 1
    _, said = desk.say("run")
    line = next(line for line in said.splitlines() if "waits until" in line)
    name = line.split()[0]
    assert line.endswith(f"without waiting: renewer run {name}")
    _, said = desk.say("plan")
    assert all(line.endswith(f": renewer run {line.split(':')[0]}") for line in said.splitlines())
    _, said = desk.say("status")
    assert "→ without waiting: renewer run " in said
    assert {"shop", "mail"} <= set(said.split("without waiting: renewer run ")[1].splitlines()[0].split())
    _, said = desk.say("log", "shop")
    assert "without waiting: renewer run shop" in said
    _, said = desk.say("run", "shop")
    assert "shop: issue: " in said
    _, said = desk.say("plan", "shop")
    assert said.startswith("shop: issue")


@pytest.mark.parametrize(
    ("words", "given"),
    [("run s", ["shop"]), ("run ", ["shop", "mail"]), ("run --only m", ["mail"]), ("plan x", [])],
)
def test_the_shell_completes_names(desk: Desk, words: str, given: list[str]) -> None:
    """Certificates of the configuration that the command line names."""
    line = f"renewer --config {desk.config} {words}"
    count = len(line.split()) - (not line.endswith(" "))
    asked = {"_RENEWER_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(count)}
    _, said = desk.say(**asked)
    assert [one.partition(",")[2] for one in said.split()] == given


def test_completion_of_a_broken_configuration_says_nothing(desk: Desk) -> None:
    """No trace and no fault in the middle of somebody's line."""
    desk.config.write_text("[[[")
    line = f"renewer --config {desk.config} run s"
    asked = {"_RENEWER_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": "4"}
    assert desk.say(**asked)[1].strip() == ""
