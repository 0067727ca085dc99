"""What the builder of packages makes by itself, without the package index and without root."""

import re
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from tests.package.debian import script

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def deb() -> ModuleType:
    """packaging/deb.py, a script."""
    return script("deb")


def _wheel(path: Path, content: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("module/__init__.py", content)
        archive.writestr("module-1.dist-info/RECORD", path.name)
    return path


def test_what_differs_between_two_pythons_is_refused(deb: ModuleType, tmp_path: Path) -> None:
    """Both share one directory of modules, so a module must be the same for each."""
    deb._unpack(_wheel(tmp_path / "one.whl", "same"), tmp_path)
    deb._unpack(_wheel(tmp_path / "two.whl", "same"), tmp_path)

    with pytest.raises(ValueError, match=r"module/__init__.py of three.whl"):
        deb._unpack(_wheel(tmp_path / "three.whl", "other"), tmp_path)


def test_the_packages_units_start_the_packages_program(deb: ModuleType) -> None:
    """They are those of a configuration that says nothing."""
    units = dict(deb._units())

    line = "ExecStart=/usr/lib/renewer/bin/renewer --config /etc/renewer/config.toml run --wait 300s"
    assert line in units["renewer.service"]
    assert "/etc/renewer/config.toml" in units["renewer.service"]
    assert "OnCalendar=" in units["renewer.timer"]


def test_every_dependency_is_locked_with_its_digest(deb: ModuleType) -> None:
    """Nothing gets into a package but what was looked at."""
    text = (CHECKOUT / "packaging" / "requirements.txt").read_text("utf-8")
    pins = [line for line in text.splitlines() if "==" in line]
    blocks = text.split("==")[1:]

    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = {re.split(r"[<>=\[ ]", line)[0].lower() for line in project["dependencies"]}
    assert wanted <= {line.partition("==")[0] for line in pins}, "python packaging/deb.py lock"
    assert all("--hash=sha256:" in block for block in blocks)
    assert deb.PYTHONS == ("3.11", "3.13")
