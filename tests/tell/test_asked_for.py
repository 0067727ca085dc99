"""What the system is asked for while a command runs: main opens no socket to anybody and resolves nothing."""

import json
import subprocess
import sys

import pytest

from tests.servers.ports import free_port
from tests.tell.host import Host
from tests.tell.listener import Listener

# Runs the command line with a hook (PEP 578) that writes down who asked for sockets or names in this process.
# Unix sockets are this host's, and the ways to workers.
SPY = """
import json, socket, sys
seen = []
def hook(event, args):
    if not event.startswith("socket.") or event == "socket.gethostname":
        return
    family = args[1] if event == "socket.__new__" else getattr(args[0], "family", None)
    if family == socket.AF_UNIX or (event, family) == ("socket.__new__", -1):  # one that was there
        return
    seen.append([event, *map(str, args)])
sys.addaudithook(hook)
from renewer.cli.app import main
try:
    main()
finally:
    print(json.dumps(seen), file=sys.stderr)
"""


def asked_for(host: Host, *words: str) -> list[list[str]]:
    """Each request for a socket or a name in main's process."""
    argv = [sys.executable, "-c", SPY, "--config", str(host.path), *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    seen: list[list[str]] = json.loads(done.stderr.splitlines()[-1])
    return seen


@pytest.mark.slow
@pytest.mark.real
def test_main_speaks_to_nobody(host: Host) -> None:
    """A webhook, mail, a heartbeat, looks at a port, an authority and names: all of it is done by others."""
    with Listener() as listener:
        url = host.secret("url", listener.url("/x"))
        host.configure(
            f'[report]\nheartbeat = {url}\n[notify.hook]\ntype = "webhook"\nurl = {url}\n'
            '[notify.mail]\ntype = "email"\nto = ["a@example.org"]\nfrom = "b@example.org"\n'
            'server = "localhost:1"\nsecurity = "plain"\n'
        )
        assert asked_for(host, "notify", "test") == []
        assert asked_for(host, "run") == []
        assert asked_for(host, "check", f"localhost:{free_port()}") == []
        assert asked_for(host, "doctor", "--timeout", "1") == []
        assert len(listener.posted) >= 2
