"""What can be known on this host is known before the authority is asked, and tried again without a wait."""

import os
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from renewer.model.decision import Result, Step
from tests.faults.host import Host, authority, failed
from tests.servers.pebble import Pebble


def http(**ways: Any) -> dict[str, Any]:
    """A challenge of HTTP-01 that nobody looks at before the authority does."""
    return {"type": "http-01", "preflight": "off", **ways}


@pytest.fixture
def orders(pebble: Pebble) -> Callable[[], int]:
    """How many orders were made since the test began."""
    mark = pebble.mark()
    return lambda: pebble.orders_created(mark)


def asks(host: Host, challenge: object, names: list[str] | None = None) -> None:
    """The one certificate is proved so."""
    host.certificates["www"] = {"names": names or ["www.example.org"], "challenge": challenge}
    host.write_config()


def root_is_a_file(root: Path) -> None:
    """A file where the webroot should be."""
    root.write_text("a file")


def root_dangles(root: Path) -> None:
    """A link to nothing where the webroot should be."""
    root.symlink_to(root.parent / "nowhere")


def well_known_is_a_file(root: Path) -> None:
    """A file in the place of a directory below the webroot."""
    root.mkdir()
    (root / ".well-known").write_text("a file")


def well_known_is_a_link(root: Path) -> None:
    """A link in the place of a directory below the webroot: none is followed there."""
    root.mkdir()
    (root / "elsewhere").mkdir()
    (root / ".well-known").symlink_to("elsewhere")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda _root: None, "does not exist"),
        (root_is_a_file, "is not a directory"),
        (root_dangles, "nowhere, which does not exist"),
        (well_known_is_a_file, "is not a directory"),
        (well_known_is_a_link, "is a symbolic link"),
    ],
)
def test_a_webroot_that_cannot_be_used(
    host: Host, orders: Callable[[], int], tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    """Exit 3 with the cure, no order; once it is mended the next run does it, without a wait."""
    root = tmp_path / "other-root"
    spoil(root)
    asks(host, http(webroot=root))
    for _ in range(3):
        report = host.run()
        (text,) = failed(report)
        assert said in text
        assert (report.exit, orders()) == (3, 0)
    failure = host.failure()
    assert (failure.local, failure.count) == (True, 3)
    assert [name for name, _ in failure.identifiers] == ["www.example.org"]
    assert host.decision().step is Step.ISSUE
    if root.is_symlink() or root.is_file():
        root.unlink()
    if (known := root / ".well-known").is_symlink() or known.is_file():
        known.unlink()
    host.web.webroot.rmdir()
    root.mkdir(exist_ok=True)
    host.web.webroot.symlink_to(root)
    report = host.run()
    assert (report.exit, orders(), host.situation().failures) == (0, 1, ())


def test_a_webroot_that_is_not_ours_to_write(host: Host, orders: Callable[[], int], tmp_path: Path) -> None:
    """No right, or a file system that is mounted read-only: told with its cause, nothing ordered."""
    place = tmp_path / "closed" if os.geteuid() else Path("/proc/sys/kernel")
    if os.geteuid():
        place.mkdir(mode=0o555)
    asks(host, http(webroot=place))
    report = host.run()
    (text,) = failed(report)
    assert f"cannot write the challenge {place}" in text
    assert (report.exit, orders()) == (3, 0)


def test_a_script_that_cannot_be_run(host: Host, orders: Callable[[], int], tmp_path: Path) -> None:
    """Missing, not executable, writable by others: each by its cause, and nothing is ordered."""
    script = tmp_path / "present"
    asks(host, http(script=[str(script)]))
    said: list[str] = []
    said += failed(host.run())
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o644)
    said += failed(host.run())
    script.chmod(0o777)
    said += failed(host.run())
    assert ["does not exist" in said[0], "may not be executed" in said[1]] == [True, True]
    assert "can be written to by everybody" in said[2]
    assert orders() == 0


