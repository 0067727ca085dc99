"""Reading config files: only safe ones, only UTF-8, only TOML; whatever is wrong becomes a fault."""

import os
import re
import stat
import tomllib

from renewer import ownership
from renewer.config.faults import Faults, Source

LARGEST = 16 * 1024 * 1024  # bytes; a config of ten thousand certificates is a tenth of it
_PLACE = re.compile(r" \((?:at line (\d+), column \d+|at end of document)\)$")
_MAGIC = re.compile(r"[*?[]")


def read(path: str, faults: Faults) -> Source | None:
    """A file and what it says; None if that was a fault."""
    if (data := _bytes(path, faults)) is None:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        faults.add_file(path, "is not UTF-8 text", "save it as UTF-8", line)
        return None
    try:
        return Source(path, text, tomllib.loads(text))
    except RecursionError:
        faults.add_file(path, "is not TOML: tables or lists are nested far too deep")
    except ValueError as error:
        said = str(error)
        place = _PLACE.search(said)
        line = int(place[1]) if place and place[1] else text.count("\n") + 1
        told = said[: place.start()] if place else said
        faults.add_file(path, f"is not TOML: {told[:1].lower()}{told[1:]}", _toml_hint(text, line), line)
    return None


def _bytes(path: str, faults: Faults) -> bytes | None:
    try:
        # Not blocking: a FIFO must not stop us. What was opened is what is judged and read.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            if (wrong := _wrong(path, os.fstat(file.fileno()))) is None:
                return file.read(LARGEST + 1)
    except IsADirectoryError:
        wrong = _NO_FILE
    except FileNotFoundError:
        wrong = ("does not exist", "write it, or correct the name (--config FILE, or `include`)")
    except PermissionError:
        wrong = ("may not be read by this user", "run as root or as the agent's user")
    except (OSError, ValueError) as error:
        wrong = (f"cannot be read: {error.strerror if isinstance(error, OSError) else error}", "")
    faults.add_file(path, *wrong)
    return None


_NO_FILE = ("is not a file", "give a TOML file; `include` in it can name whole directories: conf.d/*.toml")


def _wrong(path: str, entry: os.stat_result) -> tuple[str, str] | None:
    """Why an open file is not to be used, and what to do."""
    if not stat.S_ISREG(entry.st_mode):
        return _NO_FILE
    if entry.st_size > LARGEST:
        return (f"is larger than {LARGEST >> 20} MiB", "is it the right file?")
    if (found := ownership.danger(path)) is not None:
        return (f"is not used, since others could change it: {found.text}", found.hint)
    return None


def _toml_hint(text: str, line: int) -> str:
    lines = text.splitlines()
    if not 0 < line <= len(lines):
        return ""
    shown = lines[line - 1]
    if text.startswith("\ufeff"):
        return "save it without a byte order mark"
    value = shown.partition("=")[2].strip()
    if value[:1].isalpha() and value not in ("true", "false"):
        return 'text stands in quotes: key = "value"'
    return ""


def included(main: Source, patterns: list[str], faults: Faults) -> list[Source]:
    """The files that `include` names, each once, in order; relative to the main file."""
    import glob

    base = os.path.dirname(main.path)
    seen = {os.path.realpath(main.path)}
    sources = []
    for index, pattern in enumerate(patterns):
        where = ("include", index)
        if not pattern or not pattern.isprintable():
            faults.add(where, "is not a file name", "name files, as conf.d/*.toml")
            continue
        whole = os.path.join(base, pattern)
        fixed = os.path.dirname(_MAGIC.split(whole)[0])
        if not os.path.isdir(fixed):
            faults.add(where, f"there is no directory {fixed}", "make it, or take it out of `include`")
            continue
        if not os.access(fixed, os.R_OK | os.X_OK):
            faults.add(where, f"the directory {fixed} may not be read", "let the agent's user read it")
            continue
        found = sorted(glob.glob(whole)) if _MAGIC.search(pattern) else [whole]
        if not found:
            faults.notes.append(f"include: {pattern} matches no file in {fixed}")
        for path in found:
            if (real := os.path.realpath(path)) not in seen:
                seen.add(real)
                if (source := read(path, faults)) is not None:
                    sources.append(source)
    return sources
