"""Mail to an SMTP server, with verified TLS (RFC 3207, RFC 8314)."""

import contextlib
import smtplib
import ssl
from typing import Any

from renewer import clock, words
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.channels import MailSecurity
from renewer.model.keys import host_and_port
from renewer.network import tls
from renewer.network.channels.messages import Mail
from renewer.network.http import connect, deadline_in, is_loopback, lines, secured, send

_LARGEST = 64 * 1024  # bytes of all that a server says
_FINAL = range(500, 600)


class _Client(smtplib.SMTP):
    """smtplib's, but every wait ends at one deadline, and TLS or a loopback address comes first of all."""

    def __init__(self, request: Mail, roots: str | None, deadline: float) -> None:
        super().__init__(local_hostname="localhost")
        self._request = request
        self._roots = roots
        self._deadline = deadline

    def open(self) -> None:
        """Connect, and hear the greeting."""
        self._host, port = host_and_port(self._request.server)  # the name that STARTTLS insists on
        self.connect(self._host, port or 25)

    def _get_socket(self, host: str, port: int, timeout: float | None) -> Any:  # noqa: ARG002  smtplib's hook
        sock = connect(host, port, self._deadline)
        if self._request.security is MailSecurity.TLS:
            return secured(sock, host, self._roots, self._deadline)
        if self._request.security is MailSecurity.PLAIN and not is_loopback(sock):
            sock.close()
            raise GiveUp(
                f"{host} is not a loopback address: no mail goes there in clear",
                hint='write security = "starttls"',
                kind="channel",
            )
        return sock

    def getreply(self) -> tuple[int, bytes]:
        """A reply, read until the deadline only."""
        if self.file is None:
            self.file = lines(self.sock, self._deadline, _LARGEST)  # type: ignore[arg-type]
        return super().getreply()

    def send(self, s: Any) -> None:
        """All of it, until the deadline only."""
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("not connected")
        send(self.sock, s.encode("ascii") if isinstance(s, str) else bytes(s), self._deadline)


def deliver(request: Mail, content: bytes, roots: str | None) -> str:
    """Give a mail to the server; who was refused, as words. Raises RenewerError if nobody was told."""
    deadline = deadline_in(request.limit)
    try:
        client = _Client(request, roots, deadline)
        try:
            client.open()
            if request.security is MailSecurity.STARTTLS:
                _upgrade(client, request, roots)
            if request.username and request.password is not None:
                client.login(request.username, request.password)
            refused = client.sendmail(request.sender, list(request.to), content)
        finally:
            _leave(client)
    except RenewerError:
        raise
    except Exception as error:  # noqa: BLE001  smtplib, ssl and the network have a dozen kinds
        raise _told(error, request, late=clock.monotonic() >= deadline) from None
    return "".join(
        f"{recipient} was refused: {_reply(code, said)}" for recipient, (code, said) in refused.items()
    )


def _upgrade(client: _Client, request: Mail, roots: str | None) -> None:
    """TLS before anything else is said (RFC 3207). Raises if the server does not offer it."""
    client.ehlo()
    if not client.has_extn("starttls"):
        raise GiveUp(
            f"{request.server} offers no STARTTLS, and nothing is sent in clear",
            hint='is it the right port? security = "tls" is for port 465',
            kind="channel",
        )
    client.starttls(context=tls.verifying(roots or tls.SYSTEM))
    client.ehlo()


def _leave(client: _Client) -> None:
    """Say good-bye if that is possible; the mail was taken or refused before."""
    with contextlib.suppress(Exception):
        client.quit()
    client.close()


def _told(error: Exception, request: Mail, *, late: bool) -> RenewerError:
    """What went wrong as a sentence, `late` if the time was over; never with what we sent."""
    who, final, hint = request.server, False, ""
    match error:
        case smtplib.SMTPAuthenticationError():
            why, final = f"does not take these credentials: {_reply(error.smtp_code, error.smtp_error)}", True
            hint = "correct username and password"
        case smtplib.SMTPNotSupportedError():
            why, final, hint = "offers no way to log in", True, "take username and password out"
        case smtplib.SMTPRecipientsRefused():
            code, said = next(iter(error.recipients.values()), (0, b""))
            why, final = f"takes mail for none of the recipients: {_reply(code, said)}", code in _FINAL
            hint = "correct `to`, or let the server take mail from here"
        case smtplib.SMTPResponseException():
            why = f"refuses the mail: {_reply(error.smtp_code, error.smtp_error)}"
            final = error.smtp_code in _FINAL
        case TimeoutError() | smtplib.SMTPServerDisconnected() if late:
            why = f"was not done within {request.limit:g} s"
        case ssl.SSLCertVerificationError():
            why, hint = f"shows a certificate that is not trusted: {error.verify_message}", "see ca_bundle"
        case ssl.SSLError():
            why = f"does not speak TLS as it should: {(error.reason or 'no handshake').lower()}"
        case smtplib.SMTPServerDisconnected():
            why = "closed the connection"
        case OSError():
            why = f"cannot be reached: {(error.strerror or str(error)).lower()}"
        case _:
            why = f"could not be spoken to ({type(error).__name__})"
    kind = GiveUp if final else RetryLater
    return kind(f"the mail server {who} {why}", hint=hint, kind="channel")


def _reply(code: int, said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return f"{code} {words.sentence(text, 200)}".strip()
