"""Whether the page that stands there still says what is so: then only the moment of the last run is renewed.

A run with nothing due changes no fact, and writing that moment needs no template: it stays cheap.
"""

import os
import re
import stat
import zlib
from datetime import datetime, timedelta

import msgspec

from renewer import __version__, ownership, words
from renewer.model.status import Status

_HEAD = 4096  # the stamp stands among the first lines
_MOST = 1 << 26  # bytes: no page of ours is larger
_FACTS = tuple(key for key in Status.__struct_fields__ if key not in ("at", "last_run", "unread"))
_RAN = re.compile(
    rb'(<time id="ran" datetime=")[^"<]*(">)[^"<]*(</time>, <span class="rel" id="ago">)[^"<]*(</span>)'
)


def stamp(document: Status, wake: timedelta) -> str:
    """What tells whether a page is made from these facts; another one each day, for lengths of time age."""
    facts = {key: getattr(document, key) for key in _FACTS}
    made_of = (facts, __version__, wake, document.at.date())
    try:
        body = msgspec.json.encode(made_of, enc_hook=str)
    except UnicodeEncodeError:  # half a character of a file's name or a program's output
        body = repr(made_of).encode("utf-8", "backslashreplace")
    return f"{zlib.crc32(body):08x}-{len(body):x}"


def renewed(path: str, stamp: str, ran: datetime) -> bytes | None:
    """The page at that path with another moment of the last run; None if it must be made anew."""
    try:
        with ownership.open_place(path) as place:
            file = os.open(
                place.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=place.fd
            )
    except OSError:
        return None
    with os.fdopen(file, "rb") as page:
        entry = os.fstat(file)
        if not stat.S_ISREG(entry.st_mode) or entry.st_uid != os.geteuid() or entry.st_size > _MOST:
            return None
        content = page.read(_HEAD)
        if f'<meta name="renewer-page" content="{stamp}">'.encode() not in content:
            return None
        content += page.read(_MOST)
    text = rf"\g<1>{ran:%Y-%m-%dT%H:%M:%SZ}\g<2>{words.moment(ran)}\g<3>when this was written\g<4>"
    changed, times = _RAN.subn(text.encode(), content, count=1)
    return changed if times else None
