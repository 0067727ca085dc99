"""`renewer doctor` as people and scripts call it."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from renewer import network
from renewer.cli import screen
from renewer.cli.app import _run
from renewer.doctor import examination
from renewer.doctor.examination import Doors
from renewer.model.desired import Config
from tests.cli.terminal import on_terminal
from tests.doctor.conftest import Bed
from tests.servers.scripted_dns import zone

ZONE = zone("example.org", "ns1.example.org 127.0.0.1")
WWW = "www.example.org A 127.0.0.1"
FORBIDDEN = 'example.org CAA 0 issue "pki.goog"'


@pytest.fixture
def doctor(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Calls the command for some names; returns its exit code."""
    bed.authorities = tuple(
        type(one)(name=one.name, identities=("ca.example",), public=False) for one in bed.authorities
    )
    monkeypatch.setattr(examination, "Doors", partial(Doors, dns=bed.dns_port))
    # Nobody is asked through processes here, whatever other tests of this process have started
    monkeypatch.setattr(network, "opener", None)
    monkeypatch.delitem(sys.modules, "renewer.workers", raising=False)

    def call(*arguments: str, names: tuple[str, ...] = ("www.example.org",)) -> int:
        config: Config = bed.config(*names)
        monkeypatch.setattr(screen.Setup, "config", lambda _: config)
        return _run(["doctor", *arguments])

    return call


def test_all_is_well(bed: Bed, doctor: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit 0."""
    bed.world(*ZONE, WWW)

    assert doctor() == screen.OK
    assert capsys.readouterr().out == "all is well: nothing would stop the validation of 1 name\n"


def test_an_error_is_exit_3(bed: Bed, doctor: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The verdict, then by name each finding and what to do; what goes for several names is said once."""
    bed.world(*ZONE, WWW, "b.example.org A 127.0.0.1", FORBIDDEN, "example.org NS gone.example.org.")

    assert doctor(names=("www.example.org", "b.example.org")) == screen.PERSON

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "YOU MUST ACT: 2 errors, 1 warning at 2 names; validation would fail"
    assert lines[1] == "www.example.org (www)"
    assert lines[2].startswith("  error caa-forbids: the CAA records of example.org")
    assert lines[3] == '    → add: example.org. CAA 0 issue "ca.example"'
    assert lines[4].startswith("  warning server-without-address:")
    assert lines[4].endswith("[also b.example.org]")
    assert sum("gone.example.org" in line for line in lines) == 1


def test_warnings_alone_are_exit_0(bed: Bed, doctor: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Doubts are said, and scripts go on."""
    bed.world(*ZONE, WWW, "example.org NS gone.example.org.")

    assert doctor() == screen.OK
    assert "there are doubts: 1 warning" in capsys.readouterr().out


def test_one_json_document(bed: Bed, doctor: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The keys that docs/doctor.md names."""
    bed.world(*ZONE, WWW, FORBIDDEN)

    assert doctor("--json", names=("www.example.org", "*.example.org")) == screen.PERSON

    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"schema", "at", "names", "healthy"}
    assert document["healthy"] is False
    assert [(one["name"], one["certificate"]) for one in document["names"]] == [
        ("www.example.org", "www"),
        ("*.example.org", "www"),
    ]
    (finding,) = document["names"][0]["findings"]
    assert set(finding) == {"severity", "code", "text", "hint"}
    assert (finding["severity"], finding["code"]) == ("error", "caa-forbids")


def test_a_certificate_that_is_not_there(bed: Bed, doctor: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad usage, with the names that there are."""
    bed.world(*ZONE, WWW)

    assert doctor("wwww") == screen.USAGE
    assert "did you mean www?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("env", "severity"),
    [({}, "\x1b[31merror\x1b[0m"), ({"NO_COLOR": "1"}, "error"), ({"TERM": "dumb"}, "error")],
)
def test_on_a_terminal(tmp_path: Path, env: dict[str, str], severity: str) -> None:
    """The severity has its colour, whole, and only where there are colours; no line is broken by us."""
    config = tmp_path / "config.toml"
    config.write_text(
        f"""
        [agent]
        state = "{tmp_path}/state"
        [authority.own]
        directory = "https://127.0.0.1:1/directory"
        agree_terms = true
        [certificate.www]
        names = ["127.0.0.1"]
        authority = "own"
        challenge = {{ type = "http-01", webroot = "{tmp_path}/none" }}
        """
    )

    code, drawn = on_terminal(config, "doctor", "--timeout", "5", columns=60, env=env)

    assert code == screen.PERSON
    line = next(one for one in drawn.splitlines() if "challenge-not-ready" in one)
    assert line.startswith(f"  {severity} challenge-not-ready: ")
    assert line.endswith("does not exist")
    assert "�" not in drawn
