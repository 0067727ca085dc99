from collections.abc import Sequence

import pytest

from renewer.model.desired import Endpoint, Starttls
from renewer.network import verify
from renewer.network.verify import PortTrouble, Sight, Target
from tests.servers.certificates import Pair, ServerRoot
from tests.servers.tls_peer import Behaviour, Peer, dripping, endless, scripted, silent, tls

NAME = "a.example.org"

Script = Sequence[tuple[bytes, bytes]]

MYSQL_REQUEST = b"\x20\x00\x00\x01\x00\x8a\x00\x00\x00\x00\x00\x01\x21" + bytes(23)
LDAP_REQUEST = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
XMPP_OPEN = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' version='1.0' to='a.example.org'"
    b" xmlns:stream='http://etherx.jabber.org/streams'>"
)
XMPP_ASK = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"


def mysql_greeting(capabilities: int) -> bytes:
    """An initial handshake packet as MariaDB sends it."""
    payload = b"\x0a" + b"5.5.5-10.11.6-MariaDB\0" + b"\1\0\0\0" + b"scramble" + b"\0"
    payload += capabilities.to_bytes(2, "little") + b"\x2d\x02\x00\xff\x81\x15" + bytes(30)
    return len(payload).to_bytes(3, "little") + b"\0" + payload


