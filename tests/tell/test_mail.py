"""Mail servers that are not as they should be: bounded, told elsewhere, never in clear; a local sendmail."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest

from renewer.config.load import load
from renewer.errors import GiveUp, RenewerError
from renewer.model.desired import Email, MailSecurity, Topic
from renewer.model.told import Outage
from renewer.notify import channels, mail
from renewer.notify.message import Message
from renewer.notify.notices import sample
from tests.servers.certificates import Pair, ServerRoot
from tests.servers.tls_peer import Peer
from tests.tell.conftest import Clock, MakeMail
from tests.tell.host import Host
from tests.tell.post_office import PASSWORD, USER, PostOffice, body

LIMIT = 1.0  # seconds; the agent's own is 20
DAY = timedelta(days=1)


def channel(port: int, bundle: Path | None = None, **keys: object) -> Email:
    """To a server on this host."""
    given: dict[str, object] = {
        "name": "ops",
        "on": frozenset(Topic),
        "to": ("ops@example.org",),
        "sender": "renewer@web-1.example.org",
        "server": f"localhost:{port}",
        "ca_bundle": str(bundle) if bundle else None,
    }
    return Email(**(given | keys))  # type: ignore[arg-type]


@pytest.fixture
def message(host: Host) -> Message:
    """Something to tell."""
    host.configure('[notify.x]\ntype = "command"\nrun = ["/bin/true"]\n')
    config = load(str(host.path))
    return sample(config, "run", config.channels["x"])


class Listening:
    """What a server heard before TLS."""

    def __init__(self) -> None:
        self.heard = b""

    def script(self, *replies: bytes, drip: bool = False, hang: bool = False) -> "Peer":
        """Greets, then answers each line with the next reply."""

        def serve(connection: socket.socket) -> None:
            waiting = [b"220 hello\r\n", *replies]
            stop = threading.Event()
            while waiting:
                reply = waiting.pop(0)
                if drip:
                    for octet in reply * 1000:
                        connection.sendall(bytes([octet]))
                        stop.wait(0.05)
                connection.sendall(reply)
                self.heard += (data := connection.recv(4096))
                if not data:
                    return
            while hang and connection.recv(4096):
                pass

        return Peer(serve)


@pytest.mark.parametrize("auth", [False, True], ids=["open", "with credentials"])
def test_a_server_without_tls_gets_nothing(message: Message, auth: bool) -> None:  # noqa: FBT001
    """Not the mail, not the password: EHLO and QUIT are all that it hears."""
    ear = Listening()
    with ear.script(b"250-mail\r\n250 AUTH PLAIN LOGIN\r\n", b"221 bye\r\n") as peer:
        wish = channel(peer.port, username=USER if auth else None)
        with pytest.raises(GiveUp, match="offers no STARTTLS, and nothing is sent in clear"):
            mail.deliver(wish, message, PASSWORD if auth else None, 30)
    assert ear.heard == b"ehlo localhost\r\nquit\r\n"


def test_a_server_that_refuses_starttls_gets_nothing(message: Message) -> None:
    """It offers TLS and then does not do it."""
    ear = Listening()
    script = ear.script(b"250-mail\r\n250 STARTTLS\r\n", b"454 not now\r\n", b"221 bye\r\n")
    with script as peer, pytest.raises(RenewerError, match="refuses the mail: 454 not now"):
        mail.deliver(channel(peer.port), message, None, 30)
    assert ear.heard == b"ehlo localhost\r\nSTARTTLS\r\nquit\r\n"


@pytest.mark.parametrize("security", [MailSecurity.STARTTLS, MailSecurity.TLS])
@pytest.mark.parametrize("wrong", ["root", "name", "expired"])
def test_a_bad_certificate_is_refused(
    message: Message, root: ServerRoot, tmp_path: Path, wrong: str, security: MailSecurity
) -> None:
    """Of another authority, for another name, or expired: no mail."""
    bundle = root.write(tmp_path / "root.pem")
    name = "elsewhere.example.org" if wrong == "name" else "localhost"
    valid = -timedelta(minutes=30) if wrong == "expired" else DAY
    issuer = ServerRoot() if wrong == "root" else root
    pair = issuer.issue(tmp_path / "bad", name, valid_for=valid + timedelta(hours=1))
    with PostOffice(pair) as office, implicit(pair, office) as tls_port:
        port = office.port if security is MailSecurity.STARTTLS else tls_port
        with pytest.raises(RenewerError, match="shows a certificate that is not trusted"):
            mail.deliver(channel(port, bundle, security=security), message, None, 5)
        assert office.attempts == 0


class implicit:  # noqa: N801  used like a function
    """TLS from the first byte, before a post office that wants none: port 465."""

    def __init__(self, pair: Pair, office: PostOffice) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)

        def serve(connection: socket.socket) -> None:
            with (
                context.wrap_socket(connection, server_side=True) as secured,
                socket.create_connection(("127.0.0.1", office.port)) as behind,
            ):
                back = threading.Thread(target=_pump, args=(behind, secured), daemon=True)
                back.start()
                _pump(secured, behind)
                behind.shutdown(socket.SHUT_RDWR)
                back.join(5)

        self._peer = Peer(serve)

    def __enter__(self) -> int:
        self._peer.__enter__()
        return self._peer.port

    def __exit__(self, *_: object) -> None:
        self._peer.__exit__()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass


@pytest.fixture
def open_office() -> Iterator[PostOffice]:
    """A mail server without TLS."""
    with PostOffice() as server:
        yield server


def test_tls_from_the_first_byte(message: Message, pair: Pair, bundle: Path, open_office: PostOffice) -> None:
    """Security = "tls", port 465."""
    with implicit(pair, open_office) as port:
        wish = channel(port, bundle, security=MailSecurity.TLS)
        assert mail.deliver(wish, message, None, 5) == ""
    assert len(open_office.mails) == 1


def test_plain_to_this_host(message: Message, open_office: PostOffice) -> None:
    """Where nobody can listen, mail may go in clear."""
    wish = channel(open_office.port, security=MailSecurity.PLAIN)
    assert mail.deliver(wish, message, None, 5) == ""
    assert len(open_office.mails) == 1


def test_plain_to_what_only_looks_like_this_host(
    message: Message, open_office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that points elsewhere by now: looked at on the connection itself, before a word is said."""
    monkeypatch.setattr("renewer.network.channels.mail.is_loopback", lambda _sock: False)
    with pytest.raises(GiveUp, match="is not a loopback address"):
        mail.deliver(channel(open_office.port, security=MailSecurity.PLAIN), message, None, 5)
    assert open_office.attempts == 0


