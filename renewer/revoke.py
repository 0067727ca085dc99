"""Has a certificate revoked (RFC 8555 §7.6), and remembers that, so that it is never served again.

The fact comes first: a run that is killed while the authority is asked leaves a version that is not wanted
any more, and saying it again finishes it.
"""

from collections.abc import Iterable

import msgspec

from renewer import certs, clock, x509
from renewer.context import Context
from renewer.errors import GiveUp, RenewerError, RetryLater, UsageError
from renewer.model.decision import EventName
from renewer.model.facts import Order, Record, Revoked, Situation, Version
from renewer.model.value import Value

# RFC 5280 §5.3.1; "unspecified" is not sent at all: "the reason code CRL entry extension SHOULD be absent".
REASONS = {
    "keyCompromise": 1,
    "superseded": 4,
    "cessationOfOperation": 5,
    "affiliationChanged": 3,
    "unspecified": None,
}
COMPROMISE = "keyCompromise"
_NOT_BY_THIS = ("unauthorized", "accountDoesNotExist", "accountDeactivated")


class Revocation(Value):
    """A version that the authority has revoked; `by` says what proved our right to it: account or key."""

    version: str
    serial: str
    by: str


def choose(situation: Situation, version: str | None) -> Version:
    """The version meant: the live one unless another is named. Raises UsageError if there is none such."""
    name = situation.wish.name
    real = [one for one in situation.versions if not one.placeholder]
    if version is None:
        live = situation.live_version
        found = live if live and not live.placeholder else next(iter(real), None)
    else:
        found = next((one for one in real if version in (one.id, one.leaf.serial)), None)
    if found is None:
        hint = "there are: " + ", ".join(one.id for one in real) if real else "nothing was issued yet"
        raise UsageError(f"{name} has no version {version or 'to revoke'}", hint=hint)
    return found


def revoke(
    context: Context, situation: Situation, version: Version, reason: str, *, with_key: bool
) -> list[Revocation]:
    """Have a version revoked; with a compromised key, also every other version that has this key.

    By the account that got it, or by the certificate's own key if the account is gone, if `with_key`, or if
    that key is compromised (which proves it). Raises what the authority said.
    """
    name = situation.wish.name
    chosen, spki = [version], None
    if reason == COMPROMISE:
        spki = version.csr or x509.key_fingerprint(context.store.read(name, version.id).privkey)
        chosen += [
            one for one in situation.versions if one.id != version.id and _has(context, name, one, spki)
        ]
        _drop_order(context, situation.order, spki, situation.order)
        for parked in situation.parked:
            _drop_order(context, parked.order, spki, parked)
    facts = [_fact(name, one, reason, spki) for one in chosen]
    context.ledger.save(*facts)
    done = []
    for one, fact in zip(chosen, facts, strict=True):
        try:
            by = _ask(context, name, one, reason, with_key=with_key)
        except GiveUp:
            if spki is None:
                context.ledger.drop(fact)  # refused: it stays what it was
            raise
        context.ledger.save(msgspec.structs.replace(fact, done=True))
        text = f"version {one.id}, serial {one.leaf.serial}, is revoked: {reason}"
        context.journal.tell(EventName.NOTICE, name, text=text)
        done.append(Revocation(version=one.id, serial=one.leaf.serial, by=by))
    return done


def finish(context: Context, left: Iterable[Revoked]) -> None:
    """Ask again for revocations to which the authority has not agreed yet: it was away, or we were killed.

    What it refuses for good is told, and asked no more: the version stays one that is never served again.
    """
    for fact in left:
        try:
            version = context.store.about(fact.certificate, fact.version)
            _ask(context, fact.certificate, version, fact.reason, with_key=fact.spki is not None)
        except RetryLater as error:
            text = f"version {fact.version} is not revoked yet: {error.text}; the next run asks again"
        except RenewerError as error:
            text = f"version {fact.version} could not be revoked: {error.text}"
            context.ledger.save(msgspec.structs.replace(fact, done=True))
        else:
            text = f"version {fact.version}, serial {fact.serial}, is revoked: {fact.reason}"
            context.ledger.save(msgspec.structs.replace(fact, done=True))
        context.journal.tell(EventName.NOTICE, fact.certificate, text=text)


def _fact(name: str, version: Version, reason: str, spki: str | None) -> Revoked:
    return Revoked(
        certificate=name,
        version=version.id,
        serial=version.leaf.serial,
        reason=reason,
        at=clock.now(),
        spki=spki,
    )


def _ask(context: Context, name: str, version: Version, reason: str, *, with_key: bool) -> str:
    """Ask the authority; returns what proved our right: "account" or "key", "nobody" if it had expired."""
    if version.leaf.not_after <= clock.now():
        return "nobody"
    wish = context.config.certificates.get(name)
    authority = version.authority or (wish.authorities[0] if wish else "")
    if authority not in context.config.authorities:
        raise UsageError(
            f"version {version.id} came from {authority}, which the configuration does not have any more",
            hint=f"put its table [authority.{authority}] back for a moment",
        )
    material = context.store.read(name, version.id)
    session, certificate = context.session(authority), certs.der(material.cert)
    proofs = _proofs(reason, ours=_still_ours(context, authority, version), with_key=with_key)
    if version.csr:  # a key that is elsewhere signs nothing here
        proofs = ["account"]
    for proof in proofs:
        try:
            session.revoke(certificate, REASONS[reason], key=material.privkey if proof == "key" else None)
        except GiveUp as error:
            if error.kind not in _NOT_BY_THIS or proof == proofs[-1]:
                raise
        else:
            return proof
    return "nobody"


def _proofs(reason: str, *, ours: bool, with_key: bool) -> list[str]:
    """What may prove our right, in the order to be tried; the key proves its own compromise.

    Some authorities take only the one, some only the other.
    """
    if with_key or not ours:
        return ["key"]
    return ["key", "account"] if reason == COMPROMISE else ["account", "key"]


def _still_ours(context: Context, authority: str, version: Version) -> bool:
    """Whether the account that got it is the one on disk; asks nobody, registers nothing."""
    from renewer.accounts.keeper import Keeper

    disk = Keeper(context.config.authorities[authority], state=context.config.agent.state).on_disk()
    return version.account is not None and disk.get("url") == version.account


def _has(context: Context, name: str, version: Version, spki: str) -> bool:
    try:
        return (version.csr or x509.key_fingerprint(context.store.read(name, version.id).privkey)) == spki
    except (RenewerError, ValueError):
        return False  # damaged: it is never served either


def _drop_order(context: Context, order: Order | None, spki: str, record: Record | None) -> None:
    """An order under way (or parked) with that very key is given up."""
    if order is None or record is None:
        return
    try:
        kept = order.csr or x509.key_fingerprint(context.store.pending_key(record.certificate, order.pending))
        same = kept == spki
    except (RenewerError, ValueError):
        return
    if same:
        context.ledger.drop(record)
        context.store.clear(record.certificate, order.pending)
