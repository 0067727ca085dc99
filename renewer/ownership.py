"""Who else could change a file or program of the operator's, and the way to a file that others may own.

Trusted are root and the user we run as. What is read as configuration, a secret or a program must be theirs
alone. Every directory on the way counts, also those that symbolic links lead through, because whoever may
rename a directory may replace all that lies below it.

Copies, the log, the page and metrics may lie in directories of others. The way there is walked by
descriptor: each component is opened relative to the one before, and a link counts only if root or we must
have put it there.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

_TRIES = 20
_LINKS = 40  # as many symbolic links as Linux follows
_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Danger(NamedTuple):
    """Why a file is not to be trusted, and what to do about it."""

    text: str
    hint: str


def danger(path: str) -> Danger | None:
    """Why others than root and we could change what lies at `path`; None if nobody could.

    A directory that all may write to is accepted where the sticky bit keeps them from replacing what is
    ours (/tmp). Raises OSError if the path cannot be walked.
    """
    if not os.path.isabs(path):  # else where we stand matters to nobody: it may have been removed
        path = os.path.join(os.getcwd(), path)
    todo = path.split("/")[::-1]
    here, links, above = "/", 0, os.lstat("/")
    if found := _fault_of("/", above, None):
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
        if found := _fault_of(step, entry, above):
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


def danger_of_additions(directory: str) -> Danger | None:
    """Why others could put a file there, the restricted deletion of /tmp or none; None if nobody could.

    As `danger`, but for what does not stand there yet. Raises OSError.
    """
    if found := danger(directory):
        return found
    if os.stat(directory).st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return Danger(f"others may put files into {directory}", "use a directory where only root may write")
    return None


def _fault_of(path: str, entry: os.stat_result, above: os.stat_result | None) -> Danger | None:
    """Why others could change what has this entry, in a directory with that one; None if nobody could."""
    link = stat.S_ISLNK(entry.st_mode)
    # In a directory that only we can write to, it does not matter whom a link belongs to.
    sticky_above = above is not None and bool(above.st_mode & stat.S_ISVTX)
    if entry.st_uid not in (0, os.geteuid()) and not (link and not sticky_above):
        return _foreign(path, entry)
    if link or not entry.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return None
    if stat.S_ISDIR(entry.st_mode) and entry.st_mode & stat.S_ISVTX:
        return None
    who = "everybody" if entry.st_mode & stat.S_IWOTH else f"the group {_group(entry.st_gid)}"
    return Danger(f"{path} can be written to by {who}", f"chmod go-w {path}")


def _foreign(path: str, entry: os.stat_result) -> Danger:
    """What belongs to somebody else; one that this user namespace has no number for may be anybody."""
    if _unmapped(entry.st_uid):
        return Danger(
            f"the owner of {path} has no number in this user namespace, so who could change it is not known",
            "run it outside of the namespace, or map the owner into it (podman --userns=keep-id, unshare "
            "--map-auto); it is not for the agent to change that owner",
        )
    name = user_name(entry.st_uid)
    hint = f"chown root {path}"
    if os.geteuid() == 0:
        if stat.S_ISDIR(entry.st_mode):  # perhaps somebody's home: to take it away would do harm
            hint = "use a path where only root may write"
        hint = f"if {name} runs the agent, run it as {name}: {_as_user(name)}; else: {hint}"
    return Danger(f"{path} belongs to {name}, who could change it", hint)


def hint_for_foreign(owner: int, path: str) -> str:
    """What to do about something in the state directory that belongs to another user; for hints."""
    if _unmapped(owner):
        return _foreign(path, os.lstat(path)).hint
    if os.geteuid() == 0:  # an agent without root's rights: to take anything away from it would end it
        return f"run it as {user_name(owner)}: {_as_user(user_name(owner))}"
    return f"run this as that user, or look who put it there and chown it: ls -ld {path}"


def _unmapped(number: int) -> bool:
    """Whether a number stands for all users that this namespace has none for (user_namespaces(7))."""
    try:
        with open("/proc/sys/kernel/overflowuid", encoding="ascii") as file:
            if number != int(file.read()):
                return False
        with open("/proc/self/uid_map", encoding="ascii") as file:
            ranges = [tuple(map(int, line.split())) for line in file]
    except (OSError, ValueError):
        return False
    return not any(inside <= number < inside + count for inside, _, count in ranges)


def _as_user(name: str) -> str:
    """What to type to do something as another user."""
    who = name if " " not in name else f"'#{name.rsplit(maxsplit=1)[-1]}'"
    return f"sudo -u {who} renewer …"


def user_name(number: int) -> str:
    """A user's name; words with the number where there is none."""
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


