import socket
import ssl
import warnings
from pathlib import Path

import pytest

from renewer.errors import GiveUp
from renewer.network import tls
from tests.servers.certificates import ServerRoot
from tests.servers.tls_peer import Peer
from tests.servers.tls_peer import tls as serving


def shake(context: ssl.SSLContext, port: int, name: str = "a.example.org") -> ssl.SSLSocket:
    """A completed handshake; the socket is closed already, but remembers."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname=name) as secured,
    ):
        return secured


def test_given_roots_are_the_only_ones(tmp_path: Path) -> None:
    """A chain to the given roots is accepted, one to any other is not."""
    ours, theirs = ServerRoot(), ServerRoot()
    roots = str(ours.write(tmp_path / "roots.pem"))
    good = ours.issue(tmp_path, "a.example.org", stem="good")
    bad = theirs.issue(tmp_path, "a.example.org", stem="bad")

    with Peer(serving(good)) as peer:
        shake(tls.verifying(roots), peer.port)
    with Peer(serving(bad)) as peer, pytest.raises(ssl.SSLCertVerificationError):
        shake(tls.verifying(roots), peer.port)


def test_names_are_checked_unless_the_caller_does(tmp_path: Path) -> None:
    """By default a wrong name is refused; with names=False only the chain counts."""
    root = ServerRoot()
    roots = str(root.write(tmp_path / "roots.pem"))

    with Peer(serving(root.issue(tmp_path, "a.example.org"))) as peer:
        shake(tls.verifying(roots, names=False), peer.port, "b.example.org")
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            shake(tls.verifying(roots), peer.port, "b.example.org")


def test_a_leaf_among_the_roots_is_trusted(tmp_path: Path) -> None:
    """Who puts a certificate into the roots means it, whether or not it is a root itself."""
    pair = ServerRoot().issue(tmp_path, "a.example.org")

    with Peer(serving(pair)) as peer:
        shake(tls.verifying(str(pair.cert)), peer.port)


def test_the_system_trusts_no_test_root(tmp_path: Path) -> None:
    """The system's roots are loaded, and a stranger's is not among them."""
    context = tls.verifying()
    assert context.verify_mode is ssl.CERT_REQUIRED

    with (
        Peer(serving(ServerRoot().issue(tmp_path, "a.example.org"))) as peer,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        shake(context, peer.port)


def test_each_context_is_made_once(tmp_path: Path) -> None:
    """Loading roots is slow; it happens once a process for each set of them."""
    roots = str(ServerRoot().write(tmp_path / "roots.pem"))

    assert tls.verifying() is tls.verifying()
    assert tls.verifying(roots) is tls.verifying(roots)
    assert tls.blind() is tls.blind()


@pytest.mark.parametrize("content", [None, "", "no certificate\n"])
def test_roots_that_cannot_be_used(tmp_path: Path, content: str | None) -> None:
    """A missing file of roots, or one without a certificate, is said; it never means 'trust all'."""
    path = tmp_path / "roots.pem"
    if content is not None:
        path.write_text(content)

    with pytest.raises(GiveUp, match=r"the roots in .*roots.pem cannot be used") as caught:
        tls.verifying(str(path))
    assert caught.value.hint


def test_blind_sees_old_and_weak_servers(tmp_path: Path) -> None:
    """What only old clients can reach can still be looked at."""
    pair = ServerRoot().issue(tmp_path, "a.example.org")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.minimum_version = ssl.TLSVersion.TLSv1
    old.set_ciphers("ALL:@SECLEVEL=0")

    with Peer(serving(pair, context=old)) as peer:
        assert shake(tls.blind(), peer.port).version() is None  # closed by now, but it was completed
        with pytest.raises(ssl.SSLError):
            shake(tls.verifying(str(pair.cert)), peer.port)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_is_resumed(tmp_path: Path, version: ssl.TLSVersion) -> None:
    """Every handshake is a full one, so every one shows a certificate."""
    pair = ServerRoot().issue(tmp_path, "a.example.org")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.maximum_version = version

    with Peer(serving(pair, context=server)) as peer:
        for _ in range(3):
            with (
                socket.create_connection(("127.0.0.1", peer.port), timeout=30) as plain,
                tls.blind().wrap_socket(plain, server_hostname="a.example.org") as secured,
            ):
                assert secured.session_reused is False
                assert secured.getpeercert(binary_form=True)
