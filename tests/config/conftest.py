"""A config file that is right, and a way to write others."""

from collections.abc import Callable
from pathlib import Path

import pytest

from renewer.config.load import load
from renewer.errors import ConfigError, Fault
from renewer.model.desired import Config

HEAD = """\
[agent]
host = "web-1"
[defaults]
authority = "letsencrypt"
agree_terms = true
challenge = { type = "http-01", webroot = "/var/www/html" }
"""
WWW = '[certificate.www]\nnames = ["example.org", "www.example.org"]\n'

Write = Callable[..., Path]
Load = Callable[[str], Config]
Faulty = Callable[[str], list[Fault]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file below the test's directory; `config.toml` unless named otherwise."""

    def write(text: str, name: str = "config.toml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)
        return path

    return write


@pytest.fixture
def loaded(write: Write) -> Load:
    """Write and load a config."""
    return lambda text: load(str(write(text)))


@pytest.fixture
def faults(write: Write) -> Faulty:
    """Write a config that is wrong, and take its faults."""

    def faults(text: str) -> list[Fault]:
        with pytest.raises(ConfigError) as refusal:
            load(str(write(text)))
        return list(refusal.value.faults)

    return faults
