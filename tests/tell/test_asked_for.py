"""What the system is asked for while a command runs: nobody but `network/` connects, binds or resolves."""

import json
import subprocess
import sys

import pytest

from tests.tell.host import Host
from tests.tell.listener import Listener

# Runs the command line with a hook (PEP 578) that writes down who asked for sockets: the event, where to, and
# whether a function of `renewer/network/` is among the callers. Unix sockets are this host's.
SPY = """
import json, socket, sys
seen = []
def hook(event, args):
    if event not in ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo",
                     "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"):
        return
    if isinstance(args[0], socket.socket) and args[0].family == socket.AF_UNIX:
        return
    frame, inside = sys._getframe(1), False
    while frame is not None:
        inside = inside or "/renewer/network/" in frame.f_code.co_filename
        frame = frame.f_back
    seen.append((event, inside))
sys.addaudithook(hook)
from renewer.cli.app import main
try:
    main()
finally:
    print(json.dumps(seen), file=sys.stderr)
"""


def asked_for(host: Host, *words: str) -> list[tuple[str, bool]]:
    """Each request for a socket or a name, and whether the worker's side made it."""
    argv = [sys.executable, "-c", SPY, "--config", str(host.path), *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    return [(event, inside) for event, inside in json.loads(done.stderr.splitlines()[-1])]


@pytest.mark.slow
@pytest.mark.real
def test_only_the_workers_side_speaks(host: Host) -> None:
    """A webhook, mail, and a heartbeat around a run: each connection and each name is of `network/`."""
    with Listener() as listener:
        url = host.secret("url", listener.url("/x"))
        host.configure(
            f'[report]\nheartbeat = {url}\n[notify.hook]\ntype = "webhook"\nurl = {url}\n'
            '[notify.mail]\ntype = "email"\nto = ["a@example.org"]\nfrom = "b@example.org"\n'
            'server = "localhost:1"\nsecurity = "plain"\n'
        )
        told = asked_for(host, "notify", "test")
        ran = asked_for(host, "run")
        assert len(listener.posted) >= 2
    for seen in (told, ran):
        assert {event for event, _ in seen} >= {"socket.connect", "socket.getaddrinfo"}
        assert [event for event, inside in seen if not inside] == []
