"""An order at the authority: placed, looked at, looked for, finalized (RFC 8555 §7.1.3, §7.4)."""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from renewer import words
from renewer.errors import RenewerError, RetryLater
from renewer.model.names import Identifier
from renewer.network.acme import wire
from renewer.network.acme.conversation import Voice, object_in
from renewer.network.acme.lost import Lost
from renewer.network.acme.messages import ALTERNATES, CHAIN, ChainFetched, OrderPlaced, SignKind
from renewer.network.acme.reply import Reply
from renewer.network.acme.resources import AcmeOrder, OrderStatus, place_of, places

PEM_CHAIN = "application/pem-certificate-chain"
_MAX_LISTED = 100
_OPEN = (OrderStatus.PENDING, OrderStatus.READY, OrderStatus.PROCESSING)
_REPLACES_REFUSED = (400, 403, 404, 409, 500)


def place(voice: Voice, *, replaces: bool) -> OrderPlaced:
    """Order a certificate (§7.4). One that `replaces` another may be refused for that (RFC 9773 §5)."""
    reply = voice.post(lambda: voice.talk.directory.new_order, SignKind.NEW_ORDER, repeatable=False)
    if replaces and reply.status in _REPLACES_REFUSED:
        problem = reply.problem()
        said = f"{problem.detail or 'no reason given'} ({problem.type or 'HTTP'}, {reply.status})"
        return OrderPlaced(refused=said)
    made = object_in(voice.accepted(reply, "the order"))
    return OrderPlaced(order=wire.order(made, voice.location(reply)))


def look(voice: Voice, url: str, known: AcmeOrder | None) -> tuple[AcmeOrder, Reply]:
    """The order as it stands now; what the answer leaves out is taken from the order as it is `known`."""

    def read(document: Any, at: str) -> AcmeOrder:
        return wire.order(document, at, known)

    seen, reply = voice.look(url, read, "to show the order")
    return msgspec.structs.replace(seen, retry_after=reply.retry_after), reply


def is_settled(order: AcmeOrder) -> bool:
    """Whether it needs not be waited for; some say "valid" a moment before they say where it is."""
    if order.status is OrderStatus.VALID:
        return order.certificate is not None
    return order.status in (OrderStatus.READY, OrderStatus.INVALID)


class ListedOrders:
    """The account's list of orders (§7.1.2.1); `there` is whether the authority has one."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self.there = False

    def find(self, identifiers: tuple[Identifier, ...], finished_after: datetime | None) -> AcmeOrder | None:
        """An order for exactly these names that is not finished; or one that is, not over at that moment.

        Authorities keep orders for about a week: one that is finished was made within days.
        """
        wanted = frozenset(identifiers)
        for order in self._orders():
            if frozenset(order.identifiers) != wanted:
                continue
            if finished_after is None and order.status in _OPEN:
                return order
            over = finished_after and order.expires and order.expires <= finished_after
            if finished_after is not None and order.status is OrderStatus.VALID and not over:
                return order
        return None

    def _orders(self) -> Iterator[AcmeOrder]:
        """A bounded number of them; none if the authority has no such list."""
        voice = self._voice
        theirs = places(voice.talk.directory) | {place_of(voice.account)} - {""}
        account = voice.accepted(voice.post(voice.account), "to show the account").json()
        page, seen = account.get("orders"), 0
        while isinstance(page, str) and seen < _MAX_LISTED and place_of(page) in theirs:
            reply = voice.post(page)
            listed = reply.json().get("orders") if reply.ok else None
            self.there = self.there or isinstance(listed, list)
            seen += 1  # an empty page counts as well: a list that leads to itself has an end
            for url in listed if isinstance(listed, list) else ():
                seen += 1
                if seen > _MAX_LISTED or not isinstance(url, str):
                    break
                if place_of(url) not in theirs:
                    continue
                found = voice.post(url)
                if found.ok:
                    yield wire.order(object_in(found), url)
            page = next(iter(reply.links("next")), None)  # "rel=next" as long as there are more


def finalize(voice: Voice, order: AcmeOrder) -> AcmeOrder:
    """Hand in the CSR, and what the order is then; its URL is the truth."""
    try:
        reply = voice.post(order.finalize, SignKind.FINALIZE, repeatable=False)
    except Lost:
        # Did it arrive? The order tells: if not, it is still ready, and this is said once more.
        seen, _ = look(voice, order.url, order)
        if seen.status is not OrderStatus.READY:
            return seen
        reply = voice.post(order.finalize, SignKind.FINALIZE, repeatable=False)
    if reply.ok:
        try:
            return wire.order(object_in(reply), order.url, order)
        except RenewerError:
            return msgspec.structs.replace(order, status=OrderStatus.PROCESSING)
    if reply.problem().type == "orderNotReady":
        return look(voice, order.url, order)[0]
    if reply.status >= 500:
        with contextlib.suppress(RenewerError):
            seen, _ = look(voice, order.url, order)
            if seen.status in (OrderStatus.PROCESSING, OrderStatus.VALID):
                return seen
    return wire.order(object_in(voice.accepted(reply, "to issue the certificate")), order.url, order)


def chain(voice: Voice, url: str) -> ChainFetched:
    """A chain as the authority sends it (§7.4.2), and where its alternates are: every Link header counts."""
    reply = voice.accepted(voice.post(url, accept=PEM_CHAIN), "to hand out the certificate")
    if b"-----BEGIN CERTIFICATE-----" not in reply.body:
        said = words.text_of(reply.body[:120].decode("utf-8", "replace"), 80)
        text = f"{voice.name} handed out something that is no certificate: '{said}'"
        raise RetryLater(text, kind="bad-reply")
    if len(reply.body) > CHAIN:
        text = f"{voice.name} handed out a chain of {len(reply.body)} octets, more than {CHAIN >> 10} KiB"
        raise RetryLater(text, kind="bad-reply")
    return ChainFetched(chain=reply.body, alternates=tuple(reply.links("alternate")[:ALTERNATES]))
