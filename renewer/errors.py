"""What can go wrong, said so that the program and the person know what to do next.

Three classes carry the whole policy of failure: `RetryLater` (the world may change by itself),
`GiveUp` (nothing changes until the operator changes something) and `OurFault` (a defect of this
program). Every message says what happened and why; `hint` says what to do.
"""

import errno
from datetime import datetime

SHORTAGE = "resources"
"""The kind of an error that says what this machine is out of."""


class RenewerError(Exception):
    """Something went wrong; `text` is for people, `hint` says what they can do about it.

    `kind` is a short stable word, for an ACME problem its type without the URN prefix (RFC 8555 §6.7).
    `identifiers` names those that failed, each with what was said of it. `not_before` (aware UTC) is set if
    somebody said when to come back. `local` is whether the cause was found on this host before the authority
    was asked for anything; `disturbing` whether programs of the operator's had to be run to find it.
    `unasked` is whether it went wrong on our side while the authority's order waits, alive. `untouched` is
    set by who knows for certain that what failed changed nothing: then nothing is to be undone. `timed_out`
    is whether somebody was waited for in vain.
    """

    untouched = False
    timed_out = False

    def __init__(  # noqa: PLR0913  each by its name
        self,
        text: str,
        *,
        hint: str = "",
        kind: str = "",
        identifiers: tuple[tuple[str, str], ...] = (),
        not_before: datetime | None = None,
        local: bool = False,
        disturbing: bool = False,
        unasked: bool = False,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint
        self.kind = kind
        self.identifiers = identifiers
        self.not_before = not_before
        self.local = local
        self.disturbing = disturbing
        self.unasked = unasked


class RetryLater(RenewerError):
    """It failed now and may work later."""


class GiveUp(RenewerError):
    """It fails until the operator changes something: told at once, tried again daily only."""


class OurFault(RenewerError):
    """A defect of this program, or an authority that breaks the protocol; goes to the log with a trace."""

    @classmethod
    def of(cls, error: Exception) -> RenewerError:
        """What nobody foresaw, as an error that can be told: this machine's shortage, else our defect."""
        if (want := shortage(error)) is not None:
            return want
        said = " ".join(str(error).split())[:200]
        return cls(
            f"a defect of this program: {type(error).__name__}" + (f": {said}" if said else ""),
            hint="please report it with the renewal log, which has its trace",
            kind="defect",
        )


_FILES = (
    "no more files can be open at once",
    "raise the limit: LimitNOFILE= in the unit that calls renewer, or `ulimit -n 1024` in this shell",
)
_MEMORY = (
    "there is no memory left",
    "free some (free -m), or raise the limit: MemoryMax= or LimitAS= in the unit, `ulimit -v` in this shell",
)
_TASKS = (
    "no more processes or threads can be started",
    "end some (ps -eLf), or raise the limit: TasksMax= or LimitNPROC= in the unit, `ulimit -u` in this shell",
)
_ROOM = ("there is no room left on a file system", "make room (df -h; df -i), then run again")
_SIZE = (
    "a file may not grow any more",
    "raise the limit: LimitFSIZE= in the unit that calls renewer, or `ulimit -f unlimited` in this shell",
)
_DISK = ("a disk fails", "look at it (dmesg), then run again")
_WANTS = {
    errno.EMFILE: _FILES,
    errno.ENFILE: (_FILES[0], "raise the limit of this host: sysctl fs.file-max"),
    errno.ENOMEM: _MEMORY,
    errno.EAGAIN: _TASKS,  # fork(2); who reads without waiting knows it and never lets it come this far
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: (_ROOM[0], "raise the quota, or make room (quota -v), then run again"),
    errno.EFBIG: _SIZE,
    errno.EROFS: (
        "a file system cannot be written",
        "mount it writable (mount -o remount,rw), then run again",
    ),
    errno.EIO: _DISK,
}
_SAID = (  # where a library keeps the number for itself
    ("too many open files", _FILES),
    ("cannot allocate memory", _MEMORY),
    ("failed to map segment", _MEMORY),  # of a shared library
    ("malloc failure", _MEMORY),
    ("out of memory", _MEMORY),
    ("can't start new thread", _TASKS),
    ("resource temporarily unavailable", _TASKS),
    ("no space left on device", _ROOM),
)
_DEPTH = 8  # causes of causes


def shortage(error: BaseException | None) -> RenewerError | None:
    """What this machine is out of, if that is why something failed: no defect, and it may pass by itself."""
    for _ in range(_DEPTH):
        if error is None:
            return None
        if isinstance(error, RenewerError) and error.kind == SHORTAGE:
            return error
        if want := _want(error):
            said = " ".join(str(error).split())[:200]
            text = f"out of resources: {want[0]}" + (f" ({said})" if said else "")
            return RetryLater(text, hint=want[1], kind=SHORTAGE)
        # What was raised while another was handled may be a defect of its own; not so what libraries wrap
        wraps = isinstance(error, (OSError, RuntimeError, ImportError))
        error = error.__cause__ or (error.__context__ if wraps else None)
    return None


def _want(error: BaseException) -> tuple[str, str] | None:
    if isinstance(error, MemoryError):
        return _MEMORY
    if isinstance(error, OSError) and error.errno in _WANTS:
        return _WANTS[error.errno]
    if not isinstance(error, (OSError, RuntimeError, ImportError)):
        return None
    said = str(error).lower()
    return next((want for text, want in _SAID if text in said), None)


class Fault:
    """One thing wrong in a config: where (file, line, dotted path), what, and what was probably meant."""

    __slots__ = ("file", "hint", "line", "path", "text")

    def __init__(
        self, *, path: str, text: str, line: int | None = None, hint: str = "", file: str = ""
    ) -> None:
        self.path = path
        self.text = text
        self.line = line
        self.hint = hint
        self.file = file

    def __repr__(self) -> str:
        return f"Fault({self.file}:{self.line} {self.path}: {self.text})"


class ConfigError(RenewerError):
    """The configuration cannot be used; `faults` is everything that is wrong with it, not just the first."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(f"{fault.path}: {fault.text}" for fault in faults), kind="config")
        self.faults = faults


class UsageError(RenewerError):
    """The command line asks for something that makes no sense; nothing was done."""


class StateError(RenewerError):
    """The state directory cannot be used as it is (missing rights, foreign owner, disk full)."""


class LockHeld(RenewerError):
    """Another run is at work; the text says which and since when."""
