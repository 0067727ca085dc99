"""Whether a certificate of another client's can become a version of ours: key, chain, dates, names."""

from datetime import datetime

from renewer import certs
from renewer.errors import StateError
from renewer.model.facts import Leaf
from renewer.moving.found import Lineage
from renewer.store import soundness
from renewer.store.contract import Material


def material(one: Lineage, now: datetime) -> tuple[Material, Leaf]:
    """The files of a version, and what its leaf says.

    The leaf as it stands there, clean PEM. Raises StateError with what is wrong and what to do.
    """
    try:
        leaf, *rest = certs.split_chain(one.fullchain)
        made = Material(privkey=_key(one.privkey), cert=leaf, chain=b"".join(rest))
        facts = certs.leaf(leaf)
    except ValueError as error:
        raise _unfit(one, str(error), "look at the file; the client may be able to mend it") from None
    if facts.not_after <= now:
        hint = "have it renewed there first, or write [certificate.X] for it: then a new one is ordered"
        raise _unfit(one, f"the certificate expired at {facts.not_after:%Y-%m-%d}", hint)
    if fault := soundness.fault(made, (), now):
        raise _unfit(
            one, fault, f"compare key and certificate: openssl x509 -noout -pubkey -in {one.seen[0]}"
        )
    if not facts.names:
        raise _unfit(one, "the certificate has no names", "order it anew under [certificate.X]")
    return made, facts


def _key(pem: bytes) -> bytes:
    """The key's own block: some programs write its curve as a block before it. Raises ValueError."""
    begin = pem.find(b"-----BEGIN EC PARAMETERS-----")
    end = pem.find(b"-----END EC PARAMETERS-----")
    if 0 <= begin < end:
        pem = pem[:begin] + pem[end + len(b"-----END EC PARAMETERS-----") :].lstrip()
    return pem


def _unfit(one: Lineage, text: str, hint: str) -> StateError:
    return StateError(f"{one.seen[0]}: {text}", hint=hint, kind="refused")
