"""Where a copy lies: its directory, opened without following anybody else's link."""

import contextlib
import os
from collections.abc import Iterator

from renewer.errors import GiveUp
from renewer.safety import danger

_STEP = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_LINKS = 40  # as many as Linux follows


@contextlib.contextmanager
def opened(path: str) -> Iterator[tuple[int, str]]:
    """The directory where a copy lies, opened, and its name there. Raises OSError, GiveUp.

    Links are followed, as by the server that reads it, but no link of anybody else's: whoever owns a copy's
    directory, as databases do, could lead us to any file of the system.
    """
    directory, name = os.path.split(_real(path))
    there = os.open("/", os.O_RDONLY | _STEP)
    try:
        parts = [part for part in directory.split("/") if part]
        for number, part in enumerate(parts, 1):  # no link is left in it, and none may come in between
            way = os.O_RDONLY if number == len(parts) else os.O_PATH
            above, there = there, os.open(part, way | _STEP, dir_fd=there)
            os.close(above)
        yield there, name
    finally:
        os.close(there)


def _real(path: str) -> str:
    """The path without links. Raises GiveUp if somebody else could have put one of them there."""
    for _ in range(_MAX_LINKS):
        above, name = os.path.split(path)
        directory = os.path.realpath(above)
        found = f"{directory.rstrip('/')}/{name}"
        linked = os.path.islink(found)
        if (linked or directory != above) and (fault := danger(above)):
            hint = f"name the real path under copies; or {fault.hint}"
            raise GiveUp(f"a symbolic link on the way to {path} is not followed: {fault.text}", hint=hint)
        if not linked:
            return found
        path = os.path.join(directory, os.readlink(found))
    raise GiveUp(f"{path} leads through too many symbolic links", hint="name the real path under copies")
