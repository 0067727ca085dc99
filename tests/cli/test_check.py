import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from renewer.cli import app, screen
from renewer.cli.check import findings
from renewer.model.desired import Agent, Authority, Certificate, Config, Endpoint, Http01, Starttls
from renewer.model.facts import Leaf
from renewer.model.names import Identifier
from renewer.network.verify import PortTrouble, Sight
from tests.servers.certificates import Pair, ServerRoot
from tests.servers.tls_peer import Peer, scripted, silent, tls

NAME = "a.example.org"


@pytest.fixture
def root() -> ServerRoot:
    """An authority of the test's own."""
    return ServerRoot()


@pytest.fixture
def roots(root: ServerRoot, tmp_path: Path) -> str:
    """Its certificate, as a file of roots."""
    return str(root.write(tmp_path / "roots.pem"))


@pytest.fixture
def pair(root: ServerRoot, tmp_path: Path) -> Pair:
    """A good certificate."""
    return root.issue(tmp_path, NAME, "127.0.0.1", "::1")


@pytest.fixture
def port(pair: Pair) -> Iterator[int]:
    """A port that serves it."""
    with Peer(tls(pair)) as peer:
        yield peer.port


@pytest.fixture
def closed() -> int:
    """A port where nobody listens."""
    with Peer(silent) as peer:
        return peer.port


def check(*arguments: str) -> int:
    """Run `renewer check`; its exit code."""
    return app._run(["check", *arguments])


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    """The one JSON document on stdout; nothing may stand on stderr."""
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def test_a_sound_port(port: int, roots: str, capsys: pytest.CaptureFixture[str]) -> None:
    """All documented keys are there, times are RFC 3339 in UTC, and the exit is 0."""
    code = check(f"127.0.0.1:{port}", "--roots", roots, "--json")

    told = document(capsys)
    assert code == screen.OK
    assert told["schema"] == 1
    (target,) = told["targets"]
    assert {"target", "reachable", "tls", "chain_valid", "name_matches", "not_after", "days_left"} <= set(
        target
    )
    assert target["target"] == target["address"] == f"127.0.0.1:{port}"
    assert target["reachable"] is target["tls"] is target["chain_valid"] is target["name_matches"] is True
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", target["not_after"])
    assert 89 < target["days_left"] < 90
    assert re.fullmatch(r"[0-9a-f]+", target["serial"])
    assert "renewer test root" in target["issuer"]
    assert target["findings"] == []


