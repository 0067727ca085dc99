"""Whether a version may be served: chain, key, names and dates, all checked by ourselves.

Servers cannot be trusted with it: `apache2 -t` says "Syntax OK" for a key that does not fit its certificate,
and the reload then ends Apache.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from renewer import certs, x509
from renewer.model.names import Identifier
from renewer.store.contract import Material
from renewer.words import stamp

# How far the authority's clock may be ahead of ours before a certificate counts as not valid yet
CLOCK_TOLERANCE = timedelta(minutes=5)


def fault(material: Material, names: Iterable[Identifier], now: datetime) -> str | None:  # noqa: PLR0911  one return a fault
    """What is wrong with a certificate, its chain and its key, as a sentence; None if it may be served.

    A key that is elsewhere cannot be looked at: that it fits was seen when the certificate was installed.
    """
    try:
        certificates = certs.split_chain(material.fullchain)
        leaf = certs.leaf(material.cert)
        if material.privkey and not x509.matches(material.privkey, material.cert):
            return "the private key does not belong to the certificate"
        if not certs.in_order(certificates):
            return "the chain is not in order: each certificate must be issued by the one that follows it"
    except ValueError as error:
        return str(error)
    missing = [str(name) for name in names if name not in leaf.names]
    if missing:
        return f"the certificate does not have the names {', '.join(missing)}"
    if leaf.not_before > now + CLOCK_TOLERANCE:
        return f"the certificate is not valid before {stamp(leaf.not_before)}: is this host's clock right?"
    if leaf.not_after <= now:
        return f"the certificate expired at {stamp(leaf.not_after)}"
    return None
