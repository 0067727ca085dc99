"""Hooks and a key that is elsewhere: each works without it, or says that it cannot."""

import shutil
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from renewer.cli import app
from renewer.config.hooks import needs_key, shipped, shipped_names
from tests.faults.host import Host, failed
from tests.faults.test_csr import leaf, request
from tests.hooks.apiserver import ApiServer
from tests.hooks.dockerd import Dockerd
from tests.hooks.sshd import Sshd
from tests.hooks.test_cockpit import ENSURE
from tests.hooks.test_docker import CLIENT

FILES = ["cert.pem", "chain.pem", "fullchain.pem"]
NEEDS = "needs a private key; this certificate's key is kept elsewhere (csr)"


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory with a short path, for sockets."""
    directory = Path(tempfile.mkdtemp(prefix="rnw-"))
    yield directory
    shutil.rmtree(directory)


def hooked(host: Host, hook: str, **env: str) -> None:
    """`www` with a request, and one shipped hook."""
    path = host.directory / "www.csr"
    request(path, "www.example.org")
    host.certificates["www"] = {"names": ["www.example.org"], "csr": str(path)}
    host.certificates["www"] |= {"hooks": [hook], "endpoints": []}
    host.hooks[hook] = {"run": hook, "env": env}
    host.write_config()


def checked(host: Host, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """What `config check` says beforehand."""
    code = app._run(["--config", str(host.directory / "config.toml"), "config", "check"])
    said: Any = capsys.readouterr()
    return code, said.out + said.err


def refused(host: Host, capsys: pytest.CaptureFixture[str], hook: str) -> None:
    """It is told before, and by the run; the next run waits, and no second certificate is ordered."""
    code, said = checked(host, capsys)
    assert (code, f"hook {hook} needs a private key" in said) == (2, True), said
    report = host.run()
    assert report.exit == 1
    (text,) = failed(report)
    assert NEEDS in text
    serials = [version.leaf.serial for version in host.situation().versions]
    for _ in range(4):
        host.run_when_due()
    moment = host.decision().not_before
    assert moment is not None
    assert moment - host.clock.now() > timedelta(hours=12)
    assert not failed(host.run())
    assert [version.leaf.serial for version in host.situation().versions] == serials


def test_kubernetes_says_that_it_needs_one(
    bent_host: Host, short: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A TLS secret has a key by its type: nothing reaches the cluster."""
    api = ApiServer(short / "api").start()
    try:
        hooked(bent_host, "kubernetes", KUBECONFIG=str(api.kubeconfig), HOME=str(short))
        refused(bent_host, capsys, "kubernetes")
        assert api.secrets == {}
    finally:
        api.stop()


def test_cockpit_says_that_it_needs_one(
    bent_host: Host, short: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It reads a certificate and its key side by side: nothing is written."""
    hooked(bent_host, "cockpit", COCKPIT_DIR=str(short), COCKPIT_ENSURE=str(ENSURE))
    refused(bent_host, capsys, "cockpit")
    assert list(short.iterdir()) == []


def test_docker_brings_what_there_is(
    bent_host: Host, short: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Certificate and chain go into the container, whose server has the key from elsewhere."""
    dockerd = Dockerd(short / "d").start()
    try:
        env = {"DOCKER": str(CLIENT), "DOCKER_HOST": dockerd.host, "DOCKER_CONTAINER": "web"}
        hooked(bent_host, "docker", DOCKER_TO="/certs", DOCKER_SETTLE="0.01", HOME=str(short), **env)
        assert checked(bent_host, capsys)[0] == 0
        assert bent_host.run().exit == 0
        place = dockerd.files / "certs" / "www"
        assert sorted(path.name for path in place.iterdir()) == FILES
        live = bent_host.state / "certificates" / "www" / "live"
        assert all((place / name).read_bytes() == (live / name).read_bytes() for name in FILES)
        assert dockerd.asked == ["cp /certs", "kill HUP"]
    finally:
        dockerd.stop()


def test_ssh_brings_what_there_is(
    bent_host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other host has certificate and chain; a key that lies there from before stays."""
    there = tmp_path / "there"
    (there / "www").mkdir(parents=True)
    (there / "www" / "privkey.pem").write_text("of the appliance")
    with Sshd(tmp_path / "sshd") as sshd:
        hooked(bent_host, "ssh", SSH_TO=str(there), **sshd.env)
        assert checked(bent_host, capsys)[0] == 0
        assert bent_host.run().exit == 0
        first = leaf(bent_host).serial_number
        bent_host.clock.reach(leaf(bent_host).not_valid_after_utc - timedelta(days=8))
        assert bent_host.run().exit == 0
    assert leaf(bent_host).serial_number != first
    assert sorted(path.name for path in (there / "www").iterdir()) == [*FILES, "privkey.pem"]
    assert (there / "www" / "privkey.pem").read_text() == "of the appliance"
    live = bent_host.state / "certificates" / "www" / "live"
    assert all((there / "www" / name).read_bytes() == (live / name).read_bytes() for name in FILES)


def test_copy_brings_what_there_is(bent_host: Host, short: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory of another's gets the three files."""
    hooked(bent_host, "copy", COPY_TO=str(short))
    assert checked(bent_host, capsys)[0] == 0
    assert bent_host.run().exit == 0
    assert sorted(path.name for path in (short / "www").iterdir()) == FILES


def test_who_handles_a_key_is_known() -> None:
    """Every shipped hook that names the key's file is one of those above: the others never read it."""
    told = {"cockpit", "copy", "docker", "kubernetes", "ssh"}
    paths = {name: Path(shipped(name) or "") for name in shipped_names()}
    code = {name: path.read_text().partition("\nset -u")[2] for name, path in paths.items()}
    assert {name for name, text in code.items() if "privkey" in text} == told
    assert {name for name, path in paths.items() if needs_key(str(path))} == {"cockpit", "kubernetes"}
