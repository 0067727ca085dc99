"""The look before TLS, with servers that people have: each shows the certificate that lies in its files."""

import shutil
from pathlib import Path

import pytest
from cryptography import x509 as pyca

from renewer import secrets
from renewer.model.desired import Endpoint, Starttls
from renewer.network import verify
from tests.servers import exim, prosody
from tests.servers.certificates import ServerRoot
from tests.servers.dovecot import Dovecot
from tests.servers.exim import Exim
from tests.servers.foreground import Foreground
from tests.servers.opensmtpd import Opensmtpd
from tests.servers.postfix import Postfix
from tests.servers.prosody import Prosody
from tests.servers.slapd import Slapd
from tests.servers.vsftpd import Vsftpd

NAME = "www.example.org"
OWNERS = {Prosody: prosody.USER, Exim: exim.USER}
SPOKEN: dict[type[Foreground], tuple[Starttls | None, ...]] = {
    Postfix: (Starttls.SMTP,),
    Exim: (Starttls.SUBMISSION,),
    Opensmtpd: (Starttls.SMTP,),
    Dovecot: (Starttls.IMAP, None, Starttls.POP3, Starttls.SIEVE),
    Prosody: (Starttls.XMPP,),
    Vsftpd: (Starttls.FTP,),
    Slapd: (Starttls.LDAP,),
}
"""What is spoken at the ports of each server, in their order."""


@pytest.mark.parametrize("kind", SPOKEN, ids=lambda kind: kind.__name__)
def test_a_real_server_is_seen(place: Path, kind: type[Foreground]) -> None:
    """Every handshake is completed, the chain leads to the root, and the leaf is the one in the file."""
    root = ServerRoot()
    roots = str(root.write(place / "roots.pem"))
    pair = root.issue(place / "tls", NAME)
    if kind in OWNERS:
        shutil.chown(pair.key, OWNERS[kind])
    serial = f"{pyca.load_pem_x509_certificate(pair.cert.read_bytes()).serial_number:x}"

    with kind(place / "server", pair.cert, pair.key) as server:
        endpoints = [
            Endpoint(server_name=NAME, port=port, host="127.0.0.1", starttls=starttls)
            for port, starttls in zip(server.ports, SPOKEN[kind], strict=True)
        ]
        sights = verify.look(
            [verify.Target(endpoint=endpoint, roots=roots) for endpoint in endpoints], reads=secrets.roots
        )

    assert [
        (sight.error, sight.completed, sight.trusted, sight.name_matches, sight.serial.lstrip("0"))
        for sight in sights
        if sight.serial
    ] == [(None, True, True, True, serial.lstrip("0"))] * len(endpoints)


@pytest.mark.parametrize("kind", [Postfix, Dovecot, Prosody], ids=lambda kind: kind.__name__)
def test_a_real_server_that_offers_no_tls(place: Path, kind: type[Foreground]) -> None:
    """With a key that does not fit these stay up and refuse the word: that is told, not taken for silence."""
    root = ServerRoot()
    cert = root.issue(place / "tls", NAME).cert
    key = root.issue(place / "tls", NAME, stem="other").key
    if kind in OWNERS:
        shutil.chown(key, OWNERS[kind])

    with kind(place / "server", cert, key) as server:
        endpoint = Endpoint(server_name=NAME, port=server.port, host="127.0.0.1", starttls=SPOKEN[kind][0])
        (sight,) = verify.look([verify.Target(endpoint=endpoint, roots="any")])

    assert (sight.connected, sight.completed, sight.leaf) == (True, False, None)
    assert sight.trouble in {verify.PortTrouble.STARTTLS, verify.PortTrouble.NO_TLS}
