"""An order at the authority, once it is made: looked at, looked for, finalized (RFC 8555 §7.1.3, §7.4)."""

import base64
import contextlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from renewer.errors import RenewerError
from renewer.model.names import Identifier
from renewer.network.acme import wire
from renewer.network.acme.conversation import Conversation
from renewer.network.acme.lost import Lost
from renewer.network.acme.reply import Reply
from renewer.network.acme.resources import AcmeOrder, OrderStatus

_MAX_LISTED = 100
_OPEN = (OrderStatus.PENDING, OrderStatus.READY, OrderStatus.PROCESSING)


def look(talk: Conversation, url: str, known: AcmeOrder | None) -> tuple[AcmeOrder, Reply]:
    """The order as it stands now; what the answer leaves out is taken from the order as it is `known`."""

    def read(document: Any, at: str) -> AcmeOrder:
        return wire.order(document, at, known)

    seen, reply = talk.look(url, read, "to show the order")
    return msgspec.structs.replace(seen, retry_after=reply.retry_after), reply


def is_done(order: AcmeOrder) -> bool:
    """Whether the certificate can be fetched; some say "valid" a moment before they say where it is."""
    return order.status is OrderStatus.VALID and order.certificate is not None


def find(talk: Conversation, identifiers: Iterable[Identifier]) -> AcmeOrder | None:
    """An unfinished order for exactly these names, from the account's list (§7.1.2.1), if it has one."""
    wanted = frozenset(identifiers)
    for order in _listed(talk):
        if order.status in _OPEN and frozenset(order.identifiers) == wanted:
            return order
    return None


def issued(talk: Conversation, identifiers: Iterable[Identifier], now: datetime) -> AcmeOrder | None:
    """A finished order for exactly these names whose own time is not over yet, from the same list.

    Authorities keep orders for about a week: such a one was made within days.
    """
    wanted = frozenset(identifiers)
    for order in _listed(talk):
        done = order.status is OrderStatus.VALID and frozenset(order.identifiers) == wanted
        if done and (order.expires is None or order.expires > now):
            return order
    return None


def _listed(talk: Conversation) -> Iterator[AcmeOrder]:
    """The account's orders, a bounded number of them; none if the authority has no such list."""
    account = talk.accepted(talk.post(talk.account), "to show the account").json()
    page, seen = account.get("orders"), 0
    while isinstance(page, str) and seen < _MAX_LISTED:
        reply = talk.post(page)
        listed = reply.json().get("orders") if reply.ok else None
        talk.lists_orders = talk.lists_orders or isinstance(listed, list)
        seen += 1  # an empty page counts as well: a list that leads to itself has an end
        for url in listed if isinstance(listed, list) else ():
            seen += 1
            if seen > _MAX_LISTED or not isinstance(url, str):
                break
            found = talk.post(url)
            if found.ok:
                yield wire.order(found.json(), url)
        page = next(iter(reply.links("next")), None)  # "rel=next" as long as there are more


def finalize(talk: Conversation, order: AcmeOrder, csr: bytes) -> AcmeOrder:
    """Hand in the CSR (DER), and what the order is then; its URL is the truth."""
    try:
        reply = talk.post(order.finalize, {"csr": b64(csr)}, repeatable=False)
    except Lost:
        # Did it arrive? The order tells: if not, it is still ready, and this is said once more.
        seen, _ = look(talk, order.url, order)
        if seen.status is not OrderStatus.READY:
            return seen
        reply = talk.post(order.finalize, {"csr": b64(csr)}, repeatable=False)
    if reply.ok:
        try:
            return wire.order(reply.json(), order.url, order)
        except RenewerError:
            return msgspec.structs.replace(order, status=OrderStatus.PROCESSING)
    if reply.problem().type == "orderNotReady":
        return look(talk, order.url, order)[0]
    if reply.status >= 500:
        with contextlib.suppress(RenewerError):
            seen, _ = look(talk, order.url, order)
            if seen.status in (OrderStatus.PROCESSING, OrderStatus.VALID):
                return seen
    return wire.order(talk.accepted(reply, "to issue the certificate").json(), order.url, order)


def b64(data: bytes) -> str:
    """base64url without padding (RFC 8555 §6.1)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