def test_the_right_password(message: Message, pair: Pair, bundle: Path) -> None:
    """Authentication, after TLS only."""
    with PostOffice(pair, auth=True) as office:
        assert mail.deliver(channel(office.port, bundle, username=USER), message, PASSWORD, 5) == ""
        assert (len(office.mails), office.logins) == (1, 1)


def test_a_wrong_password(message: Message, pair: Pair, bundle: Path) -> None:
    """535: a person must mend it; no word of the password."""
    with PostOffice(pair, auth=True) as office:
        with pytest.raises(GiveUp, match=r"does not take these credentials: 535 ") as refusal:
            mail.deliver(channel(office.port, bundle, username=USER), message, "wrong-pass-word", 5)
        assert office.mails == []
    assert "wrong-pass-word" not in refusal.value.text


def test_a_server_that_says_our_password_back(host: Host) -> None:
    """Whatever a stranger answers, the secret stays out of errors."""
    secret = "do-not-repeat-me"
    reply = f"554 bad {secret} and ZG8tbm90LXJlcGVhdC1tZQ== here\r\n".encode()
    with Listening().script(b"250 mail\r\n", reply) as peer:
        given = host.secret("password", secret)
        host.configure(
            f'[notify.ops]\ntype="email"\nto=["a@b.c"]\nfrom="a@b.c"\nserver="127.0.0.1:{peer.port}"\n'
            f'security="plain"\nusername="x"\npassword={given}\n'
        )
        config = load(str(host.path))
        with pytest.raises(RenewerError) as refusal:
            channels.send(config.channels["ops"], sample(config, "run", config.channels["ops"]))
    assert secret not in refusal.value.text
    assert "ZG8tbm90" not in refusal.value.text


@pytest.mark.parametrize("how", ["says nothing", "drips", "stops in the middle", "hangs in TLS"])
def test_a_server_that_hangs_is_left(message: Message, how: str) -> None:
    """One time limit for all of it, whatever comes in meanwhile."""
    ear = Listening()
    peers: dict[str, Callable[[], Peer]] = {
        "says nothing": lambda: Peer(_swallow),
        "drips": lambda: ear.script(b"250 mail\r\n", drip=True),
        "stops in the middle": lambda: ear.script(b"250-mail\r\n250 STARTTLS\r\n", b"", hang=True),
        "hangs in TLS": lambda: ear.script(b"250-mail\r\n250 STARTTLS\r\n", b"220 go on\r\n", hang=True),
    }
    with peers[how]() as peer:
        began = monotonic()
        with pytest.raises(RenewerError, match="was not done within 1 s"):
            mail.deliver(channel(peer.port), message, None, LIMIT)
        assert monotonic() - began < 30


