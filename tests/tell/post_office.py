"""A real SMTP server that keeps what it is given, and can refuse it."""

import email
import email.policy
import gc
import ssl
import threading
import warnings
from email.message import EmailMessage
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.servers.certificates import Pair
from tests.servers.ports import free_port, release

USER, PASSWORD = "renewer", "s3cret of the mail server"


class Mail(EmailMessage):
    """A mail as it arrived; `sender` and `recipients` are of the envelope."""

    sender: str
    recipients: tuple[str, ...]
    secured: bool


class PostOffice:
    """Listens on 127.0.0.1. With a `pair` it offers STARTTLS and wants it; `auth` wants USER and PASSWORD."""

    def __init__(self, pair: Pair | None = None, *, auth: bool = False) -> None:
        self.mails: list[Mail] = []
        self.refusing = False
        self.attempts = 0
        self.logins = 0
        self.plain_bytes = 0
        self.port = free_port()
        context = None
        if pair is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pair.cert, pair.key)
        self._guard = threading.Lock()
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            tls_context=context,
            require_starttls=context is not None,
            authenticator=self._authenticate,
            auth_required=auth,
            auth_require_tls=context is not None,
            enable_SMTPUTF8=False,
        )

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()
        release(self.port)
        with warnings.catch_warnings():  # aiosmtpd closes no client that broke off in TLS
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()

    @property
    def address(self) -> str:
        """For `server` in the config; the certificate names it."""
        return f"localhost:{self.port}"

    @property
    def subjects(self) -> list[str]:
        """Of the mails, in their order."""
        return [str(mail["Subject"]).removeprefix("[renewer] ") for mail in self.mails]

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep it, or refuse it for now."""
        self.attempts += 1
        if self.refusing:
            return "451 4.3.0 come back later"
        data = envelope.content if isinstance(envelope.content, bytes) else str(envelope.content).encode()
        mail: Any = email.message_from_bytes(data, _class=Mail, policy=email.policy.SMTP)
        mail.sender, mail.recipients = envelope.mail_from, tuple(envelope.rcpt_tos)
        mail.secured = session.ssl is not None
        with self._guard:
            self.mails.append(mail)
        return "250 2.0.0 taken"

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: LoginPassword
    ) -> AuthResult:
        self.logins += 1
        right = given.login == USER.encode() and given.password == PASSWORD.encode()
        return AuthResult(success=right, handled=right)


def body(mail: Mail, kind: str = "plain") -> str:
    """The text, or the HTML."""
    part = mail.get_body((kind,))
    assert part is not None
    content: str = part.get_content()
    return content.replace("\r\n", "\n")
