"""The chain that the config prefers (`chain` of an authority): chosen among those offered (RFC 8555 §7.4.2).

A preference never costs a certificate: where it cannot be had the default chain is installed, that is on
record and told, and for a day the alternates that failed are asked for again, without an order.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from renewer import certs, clock
from renewer.errors import RenewerError
from renewer.model.decision import EventName
from renewer.model.facts import Order, OrderState, PreferredChain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from renewer.accounts.session import Session
    from renewer.context import Context
    from renewer.model.facts import Situation, Version
    from renewer.network.acme.resources import AcmeOrder


def download(context: Context, session: Session, found: AcmeOrder, certificate: str, authority: str) -> bytes:
    """The chain of a valid order; the preferred one if it can be had, and if not, that is put on record."""
    preferred = context.config.authorities[authority].chain
    if preferred is None:
        return session.download(found)
    first: list[bytes] = []
    failed: dict[str, str] = {}

    def choose(chain: bytes) -> bool:
        first.append(chain)
        return leads(chain, first[0], preferred)

    def fails(url: str, error: RenewerError) -> None:
        failed[url] = error.text

    chain = session.download(found, choose=choose, fails=fails)
    missed = None
    if not leads(chain, first[0], preferred):
        missed = _missed(certificate, authority, preferred, chain, failed)
    if missed is None:
        context.ledger.drop(*context.ledger.load(PreferredChain, certificate))
    else:
        context.ledger.save(missed)
        context.journal.tell(EventName.NOTICE, certificate, text=missed.text)
    return chain


def leads(chain: bytes, first: bytes, preferred: str) -> bool:
    """Whether a chain is one for the certificate that `first` begins with, and ends where it is wanted."""
    try:
        if not certs.leads_to(chain, preferred):
            return False
        return chain == first or (
            certs.der(chain) == certs.der(first) and certs.in_order(certs.split_chain(chain))
        )
    except ValueError:
        return False  # what is wrong with the default one is told when it is to be installed


def _missed(
    certificate: str, authority: str, preferred: str, chain: bytes, failed: dict[str, str]
) -> PreferredChain | None:
    try:
        serial = certs.leaf(chain).serial
    except ValueError:
        return None
    now = clock.now()
    return PreferredChain(
        certificate=certificate,
        serial=serial,
        authority=authority,
        name=preferred,
        urls=tuple(failed),
        why=next(iter(failed.values()), ""),
        at=now,
        tried_at=now,
    )


def again(context: Context, due: Iterable[tuple[Situation, Version]]) -> set[str]:
    """Ask for alternates that failed; one that leads where it is wanted lies ready to be installed then.

    Each version comes with its situation, whose `chain` is what was missed; returns whose facts changed.
    """
    changed: set[str] = set()
    for situation, version in due:
        name, missed = situation.wish.name, situation.chain
        if missed is None or situation.order is not None:  # there is one record of an order, and it is taken
            continue
        try:
            chain, missed = _ask(context, situation, version, missed)
            if chain is not None:
                _ready(context, situation, version, chain)
                context.ledger.drop(missed)
            else:
                context.ledger.save(missed)
        except RenewerError as error:
            context.journal.tell(EventName.NOTICE, name, text=error.text, hint=error.hint)
        changed.add(name)
    return changed


def _ask(
    context: Context, situation: Situation, version: Version, missed: PreferredChain
) -> tuple[bytes | None, PreferredChain]:
    session = context.session(missed.authority)
    first = context.store.read(situation.wish.name, version.id).fullchain
    left: list[str] = []
    why = missed.why
    for url in missed.urls:
        try:
            chain = session.alternate(url)
        except RenewerError as error:
            left.append(url)
            why = error.text
            continue
        if leads(chain, first, missed.name):
            return chain, missed
    return None, msgspec.structs.replace(
        missed, urls=tuple(left), why=why if left else "", tried_at=clock.now()
    )


def _ready(context: Context, situation: Situation, version: Version, chain: bytes) -> None:
    """Lay the chain beside the key, as if it had just been issued: installed and deployed like any other."""
    name, now = situation.wish.name, clock.now()
    order = Order(
        certificate=name,
        pending=f"{now:%Y%m%dT%H%M%SZ}-{now.microsecond:08x}",
        state=OrderState.ISSUED,
        authority=version.authority or "",
        directory=version.directory or "",
        identifiers=version.leaf.names,
        key_type=version.leaf.key or situation.wish.key,
        profile=version.profile,
        at=max([now, *(one.made_at + timedelta(seconds=1) for one in situation.versions)]),
        account=version.account,
        degraded=version.degraded,
        csr=version.csr,
    )
    privkey = context.store.read(name, version.id).privkey
    request = situation.wish.csr.der if version.csr and situation.wish.csr else b""
    context.store.prepare(name, order.pending, privkey, msgspec.json.encode(order), request=request)
    context.store.keep_chain(name, order.pending, chain)
    context.ledger.save(order)
    text = f"{order.authority} hands out the chain that was missed: it is installed, without an order"
    context.journal.tell(EventName.NOTICE, name, text=text)
