"""Notices by e-mail, to an SMTP server or a local sendmail; text and HTML.

Threads: every message refers to one made-up message a certificate (RFC 5322 §3.6.4), so that mail programs
show what is told of it together.
"""

import os.path
from collections.abc import Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY

from renewer import ownership, proc, secrets, words
from renewer.errors import GiveUp, RetryLater
from renewer.model.desired import Email, Topic
from renewer.notify.message import Message
from renewer.notify.writing import footer, rows, text

LIMIT = 20.0  # seconds for a whole delivery
_THREADS = 20  # certificates that one message refers to

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
    from renewer.network.channels import Courier
    from renewer.network.channels.messages import Mail

    content = mail.as_bytes()
    request = Mail(
        server=channel.server or "",
        security=channel.security,
        sender=channel.sender,
        to=to,
        limit=limit,
        octets=len(content),
        username=channel.username,
        password=password,
    )
    roots = secrets.roots(channel.ca_bundle) if channel.ca_bundle else ""
    return Courier(roots, of=channel.name).mail(request, content)


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
