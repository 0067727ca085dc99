"""Those who publish TXT records for others to look at, each a worker of its own with its own secrets."""

import os.path
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from renewer.decoding import UndecodableError, decode
from renewer.errors import OurFault, RetryLater
from renewer.network.protocol import Done, DoorMessage, Failed

if TYPE_CHECKING:
    from renewer.network.door import Door


def opened() -> "Door[Any]":
    """The door to a worker for one provider, which it is told first."""
    from renewer.network.door import Door
    from renewer.network.providers.duty import Publisher

    return Door[Any](Publisher())


CHILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lexicon_child.py")
Start = Callable[[str, bytes, Mapping[str, str], float], tuple[int | None, str]]
"""Runs a script beside: path, stdin, environment, seconds; exit code (None: it was ended) and output."""


def do_alone(requests: Iterable[DoorMessage], start: Start, env: Mapping[str, str], within: float) -> None:
    """Have all done in a process of their own. Raises what went wrong, and RetryLater if it takes longer."""
    lines = [msgspec.json.encode(sys.path), *map(msgspec.json.encode, requests)]
    code, output = start(CHILD, b"\n".join(lines), env, within)
    if code is None:
        raise RetryLater(
            "the DNS provider did not end in time", hint="it needs a longer timeout", kind="http"
        )
    try:
        said: Done | Failed = decode(output, Done | Failed)
    except UndecodableError:
        raise OurFault(f"the DNS provider ended without a word (exit {code})", kind="provider") from None
    if isinstance(said, Failed):
        raise said.error()