def test_what_clients_refuse(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    """An untrusted chain is an error, seen all the same, and exit 3."""
    assert check(f"127.0.0.1:{port}", "--json") == screen.PERSON

    (target,) = document(capsys)["targets"]
    assert (target["tls"], target["chain_valid"], target["name_matches"]) == (True, False, True)
    assert [finding["code"] for finding in target["findings"]] == ["chain-incomplete"]
    assert target["findings"][0]["severity"] == "error"


def test_what_cannot_be_reached(closed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody there is exit 1; every key is still in the document."""
    assert check(f"127.0.0.1:{closed}", "--json") == screen.FAILED

    (target,) = document(capsys)["targets"]
    assert (target["reachable"], target["tls"], target["serial"]) == (False, False, None)
    assert [finding["code"] for finding in target["findings"]] == ["unreachable"]
    assert "nobody listens there" in target["findings"][0]["text"]


def test_the_worse_exit_wins(port: int, closed: int) -> None:
    """3 goes over 1."""
    assert check(f"127.0.0.1:{closed}", f"127.0.0.1:{port}") == screen.PERSON


def test_plain_when_piped(port: int, roots: str, closed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The names of the columns, then a line a target in the order asked; fields separated by tabs."""
    check(f"https://127.0.0.1:{port}/path", f"127.0.0.1:{closed}", "--roots", roots)

    names, good, bad = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert names == ["target", "address", "state", "expires", "days left", "issuer"]
    assert good[:3] == [f"https://127.0.0.1:{port}/path", f"127.0.0.1:{port}", "ok"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", good[3])
    assert len(good) == len(bad) == 6
    assert bad[2:] == ["unreachable", "-", "-", "-"]


def test_a_table_on_a_terminal(
    port: int, closed: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person gets a table and below it every finding as a sentence."""
    monkeypatch.setattr(screen, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")

    check(f"127.0.0.1:{port}", f"127.0.0.1:{closed}")

    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["Target", "Address", "State", "Expires", "Left", "Issuer"]
    assert "chain-incomplete" in out
    assert f"error: 127.0.0.1:{closed}: 127.0.0.1:{closed}: connection refused" in out


def test_starttls_is_spoken_when_asked(pair: Pair, roots: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--starttls says what precedes TLS."""
    with Peer(scripted([(b"+OK\r\n", b"STLS\r\n"), (b"+OK\r\n", b"")], tls(pair))) as peer:
        assert check(f"127.0.0.1:{peer.port}", "--starttls", "pop3", "--roots", roots) == screen.OK
        capsys.readouterr()
        assert check(f"pop3://127.0.0.1:{peer.port}", "--roots", roots) == screen.OK


def test_another_name_at_an_address(port: int, roots: str) -> None:
    """--server-name asks for a name wherever the connection goes."""
    assert check(f"127.0.0.1:{port}", "--roots", roots, "--server-name", NAME) == screen.OK
    assert check(f"127.0.0.1:{port}", "--roots", roots, "--server-name", "b.example.org") == screen.PERSON


def test_ipv6_in_each_spelling(pair: Pair, roots: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets as in URLs; a bare address is looked at on 443."""
    with Peer(tls(pair), host="::1") as peer:
        assert check(f"[::1]:{peer.port}", f"https://[::1]:{peer.port}", "--roots", roots) == screen.OK
    capsys.readouterr()
    check("::1", "--json")
    assert document(capsys)["targets"][0]["address"] == "[::1]:443"


@pytest.mark.parametrize(
    "text", ["gopher://a.example.org", "a b", "a.example.org:99999", "https://", ":443", "a..b", "x:y:z"]
)
def test_what_cannot_be_understood(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A target that is none is bad usage: exit 2, a sentence and what to write instead."""
    assert check(text) == screen.USAGE

    out, err = capsys.readouterr()
    assert out == ""
    assert "→ write HOST" in err
    assert "Traceback" not in err


def test_roots_that_cannot_be_read(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Roots that are none are bad usage, not a finding about the target."""
    assert check(f"127.0.0.1:{port}", "--roots", "/no/such.pem") == screen.USAGE
    assert "the roots in /no/such.pem cannot be used: No such file" in capsys.readouterr().err


def test_without_arguments_the_configured_endpoints(
    port: int, closed: int, roots: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every endpoint of the configuration is looked at once, against its authority's roots."""
    endpoints = tuple(Endpoint(server_name=NAME, port=number, host="127.0.0.1") for number in (port, closed))
    certificates = {
        name: Certificate(
            name=name,
            names=(Identifier.parse(NAME),),
            authorities=("ours",),
            challenge=Http01(webroot="/var/www"),
            endpoints=endpoints,
        )
        for name in ("one", "two")
    }
    authority = Authority(name="ours", directory="https://ca.example.org/", roots=roots)
    config = Config(
        path="/etc/renewer/config.toml",
        agent=Agent(),
        authorities={"ours": authority},
        certificates=certificates,
        hooks={},
    )
    monkeypatch.setattr(screen.Setup, "config", lambda _: config)

    assert check("--json") == screen.FAILED

    targets = document(capsys)["targets"]
    assert [target["target"] for target in targets] == [str(endpoint) for endpoint in endpoints]
    assert [target["chain_valid"] for target in targets] == [True, None]


NOW = datetime(2026, 11, 22, tzinfo=UTC)


def sight(*, lifetime: timedelta = timedelta(days=90), left: timedelta, **settings: Any) -> Sight:
    """A sight of a leaf with so much time left."""
    leaf = Leaf(
        serial="1a",
        fingerprint="f" * 64,
        not_before=NOW + left - lifetime,
        not_after=NOW + left,
        names=(Identifier.parse(NAME),),
        key=None,
        issuer="CN=x",
    )
    known: dict[str, Any] = {"name_matches": True, "completed": True, "leaf": leaf} | settings
    return Sight(endpoint=Endpoint(server_name=NAME), address="192.0.2.1:443", at=NOW, local=False, **known)


@pytest.mark.parametrize(
    ("lifetime", "left", "codes"),
    [
        (90, 45, []),
        (90, 15.1, []),
        (90, 14.9, ["expiring"]),
        (6, 2, []),
        (6, 1.4, ["expiring"]),
        (90, 0, ["expired"]),
        (90, -3, ["expired"]),
        (90, 91, ["not-yet-valid"]),
    ],
)
def test_time_left_is_judged_by_the_lifetime(lifetime: float, left: float, codes: list[str]) -> None:
    """A warning comes when half of the time after the due renewal is gone, however long a lifetime is."""
    seen = sight(lifetime=timedelta(days=lifetime), left=timedelta(days=left))

    assert [finding.code for finding in findings(seen, NOW)] == codes


def test_all_that_is_wrong_is_told() -> None:
    """An expired certificate of somebody else's is both, errors first, nothing twice."""
    seen = sight(
        left=timedelta(days=-1),
        name_matches=False,
        trusted=False,
        trouble=PortTrouble.EXPIRED,
        error="has expired",
    )

    assert [(finding.severity, finding.code) for finding in findings(seen, NOW)] == [
        ("error", "expired"),
        ("error", "name-mismatch"),
    ]


def test_errors_come_before_warnings() -> None:
    """The worst is read first."""
    seen = sight(left=timedelta(days=1), trusted=False, trouble=PortTrouble.SELF_SIGNED, error="self-signed")

    assert [finding.code for finding in findings(seen, NOW)] == ["self-signed", "expiring"]


def test_a_server_of_another_kind_is_not_unreachable() -> None:
    """Somebody answers, but not with TLS: that is a finding of its own."""
    seen = sight(left=timedelta(0), leaf=None, completed=False, trouble=PortTrouble.NO_TLS, error="no TLS")

    assert [finding.code for finding in findings(seen, NOW)] == ["no-tls"]


def test_a_port_tells_what_precedes_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports that always begin in clear are spoken to accordingly, unless the user says otherwise."""
    seen: list[Starttls | None] = []

    def look(targets: Any, **_: object) -> list[Sight]:
        seen.extend(target.endpoint.starttls for target in targets)
        return []

    monkeypatch.setattr("renewer.network.verify.look", look)
    for arguments in (
        ["mx.example.org:25"],
        ["mx.example.org:587", "--starttls", "none"],
        ["imaps://mx.example.org"],
        ["db.example.org:5432"],
        ["www.example.org"],
    ):
        check(*arguments)

    assert seen == [Starttls.SMTP, None, None, Starttls.POSTGRESQL, None]
