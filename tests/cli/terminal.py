"""Commands on a real terminal of a given size."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
from collections.abc import Callable
from pathlib import Path

from rich.cells import cell_len

from tests.command import start

CHECKOUT = Path(__file__).parents[2]
LIMIT = 60.0  # seconds, far more than anything here takes
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def plain(drawn: str) -> list[str]:
    """The lines of what was drawn, without its colours."""
    return [line.rstrip() for line in _CONTROL.sub("", drawn).replace("\r", "").split("\n")]


def widest(drawn: str) -> int:
    """How many columns the longest line takes."""
    return max(cell_len(line) for line in plain(drawn))


def on_terminal(
    config: Path,
    *arguments: str,
    columns: int = 80,
    lines: int = 24,
    env: dict[str, str] | None = None,
    until: Callable[[str], bool] | None = None,
    typed: str = "",
) -> tuple[int, str]:
    """Run a command with a terminal of that size: how it ended, and what was drawn there.

    With `until`, Ctrl-C is pressed once that is true of what was drawn so far. `typed` is typed ahead.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    process = start(
        "--config",
        config,
        *arguments,
        stdin=theirs,
        out=theirs,
        err=theirs,
        env={"TERM": "xterm-256color", **(env or {})},
        without={"COLUMNS", "LINES", "NO_COLOR"},
    )
    os.close(theirs)
    os.write(ours, typed.encode())
    drawn = b""
    try:
        while piece := _read(ours):
            drawn += piece
            if until is not None and until(drawn.decode(errors="replace")):
                until = None
                process.send_signal(signal.SIGINT)
        os.close(ours)
        return process.wait(LIMIT), drawn.decode()
    finally:
        process.kill()


def _read(terminal: int) -> bytes:
    """What was drawn; nothing once the other side has closed the terminal. Raises TimeoutError."""
    if not select.select([terminal], [], [], LIMIT)[0]:
        raise TimeoutError("nothing is drawn any more")
    try:
        return os.read(terminal, 65536)
    except OSError:  # EIO
        return b""
