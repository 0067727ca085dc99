"""Who listens on this host, and how they were started: by /proc, with no tool."""

import os
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from typing import NamedTuple

from renewer.model.installed import ListeningSocket

_LISTEN = "0A"  # TCP_LISTEN of the kernel
_MOST = 64 << 10  # octets of a command line
_MOST_LINES = 200_000  # of the kernel's table


class RunningProgram(NamedTuple):
    """A program that runs: its name by the kernel, its arguments, and how to reach its directory.

    `apart` is whether it is in a container: its ports are not this host's, and its paths may lead elsewhere.
    """

    pid: int
    name: str
    words: tuple[str, ...]
    directory: str
    apart: bool = False

    def path(self, word: str) -> str:
        """A path that it was given, from where it was started."""
        return os.path.normpath(os.path.join(self.directory, word))


def listening() -> list[ListeningSocket]:
    """Every TCP port of this network namespace where somebody listens, each once."""
    open_ones = {}
    for table in ("tcp", "tcp6"):
        for inode, address, port in _table(f"/proc/self/net/{table}"):
            open_ones[inode] = (address, port)
    owners: dict[str, tuple[int, str]] = {}
    for pid in _pids():
        for inode in _sockets(pid):
            if inode in open_ones:
                owners.setdefault(inode, (pid, _name(pid)))
    found = []
    for inode, (address, port) in open_ones.items():
        pid, name = owners.get(inode, (0, ""))
        found.append(ListeningSocket(address=address, port=port, process=name, pid=pid))
    unique = {(one.address, one.port): one for one in sorted(found, key=lambda one: -one.pid)}
    return sorted(unique.values(), key=lambda one: (one.port, one.address))


def processes() -> list[RunningProgram]:
    """Every program that we may look at."""
    found = []
    for pid in _pids():
        with suppress(OSError):
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                line = file.read(_MOST)
            if not line:
                continue
            # Who rewrote its title has blanks for the zeros: nginx, postgres
            parts = line.rstrip(b"\0 ").split(b"\0")
            words = [os.fsdecode(part) for part in parts]
            if len(words) == 1:
                words = words[0].split()
            directory = ""
            with suppress(OSError):
                directory = os.readlink(f"/proc/{pid}/cwd")
            found.append(RunningProgram(pid, _name(pid), tuple(words), directory or "/", _is_apart(pid)))
    return found


def _is_apart(pid: int) -> bool:
    """Whether it has another network or another root than we; no where that may not be seen."""
    with suppress(OSError):
        pairs = [
            (os.stat(f"/proc/{pid}/{what}"), os.stat(f"/proc/self/{what}")) for what in ("ns/net", "root")
        ]
        return any(not os.path.samestat(*pair) for pair in pairs)
    return False


def _pids() -> list[int]:
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read(64).rstrip("\n")
    except OSError:
        return ""


def _sockets(pid: int) -> Iterator[str]:
    """The inodes of a process's sockets; none of one that is not ours to look at, or gone."""
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                target = os.readlink(f"/proc/{pid}/fd/{name}")
                if target.startswith("socket:["):
                    yield target[8:-1]


def _table(path: str) -> Iterator[tuple[str, str, int]]:
    """Inode, address and port of each listening socket in one of the kernel's tables (proc_net(5))."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            for _, line in zip(range(_MOST_LINES), file, strict=False):
                parts = line.split()
                if len(parts) > 9 and parts[3] == _LISTEN:
                    address, _, port = parts[1].partition(":")
                    yield parts[9], _address(address), int(port, 16)
    except OSError:
        return


def _address(text: str) -> str:
    """An address from the kernel's words of 32 bits in the host's order."""
    octets = b"".join(int(text[at : at + 8], 16).to_bytes(4, "little") for at in range(0, len(text), 8))
    address = ip_address(octets)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
