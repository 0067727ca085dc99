"""One POST to a URL that is a secret: no word of it is told, no redirect followed, nothing sent in clear."""

import socket
from urllib.parse import urlsplit

from renewer.errors import GiveUp, RetryLater
from renewer.model import keys
from renewer.network import http
from renewer.network.channels.messages import Post


def post(request: Post, body: bytes, roots: str | None) -> int:
    """Send it, and return the status of the answer; as main's side says (`Courier.post`)."""
    try:
        parts = urlsplit(keys.url(request.url, ("https", "http")))
    except ValueError as error:
        hint = "write it as https://host/path, without user and password"
        raise GiveUp(f"the URL {error}", hint=hint, kind="channel") from None
    way = http.by_proxy(request.proxy) if parts.scheme == "https" else _on_this_host
    try:
        answer = http.ask(
            "POST",
            request.url,
            dict(request.headers),
            body,
            within=request.limit,
            roots=roots,
            way=way,
            wanted=0,
        )
    except http.NoAnswerError as error:
        text = f"{parts.scheme}://{parts.hostname}: {error.why}"
        raise RetryLater(text, hint=error.hint, kind="channel") from None
    return answer.status


def _on_this_host(host: str, port: int, deadline: float) -> socket.socket:
    sock = http.connect(host, port, deadline)
    if http.is_loopback(sock):
        return sock
    sock.close()
    text = f"http://{host} is not a loopback address: nothing is told in clear"
    raise GiveUp(text, hint="use a URL that begins with https://", kind="channel")
