"""Programs of the operator's: may they be run, have they changed, and what did they say last?"""

import os
import re
import signal
import stat

from renewer import safety

_TELLING = re.compile(r"\[(?:emerg|alert|crit|error)\]|\b(?:error|fatal)\b|\bneeds root:", re.IGNORECASE)
_SUMMARY = re.compile(
    r"\(exit code \d+\)$|\bthe mail log says why\b|\btest failed$|^job for \S+ failed\b|fatal errors? found"
    r"|error\(s\) found"
    r"|\bits setting \S+ cannot be read$|master\.cf cannot be read$|contains errors$",
    re.IGNORECASE,
)
"""What says that something failed, and not why."""
_WHY = re.compile(
    r"\b(?:failed|failure|denied|refused|cannot|can't|could not|unable|invalid|no such|not found|unknown|"
    r"not permitted|not allowed|mismatch|expired|timed out|unreachable|traceback|exception|oops)\b",
    re.IGNORECASE,
)
_LINE = 300  # characters of output that fit into a sentence


def problem(path: str, key: str, *, trusted: bool = False, executable: bool = True) -> str | None:
    """Why a program must not be run; `key` is where the config names it.

    `trusted` are those beside which we lie; what is not `executable` is read by a shell.
    """
    try:
        entry = os.stat(path)
        if not stat.S_ISREG(entry.st_mode):
            return f"{path} is not a file; name the program that is to be run"
        found = None if trusted else safety.danger(path)
    except OSError as error:
        return _unseen(path, key, error)
    if found:
        return _dangerous(found)
    if executable and not os.access(path, os.X_OK):
        return f"{path} may not be executed; chmod +x {path}"
    return None


def directory_problem(path: str, key: str) -> str | None:
    """Why the programs of a directory must not be run: it, or one of them, is not safe or cannot be read."""
    try:
        mode = os.stat(path).st_mode
        found = safety.danger(path)
        if found is None and mode & (stat.S_IWGRP | stat.S_IWOTH):  # sticky: whoever may not change may add
            found = safety.Danger(f"{path} can be written to by others", f"chmod go-w {path}")
        programs = runnable(path)
    except OSError as error:
        return _unseen(path, key, error)
    if found:
        return _dangerous(found)
    return next((fault for one in programs if (fault := problem(one, key))), None)


def runnable(directory: str) -> list[str]:
    """The programs of a directory, in the order in which they are run, by certbot's own rule.

    That is: every file that we may execute, sorted by path, but for names that end in ~. Raises OSError.
    """
    paths = (os.path.join(directory, name) for name in os.listdir(directory) if not name.endswith("~"))
    return sorted(path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK))


def identity(path: str) -> object:
    """What tells whether a program, or a directory of programs, is still the same; reads no content."""
    try:
        entry = os.stat(path)
        if not stat.S_ISDIR(entry.st_mode):
            return _stamp(entry)
        return [(one, _stamp(os.stat(one))) for one in runnable(path)]
    except OSError:
        return "missing"


def exit_words(code: int | None) -> str:
    """An exit code, with the signal's name where there was one (the shell's 128 + n)."""
    try:
        return f"{code}, {signal.Signals((code or 0) - 128).name}"
    except ValueError:
        return str(code)


def last_telling_line(output: str) -> str:
    """The last line that names an error, as servers do before they sum up; else the last with words.

    A line that ends in a colon goes on in the next. What only sums up gives way to what says why.
    """
    lines = _joined([line.strip() for line in output.splitlines() if line.strip()])
    telling = [line for line in lines if _TELLING.search(line)]
    why = [line for line in telling if not _SUMMARY.search(line)]
    if telling and not why:
        why = [line for line in lines if _WHY.search(line) and not _SUMMARY.search(line)]
    return (why or telling or [line for line in lines if _WHY.search(line)] or lines or [""])[-1][:_LINE]


def _joined(lines: list[str]) -> list[str]:
    """Each line with the one after it, where it ends in a colon and names an error or a place."""
    found: list[str] = []
    for line in lines:
        if found and found[-1].endswith(":") and _TELLING.search(found[-1]):
            found[-1] += f" {line}"
        else:
            found.append(line)
    return found


def _stamp(entry: os.stat_result) -> tuple[int, ...]:
    return (entry.st_ino, entry.st_size, entry.st_mtime_ns, entry.st_mode)


def _unseen(path: str, key: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{path} does not exist; correct {key} or put the program there"
    return f"{path} cannot be looked at: {error.strerror}; let its directories be searched"


def _dangerous(found: safety.Danger) -> str:
    return f"{found.text}: not run, because whoever can change it acts as us; {found.hint}"
