"""Around the real command: what its own process asks of the network is written down, into a file.

`how` is `here`, where workers live in this process and what is done inside the door is theirs, or `apart`,
where they are processes of their own.
"""

import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from renewer.cli import app

_ASKS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo")
_INET = (socket.AF_INET, socket.AF_INET6)
_OURS = f"{os.sep}renewer{os.sep}"


def _of_internet(event: str, arguments: tuple[Any, ...]) -> bool:
    if event in _ASKS:
        return True
    if not event.startswith("socket.") or not arguments or not isinstance(arguments[0], socket.socket):
        return False
    return (arguments[1] if event == "socket.__new__" else arguments[0].family) in _INET


def _callers() -> list[str]:
    """Our modules on the way to it, the nearest first."""
    found: list[str] = []
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if _OURS in name and "site-packages" not in name:
            found.append("renewer/" + name.rpartition(_OURS)[2])
        frame = frame.f_back
    return found


@contextlib.contextmanager
def spying(how: str, file: str) -> Iterator[None]:
    """The command runs in here."""
    written = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def spy(event: str, given: tuple[Any, ...]) -> None:
        if _of_internet(event, given):
            os.write(written, f"{json.dumps([event, str(given[1:]), _callers()])}\n".encode())

    sys.addaudithook(spy)
    if how == "here":
        app.opener = None
    yield
