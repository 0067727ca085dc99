"""Notices by e-mail: SMTP with verified TLS (RFC 3207, RFC 8314) or a local sendmail; text and HTML.

Threads: every message refers to one made-up message a certificate (RFC 5322 §3.6.4), so that mail programs
show what is told of it together.
"""

import contextlib
import os.path
import smtplib
import ssl
from collections.abc import Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from typing import Any

from renewer import clock, ownership, proc, words
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import Email, MailSecurity, Topic
from renewer.model.keys import host_and_port
from renewer.network import tls
from renewer.network.http import connect, deadline_in, is_loopback, lines, secured, send
from renewer.notify.message import Message
from renewer.notify.writing import footer, rows, text

LIMIT = 20.0  # seconds for a whole delivery
_LARGEST = 64 * 1024  # bytes of all that a server says
_THREADS = 20  # certificates that one message refers to
_FINAL = range(500, 600)

_TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")
_COLOURS = {
    Topic.EXPIRING: "#b3261e",
    Topic.FAILED: "#b3261e",
    Topic.DEGRADED: "#8a5a00",
    Topic.RECOVERED: "#1b6e3a",
    Topic.RENEWED: "#1b6e3a",
}


def deliver(channel: Email, message: Message, password: str | None, limit: float = LIMIT) -> str:
    """Give a message to the mail system; returns what a run should tell of it, '' if all went well.

    Raises RenewerError if nobody was told.
    """
    to = channel.to + (channel.escalate_to if message.escalated else ())
    to = tuple(dict.fromkeys(to))
    mail = compose(channel, message)
    if channel.sendmail:
        _sendmail(channel, mail, to, limit)
        return ""
    return _smtp(channel, mail, to, password, limit)


def compose(channel: Email, message: Message) -> EmailMessage:
    """The mail itself. Nothing from elsewhere stands in its headers: names of ours, and words of ours."""
    mail = EmailMessage(policy=SMTP_POLICY)
    domain = channel.sender.rpartition("@")[2]
    mail["From"] = _address(channel.sender, "renewer")
    mail["To"] = ", ".join(channel.to)
    if message.escalated and channel.escalate_to:
        mail["Cc"] = ", ".join(channel.escalate_to)
    mail["Subject"] = words.sentence(f"[renewer] {message.subject}", 200)
    mail["Date"] = message.at
    mail["Message-ID"] = f"<{message.id}@{domain}>"
    threads = [f"<renewer.{entry.certificate}.{message.host}@{domain}>" for entry in message.entries]
    if threads:
        mail["In-Reply-To"] = threads[0]
        mail["References"] = " ".join(threads[:_THREADS])
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5: nobody's holiday answers it
    mail["X-Renewer-Run"] = message.run
    if message.escalated:
        mail["Importance"] = "high"
    report = message.report
    mail.set_content(report.text if report else text(message), cte="quoted-printable")
    whole = report.html if report else html(message)
    mail.add_alternative(whole, subtype="html", cte="quoted-printable")
    if report:
        mail.add_attachment(report.csv, subtype="csv", filename="renewer-report.csv", cte="quoted-printable")
    return mail


def html(message: Message) -> str:
    """A message for mail programs: no script, no image, nothing from elsewhere."""
    from renewer.notify.html import render

    what = {"message": message, "colours": _COLOURS, "rows": rows, "footer": footer(message)}
    return render(_TEMPLATES, "message.html.j2", **what) + "\n"


def _address(mailbox: str, name: str) -> Address:
    local, _, domain = mailbox.rpartition("@")
    return Address(name, local, domain)


class _Client(smtplib.SMTP):
    """smtplib's, but every wait ends at one deadline, and TLS or a loopback address comes first of all."""

    def __init__(self, channel: Email, deadline: float) -> None:
        super().__init__(local_hostname="localhost")
        self._channel = channel
        self._deadline = deadline

    def open(self) -> None:
        """Connect, and hear the greeting."""
        self._host, port = host_and_port(self._channel.server or "")  # the name that STARTTLS insists on
        self.connect(self._host, port or 25)

    def _get_socket(self, host: str, port: int, timeout: float | None) -> Any:  # noqa: ARG002  smtplib's hook
        sock = connect(host, port, self._deadline)
        if self._channel.security is MailSecurity.TLS:
            return secured(sock, host, self._channel.ca_bundle, self._deadline)
        if self._channel.security is MailSecurity.PLAIN and not is_loopback(sock):
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


def _smtp(channel: Email, mail: EmailMessage, to: Sequence[str], password: str | None, limit: float) -> str:
    deadline = deadline_in(limit)
    try:
        client = _Client(channel, deadline)
        try:
            client.open()
            if channel.security is MailSecurity.STARTTLS:
                _upgrade(client, channel)
            if channel.username and password is not None:
                client.login(channel.username, password)
            refused = client.send_message(mail, channel.sender, list(to))
        finally:
            _leave(client)
    except RenewerError:
        raise
    except Exception as error:  # noqa: BLE001  smtplib, ssl and the network have a dozen kinds
        raise _told(error, channel, limit, late=clock.monotonic() >= deadline) from None
    return "".join(
        f"{recipient} was refused: {_reply(code, said)}" for recipient, (code, said) in refused.items()
    )


def _upgrade(client: _Client, channel: Email) -> None:
    """TLS before anything else is said (RFC 3207). Raises if the server does not offer it."""
    client.ehlo()
    if not client.has_extn("starttls"):
        raise GiveUp(
            f"{channel.server} offers no STARTTLS, and nothing is sent in clear",
            hint='is it the right port? security = "tls" is for port 465',
            kind="channel",
        )
    client.starttls(context=tls.verifying(channel.ca_bundle or tls.SYSTEM))
    client.ehlo()


def _leave(client: _Client) -> None:
    """Say good-bye if that is possible; the mail was taken or refused before."""
    with contextlib.suppress(Exception):
        client.quit()
    client.close()


def _told(error: Exception, channel: Email, limit: float, *, late: bool) -> RenewerError:
    """What went wrong as a sentence, `late` if the time was over; never with what we sent."""
    who, final, hint = channel.server, False, ""
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
            why = f"was not done within {limit:g} s"
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


def _sendmail(channel: Email, mail: EmailMessage, to: Sequence[str], limit: float) -> None:
    path = channel.sendmail or ""
    if fault := ownership.why_not_run(path, f"`sendmail` in [notify.{channel.name}]"):
        raise GiveUp(fault, kind="channel")
    argv = [path, "-i", "-f", channel.sender, "--", *to]
    local = SMTP_POLICY.clone(linesep="\n")  # what a program reads on stdin has the system's line ends
    ended = proc.run(argv, stdin=mail.as_bytes(policy=local), env=proc.scrubbed_environment(), timeout=limit)
    if ended.timed_out:
        raise RetryLater(f"{path} was not done within {limit:g} s", kind="channel")
    if ended.code != 0:
        said = words.sentence(proc.last_telling_line(ended.output), 200)
        raise RetryLater(
            f"{path} failed with exit code {proc.exit_words(ended.code)}: {said}",
            hint="its log says why",
            kind="channel",
        )
