"""Notices as JSON, posted to a URL; signed, so that who gets them knows that they are ours and fresh."""

import hmac
from hashlib import sha256

import msgspec

from renewer import clock, secrets
from renewer.errors import GiveUp, RetryLater
from renewer.ledger import contract
from renewer.model.desired import Webhook
from renewer.network.channels import Courier
from renewer.notify.message import Message
from renewer.notify.writing import text

LIMIT = 10.0  # seconds for one attempt
PAUSES = (0.5, 2.0)  # seconds before another one, where the answer may soon be a better one
SCHEMA = 1
_FINAL = (400, 401, 403, 404, 405, 410, 413, 415, 422)


def document(message: Message, *, as_text: bool = False) -> bytes:
    """A message as JSON; times RFC 3339 in UTC. `docs/notices.md` describes it."""
    found = {
        "schema": SCHEMA,
        "escalated": message.escalated,
        **msgspec.structs.asdict(message),
        "entries": [msgspec.structs.asdict(entry) for entry in message.entries],
    }
    if as_text:
        found["text"] = text(message)
    return contract.encoded(found)


def signature(secret: str, stamp: str, body: bytes) -> str:
    """HMAC-SHA256 over the timestamp, a dot and the body, in lower-case hex."""
    return hmac.new(secret.encode(), stamp.encode() + b"." + body, sha256).hexdigest()


def deliver(  # noqa: PLR0913  each by its name
    channel: Webhook,
    message: Message,
    url: str,
    secret: str | None,
    *,
    proxy: str | None = None,
    limit: float = LIMIT,
    pauses: tuple[float, ...] = PAUSES,
) -> str:
    """Post a message, again a few times if that may help. Raises RenewerError if nobody took it."""
    body = document(message, as_text=True)
    courier = Courier(secrets.roots(channel.ca_bundle) if channel.ca_bundle else "", of=channel.name)

    def once() -> None:
        stamp = str(int(clock.now().timestamp()))
        headers = {
            "Content-Type": "application/json",
            "X-Renewer-Id": message.id,
            "X-Renewer-Timestamp": stamp,
        }
        if secret:
            headers["X-Renewer-Signature"] = f"sha256={signature(secret, stamp, body)}"
        status = courier.post(url, body, headers.items(), limit=limit, proxy=proxy)
        if not 200 <= status < 300:
            raise _refused(status)

    for pause in pauses:
        try:
            once()
        except RetryLater:
            clock.sleep(pause)
        else:
            return ""
    once()
    return ""


def _refused(status: int) -> RetryLater | GiveUp:
    if 300 <= status < 400:
        hint = "write the URL that it leads to; redirects are not followed"
        return GiveUp(f"the webhook answered {status}, a redirect", hint=hint, kind="channel")
    if status in _FINAL:
        hint = "are its URL and its secret right?"
        return GiveUp(f"the webhook answered {status}: it does not take this", hint=hint, kind="channel")
    return RetryLater(f"the webhook answered {status}", hint="its log says why", kind="channel")
