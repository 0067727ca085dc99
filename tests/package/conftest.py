"""The package, built once for all workers."""

import fcntl
from pathlib import Path
from types import ModuleType

import pytest

from tests.package.debian import TREES, script

OLD = "0.0.9"


@pytest.fixture(scope="session")
def builder() -> ModuleType:
    """packaging/deb.py, a script."""
    return script("deb")


@pytest.fixture(scope="session")
def packages(
    tmp_path_factory: pytest.TempPathFactory, builder: ModuleType, worker_id: str
) -> tuple[Path, Path]:
    """The version before, and the one of this checkout; the first worker builds them for all."""
    base = tmp_path_factory.getbasetemp()
    out = (base if worker_id == "master" else base.parent) / "packages"
    out.mkdir(exist_ok=True)
    releases = (OLD, builder.version())
    with (out / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for release in releases:
            if not (out / f"renewer_{release}_amd64.deb").exists():
                built = builder.build(TREES / "wheels", out / "new", release, "none")
                built.rename(out / built.name)
    old, new = (out / f"renewer_{release}_amd64.deb" for release in releases)
    return old, new


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A directory with what `make release` makes, once for all workers; packed plainly, for that is quick."""
    base = tmp_path_factory.getbasetemp()
    out = (base if worker_id == "master" else base.parent) / "release"
    with out.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (out / "SHA256SUMS").exists():
            script("release").release(TREES / "wheels", out, "none")
    return out