# the way to a file elsewhere


class LinkError(OSError):
    """A symbolic link on the way to a file that others may have put there; `danger` says who."""

    def __init__(self, path: str, danger: Danger) -> None:
        super().__init__(errno.ELOOP, f"a symbolic link on the way is not followed: {danger.text}", path)
        self.danger = danger


def resolved(path: str) -> str:
    """Where a path leads, for a first look or a message; never raises.

    Links that somebody swaps for something else meanwhile are followed anew, a few times.
    """
    for _ in range(_TRIES):
        with contextlib.suppress(OSError):  # a link was none any more when it was read
            return os.path.realpath(path)
    return path


class Place(NamedTuple):
    """An open directory, and the name of a file in it.

    `guarded` is whether only root and we can put anything there. `moved` is whether it is root's or ours, but
    somebody else could have put it in the place of another one: then what is there already may be anything.
    """

    fd: int
    name: str
    guarded: bool
    moved: bool


@contextlib.contextmanager
def open_place(path: str) -> Iterator[Place]:
    """The directory where a file lies (absolute path), opened, and its name there. Raises OSError.

    Links are followed, as by the server that reads the file, but none in a directory that others may change:
    whoever owns a directory, as databases do, could lead us to any file of the system. Those raise LinkError.
    The last component is not looked at.
    """
    walk = _Walk(path)
    try:
        walk.to(os.path.dirname(path))
        fd = os.open(".", _DIRECTORY, dir_fd=walk.here)
    finally:
        walk.close()
    try:
        entry, name = os.fstat(fd), os.path.basename(path)
        safe, shut = walk.danger is None, not entry.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        moved = not safe and shut and entry.st_uid in (0, os.geteuid())
        yield Place(fd=fd, name=name, guarded=safe and shut, moved=moved)
    finally:
        os.close(fd)


@contextlib.contextmanager
def open_directory(path: str) -> Iterator[int]:
    """A directory (absolute path) by an O_PATH descriptor. Raises OSError.

    Links that others may have put there are followed if they belong to whom the directory belongs to: a
    site's own user may turn `current` from one release to the next, and cannot lead us to what is not theirs.
    """
    walk = _Walk(path, matching=True)
    try:
        walk.to(path)
        owner = os.fstat(walk.here).st_uid
        for of, danger in walk.strangers:
            if of != owner:
                raise LinkError(path, danger)
        yield walk.here
    finally:
        walk.close()


class _Walk:
    """Where the walk is, and the first reason on the way why others could have led us elsewhere."""

    def __init__(self, path: str, *, matching: bool = False) -> None:
        self._path = path
        self._matching = matching
        self.strangers: list[tuple[int, Danger]] = []  # whose links were followed that others may change
        self._shown = "/"
        self.here = os.open("/", _STEP | os.O_DIRECTORY)
        self.danger = _fault_of("/", os.fstat(self.here), None)

    def close(self) -> None:
        os.close(self.here)

    def to(self, directory: str) -> None:
        """Go there; raises OSError, LinkError for a link that is not to be followed."""
        todo = directory.split("/")[::-1]
        links = 0
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            target = self._step(part)
            if target is None:
                continue
            links += 1
            if links > _LINKS:
                raise OSError(errno.ELOOP, "it leads through too many symbolic links", self._path)
            todo += target.split("/")[::-1]
            if target.startswith("/"):
                self._enter(os.open("/", _STEP | os.O_DIRECTORY), "/")

    def _step(self, part: str) -> str | None:
        """Enter a directory; of a link the text. What stands there is known by its descriptor only."""
        shown = os.path.dirname(self._shown) if part == ".." else f"{self._shown.rstrip('/')}/{part}"
        found = os.open(part, _STEP, dir_fd=self.here)
        try:
            entry = os.fstat(found)
            fault = None if part == ".." else _fault_of(shown, entry, os.fstat(self.here))
            self.danger = self.danger or fault
            if stat.S_ISLNK(entry.st_mode):
                if self.danger is not None and not self._matching:
                    raise LinkError(self._path, self.danger)
                if self.danger is not None:
                    self.strangers.append((entry.st_uid, self.danger))
                return os.readlink("", dir_fd=found)
            if not stat.S_ISDIR(entry.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), shown)
            self._enter(os.dup(found), shown)
        finally:
            os.close(found)
        return None

    def _enter(self, fd: int, shown: str) -> None:
        os.close(self.here)
        self.here, self._shown = fd, shown


# what a file system makes of modes


MODELESS = "modeless"
"""The kind of an error that says that a file system does not keep the rights that it was asked for."""