def test_a_port_that_is_taken(host: Host, orders: Callable[[], int], pebble: Pebble) -> None:
    """Who holds it is said and nothing is ordered; when it is free the next run goes through."""
    host.web.stop()
    taken = socket.create_server(("127.0.0.1", pebble.http_port))
    asks(host, http(listen=f"127.0.0.1:{pebble.http_port}"))
    report = host.run()
    (text,) = failed(report)
    assert f"(pid {os.getpid()})" in text
    assert (report.exit, orders(), host.failure().local) == (1, 0, True)
    assert host.decision().step is Step.ISSUE
    taken.close()
    assert (host.run().exit, orders()) == (0, 1)


def test_commands_around_listening_are_not_called_in_every_run(
    host: Host, orders: Callable[[], int], pebble: Pebble, tmp_path: Path
) -> None:
    """Where a server had to be stopped to find it out, the usual wait counts; a person overrules it."""
    host.web.stop()
    calls = tmp_path / "calls"
    before = tmp_path / "before"
    before.write_text(f"#!/bin/sh\necho before >> {calls}\nexit 1\n")
    before.chmod(0o755)
    asks(host, http(listen=f"127.0.0.1:{pebble.http_port}", before=[str(before)]))
    assert host.run().exit == 1
    assert (host.decision().step, orders()) == (Step.WAIT, 0)
    host.run()
    assert calls.read_text().count("before") == 1
    before.write_text(f"#!/bin/sh\necho before >> {calls}\n")
    report = host.run(only=frozenset({"www"}), asked=True)
    assert (report.exit, orders(), calls.read_text().count("before")) == (0, 1, 2)


def test_hooks_that_free_the_port_are_called_before_it_is_asked_for(
    host: Host, orders: Callable[[], int], pebble: Pebble, tmp_path: Path
) -> None:
    """A `pre` hook stops the server that holds the port: what it frees is not called taken."""
    mark, done = tmp_path / "freed", tmp_path / "freed-now"
    hook = tmp_path / "hook"
    hook.write_text(
        f'#!/bin/sh\n[ "$1" = pre ] || exit 0\ntouch {mark}\nwhile [ ! -e {done} ]; do sleep 0.05; done\n'
    )
    hook.chmod(0o755)
    host.web.stop()
    taken = socket.create_server(("127.0.0.1", pebble.http_port))

    def free() -> None:
        while not mark.exists():
            ending.wait(0.02)
        taken.close()
        done.touch()

    ending = threading.Event()
    helper = threading.Thread(target=free, daemon=True)
    helper.start()
    host.hooks["around"] = {"run": str(hook), "events": ["pre", "post"]}
    host.certificates["www"] = {
        "challenge": http(listen=f"127.0.0.1:{pebble.http_port}"),
        "hooks": ["around"],
    }
    host.write_config()
    report = host.run()
    helper.join(10)
    assert (report.exit, orders()) == (0, 1)


def test_the_second_way_is_used_where_the_first_is_not_ready(
    host: Host, orders: Callable[[], int], tmp_path: Path
) -> None:
    """Several ways for a name: one that cannot work here is passed over in the same run."""
    ways = [http(script=[str(tmp_path / "missing")]), http(webroot=host.web.webroot)]
    asks(host, ways)
    assert (host.run().exit, orders()) == (0, 1)
    assert host.live().leaf.names


def dns(provider: str, **more: Any) -> dict[str, Any]:
    """A challenge of DNS-01."""
    return {"type": "dns-01", "provider": provider, **more}


def secret(tmp_path: Path, text: str) -> dict[str, str]:
    """A reference to a file with a secret."""
    path = tmp_path / "secret"
    path.write_text(text)
    path.chmod(0o600)
    return {"file": str(path)}


