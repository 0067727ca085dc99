"""Whether others could change a file that we trust: a config, a hook, a secret.

Trusted are root and the user we run as. Every directory on the way counts, also those that symbolic links
lead through, because whoever may rename a directory may replace all that lies below it.
"""

import os
import stat
from typing import NamedTuple

_LINKS = 40  # as many symbolic links as Linux follows


class Danger(NamedTuple):
    """Why a file is not to be trusted, and what to do about it."""

    text: str
    hint: str


def danger(path: str) -> Danger | None:
    """Why others than root and we could change what lies at `path`; None if nobody could.

    A directory that all may write to is accepted where the sticky bit keeps them from replacing what is
    ours (/tmp). Raises OSError if the path cannot be walked.
    """
    trusted = (0, os.geteuid())
    path = os.path.join(os.getcwd(), path)
    todo = path.split("/")[::-1]
    here, links, above = "/", 0, os.lstat("/")
    if found := _fault("/", above, None, trusted):
        return found
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            here = os.path.dirname(here)
            above = os.lstat(here)
            continue
        step = f"{here.rstrip('/')}/{part}"
        entry = os.lstat(step)
        if found := _fault(step, entry, above, trusted):
            return found
        if stat.S_ISLNK(entry.st_mode):
            links += 1
            if links > _LINKS:
                return Danger(f"{path} leads through too many symbolic links", "give its real path")
            target = os.readlink(step)
            todo += target.split("/")[::-1]
            if target.startswith("/"):
                here, above = "/", os.lstat("/")
        else:
            here, above = step, entry
    return None


def _fault(
    path: str, entry: os.stat_result, above: os.stat_result | None, trusted: tuple[int, int]
) -> Danger | None:
    link = stat.S_ISLNK(entry.st_mode)
    # In a directory that only we can write to, it does not matter whom a link belongs to.
    sticky_above = above is not None and bool(above.st_mode & stat.S_ISVTX)
    if entry.st_uid not in trusted and not (link and not sticky_above):
        return Danger(f"{path} belongs to {_user(entry.st_uid)}, who could change it", f"chown root {path}")
    if link or not entry.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return None
    if stat.S_ISDIR(entry.st_mode) and entry.st_mode & stat.S_ISVTX:
        return None
    who = "everybody" if entry.st_mode & stat.S_IWOTH else f"the group {_group(entry.st_gid)}"
    return Danger(f"{path} can be written to by {who}", f"chmod go-w {path}")


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _group(number: int) -> str:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
