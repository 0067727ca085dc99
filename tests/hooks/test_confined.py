"""The shipped hooks with the few capabilities that renewer's systemd unit leaves them.

The servers have all of root's, so the kernel keeps what /proc tells of them (directory, program, environment)
from anybody who has fewer: a hook that cannot read it would take a server that runs for one that does not.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from renewer.cli.units import CAPABILITIES
from renewer.hooks import HookResult, HookVerdict
from renewer.model.desired import HookEvent
from tests.hooks import test_standing as standing
from tests.hooks import test_web as web
from tests.hooks.alone import DEPLOY, DIRECTORY, TEST, Shelf
from tests.hooks.laid import Laid, laid
from tests.hooks.test_web import server, shelf  # noqa: F401  # fixtures
from tests.hooks.web import WebServer
from tests.servers.foreground import Foreground, program
from tests.servers.handshake import wait_until
from tests.servers.mariadb import Mariadb
from tests.servers.postgresql import USER, Postgresql
from tests.servers.redis import Redis
from tests.servers.unbound import Unbound

# Not OpenSMTPD: its root of its own, here, takes a mount, and that the unit rightly refuses.
KINDS: dict[str, tuple[type[Foreground], str | None, str]] = {
    hook: (kind, standing.SPOKEN[hook].value, standing.OWNERS.get(hook, "root"))
    for hook, kind in standing.KINDS.items()
    if hook != "opensmtpd"
} | {
    "mariadb": (Mariadb, "mysql", "mysql"),
    "postgresql": (Postgresql, "postgresql", USER),
    "redis": (Redis, None, "redis"),
    "unbound": (Unbound, None, "unbound"),
}


def confined(hook: str, directory: Path) -> str:
    """A program that is the hook with the unit's capabilities and no way to more."""
    bounding = ",".join(["-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in CAPABILITIES.split())])
    path = directory / f"confined-{hook}"
    path.write_text(
        "#!/bin/sh\n"
        f"exec {program('setpriv', 'util-linux')} --no-new-privs --inh-caps=-all --bounding-set={bounding} "
        f'-- {DIRECTORY / hook} "$@"\n'
    )
    path.chmod(0o755)
    return str(path)


def done(result: HookResult) -> None:
    """It went well."""
    assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output


def test_web_servers(server: WebServer, shelf: Shelf) -> None:  # noqa: F811
    """Apache, Caddy, HAProxy and lighttpd are tested, and show the new one."""
    server.start()
    hook = confined(server.hook, server.home)
    shelf.put()
    web.lay(server)
    for event in (TEST, DEPLOY):
        done(shelf.call(hook, event, **server.env))
    wait_until(lambda: web.serial(server) == web.wanted(shelf), what="the new one")


@pytest.fixture(params=sorted(KINDS))
def stand(place: Path, request: pytest.FixtureRequest) -> Iterator[Laid[Foreground]]:
    """Each of the servers for mail, files, data and names, with its copies."""
    kind, starttls, owner = KINDS[request.param]
    with laid(place, request.param, kind, starttls=starttls, owner=owner) as stand:
        yield stand


def test_other_servers(stand: Laid[Foreground], place: Path) -> None:
    """They are tested, and show the new one; what can only be started anew is left to systemd."""
    stand.server.start()
    hook = confined(stand.hook, place)
    serial = stand.lay()
    events: tuple[HookEvent, ...] = (TEST,) if stand.hook in standing.RESTARTED else (TEST, DEPLOY)
    for event in events:
        done(stand.shelf.call(hook, event, **stand.server.env))
    if DEPLOY in events:
        wait_until(lambda: stand.served.lstrip("0").lower() == serial.lstrip("0").lower(), what="the new one")
