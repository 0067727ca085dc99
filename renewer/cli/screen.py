"""What every command needs to speak: the answer to stdout, the rest to stderr, JSON for scripts."""

import codecs
import contextlib
import io
import os
import re
import resource
import signal
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import TextIO

import click
import msgspec

from renewer import clock, errors, network, words
from renewer.model.desired import Config
from renewer.model.inspection import Severity

SCHEMA = 1
_NARROWEST = 20  # columns of a terminal for which lines are wrapped
_FILES = 1024  # open at once, as systemd allows a service; more makes programs with select(2) fail
_STATES: list[str] = []  # of the configurations loaded: the last net knows no other way to it


class Setup:
    """What the options before the command said. The config is loaded when first asked for."""

    def __init__(self, *, config_path: str, verbose: int) -> None:
        self.config_path = config_path
        self.verbose = verbose

    def config(self) -> Config:
        """The checked config. Raises ConfigError with every fault in it."""
        from renewer.config.load import load

        found = load(self.config_path)
        _STATES.append(found.agent.state)
        network.user = found.agent.network_user
        return found


pass_setup = click.make_pass_decorator(Setup)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def prepare() -> None:
    """Let both streams take every character: what a terminal's encoding lacks is written in plain letters."""
    _open_closed()
    _begin_alike()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not _is_utf8(stream.encoding):
            codecs.register_error("renewer", _plain)
            stream.reconfigure(errors="renewer")


def _begin_alike() -> None:
    """Begin as systemd begins a service, whoever called: by hand, by cron and by timer hooks meet the same.

    What a shell, nohup or a user's limits left ignored, blocked or changed would be inherited by every hook
    and by the servers that it starts. What was ignored stays so here, by a handler that does nothing: no
    program inherits one (execve(2)).
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in (
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGTERM,
        signal.SIGUSR1,
        signal.SIGUSR2,
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    soft = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _open_closed() -> None:
    """Open what the caller closed (`2>&-`) on /dev/null.

    Else Python has no such stream at all, and the next file that is opened, a key perhaps, takes its number:
    then whoever writes to stdout or stderr writes there, children too.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            os.set_inheritable(number, True)
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:  # for the life of the process, as the ones that Python opens
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_PLAIN.get(char, "?") for char in text), error.end


_PLAIN = {
    "→": "->",
    "…": "...",
    "✓": "+",
    "✗": "x",
    "·": "-",
    "█": "#",
    "░": ".",
    "┃": "|",
    "│": "|",
}


def _is_utf8(encoding: str | None) -> bool:
    return (encoding or "").lower().replace("-", "").replace("_", "") in ("utf8", "utf8sig")


class LostAnswerError(Exception):
    """The answer could not be written where it was to go: a full disk behind stdout."""


@contextlib.contextmanager
def _kept() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise LostAnswerError(error.strerror) from error


def flush() -> None:
    """Let the answer leave. Raises LostAnswerError."""
    with _kept():
        sys.stdout.flush()


def out(text: str = "") -> None:
    """A line of the answer."""
    with _kept():
        print(_wrapped(words.clean(text), sys.stdout))


def say(text: str) -> None:
    """A line about what happens, on stderr."""
    print(_wrapped(words.clean(text), sys.stderr), file=sys.stderr)


_LEAD = re.compile(r"\s*(?:(?:→|->|[✓✗…!·+*-]) )?")
_ONE = re.compile(r"(?<=\d\d\d\d-\d\d-\d\d) (?=\d\d:\d\d)")  # a date and its time are one word


def _wrapped(text: str, stream: TextIO) -> str:
    """A sentence on as many lines as a terminal needs, no word broken; elsewhere as it is, and texts."""
    try:
        width = os.get_terminal_size(stream.fileno()).columns if stream.isatty() else 0
    except (OSError, ValueError):
        return text
    if not _NARROWEST < width < len(text) or "\n" in text:
        return text
    import textwrap

    lead = _LEAD.match(text)
    hanging = " " * len(lead[0] if lead else "")
    lines = textwrap.wrap(
        _ONE.sub("\0", text),
        width,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines).replace("\0", " ")


def separation(*, tried: bool = False) -> tuple[dict[str, str] | None, tuple[str, ...]]:
    """What stands between this process and those who spoke to strangers for it, as document and as lines.

    None and no line if nobody did, unless it is `tried`.
    """
    if tried and network.opener is not None:
        import_module("renewer.workers")
    workers = sys.modules.get("renewer.workers")  # imported by who was asked to start one
    found = (workers.separation_tried() if tried else workers.separation()) if workers else None
    if found is None:
        return None, ()
    lines = [f"strangers are spoken to {found.text}"]
    lines += [f"    {found.lacks}"] if found.lacks else []
    lines += [f"    → {found.hint}"] if found.hint else []
    return {"text": found.text, "lacks": found.lacks, "hint": found.hint}, tuple(lines)


def severity_style(severity: Severity) -> str:
    """How the word for it looks on a terminal."""
    match severity:
        case Severity.ERROR:
            return "red"
        case Severity.WARNING:
            return "yellow"
        case Severity.INFO:
            return ""


