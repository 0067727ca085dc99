"""An issued certificate becomes a version on disk, after every check; and the placeholder before it."""

from renewer import certs, clock, x509
from renewer.context import Context
from renewer.errors import OurFault, RenewerError, StateError
from renewer.model.decision import EventName, Outcome, Result, Step
from renewer.model.desired import Certificate
from renewer.model.facts import Failure, Order, Ordered, Parked, Situation, Version, VersionFacts
from renewer.policy import budget
from renewer.policy.backoff import count
from renewer.store import soundness
from renewer.store.contract import Material
from renewer.store.disk import version_id


def put(context: Context, situation: Situation) -> Outcome:
    """Check what was issued, and write the version directory; the live link is not touched."""
    started = clock.monotonic()
    order = situation.order
    if order is None:
        raise OurFault(f"{situation.wish.name}: nothing is there to be installed")
    try:
        version = _install(context, situation.wish, order)
    except StateError as error:
        return _failed(context, situation, error, started)
    except RenewerError as error:
        error.hint = "; ".join(filter(None, (error.hint, _kept(context, situation.wish, order))))
        _abandon(context, situation, order, error)
        return _failed(context, situation, error, started)
    context.journal.tell(
        EventName.INSTALLED,
        situation.wish.name,
        version=version.id,
        serial=version.leaf.serial,
        not_after=version.leaf.not_after,
    )
    return Outcome(
        certificate=situation.wish.name,
        step=Step.INSTALL,
        result=Result.DONE,
        detail=f"version {version.id} is on disk, valid until {version.leaf.not_after:%Y-%m-%d}",
        took_ms=_since(started),
    )


def _install(context: Context, wish: Certificate, order: Order) -> Version:
    privkey = b"" if order.csr else context.store.pending_key(wish.name, order.pending)
    chain = context.store.pending_chain(wish.name, order.pending)
    material = material_of(privkey, chain, order.csr)
    # Identifiers of the order, not of the wish: a wish that changed meanwhile makes it unwanted, not wrong
    if fault := soundness.fault(material, order.identifiers, clock.now()):
        if _is_only_early(material, order):  # thrown away, it would be ordered again and again
            raise StateError(fault, hint="it is kept and installed once its time has come", kind="clock")
        raise OurFault(
            f"what {order.authority} issued is not installed: {fault}",
            kind="unsound",
            hint="it is ordered anew; if it happens again, report it to the authority",
        )
    leaf = certs.leaf(material.cert)
    version = Version(
        # The order's moment, not ours: installing twice after a crash makes the same version
        id=version_id(order.at, leaf.serial),
        made_at=order.at,
        leaf=leaf,
        authority=order.authority,
        directory=order.directory,
        account=order.account,
        profile=order.profile,
        degraded=order.degraded,
        csr=order.csr,
    )
    return keep(context, wish, version, material, order)


def keep(
    context: Context, wish: Certificate, version: Version, material: Material, order: Order | None
) -> Version:
    """Put a version that was found sound on disk; the orders and failures that it ends are forgotten."""
    context.store.put(wish.name, version, material, key_mode=wish.key_mode)
    # As the disk has it: if an earlier run put it there and was killed, that one knew the account
    version = context.store.about(wish.name, version.id)
    remember(context, wish.name, version)
    ended = [order] if order else []
    # What a degraded certificate leaves out still fails: that is not forgotten with its issue
    failures = [] if version.degraded else context.ledger.load(Failure, wish.name)
    # One that only some names are in does not end the wait for all of them
    parked = [] if version.degraded else context.ledger.load(Parked, wish.name)
    context.ledger.drop(*ended, *parked, *failures)
    # All that lies there is of orders for the same names: also what a lost ledger knows no more
    part = (order.pending,) if order and version.degraded else ()
    for pending in part or context.store.shelf(wish.name).pending:
        context.store.clear(wish.name, pending)
    return version


def _is_only_early(material: Material, order: Order) -> bool:
    """Whether nothing is wrong but that it is not valid yet, as when this host's clock is behind."""
    try:
        valid_from = certs.leaf(material.cert).not_before
    except ValueError:
        return False
    return valid_from > clock.now() and soundness.fault(material, order.identifiers, valid_from) is None


def remember(context: Context, certificate: str, version: Version) -> None:
    """Keep a version's facts in the ledger, so that the next run need not parse it."""
    found = next((one for one in context.store.shelf(certificate).found if one.id == version.id), None)
    if found:
        context.ledger.save(VersionFacts(certificate=certificate, version=version, stamp=found.stamp))


def material_of(privkey: bytes, fullchain: bytes, csr: str | None = None) -> Material:
    """Key and chain as the four files hold them; `csr` tells a key that is elsewhere.

    Raises OurFault if there is no chain for the key in it.
    """
    try:
        leaf, *rest = certs.put_in_order(csr or x509.key_fingerprint(privkey), fullchain)
    except ValueError as error:
        raise OurFault(f"the authority's chain cannot be read: {error}", kind="unsound") from None
    return Material(privkey=privkey, cert=leaf, chain=b"".join(rest))


def placeholder(context: Context, situation: Situation) -> None:
    """A self-signed version at `live`, so that servers whose config names the paths can start.

    It counts as absent; no hook runs for it, and it goes with the first real version.
    """
    wish, now = situation.wish, clock.now()
    key = x509.new_key(wish.key)
    cert = x509.placeholder(wish.names, key, now)
    leaf = certs.leaf(cert)
    version = Version(id=version_id(now, leaf.serial), made_at=now, leaf=leaf, placeholder=True)
    version = context.store.put(
        wish.name, version, Material(privkey=key, cert=cert, chain=b""), key_mode=wish.key_mode
    )
    remember(context, wish.name, version)
    context.store.turn(wish.name, version.id)
    context.journal.tell(
        EventName.NOTICE, wish.name, text="a self-signed placeholder stands at live until the first issue"
    )


def _kept(context: Context, wish: Certificate, order: Order) -> str:
    """What was refused is kept for who wants to look at it: where, as a hint."""
    try:
        chain = context.store.pending_chain(wish.name, order.pending)
        return f"what the authority sent is kept in {context.store.keep_refused(wish.name, chain)}"
    except RenewerError:
        return ""  # it would have been for people only


def _abandon(context: Context, situation: Situation, order: Order, error: RenewerError) -> None:
    """What the authority issued is no good: forget it, and remember that it failed."""
    ordered = budget.wasted(context.ledger.load(Ordered, order.certificate), order.at)
    context.ledger.save(count(situation, order.authority, error, clock.now()), *ordered)
    context.ledger.drop(order)
    context.store.clear(situation.wish.name, order.pending)


def _failed(context: Context, situation: Situation, error: RenewerError, started: float) -> Outcome:
    name, took = situation.wish.name, _since(started)
    return Outcome.failed(context.journal.tell, name, Step.INSTALL, error.text, hint=error.hint, took_ms=took)


def _since(started: float) -> int:
    return round((clock.monotonic() - started) * 1000)
