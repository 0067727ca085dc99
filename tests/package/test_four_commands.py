"""From a fresh Debian with nginx to a certificate that is served and renewed: four commands, no edit."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.package.debian import CHECKOUT, Debian, fresh
from tests.servers.handshake import served_serial
from tests.servers.own_network import own_network
from tests.servers.pebble import Pebble
from tests.servers.process import Process

NAME = "www.example.org"
PAGE = CHECKOUT / "docs" / "init.md"
_LATER = """\
from datetime import UTC, datetime, timedelta
from renewer import clock
clock.now = lambda: datetime.now(UTC) + timedelta(days=61)
clock.ahead = lambda other: other - datetime.now(UTC)
"""
"""As if two months had gone by: for the authority as well."""


@pytest.fixture
def debian(tmp_path: Path) -> Iterator[Debian]:
    """Fresh, its nginx running as installed, in a network of its own."""
    with own_network(), fresh("12", tmp_path) as system:
        with system.path("/etc/hosts").open("a") as hosts:
            hosts.write(f"127.0.0.1 localhost {NAME}\n")
        nginx = Process(["chroot", str(system.root), "nginx", "-g", "daemon off;"], log=tmp_path / "nginx")
        try:
            nginx.wait_for_port(80)
            yield system
        finally:
            nginx.stop()


def test_four_commands(debian: Debian, packages: tuple[Path, Path], tmp_path: Path) -> None:
    """What they say is what docs/init.md shows; then nginx serves it, and cron's line renews it in time."""
    place = tmp_path / "authority"
    place.mkdir()
    with Pebble(place, profiles={"default": timedelta(days=90)}, http_port=80, nonce_reject=0) as authority:
        for path in (packages[1], authority.ca_bundle):
            debian.path(f"/root/{path.name}").write_bytes(path.read_bytes())
        own = f"--directory {authority.directory} --staging {authority.directory} --ca-bundle /root/ca.pem"
        commands = (
            f"apt install -y ./{packages[1].name}",
            f"renewer init --name {NAME} --agree-terms --write-snippet {own}",
            "renewer run",
            "renewer timer install",
        )
        said = "".join(f"$ {one}\n{_typed(debian, one)}" for one in commands)

        assert _plain(said) == _shown()
        first = served_serial(443, NAME)
        assert first in debian.run("renewer", "status", "--json")
        packages_ = next(debian.path("/usr/lib/renewer/lib").glob("python3*/site-packages"))
        (packages_ / "later.py").write_text(_LATER)
        (packages_ / "later.pth").write_text("import later\n")
        (line,) = [
            one for one in debian.path("/etc/cron.d/renewer").read_text().splitlines() if " root " in one
        ]
        debian.run("/bin/sh", "-c", line.split(" root ", 1)[1])
        assert served_serial(443, NAME) != first


def _typed(debian: Debian, line: str) -> str:
    return debian.run("/bin/sh", "-c", f"cd /root && exec {line} 2>&1")


def _plain(said: str) -> str:
    """Without what is different each time, and what only a test has."""
    said = re.sub(r" --directory \S+ --staging \S+ --ca-bundle \S+", "", said)
    said = re.sub(r"\d{8}T\d{6}Z-[0-9a-f]{8}", "20261128T085454Z-3c1d40b5", said)
    said = re.sub(r"serial [0-9a-f]+", "serial 3c1d40b524ce2b82", said)
    said = re.sub(r"valid until \d{4}-\d\d-\d\d", "valid until 2027-02-26", said)
    said = re.sub(r"renewer_[0-9.]+_amd64", "renewer_0.1.0_amd64", said)
    # apt tells much of its own
    return re.sub(
        r"(\$ apt install .*\n)(.*\n)*?(Setting up renewer).*\n(?:(?!\$ ).*\n)*", r"\1…\n\3 …\n", said
    )


def _shown() -> str:
    text = PAGE.read_text("utf-8")
    return text.split("```console\n", 1)[1].split("```", 1)[0]
