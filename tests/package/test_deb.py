"""The Debian package in fresh Debian 12 and 13: installed, run, upgraded, removed, purged."""

import os
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from tests import toml
from tests.package.debian import TREES, Debian, fresh
from tests.servers.pebble import Pebble


def test_two_builds_are_the_same_to_the_octet(
    packages: tuple[Path, Path], builder: ModuleType, tmp_path: Path
) -> None:
    """Whoever builds it again can compare: neither clock, umask nor place gets in."""
    before = os.umask(0o077)
    try:
        again = builder.build(TREES / "wheels", tmp_path / "elsewhere", builder.version(), "none")
    finally:
        os.umask(before)

    assert again.read_bytes() == packages[1].read_bytes()


@pytest.mark.parametrize("release", ["12", "13"])
def test_the_package_lives_in_a_fresh_debian(
    release: str, packages: tuple[Path, Path], pebble: Pebble, tmp_path: Path
) -> None:
    """Installed, upgraded, run against an authority, removed and purged: keys stay until told otherwise."""
    with fresh(release, tmp_path) as debian:
        key = _a_life(debian, *packages, pebble)
        if release == "13":
            debian.run("debconf-set-selections", said="renewer renewer/delete-keys boolean true\n")
        debian.run("dpkg", "--purge", "renewer")
        if release == "13":
            assert not debian.path("/var/lib/renewer").exists(), "somebody said so"
        else:
            assert key.exists(), "nobody was asked, so nothing is lost"


def _a_life(debian: Debian, old: Path, new: Path, pebble: Pebble) -> Path:
    debian.install(old)
    assert "nothing is renewed" in debian.run("renewer", "config", "check")
    assert not list(debian.path("/etc/systemd/system").glob("*.wants/renewer.timer"))
    config = debian.path("/etc/renewer/config.toml")
    shutil.copy(pebble.ca_bundle, debian.path("/etc/renewer/ca.pem"))
    tables: dict[str, dict[str, object]] = {
        "defaults": {
            "authority": "pebble",
            "challenge": {"type": "http-01", "listen": f"127.0.0.1:{pebble.http_port}"},
        },
        "authority.pebble": {
            "directory": pebble.directory,
            "ca_bundle": "/etc/renewer/ca.pem",
            "agree_terms": True,
            "contact": ["ops@example.org"],
        },
        "certificate.www": {"names": ["www.example.org"], "profile": "default"},
        "agent": {"preflight": "off"},
    }
    config.write_text(toml.tables(tables))

    debian.install(new)

    assert "www.example.org" in config.read_text("utf-8"), "the operator's configuration stays"
    assert debian.run("dpkg", "-V", "renewer").split() == ["??5??????", "c", "/etc/renewer/config.toml"]
    assert "valid until" in debian.run("renewer", "run")
    assert debian.path("/usr/share/man/man1/renewer-run.1.gz").exists()
    assert "--target /usr/local/lib/renewer/python3" in debian.run("renewer", "extras")
    version = debian.run(
        "/usr/lib/renewer/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"
    )
    debian.path(f"/usr/local/lib/renewer/python{version.strip()}/lexicon").mkdir(parents=True)
    assert "lexicon: installed" in debian.run("renewer", "extras")
    live = debian.path("/var/lib/renewer/certificates/www/live")
    key = live / "privkey.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    debian.run("dpkg", "--remove", "renewer")
    assert not debian.path("/usr/lib/renewer").exists(), "byte code goes with what it was made from"
    assert debian.path("/etc/renewer/config.toml").exists()
    return key


def test_an_upgrade_of_the_system_leaves_it_running(packages: tuple[Path, Path], tmp_path: Path) -> None:
    """Installed on Debian 12; then the same files, untouched, under the Python of Debian 13."""
    with fresh("12", tmp_path) as twelve, fresh("13", tmp_path) as thirteen:
        twelve.install(packages[1])
        relations = twelve.run("dpkg-query", "-Wf", "${Depends}", "renewer")
        for place in ("usr/lib/renewer", "usr/bin/renewer", "etc/renewer", "var/lib/renewer"):
            subprocess.run(["cp", "-a", str(twelve.root / place), str(thirteen.root / place)], check=True)

        assert "<<" not in relations, "no limit above, so no upgrade has it removed"
        assert "3.11" in twelve.run("/usr/lib/renewer/bin/python3", "-V")
        assert "3.13" in thirteen.run("/usr/lib/renewer/bin/python3", "-V")
        for compiled in ("cffi", "charset_normalizer", "markupsafe", "msgspec", "cryptography"):
            thirteen.run("/usr/lib/renewer/bin/python3", "-I", "-c", f"import {compiled}")
        assert "nothing is renewed" in thirteen.run("renewer", "config", "check")

        twelve.path("/usr/lib/renewer/lib/python3.11").rename(twelve.path("/usr/lib/renewer/lib/python3.9"))
        misfit = twelve.run("renewer", "run", code=3)
        assert "install a renewer built for this release" in misfit, (
            "a Python that it was not built for is told"
        )
