"""Answering from a web server's directory: the token's file, written so that nobody can lead it astray.

The webroot may belong to somebody less trusted than we are (a site's own user). So the webroot itself is
opened as the config names it, and everything below is walked one component at a time by file descriptor,
following no link. Only what holds our own answer, or the beginning of it, is ever replaced or removed.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable, Sequence

from renewer import clock, ownership
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model import token as tokens
from renewer.model.facts import Debris
from renewer.model.names import Identifier
from renewer.model.solver import HoldsNothing, OneByOne, OwnLook, Presented, Task
from renewer.model.value import Warn
from renewer.provisioning import walk

DEBRIS = "http-01 file"  # Debris.what; `where` is the file, `detail` the directories that we made for it
_READ_LIMIT = 1024  # more than any answer has
_ATTEMPTS = 50  # another client may remove an empty directory between our two steps


class WebrootSolver(HoldsNothing, OneByOne):
    """Puts answers below `webroot`. `left` are records of earlier runs: their directories are ours, too."""

    type = "http-01"

    def __init__(self, webroot: str, *, preflight: OwnLook, left: Iterable[Debris] = ()) -> None:
        self._root = os.path.abspath(webroot)
        self._preflight = preflight
        for debris in left:
            _recall(debris)

    def ready(self, names: Sequence[Identifier]) -> None:  # noqa: ARG002  it is the same for all
        """Whether a file can be made there: the webroot exists, and nothing stands in the way."""
        try:
            with walk.lock, walk.directories(self._root) as opened:
                _may_write(self._root, opened)
        except OSError as error:
            raise explain(error, "/".join((self._root.rstrip("/"), *walk.PARTS))) from error

    def debris_of(self, task: Task) -> Debris | None:
        """The file, and the directories that do not exist yet or that we made before."""
        return self._debris(task, self._depths_of_ours())

    def present(self, task: Task) -> Presented:
        """Write the file, readable for the web server whatever our umask is.

        Raises OurFault for a token that is none, GiveUp or RetryLater if the file cannot be written.
        """
        tokens.check(task.token)
        path = self._path(task)
        try:
            with walk.lock:
                _put(self._root, task.token, task.key_authorization.encode())
        except OSError as error:
            raise explain(error, path) from error
        return Presented(task=task, where=path)

    def wait(self, presented: Sequence[Presented], warn: Warn) -> None:
        """Fetch every token ourselves, as the config's `preflight` demands."""
        self._preflight.look(presented, warn)

    def clean_up(self, task: Task) -> Debris | None:
        """Remove the file if it is our answer, and the directories if we made them and they are empty."""
        if not tokens.well_formed(task.token):
            return None  # then nothing was written
        answer = task.key_authorization.encode()
        ours = self._depths_of_ours()
        try:
            with walk.lock:
                _remove(self._root, task.token, answer.startswith)
        except OSError as error:
            return self._debris(task, ours, why=error.strerror or str(error))
        return None

    def sweep(self, debris: Debris) -> bool:
        """As `sweep_file`: any webroot's debris may be swept by any solver."""
        return sweep_file(debris)

    def close(self) -> None:
        """Nothing runs here."""

    def _path(self, task: Task) -> str:
        return "/".join((self._root.rstrip("/"), *walk.PARTS, task.token))

    def _depths_of_ours(self) -> tuple[int, ...]:
        with walk.lock, contextlib.suppress(OSError), walk.directories(self._root) as opened:
            return tuple(
                depth
                for depth in range(len(walk.PARTS))
                if depth + 1 >= len(opened) or walk.is_ours(opened, depth)
            )
        return ()

    def _debris(self, task: Task, depths: Iterable[int], why: str = "") -> Debris:
        made = " ".join("/".join(walk.PARTS[: depth + 1]) for depth in depths)
        return Debris(
            certificate=task.certificate,
            what=DEBRIS,
            where=self._path(task),
            at=clock.now(),
            detail=f"{made}: {why}" if why else made,
        )


def sweep_file(debris: Debris) -> bool:
    """Remove what an earlier run left below the webroot of its record; whether it is gone.

    The record is only believed where the disk agrees: a token by its shape, in the one directory for
    tokens, a regular file that holds an answer to this very token. Anything else is left alone.
    """
    place = _place(debris)
    if place is None:
        return True
    root, token = place
    _recall(debris)
    try:
        with walk.lock:
            _remove(root, token, lambda content: tokens.may_be_answer_to(token, content))
    except OSError:
        return False
    return True


