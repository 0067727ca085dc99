"""Who holds a port, as far as /proc tells: only for a message, so whatever cannot be read is left out."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from renewer import words

_LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp
_PROC = Path("/proc")


def of_port(port: int) -> str:
    """The processes that listen on a TCP port, as "nginx (pid 812)"; or words for not knowing."""
    inodes = set(_listening_inodes(port))
    found = sorted(set(_processes_with(inodes))) if inodes else []
    if found:
        names = [f"{name} (pid {pid})" for pid, name in found]
        return words.several(names)
    return "another process (which one only root can see)" if os.geteuid() else "another process"


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in (_PROC / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]


def _processes_with(inodes: set[str]) -> Iterator[tuple[int, str]]:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for entry in _PROC.iterdir():
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError):  # not ours to see, or just ended
            if any(_readlink(fd) in wanted for fd in (entry / "fd").iterdir()):
                yield int(entry.name), _name(entry)


def _readlink(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:  # closed meanwhile
        return ""


def _name(entry: Path) -> str:
    name = (entry / "comm").read_text(errors="replace").strip()
    return words.line(name)
