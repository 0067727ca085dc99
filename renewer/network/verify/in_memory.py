"""A handshake without a port: would a client accept this certificate? 3 ms, between two ends in memory.

The client's end is the very context that ports are looked at with, so that what is refused here is what would
be seen as `untrusted` there, and nothing else. OpenSSL alone judges: other verifiers refuse chains that it
takes, and take some that it refuses. Imports `ssl`.
"""

import ssl
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from renewer import certs
from renewer.errors import GiveUp
from renewer.model.names import Identifier
from renewer.network import tls
from renewer.network.verify.handshake import words
from renewer.network.verify.sight import ANY, PortTrouble

_FLIGHTS = 12  # turns of both ends; TLS 1.3 takes three


class Judgement(NamedTuple):
    """Whether a client accepts it; None if that could not be found out. `trouble` and `error` say why not."""

    accepted: bool | None
    trouble: PortTrouble | None = None
    error: str = ""


def judge(pair: bytes, server_name: str, roots: str, *, timely: bool) -> Judgement:
    """Judge a key with its chain (PEM, both) by the `roots` of an authority's table.

    `timely` is whether all of the chain is valid by our own clock: then OpenSSL's word that it is not valid
    yet does not count, for authorities' clocks differ by minutes. Names are the caller's to compare.
    """
    try:
        server = tls.serving(pair)
    except (ssl.SSLError, ValueError) as error:
        return Judgement(None, error=f"this host's OpenSSL cannot serve it: {_reason(error)}")
    if roots == ANY:
        return Judgement(accepted=True)
    try:
        refused = _shake(tls.verifying(roots, names=False), server, server_name)
        if _is_early(refused) and timely:
            refused = _shake(tls.verifying(roots, names=False, times=False), server, server_name)
    except GiveUp as error:
        return Judgement(None, PortTrouble.ROOTS, error.text)
    if refused is None:
        return Judgement(accepted=True)
    if _shake(tls.blind(), server, server_name) is not None:
        return Judgement(None, error=f"no handshake with it succeeds on this host: {_reason(refused)}")
    trouble, text = words(refused, 0.0, connected=True)
    return Judgement(False, trouble, text)


def judge_without_key(fullchain: bytes, names: Iterable[Identifier], roots: str, now: datetime) -> Judgement:
    """Judge a chain (PEM) whose key is elsewhere by the `roots` of an authority's table.

    By the verifier of `cryptography`, insisting on no extension, for OpenSSL takes chains that others refuse,
    and needs a key; and by our own look at the names.
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


def _shake(client: ssl.SSLContext, server: ssl.SSLContext, server_name: str) -> ssl.SSLError | None:
    """One handshake; the error that ended it, the client's word first."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server, server_hostname=server_name)
    serving = server.wrap_bio(to_server, to_client, server_side=True)
    trouble: ssl.SSLError | None = None
    for _ in range(_FLIGHTS):
        failed, done = _turn(asking)
        if failed is not None:
            return failed
        if done or trouble is not None:
            return trouble
        trouble, _ = _turn(serving)
    return trouble or ssl.SSLError("the handshake does not end")


def _turn(end: ssl.SSLObject) -> tuple[ssl.SSLError | None, bool]:
    """Let one end go on as far as it can: what stopped it for good, and whether it is through."""
    try:
        end.do_handshake()
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return None, False
    except ssl.SSLError as error:
        return error, False
    return None, True


def _is_early(error: ssl.SSLError | None) -> bool:
    not_yet_valid = 9  # X509_V_ERR_CERT_NOT_YET_VALID
    return isinstance(error, ssl.SSLCertVerificationError) and error.verify_code == not_yet_valid


def _reason(error: Exception) -> str:
    return (getattr(error, "reason", None) or str(error)).replace("_", " ").lower()
