"""Why a file could not be written, as a sentence with its remedy."""

import errno
import os
import stat

from renewer import ownership
from renewer.errors import GiveUp, RenewerError, RetryLater

# what frees itself, or is freed without a change of our config: worth trying again soon
_PASSING = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EIO,
        errno.ENFILE,
        errno.EMFILE,
        errno.ENOMEM,
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.EEXIST,
        errno.ENOENT,
    }
)
_HINTS = {
    errno.ENOSPC: "free space on that filesystem; it is tried again by itself",
    errno.EDQUOT: "the quota is used up: free space or raise it; it is tried again by itself",
    errno.EFBIG: "a limit on file sizes is in force (ulimit -f, LimitFSIZE=): raise it",
    errno.EROFS: "mount it writable; under systemd add it to ReadWritePaths= (renewer timer install does)",
    errno.EACCES: "let the agent's user write there, or run the agent as a user who may",
    errno.EIO: "the disk reports an error: look at the kernel's log (dmesg)",
    errno.EBUSY: "something is mounted there: look at it with findmnt",
    errno.EPERM: "let the agent's user write there (chattr, SELinux and AppArmor can forbid it, too)",
}


def explain(error: OSError, path: str) -> RenewerError:
    """The error to raise when the challenge's file at `path` could not be written.

    RetryLater for what may pass (disk full), GiveUp for what stays until somebody changes something.
    """
    place = str(error.filename or path)
    if place == os.path.basename(path):
        place = path
    text, hint = f"cannot write the challenge {path}: ", _HINTS.get(error.errno or 0, "")
    if isinstance(error, ownership.LinkError):
        hint = f"point `webroot` to the real directory, or {error.danger.hint}"
        return GiveUp(f"{text}{error.strerror}", hint=hint, kind="webroot")
    if error.errno in (errno.ENOTDIR, errno.ELOOP):
        return GiveUp(text + _what_stands_there(place), hint=_way_round(place), kind="webroot")
    if error.errno == errno.ENOENT and "/.well-known" not in place:
        missing = (
            f"leads to {ownership.resolved(place)}, which does not exist"
            if _is_link(place)
            else "does not exist"
        )
        return GiveUp(
            f"{text}the webroot {place} {missing}",
            hint="make that directory, or correct `webroot` to the one that the web server serves on port 80",
            kind="webroot",
        )
    text += f"{place}: {error.strerror or error}" if place != path else f"{error.strerror or error}"
    if error.errno in _PASSING:
        return RetryLater(text, hint=hint, kind="webroot")
    return GiveUp(text, hint=hint, kind="webroot")


def _is_link(place: str) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(place).st_mode)
    except OSError:
        return False


def _what_stands_there(place: str) -> str:
    if _is_link(place) and "/.well-known" in place:
        return f"{place} is a symbolic link, and below the webroot none is followed"
    return f"{place} is not a directory"


def _way_round(place: str) -> str:
    if _is_link(place) and "/.well-known" in place:
        return "point `webroot` to the directory that really holds .well-known, or replace the link"
    return "remove or rename it, or correct `webroot`"
