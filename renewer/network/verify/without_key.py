"""Would a client accept this certificate, whose key is elsewhere? Without a key there is no handshake.

By the verifier of `cryptography`, insisting on no extension, for OpenSSL takes chains that others refuse; and
by our own look at the names.
"""

from collections.abc import Iterable
from datetime import datetime

from renewer import certs
from renewer.errors import GiveUp
from renewer.model.names import Identifier
from renewer.network import tls
from renewer.network.verify.in_memory import Judgement
from renewer.network.verify.sight import ANY, PortTrouble


def judge(fullchain: bytes, names: Iterable[Identifier], roots: str, now: datetime) -> Judgement:
    """Judge a chain (PEM) by the `roots` of an authority's table.

    An authority's clock may be ahead of ours by minutes: what begins later is judged at its beginning.
    """
    leaf = certs.leaf(fullchain)
    missing = [str(name) for name in names if name not in leaf.names]
    if missing:
        return Judgement(False, error=f"it does not have the names {', '.join(missing)}")
    if roots == ANY:
        return Judgement(accepted=True)
    try:
        trusted = tls.verifying(roots).get_ca_certs(binary_form=True)
    except GiveUp as error:
        return Judgement(None, PortTrouble.ROOTS, error.text)
    begins, _ = certs.span(fullchain)
    try:
        refused = certs.refused_by(fullchain, trusted, max(begins, now))
    except ValueError as error:
        return Judgement(None, error=str(error))
    return Judgement(False, PortTrouble.UNTRUSTED, refused) if refused else Judgement(accepted=True)