@pytest.mark.parametrize(
    ("challenge", "said"),
    [
        (
            lambda at: dns(
                "rfc2136", server="127.0.0.1:1", tsig={"name": "k", "secret": {"file": f"{at}/no"}}
            ),
            "cannot be read",
        ),
        (
            lambda at: dns(
                "rfc2136", server="127.0.0.1:1", tsig={"name": "k", "secret": secret(at, "no base64!")}
            ),
            "is not base64",
        ),
        (
            lambda _at: dns(
                "rfc2136", server="127.0.0.1:1", tsig={"name": "k", "secret": {"env": "NOT_SET_HERE"}}
            ),
            "no variable NOT_SET_HERE",
        ),
        (lambda _at: dns("lexicon", options={"service": "clodflare"}), "no service 'clodflare'"),
        (
            lambda at: dns("lexicon", options={"service": "cloudflare", "auth_token": {"file": f"{at}/no"}}),
            "cannot be read",
        ),
        (lambda at: dns("script", options={"run": f"{at}/nothing"}), "does not exist"),
        (
            lambda _at: dns("acme-dns", options={"server": "http://127.0.0.1:1"}),
            "there is no acme-dns account for www.example.org",
        ),
        (
            lambda at: dns(
                "httpreq",
                options={"endpoint": "http://127.0.0.1:1", "username": "u", "password": {"file": f"{at}/no"}},
            ),
            "cannot be read",
        ),
    ],
)
def test_a_provider_without_what_it_needs(
    host: Host,
    orders: Callable[[], int],
    tmp_path: Path,
    challenge: Callable[[Path], dict[str, Any]],
    said: str,
) -> None:
    """Secrets, programs, services, accounts: looked at by presence and form before anything is ordered."""
    asks(host, challenge(tmp_path), ["www.example.org", "*.www.example.org"])
    report = host.run()
    (text,) = failed(report)
    assert said in text
    assert (orders(), host.failure().local) == (0, True)
    assert {name for name, _ in host.failure().identifiers} == {"www.example.org", "*.www.example.org"}


def test_a_program_that_prints_a_secret_is_run_once_a_run(
    host: Host, orders: Callable[[], int], tmp_path: Path
) -> None:
    """It may ask a vault: for the look, for publishing and for removing together it is called once."""
    calls = tmp_path / "calls"
    program = tmp_path / "vault"
    program.write_text(f"#!/bin/sh\necho call >> {calls}\necho secret\n")
    program.chmod(0o700)
    script = tmp_path / "dns"
    script.write_text("#!/bin/sh\nexit 1\n")
    script.chmod(0o700)
    env = {"TOKEN": {"command": [str(program)]}}
    asks(host, dns("script", options={"run": str(script)}, env=env))
    report = host.run()
    assert report.exit == 1
    assert (calls.read_text().count("call"), orders()) == (1, 1)
    program.write_text(f"#!/bin/sh\necho call >> {calls}\nexit 4\n")
    host.certificates["other"] = {
        "names": ["other.example.org"],
        "challenge": dns("script", options={"run": str(script)}, env=env),
    }
    host.write_config()
    report = host.run(only=frozenset({"other"}), asked=True)
    assert (calls.read_text().count("call"), orders()) == (2, 1)
    assert any("gave no secret: exit 4" in text for text in failed(report))


def test_what_the_authority_has_seen_needs_nobody_to_answer(
    make_host: Callable[..., Host], pebble_factory: Any
) -> None:
    """While the authorization of a name is valid a renewal goes through without its webroot."""
    pebble = pebble_factory(authz_reuse=100)
    host = make_host(pebble.http_port, {"pebble": authority(pebble)})
    assert host.run().exit == 0
    first = host.live().leaf.serial
    asks(host, http(webroot=host.web.webroot))
    (host.web.webroot).rmdir()
    report = host.run(force=True)
    assert (report.exit, host.live().leaf.serial != first) == (0, True)


def test_what_is_missing_is_no_reason_to_ask_another_authority(host: Host, orders: Callable[[], int]) -> None:
    """However often a webroot was missing: the first in order is the one that is asked."""
    host.authorities["second"] = dict(host.authorities["pebble"])
    asks(host, http(webroot="/srv/nowhere"))
    for _ in range(5):
        host.run()
        host.clock.forward(timedelta(hours=1))
    assert host.failure().authority == "pebble"
    assert (host.decision().authority, orders()) == ("pebble", 0)


def test_the_exit_code_of_each_outcome(host: Host) -> None:
    """A failed outcome that a person must mend says so."""
    asks(host, http(webroot="/srv/nowhere"))
    report = host.run()
    (outcome,) = report.outcomes
    assert (report.exit, outcome.result) == (3, Result.FAILED)
    assert "make that directory" in outcome.hint
