"""A port that stays stale whatever is deployed: a container with a file mounted, or another host's node."""

import os
import shutil
import ssl
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from renewer.model.decision import Step
from renewer.model.facts import EndpointState
from renewer.policy.diagnosis import diagnose
from tests.faults.conftest import HostFactory
from tests.faults.host import Host
from tests.servers.bendable import BendableFactory
from tests.servers.tls_peer import Peer
from tests.settling import hasty

__all__ = ["hasty"]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def stale_host(make_host: HostFactory, bendable: BendableFactory, clock: Any, where: Path) -> Host:
    """A host whose port went on with the first certificate after the second was deployed."""
    authority = bendable(clock=clock.now)
    table = {"directory": authority.directory, "ca_bundle": authority.ca_bundle, "roots": authority.roots()}
    host = make_host(0, {"f": table})
    hook = where / "hook.sh"
    hook.write_text(f"#!/bin/sh\necho $1 >> {where}/calls\n")
    hook.chmod(0o755)
    host.hooks["mine"] = {"run": hook}
    host.certificates["www"]["hooks"] = ["mine"]
    host.write_config()
    assert host.run().exit == 0
    first = where / "first"
    shutil.copytree(host.state / "certificates/www/live/", first)

    def serve(connection: Any) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(first / "fullchain.pem", first / "privkey.pem")
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    host.ports["www"] = Peer(serve).__enter__()
    host.write_config()
    host.run(force=True)
    return host


def deployments(where: Path, host: Host, span: timedelta, act: Callable[[], object]) -> int:
    """How often the hook deployed in the runs of so long a time, one in three hours."""
    before = (where / "calls").read_text().count("deploy")
    for _ in range(span // (3 * HOUR)):
        host.clock.forward(3 * HOUR)
        act()
    return (where / "calls").read_text().count("deploy") - before


@pytest.fixture
def stale(
    make_host: HostFactory,
    bendable: BendableFactory,
    agents_clock: Any,
    tmp_path: Path,
    hasty: None,  # noqa: ARG001  what stays stale is given up soon
) -> Iterator[Host]:
    """Such a host."""
    host = stale_host(make_host, bendable, agents_clock, tmp_path)
    yield host
    host.stop()


def test_it_is_not_deployed_at_every_run(stale: Host, tmp_path: Path) -> None:
    """By the ladder: a handful in the first day, whatever its hooks say; but not never."""
    assert 1 <= deployments(tmp_path, stale, DAY, stale.run) <= 3


def test_a_person_is_called_after_the_first_retry(stale: Host) -> None:
    """Exit 1 at first; once a deployment did not help it is 3 for as long as it lasts."""
    assert (stale.status()["exit"], stale.situation().sightings[0].state) == (1, EndpointState.STALE)
    for _ in range(10):
        stale.clock.forward(3 * HOUR)
        assert stale.run().exit == 3


def test_the_likely_causes_are_named(stale: Host) -> None:
    """Its hooks succeed, so it is another node, or a mount that still shows the former file."""
    stale.clock.forward(HOUR)
    said = [one.hint for one in stale.run().outcomes if one.step is Step.LOOK]
    (trouble,) = diagnose(stale.situation(), stale.clock.now())
    for hint in (*said, trouble.hint):
        assert "another node may answer at that address" in hint
        assert "a file or `live` itself mounted instead of the certificate's directory" in hint
    assert said


def test_near_the_end_it_is_not_deployed_at_every_run_either(stale: Host, tmp_path: Path) -> None:
    """What is served ends in two days: every few hours, not at each of the runs."""
    stale.clock.forward(88 * DAY)
    # The third certificate is not to come: its authority does not answer
    stale.authorities["f"]["directory"] = "https://127.0.0.1:1/dir"
    stale.write_config()
    assert 1 <= deployments(tmp_path, stale, DAY, stale.run) <= 5


def test_another_node_of_two(stale: Host, tmp_path: Path) -> None:
    """One address shows the new one, another the former: the port is not well, and deployed by the ladder."""
    live = stale.state / "certificates/www/live"
    turn = iter(range(10**6))

    def serve(connection: Any) -> None:
        where = live if next(turn) % 2 else tmp_path / "first"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(where / "fullchain.pem", where / "privkey.pem")
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    stale.ports["www"].behaviour = serve
    assert 1 <= deployments(tmp_path, stale, DAY, stale.run) <= 3
    report = stale.run()
    assert report.exit == 3
    assert "serves different certificates in turn" in stale.status()["why"]


def test_a_file_that_was_mounted_by_itself(stale: Host, tmp_path: Path) -> None:
    """The inode of the day it was mounted is served for ever; with the directory it is the new one."""
    copy = tmp_path / "copies"
    copy.mkdir()
    stale.certificates["www"]["copies"] = [{"fullchain": copy / "fullchain.pem", "key": copy / "privkey.pem"}]
    stale.write_config()
    stale.run()
    mounted = [os.open(copy / name, os.O_RDONLY) for name in ("fullchain.pem", "privkey.pem")]
    by_directory = False

    def serve(connection: Any) -> None:
        places = [f"/proc/self/fd/{fd}" for fd in mounted]
        if by_directory:
            places = [str(copy / "fullchain.pem"), str(copy / "privkey.pem")]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*places)
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    stale.ports["www"].behaviour = serve
    assert stale.run().exit == 0
    stale.run(force=True)
    stale.clock.forward(HOUR)
    assert stale.run().exit == 3
    assert stale.situation().sightings[0].state is EndpointState.STALE
    by_directory = True
    stale.clock.forward(HOUR)
    assert stale.run().exit == 0
    for fd in mounted:
        os.close(fd)
