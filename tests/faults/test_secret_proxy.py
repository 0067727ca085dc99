"""The way to an authority is a secret: taken from a file, the environment or a program, at a real proxy."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent import Agent
from tests.command import Ended
from tests.servers.bendable import Bendable, BendableFactory
from tests.servers.connect_proxy import Proxy, proxy

LOGIN, PASSWORD = "agent:s3cr%3Atly", "s3cr%3Atly"  # a colon in the password, as a URL has it
DIRECT = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"), "")


@pytest.fixture
def authority(bendable: BendableFactory) -> Bendable:
    """One that validates nothing."""
    return bendable()


@pytest.fixture
def at_proxy(tmp_path: Path) -> Iterator[Proxy]:
    """A proxy that wants the login."""
    with proxy(tmp_path / "proxy.log", "agent:s3cr:tly") as running:
        yield running


def agent(tmp_path: Path, authority: Bendable, way: Any) -> Agent:
    """An agent whose way to the authority is this."""
    (tmp_path / "webroot").mkdir(exist_ok=True)
    return Agent(
        tmp_path,
        {
            "authority.bent": {
                "directory": authority.directory,
                "ca_bundle": str(authority.ca_bundle),
                "agree_terms": True,
                "roots": "any",
                "proxy": way,
            },
            "certificate.www": {
                "names": ["www.example.org"],
                "authority": "bent",
                "challenge": {"type": "http-01", "webroot": str(tmp_path / "webroot"), "preflight": "off"},
                "endpoints": [],
            },
        },
    )


def _file(tmp_path: Path, url: str) -> dict[str, Any]:
    path = tmp_path / "proxy.url"
    path.write_text(url + "\n")
    path.chmod(0o600)
    return {"file": str(path)}


def _env(_: Path, __: str) -> dict[str, Any]:
    return {"env": "WAY_OUT"}


def _command(tmp_path: Path, url: str) -> dict[str, Any]:
    program = tmp_path / "way"
    program.write_text(f"#!/bin/sh\necho '{url}'\n")
    program.chmod(0o700)
    return {"command": [str(program)]}


SOURCES: dict[str, Callable[[Path, str], dict[str, Any]]] = {"file": _file, "env": _env, "command": _command}


def hidden(tmp_path: Path, ended: Ended) -> None:
    """The password is in nothing that anybody reads."""
    said = (ended.out + ended.err).encode()
    state = [path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()]
    for form in (PASSWORD.encode(), b"s3cr:tly"):
        assert form not in said
        assert not [one for one in state if form in one]


@pytest.mark.parametrize("source", SOURCES)
def test_every_request_goes_through_it(
    tmp_path: Path, authority: Bendable, at_proxy: Proxy, source: str
) -> None:
    """A certificate is issued, and the authority's host is all that the proxy was asked for."""
    url = f"http://{LOGIN}@127.0.0.1:{at_proxy.port}"
    one = agent(tmp_path, authority, SOURCES[source](tmp_path, url))
    ended = one.cli("run", env={**DIRECT, "WAY_OUT": url})
    assert ended.code == 0, ended.out + ended.err
    assert one.chain()
    host = authority.directory.split("/")[2]
    assert at_proxy.requests
    assert set(at_proxy.requests) == {f"200 {host}"}
    hidden(tmp_path, ended)


@pytest.mark.parametrize("source", SOURCES)
def test_a_wrong_password(tmp_path: Path, authority: Bendable, at_proxy: Proxy, source: str) -> None:
    """The proxy's refusal is told as the proxy's; the authority is not asked by another way."""
    url = f"http://agent:wr0ngly@127.0.0.1:{at_proxy.port}"
    one = agent(tmp_path, authority, SOURCES[source](tmp_path, url))
    ended = one.cli("run", env={**DIRECT, "WAY_OUT": url})
    said = ended.out + ended.err
    assert ended.code in (1, 3), said
    assert "proxy" in said
    assert "wr0ngly" not in said + (tmp_path / "state" / "renewal.log").read_text()
    assert {line.split()[0] for line in at_proxy.requests} == {"407"}
    assert authority.orders == []


@pytest.mark.parametrize(
    ("way", "says"),
    [
        ({"file": "/nowhere/proxy.url"}, "/nowhere/proxy.url"),
        ({"env": "NOT_SET_ANYWHERE"}, "NOT_SET_ANYWHERE"),
        ({"command": ["/bin/false"]}, "/bin/false"),
    ],
)
def test_a_secret_that_cannot_be_had(
    tmp_path: Path, authority: Bendable, way: dict[str, Any], says: str
) -> None:
    """Named, and the authority is not asked without the proxy."""
    ended = agent(tmp_path, authority, way).cli("run", env=DIRECT)
    said = ended.out + ended.err
    assert ended.code in (1, 2, 3), said
    assert says in said, said
    assert authority.orders == []