def _place(debris: Debris) -> tuple[str, str] | None:
    """The webroot and the token of a record, if it is one of ours."""
    directory, _, token = debris.where.rpartition("/")
    tail = "/" + "/".join(walk.PARTS)
    if debris.what != DEBRIS or not directory.endswith(tail) or not directory.startswith("/"):
        return None
    return (directory.removesuffix(tail) or "/", token) if tokens.well_formed(token) else None


def _recall(debris: Debris) -> None:
    """Take a killed run's directories for ours, as they stand now."""
    place = _place(debris)
    if place is None:
        return
    made = debris.detail.partition(":")[0].split()
    with walk.lock, contextlib.suppress(OSError), walk.directories(place[0]) as opened:
        for depth in range(len(opened) - 1):
            if "/".join(walk.PARTS[: depth + 1]) in made:
                walk.adopt(opened, depth)


def _may_write(root: str, opened: Sequence[int]) -> None:
    """Raises OSError if nothing can be made in the innermost directory."""
    place = "/".join((root.rstrip("/"), *walk.PARTS[: len(opened) - 1])) or "/"
    target = f"/proc/self/fd/{opened[-1]}"
    if os.access(target, os.W_OK | os.X_OK, effective_ids=True):
        return
    read_only = os.statvfs(target).f_flag & os.ST_RDONLY
    code = errno.EROFS if read_only else errno.EACCES
    raise OSError(code, os.strerror(code), place)


def _put(root: str, token: str, answer: bytes) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            with walk.directories(root, make=True) as opened:
                _write(opened[-1], token, answer)
        except FileNotFoundError as error:
            if error.filename == root or attempt == _ATTEMPTS - 1:
                raise
        else:
            return


def _write(directory: int, token: str, answer: bytes) -> None:
    """Write the file anew, never through a name that exists: O_EXCL follows no link and no hard link."""
    for _ in range(_ATTEMPTS):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(token, flags, 0o644, dir_fd=directory)
        except FileExistsError:
            found = _read(directory, token)
            if found == answer and _is_served(directory, token):
                return  # our own, from a run that was killed
            if found is not None and (not answer.startswith(found) or not _only_ours(directory, token)):
                raise GiveUp(
                    f"in the webroot's {'/'.join(walk.PARTS)} there is already a file {token}, not ours",
                    hint="it is not ours, so it stays: find out who else answers here, or remove it",
                    kind="webroot",
                ) from None
            with contextlib.suppress(FileNotFoundError):
                os.unlink(token, dir_fd=directory)
            continue
        try:
            os.fchmod(fd, 0o644)  # by descriptor: under umask 0077 the web server would answer 403
            rest = memoryview(answer)
            while rest:
                rest = rest[os.write(fd, rest) :]
        finally:
            os.close(fd)
        return
    raise OSError(errno.EEXIST, "somebody else keeps making this file", token)


def _read(directory: int, token: str) -> bytes | None:
    """What a regular file holds (its beginning); None if there is none any more.

    Nothing that exists is given another mode: who owns the directory may have renamed any file to this name.
    Raises GiveUp for anything else under it.
    """
    # not blocking: a FIFO in this place must not stop us
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(token, flags, dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):
            raise
        raise _not_a_file(token) from None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise _not_a_file(token)
        return os.read(fd, _READ_LIMIT)
    finally:
        os.close(fd)


def _not_a_file(token: str) -> GiveUp:
    return GiveUp(
        f"{'/'.join(walk.PARTS)}/{token} in the webroot is not a regular file",
        hint="it is not ours, so it stays: find out who made it, and remove it",
        kind="webroot",
    )


def _is_served(directory: int, token: str) -> bool:
    """Whether the web server may read it; one that a killed run left without its mode is made anew."""
    return bool(os.stat(token, dir_fd=directory, follow_symlinks=False).st_mode & stat.S_IROTH)


def _only_ours(directory: int, token: str) -> bool:
    found = os.stat(token, dir_fd=directory, follow_symlinks=False)
    return found.st_uid == os.geteuid() and found.st_nlink == 1


def _remove(root: str, token: str, is_ours: Callable[[bytes], bool]) -> None:
    """Remove the file if its content is ours, then empty directories that we made, the inner one first."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), walk.directories(root) as opened:
        if len(opened) > len(walk.PARTS):
            with contextlib.suppress(GiveUp):
                content = _read(opened[-1], token)
                if content is not None and is_ours(content):
                    os.unlink(token, dir_fd=opened[-1])
        walk.remove_empty(opened)


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
    errno.EROFS: "mount it writable; if only the timer fails, older units forbid it: renewer timer install",
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
