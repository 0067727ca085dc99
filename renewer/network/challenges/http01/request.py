"""One HTTP request of a stranger, read strictly; and the only answers there are. Pure.

Strict, because port 80 of the whole world talks to it: anything unusual is refused by closing, nothing is
repaired. Only what RFC 9112 demands of every server is understood, and only GET and HEAD.
"""

import re
from enum import IntEnum
from typing import Literal

from renewer.model.value import Value

MAX_HEAD = 8 * 1024  # bytes of request line and headers together
MAX_LINE = 2 * 1024  # bytes of one line
MAX_HEADERS = 64

# RFC 9110 §5.6.2 (token), §5.5 (field values: visible characters, blanks, opaque bytes)
_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) ([!-~]{1,2000}) HTTP/1\.([0-9])")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
_ABSOLUTE = re.compile(rb"http://[^/?#]*", re.IGNORECASE)


class Refusal(IntEnum):
    """What is answered; every other thing is a closed connection."""

    OK = 200
    BAD_REQUEST = 400
    NOT_FOUND = 404
    METHOD_NOT_ALLOWED = 405
    TIMEOUT = 408
    TOO_LARGE = 431

    @property
    def phrase(self) -> str:
        """The words of the status line."""
        return {200: "OK", 408: "Request Timeout", 431: "Request Header Fields Too Large"}.get(
            self, self.name.replace("_", " ").title()
        )


class Request(Value):
    """A request that may be answered: its path as it was sent, no escapes decoded."""

    method: Literal["GET", "HEAD"]
    path: str


def parse(received: bytes) -> Request | Refusal | None:
    """Read the head of a request from what came so far: None if more must come, a Refusal to refuse it.

    Never raises. What follows the head (a body, a second request) is not looked at.
    """
    # RFC 9112 §2.2: a server SHOULD ignore at least one empty line before the request line
    data = received.removeprefix(b"\r\n")
    head, end, _ = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    # what came behind an end is not ours to count
    if len(head) > MAX_HEAD or len(lines) - 1 > MAX_HEADERS or any(len(line) > MAX_LINE for line in lines):
        return Refusal.TOO_LARGE
    if not end:
        return Refusal.BAD_REQUEST if _hopeless(data) else None
    return _judge(lines[0], lines[1:])


def _hopeless(data: bytes) -> bool:
    """Whether no more bytes can make it a request: a TLS handshake, a lower-case word, bare line ends."""
    if data in (b"", b"\r"):
        return False
    return not b"A" <= data[:1] <= b"Z" or b"\x00" in data or re.search(rb"(?<!\r)\n", data) is not None


def _judge(request_line: bytes, header_lines: list[bytes]) -> Request | Refusal:
    asked = _REQUEST_LINE.fullmatch(request_line)
    headers = [_HEADER.fullmatch(line) for line in header_lines]
    if asked is None or not all(headers):
        return Refusal.BAD_REQUEST
    hosts = sum(1 for header in headers if header and header[1].lower() == b"host")
    # RFC 9112 §3.2: 400 to any HTTP/1.1 request that lacks a Host header or has more than one
    if hosts > 1 or (hosts == 0 and asked[3] != b"0"):
        return Refusal.BAD_REQUEST
    method = asked[1]
    if method not in (b"GET", b"HEAD"):
        return Refusal.METHOD_NOT_ALLOWED
    # RFC 9112 §3.2.2: a server MUST accept the absolute form, too
    path = _ABSOLUTE.sub(b"", asked[2], count=1) if asked[2][:1] != b"/" else asked[2]
    if not path.startswith(b"/"):
        return Refusal.BAD_REQUEST
    return Request(method="HEAD" if method == b"HEAD" else "GET", path=path.decode("ascii"))


def response(status: Refusal, body: bytes = b"", *, head_only: bool = False) -> bytes:
    """The whole answer. It names no server and explains nothing, and the connection ends with it."""
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    if status is Refusal.METHOD_NOT_ALLOWED:
        lines.append("Allow: GET, HEAD")  # RFC 9110 §15.5.6
    if body:
        # RFC 8555 §8.3's own example; a text type would let a proxy touch the bytes
        lines += ["Content-Type: application/octet-stream", "X-Content-Type-Options: nosniff"]
    lines += ["Cache-Control: no-store", f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("ascii") + (b"" if head_only else body)
