"""The Debian package in fresh Debian 12 and 13: installed, run, upgraded, removed, purged."""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from tests import toml
from tests.servers.pebble import Pebble

CHECKOUT = Path(__file__).resolve().parents[2]
TREES = CHECKOUT / ".venv" / "debian"
"""What tests/setup.sh debootstrapped, and the wheels that are locked: neither is ever written to."""
OLD = "0.0.9"
_LIMIT = 300  # seconds for one program: far more than any takes


def _builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("deb", CHECKOUT / "packaging" / "deb.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Debian:
    """A tree that may be written to: changes lie in memory of the mount's upper directory."""

    root: Path

    def run(self, *words: str, code: int = 0, said: str = "") -> str:
        """Run a program inside; what it said. `said` answers debconf beforehand."""
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        ended = subprocess.run(
            ["chroot", str(self.root), *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=_LIMIT,
            env=env,
            input=said,
        )
        assert ended.returncode == code, (words, ended.stdout, ended.stderr)
        assert "Traceback" not in ended.stdout + ended.stderr, ended.stderr
        return ended.stdout + ended.stderr

    def install(self, package: Path) -> str:
        """Install or upgrade to it by dpkg; what was said."""
        shutil.copy(package, self.root / "tmp")
        return self.run("dpkg", "-i", f"/tmp/{package.name}")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The version before, and the one of this checkout."""
    out = tmp_path_factory.mktemp("deb")
    deb = _builder()
    wheels = TREES / "wheels"
    return deb.build(wheels, out, OLD), deb.build(wheels, out, deb.version())


@contextmanager
def _fresh(release: str, place: Path) -> Iterator[Debian]:
    """A fresh Debian of that release; what is changed in it lies in `place`."""
    upper, work, root = (place / release / name for name in ("upper", "work", "root"))
    for directory in (upper, work, root):
        directory.mkdir(parents=True)
    options = f"lowerdir={TREES / release},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(root)], check=True)
    try:
        subprocess.run(["mount", "--bind", "/dev", str(root / "dev")], check=True)
        subprocess.run(["mount", "-t", "proc", "proc", str(root / "proc")], check=True)
        yield Debian(root)
    finally:
        subprocess.run(["umount", "--recursive", str(root)], check=True)


def test_two_builds_are_the_same_to_the_octet(packages: tuple[Path, Path], tmp_path: Path) -> None:
    """Whoever builds it again can compare: neither clock, umask nor place gets in."""
    before = os.umask(0o077)
    try:
        deb = _builder()
        again = deb.build(TREES / "wheels", tmp_path / "elsewhere", deb.version())
    finally:
        os.umask(before)

    assert again.read_bytes() == packages[1].read_bytes()


@pytest.mark.parametrize("release", ["12", "13"])
def test_the_package_lives_in_a_fresh_debian(
    release: str, packages: tuple[Path, Path], pebble: Pebble, tmp_path: Path
) -> None:
    """Installed, upgraded, run against an authority, removed and purged: keys stay until somebody says otherwise."""
    with _fresh(release, tmp_path) as debian:
        _a_life(debian, *packages, pebble)


def _a_life(debian: Debian, old: Path, new: Path, pebble: Pebble) -> None:
    debian.install(old)
    assert "nothing is renewed" in debian.run("renewer", "config", "check")
    assert not list((debian.root / "etc/systemd/system").glob("*.wants/renewer.timer"))
    config = debian.root / "etc/renewer/config.toml"
    shutil.copy(pebble.ca_bundle, debian.root / "etc/renewer/ca.pem")
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
    live = debian.root / "var/lib/renewer/certificates/www/live"
    key = live / "privkey.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    debian.run("dpkg", "--remove", "renewer")
    assert not (debian.root / "usr/lib/renewer").exists(), "byte code goes with what it was made from"
    debian.run("dpkg", "--purge", "renewer")
    assert key.exists(), "nobody was asked, so nothing is lost"
    debian.install(new)
    debian.run("debconf-set-selections", said="renewer renewer/delete-keys boolean true\n")
    debian.run("dpkg", "--purge", "renewer")
    assert not (debian.root / "var/lib/renewer").exists(), "somebody said so"


def test_an_upgrade_of_the_system_leaves_it_running(packages: tuple[Path, Path], tmp_path: Path) -> None:
    """Installed on Debian 12; then the same files, untouched, under the Python of Debian 13."""
    with _fresh("12", tmp_path) as twelve, _fresh("13", tmp_path) as thirteen:
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


def test_a_python_that_it_was_not_built_for_is_told(packages: tuple[Path, Path], tmp_path: Path) -> None:
    """Exit 3 and a sentence, for nothing is renewed any more."""
    with _fresh("12", tmp_path) as debian:
        debian.install(packages[1])
        (debian.root / "usr/lib/renewer/lib/python3.11").rename(
            debian.root / "usr/lib/renewer/lib/python3.99"
        )

        assert "install a renewer built for this release" in debian.run("renewer", "run", code=3)
