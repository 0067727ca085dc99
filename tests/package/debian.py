"""Fresh Debians to write into: what lies on disk stays as it is, changes lie in memory, for a test."""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

CHECKOUT = Path(__file__).resolve().parents[2]
TREES = CHECKOUT / ".venv" / "debian"
"""What tests/setup.sh made by debootstrap, and the wheels that are locked: neither is ever written to."""
LIMIT = 900  # seconds for one program: far more than any takes


def script(name: str) -> ModuleType:
    """A script of packaging/, as a module; those beside it can be imported by it."""
    place = str(CHECKOUT / "packaging")
    if place not in sys.path:
        sys.path.append(place)
    return importlib.import_module(name)


@dataclass(frozen=True)
class Debian:
    """A tree that may be written to."""

    root: Path

    def run(self, *words: str, code: int = 0, said: str = "") -> str:
        """Run a program inside; what it said. `said` is its stdin."""
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        ended = subprocess.run(
            ["chroot", str(self.root), *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
            env=env,
            input=said,
        )
        assert ended.returncode == code, (words, ended.stdout, ended.stderr)
        assert "Traceback" not in ended.stdout + ended.stderr, ended.stderr
        return ended.stdout + ended.stderr

    def install(self, package: Path) -> str:
        """Install or upgrade to it by dpkg; what was said."""
        shutil.copy(package, self.root / "root")
        return self.run("dpkg", "-i", f"/root/{package.name}")

    def path(self, inside: str) -> Path:
        """Where an absolute path of it lies for us."""
        return self.root / inside.lstrip("/")


@contextmanager
def fresh(release: str, place: Path) -> Iterator[Debian]:
    """A fresh Debian of that release ("12", "13"), mounted below `place`."""
    memory = place / release
    memory.mkdir(parents=True)
    mount("-t", "tmpfs", "tmpfs", str(memory))
    try:
        root = over(str(TREES / release), memory)
        mount("--bind", "/dev", str(root / "dev"))
        mount("-t", "proc", "proc", str(root / "proc"))
        yield Debian(root)
    finally:
        subprocess.run(["umount", "--recursive", str(memory)], check=True)


def over(lower: str, memory: Path) -> Path:
    """The tree `lower` as it is, whose changes lie in `memory`; where it is mounted."""
    upper, work, root = (memory / name for name in ("upper", "work", "root"))
    for directory in (upper, work, root):
        directory.mkdir()
    upper.chmod(0o755)
    mount("-t", "overlay", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", str(root))
    return root


def mount(*words: str) -> None:
    """Mount something."""
    subprocess.run(["mount", *words], check=True, env={"PATH": os.environ["PATH"], "LC_ALL": "C"})
