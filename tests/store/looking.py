"""What a server sees at `live`, and what others could see."""

import os
import stat
from pathlib import Path

from renewer import x509


def live_pair(state: Path, certificate: str = "www") -> tuple[bytes, bytes]:
    """Key and chain as read through `live`, which is opened once. Fails if they are not a pair."""
    fd = os.open(state / "certificates" / certificate / "live", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with open(os.open("privkey.pem", os.O_RDONLY, dir_fd=fd), "rb") as file:
            key = file.read()
        with open(os.open("fullchain.pem", os.O_RDONLY, dir_fd=fd), "rb") as file:
            chain = file.read()
    finally:
        os.close(fd)
    assert x509.matches(key, chain)
    return key, chain


def modes(state: Path) -> dict[str, int]:
    """Modes of everything below the state directory, by relative path; links are left out."""
    found = {".": stat.S_IMODE(state.stat().st_mode)}
    for path in sorted(state.rglob("*")):
        if not path.is_symlink():
            found[str(path.relative_to(state))] = stat.S_IMODE(path.stat().st_mode)
    return found


def widest(state: Path) -> int:
    """All bits for others than the owner that any file or directory below the state has."""
    bits = 0
    for mode in modes(state).values():
        bits |= mode & 0o077
    return bits
