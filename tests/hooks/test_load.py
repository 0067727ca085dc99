"""Web servers under load while their certificate is renewed: no more is lost than by any reload."""

import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.hooks import table
from tests.hooks.bed import Bed
from tests.hooks.load import Count, load
from tests.hooks.test_nginx import Served as Nginx
from tests.hooks.walk import Note
from tests.hooks.web import Apache, Haproxy
from tests.servers.handshake import wait_until

TIMES = 20
REST = 0.15  # seconds between two bare reloads: by then each server here has replaced its processes
SLACK = 0.001  # of all requests, that a busy machine may drop beyond what twice as many bare reloads cost


def nginx(bed: Bed) -> Callable[[], None]:
    """Serve it by nginx; how it is reloaded without the agent."""
    server = Nginx(bed)
    bed.serve(server)
    return server.nginx.hangup


def apache(bed: Bed) -> Callable[[], None]:
    """Serve it by Apache."""
    server = Apache(bed.directory, bed.live)
    bed.serve(server)
    return lambda: os.kill(server.pid, signal.SIGUSR1)


def haproxy(bed: Bed) -> Callable[[], None]:
    """Serve it by HAProxy, which is reloaded."""
    server = Haproxy(bed.directory, bed.live, api=False)
    bed.serve(server)
    return lambda: os.kill(server.pid, signal.SIGUSR2)


def haproxy_api(bed: Bed) -> Callable[[], None]:
    """Serve it by HAProxy, told through its runtime API; a bare reload is its master's all the same."""
    server = Haproxy(bed.directory, bed.live, api=True)
    bed.serve(server)
    return lambda: os.kill(server.pid, signal.SIGUSR2)


KINDS = {"nginx": nginx, "apache": apache, "haproxy, reload": haproxy, "haproxy, runtime API": haproxy_api}


@pytest.mark.parametrize("kind", KINDS)
def test_renewals_under_load(bed: Bed, record_property: Note, kind: str) -> None:
    """Twenty renewals break no handshake, mix no pair, and drop no more requests than bare reloads do."""
    reload = KINDS[kind](bed)
    versions = [bed.put()]
    assert bed.run().exit == 0

    with load(bed.server.port, bed.roots) as renewed:
        for _ in range(TIMES):
            versions.append(bed.put())
            report = bed.run()
            assert report.exit == 0, report.outcomes
    with load(bed.server.port, bed.roots) as bare:
        for _ in range(TIMES):
            reload()
            time.sleep(REST)

    record_property(table.LOAD, _row(kind, f"{TIMES} renewals", renewed))
    record_property(table.LOAD, _row(kind, f"{TIMES} bare reloads", bare))
    assert renewed.broken == bare.broken == []
    assert renewed.serials == {version.leaf.serial for version in versions}
    assert renewed.dropped <= 2 * bare.dropped + SLACK * renewed.requests


def _row(kind: str, what: str, count: Count) -> tuple[str, ...]:
    rate = round(count.requests / count.seconds)
    return kind, what, str(count.requests), str(rate), str(count.dropped), str(len(count.broken))


def test_the_load_sees_what_breaks(bed: Bed) -> None:
    """A certificate that no root vouches for counts as a failure of TLS, a closed port as dropped."""
    nginx(bed)
    with load(bed.server.port, bed.roots) as untrusted:
        wait_until(lambda: untrusted.requests > 0, what="a request")
    assert (untrusted.answered, untrusted.dropped) == (0, 0)
    assert all("certificate verify failed" in reason for reason in untrusted.broken)
    bed.server.stop()
    with load(bed.server.port, bed.roots) as closed:
        wait_until(lambda: closed.requests > 0, what="a request")
    assert (closed.answered, closed.broken) == (0, [])
