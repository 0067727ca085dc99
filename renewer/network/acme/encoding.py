"""Bodies that somebody compressed although we asked for `identity` (RFC 9110 §8.4): undone, within bounds.

Proxies and caches on the way do so. What is announced as compressed and is not is taken as it came.
"""

import zlib

from renewer.errors import RetryLater

_EITHER = zlib.MAX_WBITS | 32  # zlib finds out itself whether it is gzip or zlib
_BARE = -zlib.MAX_WBITS  # "deflate" without zlib's frame, as some send it
_PLAIN = frozenset({"", "identity"})
_KNOWN = frozenset({"gzip", "x-gzip", "deflate"})
_MAX_LAYERS = 3


def decode(body: bytes, encoding: str | None, limit: int) -> bytes:
    """The body as its sender meant it; `limit` (octets) bounds what comes out of each layer.

    Raises RetryLater if it is broken off, larger than that, or encoded in a way that nobody asked for.
    """
    layers = [one.strip().lower() for one in (encoding or "").split(",")]
    layers = [one for one in layers if one not in _PLAIN]
    if not body:
        return body  # HEAD, 204
    if len(layers) > _MAX_LAYERS or not _KNOWN.issuperset(layers):
        said = "".join(c for c in ", ".join(layers)[:60] if c.isprintable())
        raise _bad(f"the reply came encoded as {said}, which was not asked for")
    for _ in layers:
        body = _inflate(body, limit)
    return body


def _inflate(body: bytes, limit: int) -> bytes:
    for window in (_EITHER, _BARE):
        try:
            return _members(body, window, limit)
        except zlib.error:
            continue
    return body  # a proxy undid it and left the header


def _members(body: bytes, window: int, limit: int) -> bytes:
    """All that comes out; gzip may come in several members one after the other (RFC 1952 §2.2)."""
    parts: list[bytes] = []
    size = 0
    while body:
        member = zlib.decompressobj(window)
        part = member.decompress(body, limit + 1 - size)
        size += len(part)
        if size > limit:
            raise _bad(f"the reply grows beyond {limit >> 20} MiB when it is decompressed")
        parts.append(part)
        if not member.eof:
            raise _bad("the compressed reply is broken off")
        body = member.unused_data.lstrip(b"\0")  # padding is allowed by every gzip
        if body and not body.startswith(b"\x1f\x8b"):
            break  # rubbish behind it
    return b"".join(parts)


def _bad(text: str) -> RetryLater:
    hint = "a proxy on the way to the authority changes its replies: check it"
    return RetryLater(text, kind="bad-reply", hint=hint)