GOOD: dict[Starttls, Script] = {
    Starttls.SMTP: [
        (b"220-mail.example.org\r\n220 ESMTP ready\r\n", b"EHLO renewer.invalid\r\n"),
        (b"250-mail.example.org\r\n250-SIZE 1\r\n250-STARTTLS\r\n250 HELP\r\n", b"STARTTLS\r\n"),
        (b"220 2.0.0 Ready\r\n", b""),
    ],
    Starttls.SUBMISSION: [
        (b"220 mail\r\n", b"EHLO renewer.invalid\r\n"),
        (b"250 starttls\r\n", b"STARTTLS\r\n"),
        (b"220 go\r\n", b""),
    ],
    Starttls.IMAP: [
        (b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n", b"a1 STARTTLS\r\n"),
        (b"* CAPABILITY IMAP4rev1\r\na1 OK Begin TLS\r\n", b""),
    ],
    Starttls.POP3: [(b"+OK ready <1@x>\r\n", b"STLS\r\n"), (b"+OK begin\r\n", b"")],
    Starttls.LDAP: [(b"", LDAP_REQUEST), (b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00", b"")],
    Starttls.POSTGRESQL: [(b"", b"\x00\x00\x00\x08\x04\xd2\x16\x2f"), (b"S", b"")],
    Starttls.MYSQL: [(mysql_greeting(0xFFFE), MYSQL_REQUEST)],
    Starttls.XMPP: [
        (b"", XMPP_OPEN),
        (
            (
                b"<?xml version='1.0'?><stream:stream id='1' xmlns='jabber:client'><stream:features>"
                b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
            ),
            XMPP_ASK,
        ),
        (b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", b""),
    ],
    Starttls.FTP: [
        (b"220-Welcome\r\n to this server\r\n\r\n220 ready\r\n", b"AUTH TLS\r\n"),
        (b"234 go\r\n", b""),
    ],
    Starttls.SIEVE: [
        (b'"IMPLEMENTATION" "x"\r\n"STARTTLS"\r\nOK "ready"\r\n', b"STARTTLS\r\n"),
        (b'OK "begin"\r\n', b""),
    ],
}

REFUSED: list[tuple[Starttls, Script, str]] = [
    (
        Starttls.SMTP,
        [(b"554 go away\r\n", b"")],
        "does not greet as a mail server does; it said: 554 go away",
    ),
    (Starttls.SMTP, [(b"220 x\r\n", b"EHLO renewer.invalid\r\n"), (b"250 x\r\n", b"")], "offers no STARTTLS"),
    (
        Starttls.SMTP,
        [
            (b"220 x\r\n", b"EHLO renewer.invalid\r\n"),
            (b"250 STARTTLS\r\n", b"STARTTLS\r\n"),
            (b"454 TLS not available\r\n", b""),
        ],
        "refuses STARTTLS; it said: 454 TLS not available",
    ),
    (Starttls.IMAP, [(b"* BYE full\r\n", b"")], "does not greet as an IMAP server does"),
    (
        Starttls.IMAP,
        [(b"* OK x\r\n", b"a1 STARTTLS\r\n"), (b"a1 BAD unknown\r\n", b"")],
        "refuses STARTTLS; it said: a1 BAD unknown",
    ),
    (Starttls.POP3, [(b"-ERR no\r\n", b"")], "does not greet as a POP3 server does"),
    (Starttls.POP3, [(b"+OK\r\n", b"STLS\r\n"), (b"-ERR no\r\n", b"")], "refuses STLS; it said: -ERR no"),
    (
        Starttls.LDAP,
        [(b"", LDAP_REQUEST), (b"\x30\x0e\x02\x01\x01\x78\x81\x08\x0a\x01\x35\x04\x00\x04\x01x", b"")],
        "refuses StartTLS",
    ),
    (Starttls.LDAP, [(b"HTTP/1.1 400 Bad\r\n", b"")], "does not answer as an LDAP server does"),
    (Starttls.LDAP, [(b"\x30\x84\x7f\xff\xff\xff", b"")], "announced a packet of 2147483647 bytes"),
    (Starttls.LDAP, [(b"\x30\xff", b"")], "announced a message without bounds"),
    (Starttls.POSTGRESQL, [(b"", b"\x00\x00\x00\x08\x04\xd2\x16\x2f"), (b"N", b"")], "has TLS turned off"),
    (Starttls.POSTGRESQL, [(b"E", b"")], "does not answer as a PostgreSQL server does; it said: E"),
    (Starttls.MYSQL, [(mysql_greeting(0xF7FE), b"")], "has TLS turned off"),
    (Starttls.MYSQL, [(b"\x0e\0\0\0\xff\x6a\x04Host blocked", b"")], "greet as a MySQL server does"),
    (Starttls.MYSQL, [(b"HTTP/1.1 400", b"")], "announced a packet of 5526600 bytes"),
    (
        Starttls.XMPP,
        [(b"", XMPP_OPEN), (b"<stream:features></stream:features>", b"")],
        "offers no STARTTLS",
    ),
    (
        Starttls.XMPP,
        [(b"", XMPP_OPEN), (b"<starttls/></stream:features>", XMPP_ASK), (b"<failure/>", b"")],
        "refuses STARTTLS; it said: <failure/>",
    ),
    (
        Starttls.FTP,
        [(b"220 x\r\n", b"AUTH TLS\r\n"), (b"502 no\r\n", b"")],
        "refuses AUTH TLS; it said: 502 no",
    ),
    (Starttls.SIEVE, [(b'"SASL" ""\r\nOK\r\n', b"")], "offers no STARTTLS"),
    (
        Starttls.SIEVE,
        [(b'"STARTTLS"\r\nOK\r\n', b"STARTTLS\r\n"), (b"NO\r\n", b"")],
        "refuses STARTTLS; it said: NO",
    ),
]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A certificate for NAME."""
    return ServerRoot().issue(tmp_path_factory.mktemp("pair"), NAME)


def look(port: int, protocol: Starttls, timeout: float = 30) -> Sight:
    """One look at a port with words before TLS."""
    endpoint = Endpoint(server_name=NAME, port=port, host="127.0.0.1", starttls=protocol)
    (sight,) = verify.look([Target(endpoint=endpoint, roots="any")], timeout=timeout)
    return sight


@pytest.mark.parametrize("protocol", Starttls)
def test_every_protocol_turns_to_tls(pair: Pair, protocol: Starttls) -> None:
    """After the words that the protocol's RFC has, the certificate is seen."""
    with Peer(scripted(GOOD[protocol], tls(pair))) as peer:
        sight = look(peer.port, protocol)

    assert (sight.error, sight.completed, sight.name_matches) == (None, True, True)


def test_xmpp_may_close_its_element(pair: Pair) -> None:
    """An element may be written open and closed: nothing of it is left for TLS to stumble over."""
    script = [*GOOD[Starttls.XMPP][:2], (b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'></proceed>", b"")]
    with Peer(scripted(script, tls(pair))) as peer:
        assert look(peer.port, Starttls.XMPP).completed


@pytest.mark.parametrize(("protocol", "script", "why"), REFUSED)
def test_a_refusal_is_told_in_the_servers_words(protocol: Starttls, script: Script, why: str) -> None:
    """A server that offers no TLS, refuses it or is another server is told apart from one that is away."""
    with Peer(scripted(script, silent)) as peer:
        sight = look(peer.port, protocol)

    assert (sight.connected, sight.completed, sight.trouble) == (True, False, PortTrouble.STARTTLS)
    assert why in (sight.error or "")


@pytest.mark.slow
@pytest.mark.parametrize("protocol", Starttls)
@pytest.mark.parametrize(
    ("behaviour", "troubles"),
    [
        (silent, {PortTrouble.TIMEOUT}),
        (lambda _: None, {PortTrouble.STARTTLS, PortTrouble.NETWORK}),
        (endless(b"x" * 1000), {PortTrouble.STARTTLS, PortTrouble.NETWORK, PortTrouble.NO_TLS}),
        (endless(b"220-on and on\r\n"), {PortTrouble.STARTTLS, PortTrouble.NETWORK}),
        (endless(b"* OK\r\n"), {PortTrouble.STARTTLS, PortTrouble.NETWORK}),
        (endless(bytes(1000)), {PortTrouble.STARTTLS, PortTrouble.NETWORK}),
        (dripping(b"220-on and on\r\n"), {PortTrouble.TIMEOUT, PortTrouble.STARTTLS}),
    ],
    ids=["silent", "closing", "letters", "smtp", "imap", "zeros", "dripping"],
)
def test_hostile_peers(protocol: Starttls, behaviour: Behaviour, troubles: set[PortTrouble]) -> None:
    """Whatever a peer does instead, the look ends in time, with words, and without a certificate."""
    with Peer(behaviour) as peer:
        sight = look(peer.port, protocol, timeout=0.4 if PortTrouble.TIMEOUT in troubles else 30)

    assert not sight.completed
    assert sight.trouble in troubles
    assert len(sight.error or "") < 400


def test_what_was_said_is_made_harmless() -> None:
    """A server's words in a message play no tricks on a terminal."""
    with Peer(scripted([(b"554 \x1b[2J\x07bell\r\n", b"")], silent)) as peer:
        error = look(peer.port, Starttls.SMTP).error

    assert error is not None
    assert error.isprintable()
