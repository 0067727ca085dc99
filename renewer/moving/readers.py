"""Who reads a certificate of certbot's now, and could not follow a link from there to ours.

Our state is for root alone, a container has only what is mounted into it, and AppArmor knows certbot's
places and not ours. What cannot be told is doubt, and in doubt there are copies instead of links.
"""

import os
import stat
from collections.abc import Iterator

from renewer.moving.reading import Tree
from renewer.ownership import user_name
from renewer.servers import catalogue, sockets
from renewer.servers.reading import Guard
from renewer.servers.sockets import RunningProgram

PROC = "/proc"
"""Where the kernel tells of processes; another place in tests."""

_PROFILES = "/etc/apparmor.d"
_LARGEST = 1 << 20  # octets of what is read in /proc


class Readers:
    """What runs here and what it is configured to read, looked at once."""

    def __init__(self, tree: Tree, state: str) -> None:
        self._tree = tree
        self._state = state
        with Guard() as guard:
            self._uses = tuple(catalogue.readers(guard, sockets.processes()))
        self._mounted = next(_containers(os.path.realpath(tree.root), state), None)

    def doubt(self, name: str, key: str, target: str) -> str | None:
        """Why links to `target` (our live directory) might not do for a certificate of certbot's; or None.

        `key` is the path of certbot's key.
        """
        if self._mounted is not None:
            return f"process {self._mounted} has {self._tree.root} mounted, and not our state"
        here = {self._tree.path("live", name), self._tree.path("archive", name)}
        for use, processes in self._uses:
            if here & {
                os.path.dirname(os.path.normpath(path)) for path in (use.certificate, use.key) if path
            }:
                for process in processes:
                    if why := _cannot(process, f"{target}/privkey.pem", self._state):
                        return f"{use.server} ({use.place}) {why}"
        entry = os.stat(key)
        widest = stat.S_IROTH | (stat.S_IRGRP if entry.st_gid else 0)
        if entry.st_mode & widest and not _may_read(f"{target}/privkey.pem", -1, {entry.st_gid}):
            return f"others than root may read {key}"
        if entry.st_uid != 0 and entry.st_uid != os.geteuid():
            return f"{key} belongs to {user_name(entry.st_uid)}"
        return None


def _cannot(process: RunningProgram, path: str, state: str) -> str | None:
    """Why a program could not read a file of ours, as half a sentence; None if it could."""
    uid, gids = _ids(process.pid)
    if uid is not None and uid != 0 and not _may_read(path, uid, gids):
        return f"runs as {user_name(uid)}, who could not read ours"
    profile = _text(f"{process.pid}/attr/apparmor/current") or _text(f"{process.pid}/attr/current")
    if profile.rstrip("\0\n ").endswith("(enforce)") and not _is_allowed(profile.split(" ")[0], state):
        return f"is confined by AppArmor ({profile.split(' ')[0]}), which does not name {state}"
    if _sees_not(process.pid, path):
        return f"(process {process.pid}) does not see {state}"
    return None


def _ids(pid: int) -> tuple[int | None, set[int]]:
    """The effective user of a process, and its groups."""
    uid, gids = None, set()
    for line in _text(f"{pid}/status").splitlines():
        word, *numbers = line.split()
        if word == "Uid:" and len(numbers) > 1:
            uid = int(numbers[1])
        elif word == "Gid:" and len(numbers) > 1:
            gids.add(int(numbers[1]))
        elif word == "Groups:":
            gids |= {int(one) for one in numbers}
    return uid, gids


def _may_read(path: str, uid: int, gids: set[int]) -> bool:
    """Whether a user (-1: nobody in particular) gets to a file by modes and groups; links are followed."""
    try:
        real = os.path.realpath(path, strict=True)
        way = [real]
        while way[-1] != "/":
            way.append(os.path.dirname(way[-1]))
        entries = [os.stat(one) for one in way]
    except OSError:
        return False
    return all(_allows(entry, uid, gids, 4 if number == 0 else 1) for number, entry in enumerate(entries))


def _allows(entry: os.stat_result, uid: int, gids: set[int], wanted: int) -> bool:
    if uid == entry.st_uid:
        return bool(entry.st_mode >> 6 & wanted)
    if entry.st_gid in gids:
        return bool(entry.st_mode >> 3 & wanted)
    return bool(entry.st_mode & wanted)


def _is_allowed(profile: str, state: str) -> bool:
    """Whether any of AppArmor's files for a profile names our state."""
    names = {profile.strip("/").replace("/", "."), f"local/{profile.strip('/').replace('/', '.')}"}
    for name in sorted(names):
        try:
            with open(os.path.join(_PROFILES, name), encoding="utf-8", errors="replace") as file:
                if state in file.read(_LARGEST):
                    return True
        except OSError:
            continue
    return False


def _sees_not(pid: int, path: str) -> bool:
    """Whether a process with mounts of its own finds something else, or nothing, at a path of ours."""
    if _namespace(str(pid)) in (None, _namespace("self")):
        return False
    try:
        real = os.path.realpath(path)
        there, here = os.stat(f"{PROC}/{pid}/root{real}"), os.stat(real)
    except PermissionError:
        return False
    except OSError:
        return True
    return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)


def _containers(home: str, state: str) -> Iterator[int]:
    """A process of each mount namespace where certbot's directory is mounted and our state is not."""
    places = set(_inside(home, "self"))
    known = {_namespace("self"), None}
    for entry in sorted(os.listdir(PROC)):
        if entry.isdigit() and (space := _namespace(entry)) not in known:
            known.add(space)
            mounts = {(device, root) for device, root, _ in _mounts(entry)}
            mounted = any(
                device == other and (root == inner or root.startswith(f"{inner}/"))
                for device, root in mounts
                for other, inner in places
            )
            if mounted and _sees_not(int(entry), state):
                yield int(entry)


def _inside(path: str, pid: str) -> Iterator[tuple[str, str]]:
    """A directory as its file system names it: the device, and the way inside."""
    best = ("", "", "")
    for device, root, point in _mounts(pid):
        if (path == point or path.startswith(f"{point.rstrip('/')}/")) and len(point) >= len(best[2]):
            best = device, root, point
    device, root, point = best
    if device:
        yield device, os.path.normpath(os.path.join(root, os.path.relpath(path, point)))


def _mounts(pid: str) -> Iterator[tuple[str, str, str]]:
    """The mounts that a process sees: device, what of it, and where (proc_pid_mountinfo(5))."""
    for line in _text(f"{pid}/mountinfo").splitlines():
        parts = line.split(" ")
        if len(parts) > 4:
            yield parts[2], _unescaped(parts[3]), _unescaped(parts[4])


def _unescaped(text: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text


def _namespace(pid: str) -> str | None:
    try:
        return os.readlink(f"{PROC}/{pid}/ns/mnt")
    except OSError:
        return None


def _text(place: str) -> str:
    try:
        with open(f"{PROC}/{place}", encoding="utf-8", errors="replace") as file:
            return file.read(_LARGEST)
    except OSError:
        return ""
