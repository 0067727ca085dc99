"""A port that still shows the former certificate: which hooks are called again."""

import shutil
import socket
import ssl
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.hooks.bed import NAME, Bed, Server
from tests.servers.tls_peer import Behaviour, Peer

_HOOK = """\
#!/bin/sh
echo "$1" >>'{calls}'
"""


class Idle(Server):
    """Nothing of its own: its ports are peers of the test's."""

    hook = "copy"
    env: dict[str, str] = {}  # noqa: RUF012  as the base has it

    def start(self) -> None:
        """There is nothing to start."""

    def stop(self) -> None:
        """There is nothing to end."""


def serving(directory: Path) -> Behaviour:
    """Shows what lies in a directory when somebody connects."""

    def serve(connection: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "fullchain.pem", directory / "privkey.pem")
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    return serve


@pytest.mark.parametrize("named", [True, False])
def test_only_its_own_hook_is_called_again(bed: Bed, *, named: bool) -> None:
    """With `ports` a stale port concerns one hook; without, it may be anybody's."""
    stuck = bed.directory / "stuck"
    with ExitStack() as stack:
        good, stale = (stack.enter_context(Peer(serving(where))) for where in (bed.live, stuck))
        server = Idle()
        server.port = good.port
        bed.serve(server)
        endpoints = [{"host": "127.0.0.1", "port": peer.port, "server_name": NAME} for peer in (good, stale)]
        bed.write_config(hooks=["one", "two"], endpoints=endpoints)
        with bed.config.open("a") as config:
            for name, peer in (("one", good), ("two", stale)):
                program = bed.directory / name
                program.write_text(_HOOK.format(calls=bed.directory / f"{name}.calls"))
                program.chmod(0o755)
                config.write(f'[hook.{name}]\nrun = "{program}"\n')
                config.write(f"ports = [{peer.port}]\n" if named else "")
        first = bed.put()
        shutil.copytree(bed.live.parent / "versions" / first.id, stuck)
        assert bed.run().exit == 0
        bed.put()
        assert bed.run().exit == 1
        assert called(bed) == (2, 2)
        bed.age()
        bed.run()
        assert called(bed) == ((2, 3) if named else (3, 3))


def called(bed: Bed) -> tuple[int, int]:
    """How often each hook was called."""
    one, two = ((bed.directory / f"{name}.calls").read_text().count("deploy") for name in ("one", "two"))
    return one, two


def test_a_name_that_was_taken_out_is_still_served(bed: Bed) -> None:
    """The server goes on to show the certificate for a name that it no longer has: told, with the port."""
    lost = "api.nowhere.invalid"
    front = bed.directory / "front"
    front.symlink_to(bed.live)
    with Peer(serving(front)) as peer:
        server = Idle()
        server.port, server.env = peer.port, {"COPY_TO": str(bed.directory)}
        bed.serve(server)
        bed.write_config(names=[NAME, lost], hooks=[])
        bed.put(names=(NAME, lost))
        assert bed.run().exit == 0
        bed.write_config(names=[NAME], hooks=[])
        bed.put()
        report = bed.run()
        assert report.exit == 0, report.outcomes
        told = f"no longer in it, and still served with it: {lost} (at 127.0.0.1:{peer.port})"
        assert told in report.outcomes[0].detail
        for asked in ((), ("www",)):  # and whoever asks later is told, as long as it is so
            (concern,) = [one for one in bed.cli("status", *asked)["concerns"] if lost in one["text"]]
            assert (concern["text"], concern["exit"]) == (f"www: {told}", 0)
        bed.put()
        assert "no longer in it" not in str(bed.run().outcomes)
        assert told in str(bed.cli("status")["concerns"])
        bed.write_config(names=[NAME, lost], hooks=[])
        assert told not in str(bed.cli("status", code=1)["concerns"])
        bed.write_config(names=[NAME], hooks=[])
        assert told in str(bed.cli("status")["concerns"])
        other = bed.root.issue(bed.directory / "other", lost, stem="other")
        other.key.rename(bed.directory / "other" / "privkey.pem")
        other.cert.rename(bed.directory / "other" / "fullchain.pem")
        front.unlink()
        front.symlink_to(bed.directory / "other")
        bed.run()
        assert told not in str(bed.cli("status")["concerns"])
