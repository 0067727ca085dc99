"""Ways to tell people how it goes, as the config says them."""

from enum import StrEnum
from typing import Annotated, Self

from renewer.model.keys import ABS_PATH, ENVIRONMENT, MAILBOX, Argv, Key, Printable, Seconds, Secret
from renewer.model.value import Value


class Topic(StrEnum):
    """What a channel may be told of; `on` in the config."""

    FAILED = "failed"
    RECOVERED = "recovered"
    RENEWED = "renewed"
    EXPIRING = "expiring"
    DEGRADED = "degraded"


class MailSecurity(StrEnum):
    """How a mail server is spoken to, and the `port` where it listens for that."""

    port: int

    STARTTLS = "starttls", 587
    TLS = "tls", 465
    PLAIN = "plain", 25  # to a loopback address only

    def __new__(cls, word: str, port: int = 0) -> Self:
        """A word with the port that goes with it."""
        made = str.__new__(cls, word)
        made._value_, made.port = word, port
        return made


_CA_BUNDLE = Key("PEM file to trust instead of the system's roots.", ABS_PATH)


_TO = 'say who is told: to = ["ops@example.org"]'


class Notified(Value):
    """What all channels have in common: their name, and what they are told of."""

    name: str
    on: Annotated[
        frozenset[Topic],
        Key(
            "What is told here: failed recovered renewed expiring degraded; default all.",
            some="name what is told here, or take the table out",
        ),
    ] = frozenset(Topic)


class Email(Notified, tag="email", kw_only=True):
    """Notices by e-mail.

    By way of an SMTP `server` ("HOST:PORT"), or of a local `sendmail` (absolute path): exactly one of the two
    is set. `ca_bundle` is a PEM file to trust instead of the system's roots.
    """

    to: Annotated[tuple[str, ...], Key("Who is told.", MAILBOX, some=_TO, missing=_TO)]
    sender: Annotated[
        str,
        Key(
            "Who it comes from.",
            MAILBOX,
            key="from",
            missing='say who the mail comes from: from = "renewer@web-1.example.org"',
        ),
    ]
    server: Annotated[str | None, Key("The SMTP server, as smtp.example.org:587.")] = None
    security: Annotated[MailSecurity, Key("starttls, tls; plain only to a loopback address.")] = (
        MailSecurity.STARTTLS
    )
    username: Annotated[
        str | None, Key("Name to log in with.", Printable("holds control characters"), blank=True)
    ] = None
    password: Annotated[Secret | None, Key("Where the password is.")] = None
    ca_bundle: Annotated[str | None, _CA_BUNDLE] = None
    sendmail: Annotated[str | None, Key("A local sendmail instead of a server; absolute path.", ABS_PATH)] = (
        None
    )
    escalate_to: Annotated[tuple[str, ...], Key("Who is told too when nobody acts for long.", MAILBOX)] = ()


class Webhook(Notified, tag="webhook", kw_only=True):
    """Notices as JSON, posted to a URL.

    Signed with `secret` if there is one. The URL may hold a token.
    """

    url: Annotated[
        Secret,
        Key(
            "Where the URL is; it may hold a token.",
            missing='refer to it: url = { file = "/path" }; it may hold a token',
        ),
    ]
    secret: Annotated[Secret | None, Key("Where the key of the HMAC signature is.")] = None
    ca_bundle: Annotated[str | None, _CA_BUNDLE] = None


class Apprise(Notified, tag="apprise", kw_only=True):
    """Notices to chat, push and pager services.

    Whatever apprise knows, by its URLs; those hold passwords and are secrets.
    """

    urls: Annotated[
        tuple[Secret, ...],
        Key(
            "Where apprise's URLs are; they hold passwords.",
            some='refer to them: urls = [{ file = "/path" }]',
            missing='refer to them: urls = [{ file = "/path" }]; they hold passwords',
        ),
    ]
    escalate_to: Annotated[tuple[Secret, ...], Key("URLs that are told too when nobody acts for long.")] = ()


class Program(Notified, tag="command", kw_only=True):
    """Notices as JSON on the stdin of a program.

    `timeout` is in seconds.
    """

    run: Annotated[tuple[str, ...], Key("The program and its arguments; absolute path.", Argv(), missing="")]
    timeout: Annotated[float, Key("Longest time it may take, as 60s.", Seconds("1s", "10m"))] = 60.0
    env: Annotated[tuple[tuple[str, str | Secret], ...], ENVIRONMENT] = ()


Channel = Email | Webhook | Apprise | Program
