"""The only maker of TLS contexts, each made once a process: loading the system's roots takes 26 ms.

No context of ours ever resumes a session: a resumed one shows no certificate, and what is looked at here is
the certificate.
"""

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from renewer import clock
from renewer.errors import GiveUp
from renewer.network.protocol import GIVEN

if TYPE_CHECKING:
    from OpenSSL.crypto import X509
    from OpenSSL.SSL import Connection, Context

SYSTEM = "system"
PEM = "-----BEGIN"  # of roots that are given as they are
_LEGACY_SERVER_CONNECT = 0x4  # ssl.OP_LEGACY_SERVER_CONNECT, which Python names from 3.12 on


_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, which Python does not name


@cache
def verifying(roots: str = SYSTEM, *, names: bool = True, times: bool = True) -> ssl.SSLContext:
    """A context that insists on a chain to `roots`: the system's, those in a PEM file, or in PEM itself.

    With `names` false the chain alone is checked, for callers that compare the names themselves, with `times`
    false no dates are. A certificate in the PEM file is trusted also if it is no root, for that is why it was
    put there.
    Raises GiveUp if the file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Said here because Python's own choice differs between versions (3.13 adds VERIFY_X509_STRICT, which
    # refuses private authorities that every browser accepts).
    context.verify_flags = ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST
    if not times:
        context.verify_flags |= _NO_CHECK_TIME
    context.check_hostname = names
    context.options |= ssl.OP_NO_TICKET
    if roots == SYSTEM:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return context
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    try:
        with _file_of(roots) as path:
            context.load_verify_locations(cafile=path)
    except OSError as error:  # ssl.SSLError is one: a file without a certificate in it
        why = error.strerror if not isinstance(error, ssl.SSLError) else "no certificate in PEM in it"
        where = GIVEN if roots.startswith(PEM) else roots
        raise GiveUp(
            f"the roots in {where} cannot be used: {why}",
            hint="name a PEM file of certificates",
            kind="roots",
        ) from None
    return context


@cache
def blind() -> ssl.SSLContext:
    """A context that completes a handshake with anybody, however old or weak: only to see what is served."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.options |= ssl.OP_NO_TICKET | _LEGACY_SERVER_CONNECT
    return context


@cache
def judging(roots: str | None, family: str | None = None, *, by_cipher: bool = False) -> "Context":
    """A context that completes a handshake with anybody, and writes down what it thinks of the chain.

    The codes of what is wrong (X509_V_ERR_…) are appended to the list that is the connection's app data. It
    trusts what `verifying(roots)` trusts; None asks for no chain. Raises GiveUp if the file cannot be used.
    With a `family` (ecdsa, rsa) it takes certificates with such keys only, by the signature algorithms that
    it offers (RFC 8446 §4.2.3); `by_cipher` by the ciphers of TLS 1.2 alone, which say nothing about the rest
    of the chain.
    """
    from OpenSSL import SSL
    from OpenSSL.crypto import X509StoreFlags

    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_VERSION)
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    context.set_options(SSL.OP_NO_TICKET | _LEGACY_SERVER_CONNECT)
    if family is not None:
        _narrow(context, family, by_cipher=by_cipher)
    if roots is None:
        context.set_verify(SSL.VERIFY_NONE)
        return context
    if roots == SYSTEM:
        system = ssl.get_default_verify_paths()
        context.load_verify_locations(system.cafile, system.capath)
    else:
        verifying(roots, names=False)  # whatever is wrong with the file is told by one
        with _file_of(roots) as path:
            context.load_verify_locations(path)
        store = context.get_cert_store()
        if store is not None:
            store.set_flags(X509StoreFlags.PARTIAL_CHAIN)

    def judge(connection: "Connection", _certificate: "X509", code: int, _depth: int, fits: int) -> bool:
        if not fits:
            connection.get_app_data().append(code)
        return True

    context.set_verify(SSL.VERIFY_PEER, judge)
    return context


_SIGNATURES = {
    "ecdsa": "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ECDSA+SHA1",
    "rsa": "RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512:RSA+SHA1",
}


def _narrow(context: "Context", family: str, *, by_cipher: bool) -> None:
    """Certificates with one kind of key only."""
    from OpenSSL import SSL

    context.set_cipher_list(f"a{family.upper()}:@SECLEVEL=0".encode())
    # pyOpenSSL has no word for what OpenSSL, and the bindings that it brings, have had since 1.0.2
    limit = getattr(getattr(SSL, "_lib", None), "SSL_CTX_set1_sigalgs_list", None)
    if by_cipher or limit is None or not limit(context._context, _SIGNATURES[family].encode()):  # noqa: SLF001
        context.set_max_proto_version(SSL.TLS1_2_VERSION)


def answering(pair: bytes, protocol: str) -> ssl.SSLContext:
    """A server's context for one key and certificate (PEM, both), with one protocol by ALPN (RFC 7301)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.set_alpn_protocols([protocol])
    _load(context, pair)
    return context


def serving(pair: bytes) -> ssl.SSLContext:
    """A server's context for one key and chain (PEM, both), however weak: what clients say is to be heard.

    Raises ssl.SSLError if OpenSSL cannot use the pair.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    _load(context, pair)
    return context


@contextlib.contextmanager
def ending(sock: socket.socket, deadline: float) -> Iterator[None]:
    """Hang up at the deadline (`clock.monotonic`) if what is done here with the socket is not over by then.

    A socket's timeout is that of one wait, and OpenSSL does not wait while a peer floods it with records that
    mean nothing: it reads on. Raises TimeoutError.
    """
    left = deadline - clock.monotonic()
    if left <= 0:
        raise TimeoutError
    twin = socket.socket(fileno=os.dup(sock.fileno()))
    timer = threading.Timer(left, _hang_up, (twin,))
    timer.daemon = True
    timer.start()
    try:
        yield
    except OSError as error:
        if clock.monotonic() >= deadline:
            raise TimeoutError from error
        raise
    finally:
        timer.cancel()
        twin.close()


def _hang_up(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is over, one way or another
        sock.shutdown(socket.SHUT_RDWR)


def system_places() -> tuple[str, ...]:
    """The file and the directory that the system's roots are read from."""
    paths = ssl.get_default_verify_paths()
    return tuple(path for path in (paths.cafile, paths.capath) if path)


@contextlib.contextmanager
def _file_of(roots: str) -> Iterator[str]:
    """A PEM file's path, also of what is given as PEM."""
    if roots.startswith(PEM):
        with _named(roots.encode()) as path:
            yield path
    else:
        yield roots


def _load(context: ssl.SSLContext, pair: bytes) -> None:
    with _named(pair) as path:
        context.load_cert_chain(path)


@contextlib.contextmanager
def _named(pem: bytes) -> Iterator[str]:
    """The name by which PEM reaches OpenSSL, which takes file names only: of a file in memory."""
    path = in_memory(pem)
    try:
        yield path
    finally:
        os.close(int(path.rpartition("/")[2]))


def in_memory(content: bytes) -> str:
    """The path of a file that lies nowhere, for this process as long as it lives."""
    fd = os.memfd_create("pem")
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(content)
    return f"/proc/self/fd/{fd}"
