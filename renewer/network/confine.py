"""How a process gives up its rights, for good, and sees that they are gone.

Several walls, each where the kernel has it: another user (setresuid(2)), no capabilities, no new privileges
and limits (prctl(2), getrlimit(2)), and Landlock (landlock(7)), by which nothing can be written or executed
and only named directories be read. What cannot be had is not done and said; what was done is tried out, and a
process that can still do what it should not be able to does not begin.
"""

import contextlib
import ctypes
import errno
import os
import resource
import signal
import struct
from collections.abc import Callable, Iterable

from renewer.model.value import Value

ADDRESSES = 2 << 30
"""Octets of address space; threads reserve much that they never touch."""
FILES, PROCESSES, SHARED_PROCESSES = 1024, 512, 8192
"""Descriptors; threads of a user who is the worker's own; of one who runs other things as well."""
WRITTEN = 1 << 20
"""Octets of a file: of those without a name in memory that OpenSSL is given."""

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NAME, _PR_SET_NO_NEW_PRIVS = 1, 4, 15, 38
_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_DUMPABLE, _PR_GET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL = 3, 39, 47, 4
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_FS = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 5: 0xFFFF}  # rights over files that each version of Landlock knows
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_BIND_TCP = 1 << 0
_SCOPES = 0b11  # abstract Unix sockets, signals
_ABI_TCP, _ABI_SCOPES = 4, 6
_CAPABILITIES_V3 = 0x20080522


class ConfineError(Exception):
    """A right is still there that was given up; the process must not begin."""


class Confined(Value):
    """What separates a process from who began it: another user's number, and Landlock's version."""

    uid: int | None = None
    landlock: int = 0


def landlock_version() -> int:
    """The version of Landlock's interface; 0 where the kernel has none, or hides it."""
    version: int = _libc().syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    return max(0, version)


def closed_to_others() -> None:
    """Nobody without rights over the host reads this process's memory or traces it, and it leaves no core.

    It does not pass to programs that it calls (prctl(2), PR_SET_DUMPABLE).
    """
    _libc().prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def adopts() -> None:
    """What this process's children leave behind becomes its own child."""
    _libc().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def named(name: str) -> None:
    """What `ps` and `top` call this process."""
    _libc().prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def confine(
    uid: int | None, gid: int | None, *, own: bool, readable: Callable[[bool], Iterable[str]]
) -> Confined:
    """Give up every right but to read these directories and files. Single-threaded, just after a fork.

    `uid` and `gid` are the other user's (None: it stays who it is), `own` whether that one runs nothing else;
    `readable` is told whether it became another.
    Raises ConfineError if anything of it did not work as the kernel said it did, or if another thread would
    keep what this one gives up.
    """
    with contextlib.suppress(OSError):
        if len(os.listdir("/proc/self/task")) > 1:
            raise ConfineError("something that it imported has begun to work")
    limited(own=own)
    became = _become(uid, gid)
    _without_capabilities()
    libc = _libc()
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    closed_to_others()
    landlock = _landlocked(readable(became is not None))
    _check(became, landlock)
    return Confined(uid=became, landlock=landlock)


def ends_with(parent: int) -> None:
    """The kernel ends this process with `parent`, who forked it; said after setuid(2), which undoes it."""
    _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        raise ConfineError("who began it is gone")


def limited(*, own: bool) -> None:
    """No core, and no more of this host's memory, descriptors, processes and disk than it can need."""
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, ADDRESSES),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_NPROC, PROCESSES if own else SHARED_PROCESSES),
        (resource.RLIMIT_FSIZE, WRITTEN),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (limit, limit))


def _become(uid: int | None, gid: int | None) -> int | None:
    """Another user, if this process may; else (containers, user namespaces) it stays who it is."""
    if uid is None or gid is None or os.geteuid() != 0:
        return None
    try:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EINVAL) and os.geteuid() == 0:
            return None
        raise
    return uid


def _without_capabilities() -> None:
    """None, whoever it is now: also a root that could not become somebody else."""
    libc = _libc()
    libc.prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL, 0, 0, 0)
    libc.capset(struct.pack("=Ii", _CAPABILITIES_V3, 0), struct.pack("=6I", *[0] * 6))


def _landlocked(readable: Iterable[str]) -> int:
    """The version that holds this process now; 0 if none does."""
    version = landlock_version()
    if not version:
        return 0
    files = max(rights for since, rights in _FS.items() if since <= version)
    attributes = struct.pack(
        "=QQQ", files, _BIND_TCP if version >= _ABI_TCP else 0, _SCOPES if version >= _ABI_SCOPES else 0
    )
    size = 8 if version < _ABI_TCP else 16 if version < _ABI_SCOPES else 24
    libc = _libc()
    ruleset = libc.syscall(_CREATE_RULESET, attributes, size, 0)
    if ruleset < 0:
        return 0
    try:
        for path in readable:
            _allow(ruleset, path)
        if libc.syscall(_RESTRICT_SELF, ruleset, 0):
            return 0
    finally:
        os.close(ruleset)
    return version


def _allow(ruleset: int, path: str) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # there is none
    try:
        rights = _READ_FILE | _READ_DIR if os.path.isdir(path) else _READ_FILE
        _libc().syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)


def _check(uid: int | None, landlock: int) -> None:
    """Try what must not be possible any more."""
    if uid is not None:
        if os.getresuid() != (uid, uid, uid) or os.getgroups() or 0 in os.getresgid():
            raise ConfineError("it is still somebody else")
        with contextlib.suppress(OSError):
            os.setuid(0)
            raise ConfineError("it can still become root")
    libc = _libc()
    held = ctypes.create_string_buffer(24)
    if libc.capget(struct.pack("=Ii", _CAPABILITIES_V3, 0), held) or any(held.raw):
        raise ConfineError("it still has capabilities")
    if libc.prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 or libc.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0):
        raise ConfineError("it can still gain privileges, or be read")
    if landlock:
        try:
            os.close(os.open("/", os.O_RDONLY | os.O_DIRECTORY))
        except PermissionError:
            return
        raise ConfineError("Landlock does not hold it")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
