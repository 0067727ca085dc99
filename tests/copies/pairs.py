"""Pairs of a small authority of our own, and copies of them in every format."""

import tempfile
from datetime import timedelta
from functools import cache
from pathlib import Path

from renewer import certs
from renewer.model.desired import Copy, CopyPart, Secret, SecretSource
from renewer.store.contract import Material
from tests.servers.certificates import ServerRoot

PASSWORD = "correct horse battery"
NAME = "www.example.org"


@cache
def _root() -> ServerRoot:
    return ServerRoot()


def pair(days: int = 90) -> Material:
    """A leaf that is valid for so many days, with the root behind it: the same whenever it is asked for."""
    return _pair(days)


@cache
def _pair(days: int) -> Material:
    with tempfile.TemporaryDirectory() as directory:
        made = _root().issue(Path(directory), NAME, valid_for=timedelta(days=days))
        (cert,) = certs.split_chain(made.cert.read_bytes())
        return Material(privkey=made.key.read_bytes(), cert=cert, chain=_root().pem)


def stranger(days: int) -> Material:
    """A pair for the same name from an authority that is none of ours."""
    with tempfile.TemporaryDirectory() as directory:
        root = ServerRoot()
        made = root.issue(Path(directory), NAME, valid_for=timedelta(days=days))
        (cert,) = certs.split_chain(made.cert.read_bytes())
        return Material(privkey=made.key.read_bytes(), cert=cert, chain=root.pem)


def password_file(directory: Path, password: str = PASSWORD) -> Path:
    """A file with a password, put there as by an editor: by a rename."""
    path, draft = directory / "password", directory / "password.draft"
    draft.write_text(password + "\n")
    draft.chmod(0o600)
    return draft.rename(path)


def copy_of(directory: Path, *parts: CopyPart, secrets: Path | None = None, mode: int | None = None) -> Copy:
    """A copy with a file for each part, called as the part; keystores are sealed by the password file."""
    secret = Secret(source=SecretSource.FILE, argument=(str(secrets or directory.parent / "password"),))
    return Copy(
        paths=tuple((part, str(directory / part)) for part in parts or tuple(CopyPart)),
        mode=mode,
        password=secret,
        alias="www",
    )


def content(directory: Path) -> dict[str, bytes]:
    """Every file there."""
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}
