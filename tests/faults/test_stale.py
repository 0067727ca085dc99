"""A port that stays stale whatever is deployed: a container with a file mounted, or another host's node."""

import shutil
import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.faults.conftest import HostFactory
from tests.faults.host import Host
from tests.servers.bendable import BendableFactory
from tests.servers.tls_peer import Peer

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

    host.ports["www"] = Peer(serve)
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


def test_it_is_not_deployed_at_every_run(
    make_host: HostFactory, bendable: BendableFactory, agents_clock: Any, tmp_path: Path
) -> None:
    """By the ladder: a handful in the first day, whatever its hooks say."""
    host = stale_host(make_host, bendable, agents_clock, tmp_path)
    assert deployments(tmp_path, host, DAY, host.run) <= 3