def rights_not_kept(entry: os.stat_result, owner: int, mode: int) -> Danger | None:
    """Why a file that is to be read by few does not have the rights that were asked for (owner -1: ours).

    Mounts without modes (vfat, CIFS, bindfs) take every chmod, and change nothing. A file that all may read
    anyway is no matter.
    """
    if mode & 0o004:
        return None
    hint = "keep keys on a file system with modes, or mount this one for their reader alone: uid=, umask=0077"
    more = stat.S_IMODE(entry.st_mode) & ~mode & 0o077
    if more:
        who = "everybody" if more & 0o007 else f"the group {_group(entry.st_gid)}"
        what = "read" if more & 0o044 else "get at"
        text = "its file system ignores modes"
        text += f" ({mode:04o} was asked, {stat.S_IMODE(entry.st_mode):04o} is there)"
        return Danger(f"{text}, so {who} could {what} the key", hint)
    wanted = os.geteuid() if owner == -1 else owner
    if entry.st_uid not in (wanted, 0):
        return Danger(
            f"its file system gives it to {user_name(entry.st_uid)}, who could read the key",
            "keep keys on a file system with owners (NFS: no_root_squash, or an agent that is not root)",
        )
    return None


def rights_kept_beside(path: str, owner: int, mode: int, group: int = -1) -> Danger | None:
    """The same of a file that is yet to be made at a path, tried in its directory with an empty one.

    That goes again; where the file system can, it has no name and nobody sees it. Raises OSError where
    nothing can be made there: that says nothing of the file system.
    """
    with open_place(path) as place:
        name = ""
        try:
            file = os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=place.fd)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
                raise
            name = f".renewer-probe-{os.getpid()}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(name, flags, 0o600, dir_fd=place.fd)
        try:
            with contextlib.suppress(PermissionError):  # who is not root, or a mount without owners
                os.fchown(file, owner, group)
            with contextlib.suppress(PermissionError):
                os.fchmod(file, mode)
            return rights_not_kept(os.fstat(file), owner, mode)
        finally:
            os.close(file)
            if name:
                os.unlink(name, dir_fd=place.fd)


# programs of the operator's


def why_not_run(path: str, key: str, *, trusted: bool = False, executable: bool = True) -> str | None:
    """Why a program must not be run; `key` is where the config names it.

    `trusted` are those beside which we lie; what is not `executable` is read by a shell.
    """
    try:
        entry = os.stat(path)
        if not stat.S_ISREG(entry.st_mode):
            return f"{path} is not a file; name the program that is to be run"
        found = None if trusted else danger(path)
    except OSError as error:
        return _unseen(path, key, error)
    if found:
        return _dangerous(found)
    if executable and not os.access(path, os.X_OK):
        return f"{path} may not be executed; chmod +x {path}"
    return None


def why_not_run_any(path: str, key: str) -> str | None:
    """Why the programs of a directory must not be run: it, or one of them, is not safe or cannot be read."""
    try:
        mode = os.stat(path).st_mode
        found = danger(path)
        if found is None and mode & (stat.S_IWGRP | stat.S_IWOTH):  # sticky: whoever may not change may add
            found = Danger(f"{path} can be written to by others", f"chmod go-w {path}")
        programs = programs_in(path)
    except OSError as error:
        return _unseen(path, key, error)
    if found:
        return _dangerous(found)
    return next((fault for one in programs if (fault := why_not_run(one, key))), None)


def programs_in(directory: str) -> list[str]:
    """The programs of a directory, in the order in which they are run, by certbot's own rule.

    That is: every file that we may execute, sorted by path, but for names that end in ~. Raises OSError.
    """
    paths = (os.path.join(directory, name) for name in os.listdir(directory) if not name.endswith("~"))
    return sorted(path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK))


def program_identity(path: str) -> object:
    """What tells whether a program, or a directory of programs, is still the same; reads no content."""
    try:
        entry = os.stat(path)
        if not stat.S_ISDIR(entry.st_mode):
            return _stamp(entry)
        return [(one, _stamp(os.stat(one))) for one in programs_in(path)]
    except OSError:
        return "missing"


def _stamp(entry: os.stat_result) -> tuple[int, ...]:
    return (entry.st_ino, entry.st_size, entry.st_mtime_ns, entry.st_mode)


def _unseen(path: str, key: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{path} does not exist; correct {key} or put the program there"
    return f"{path} cannot be looked at: {error.strerror}; let its directories be searched"


def _dangerous(found: Danger) -> str:
    return f"{found.text}: not run, because whoever can change it acts as us; {found.hint}"
