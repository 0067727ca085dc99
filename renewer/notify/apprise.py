"""Notices to whatever service apprise knows: in a process of its own, for it knows no time limit of ours."""

import os
import sys
from collections.abc import Sequence

import msgspec

from renewer import proc
from renewer.decoding import UndecodableError, decode
from renewer.errors import GiveUp, OurFault, RetryLater
from renewer.notify.message import Message
from renewer.notify.writing import text

LIMIT = 30.0  # seconds for all URLs
_CHILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "apprise_child.py")
_LONGEST = 8000  # characters; most chats take less and cut it themselves


class _Said(msgspec.Struct):
    """What the other process says: which URLs (by their place) failed, and which are none."""

    missing: bool = False
    unknown: list[int] = []
    failed: list[int] = []


def deliver(message: Message, urls: Sequence[str], *, limit: float = LIMIT) -> str:
    """Tell every service; if some take it and some do not, that is told, and it is not told again.

    Raises RenewerError if none took it.
    """
    job = {"path": sys.path, "urls": urls, "title": message.subject, "body": text(message)[:_LONGEST]}
    # -P: beside that file lies one whose name is apprise's own
    argv = [sys.executable, "-P", _CHILD]
    env = proc.scrubbed_environment()
    ended = proc.run(argv, stdin=msgspec.json.encode(job), env=env, timeout=limit, apart=True)
    if ended.code is None:
        raise RetryLater(f"apprise was not done within {limit:g} s", kind="channel")
    try:
        said = decode(ended.output, _Said)
    except UndecodableError:
        raise OurFault(f"apprise ended without a word (exit {ended.code})", kind="channel") from None
    if said.missing:
        hint = "pip install 'renewer[apprise]'"
        raise GiveUp("apprise is not installed", hint=hint, kind="channel")
    wrong = [f"URL {place + 1} is none that apprise knows" for place in said.unknown]
    wrong += [f"the service of URL {place + 1} did not take it" for place in said.failed]
    if len(wrong) >= len(urls):
        raise RetryLater(
            f"apprise told nobody: {'; '.join(wrong)}", hint="try it with `apprise -vv`", kind="channel"
        )
    return "; ".join(wrong)