def coloured(*parts: tuple[str, str]) -> None:
    """A line of the answer in parts, each with its style on a terminal; of each part the text is cleaned."""
    if not is_terminal():
        out("".join(text for text, _ in parts))
        return
    from rich.console import Console
    from rich.text import Text

    text = Text.assemble(*((words.clean(text), style) for text, style in parts))
    with _kept():
        Console(highlight=False).print(text, soft_wrap=True)


def emit(document: object, **more: object) -> None:
    """The one JSON document, with more keys behind its own; times become RFC 3339 in UTC."""
    from renewer.ledger import contract

    if more:
        document = {**msgspec.to_builtins(document, enc_hook=str), **more}
    with _kept():
        sys.stdout.write(msgspec.json.format(contract.encoded(document), indent=2).decode() + "\n")


def confirm(text: str) -> None:
    """Ask a person before something that cannot be undone. Raises UsageError unless the answer is yes."""
    say(text)
    if not sys.stdin.isatty() or not click.confirm("Go on?", err=True):
        raise errors.UsageError("nothing was done", hint="to answer beforehand: --yes")


def is_terminal() -> bool:
    """Whether a person is looking at stdout."""
    return sys.stdout.isatty()


def height() -> int:
    """How many lines the terminal shows."""
    import shutil

    return shutil.get_terminal_size().lines


def same_place() -> bool:
    """Whether stdout and stderr lead to the same file, pipe or terminal: nothing need be said twice."""
    with contextlib.suppress(OSError, ValueError):
        return os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    return False


def fault(error: errors.RenewerError, *, as_json: bool, code: int) -> int:
    """Tell an error and say how to exit."""
    if as_json:
        fault = {"path": "", "line": None, "text": error.text, "hint": error.hint}
        emit({"schema": SCHEMA, "error": {"kind": error.kind or type(error).__name__, "faults": [fault]}})
    else:
        say(f"renewer: {error.text}")
        if error.hint:
            say(f"  → {error.hint}")
    return code


def config_fault(error: errors.ConfigError, *, as_json: bool) -> int:
    """Tell every fault of a config, with file, line and dotted path."""
    if as_json:
        faults = [
            {
                "file": fault.file,
                "path": fault.path,
                "line": fault.line,
                "text": fault.text,
                "hint": fault.hint,
            }
            for fault in error.faults
        ]
        emit({"schema": SCHEMA, "error": {"kind": "config", "faults": faults}})
        return USAGE
    say(f"renewer: the configuration has {words.count(len(error.faults), 'fault')}, nothing was done")
    for found in error.faults:
        place = found.file + (f":{found.line}" if found.line else "")
        say(f"  {place}: {found.path + ': ' if found.path else ''}{found.text}")
        if found.hint:
            say(f"    → {found.hint}")
    return USAGE


def defect(error: Exception, *, as_json: bool) -> int:
    """Tell that this program has a defect; the trace goes to a file, not to the person."""
    try:
        hint = f"its trace is in {_trace(error)}; please report it. What was begun is remembered; run again."
    except OSError as full:
        hint = f"please report it: {_where(error)} (its trace found no room: {full.strerror or full})"
    text = f"a defect of this program: {type(error).__name__}"
    return fault(errors.OurFault(text, hint=hint), as_json=as_json, code=FAILED)


def _trace(error: Exception) -> str:
    """Write the trace to the state directory, if that is known, else to a file of its own; its path.

    Raises OSError.
    """
    import tempfile

    from renewer.logs import defects

    if _STATES:
        with contextlib.suppress(OSError, errors.RenewerError):
            return defects.keep(_STATES[-1], error, " ".join(sys.argv[1:])[:200])
    import traceback

    stamp = clock.now().strftime("%Y%m%dT%H%M%SZ")
    handle, path = tempfile.mkstemp(prefix=f"renewer-defect-{stamp}-", suffix=".log")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            traceback.print_exception(error, file=file)
    except OSError:
        os.unlink(path)
        raise
    return path


def _where(error: Exception) -> str:
    """What it says and the innermost place of it, in one line."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    return words.clean(f"{type(error).__name__}: {error}{place}").replace("\n", " ")


def close_broken_stdout() -> None:
    """The reader of a pipe went away: nothing more to say, and no complaint at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def seconds(text: str) -> float:
    """A duration as in the config ("90s", "5m"), in seconds. Raises UsageError for anything else."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.isdigit():
        raise errors.UsageError(
            f"'{text}' is not a duration", hint="write a number and a unit: 90s, 10m, 6h, 30d"
        )
    return float(int(number) * units[unit])


def table(header: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str] = ()) -> None:
    """A table: drawn on a terminal, else a record a line, its columns parted by tabs, below their names."""
    if not is_terminal():
        for row in (header, *rows):
            out("\t".join(" ".join(cell.split()) for cell in row))
        return
    from renewer.cli import drawing

    with _kept():
        drawing.table(header, rows, styles, drawing.console())


OK = 0  # all well
FAILED = 1  # something failed and will be retried, also while it only waits for its moment
USAGE = 2  # bad usage or configuration, nothing was done
PERSON = 3  # a person must act
BUSY = 75  # another run holds the lock (EX_TEMPFAIL)
INTERRUPTED = 130  # Ctrl-C
