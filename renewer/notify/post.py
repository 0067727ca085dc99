"""One POST to a URL that is a secret: no word of it is told, no redirect followed, nothing sent in clear."""

import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from renewer.errors import GiveUp, RetryLater
from renewer.model import keys
from renewer.network import http


def post(  # noqa: PLR0913  each by its name
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    limit: float,
    ca_bundle: str | None = None,
    proxy: str | None = None,
) -> int:
    """Send a body to a URL that is a secret, and return the status of the answer; no word of the URL is told.

    `limit` in seconds is for all of it; `proxy` (a URL, perhaps with a password) comes before that of the
    environment. In clear it goes to this host only. Raises RetryLater if there was no answer, GiveUp for a
    URL that cannot be used.
    """
    try:
        parts = urlsplit(keys.url(url, ("https", "http")))
    except ValueError as error:
        hint = "write it as https://host/path, without user and password"
        raise GiveUp(f"the URL {error}", hint=hint, kind="channel") from None
    way = http.by_proxy(proxy) if parts.scheme == "https" else _on_this_host
    try:
        answer = http.ask("POST", url, headers, body, within=limit, roots=ca_bundle, way=way, wanted=0)
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