def _swallow(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def test_a_flood_is_not_read_to_its_end(message: Message) -> None:
    """A reply without end."""

    def serve(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"220-" + b"x" * 1000 + b"\r\n")

    with Peer(serve) as peer, pytest.raises(RenewerError):
        mail.deliver(channel(peer.port), message, None, 5)


def test_some_recipients_are_refused(message: Message) -> None:
    """The others were told: it is taken, and the refusal is told."""
    ear = Listening()
    with ear.script(
        b"250 mail\r\n", b"250 ok\r\n", b"250 ok\r\n", b"550 no such user\r\n", b"354 go\r\n", b"250 ok\r\n"
    ) as peer:
        wish = channel(
            peer.port, security=MailSecurity.PLAIN, to=("ops@example.org", "gone@example.org"), ca_bundle=None
        )
        assert mail.deliver(wish, message, None, 5) == "gone@example.org was refused: 550 no such user"


def test_what_fails_is_told_elsewhere(host: Host, time: Clock, mail: MakeMail, office: PostOffice) -> None:
    """Another channel hears of it, once a day; the run goes on; when it works again nothing is missing."""
    elsewhere = host.root / "told.jsonl"
    script = host.root / "tell"
    script.write_text(f"#!/bin/sh\ncat >> {elsewhere}; echo >> {elsewhere}\n")
    script.chmod(0o755)
    wrong = host.secret("password", "not-the-right-one")
    other = f'[notify.pager]\ntype = "command"\nrun = ["{script}"]\n'
    host.configure(mail(server='"127.0.0.1:9"', username='"x"', password=wrong), other)
    end = time.moment + 25 * DAY
    host.install(not_before=end - 90 * DAY, not_after=end)
    for _ in range(7):
        report = host.run()
        time.advance(DAY / 3)
    text = elsewhere.read_text()

    assert office.mails == []
    assert "the channel ops takes no notices since" in report.findings[0]
    assert text.count('"notes":["the channel ops takes no notices since ') == 3  # two days and a bit
    assert "not-the-right-one" not in text + host.log_text() + str(report)
    ledger = host.ledger()
    (outage,) = ledger.load(Outage)
    assert (outage.channel, outage.failures) == ("ops", 7)
    host.configure(mail(), other)
    assert host.run().findings == ()
    assert ledger.load(Outage) == []
    assert office.subjects == ["www: expires in 22 days"]
    ledger.close()


def test_a_local_sendmail(message: Message, tmp_path: Path) -> None:
    """The mail on stdin, the recipients after --, the agent's environment kept from it."""
    program, taken = tmp_path / "sendmail", tmp_path / "mail"
    program.write_text(f'#!/bin/sh\n{{ echo "$@"; env | grep -c RENEWER; cat; }} > {taken}\n')
    program.chmod(0o755)
    wish = channel(0, server=None, sendmail=str(program), to=("-oQ/tmp@example.org",))
    assert mail.deliver(wish, message, None, 5) == ""
    arguments, variables, rest = taken.read_text("utf-8").split("\n", 2)
    assert arguments == "-i -f renewer@web-1.example.org -- -oQ/tmp@example.org"
    assert variables == "0"
    assert rest.startswith("From: renewer <renewer@web-1.example.org>\n")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'mailq is full' >&2; exit 75", "failed with exit code 75: mailq is full"),
        ("sleep 60", "was not done within 1 s"),
    ],
)
def test_a_local_sendmail_that_fails(message: Message, tmp_path: Path, script: str, said: str) -> None:
    """What it says is told; one that hangs is ended."""
    program = tmp_path / "sendmail"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    limit = LIMIT if script == "sleep 60" else 60.0
    with pytest.raises(RenewerError, match=said):
        mail.deliver(channel(0, server=None, sendmail=str(program)), message, None, limit)


def test_a_sendmail_that_others_may_change_is_not_run(message: Message, tmp_path: Path) -> None:
    """Whoever can change it acts as us."""
    program = tmp_path / "sendmail"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o777)
    with pytest.raises(GiveUp, match="can be written to"):
        mail.deliver(channel(0, server=None, sendmail=str(program)), message, None, LIMIT)


def test_umlauts_arrive(message: Message, office: PostOffice, bundle: Path) -> None:
    """UTF-8 in both parts, without asking the server for anything."""
    from msgspec.structs import replace

    words = replace(message, notes=("Zürich, 東京 und ein Satz, der länger ist als eine Zeile " * 3,))
    assert mail.deliver(channel(office.port, bundle), words, None, 5) == ""
    (one,) = office.mails
    assert "Zürich, 東京" in body(one)
    assert "Zürich, 東京" in body(one, "html")
