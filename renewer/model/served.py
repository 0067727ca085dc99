"""Where a certificate is served: ports, copies, and the hooks that make servers load it."""

from enum import StrEnum
from typing import Annotated, Self

from renewer.model.keys import (
    ENVIRONMENT,
    KEYSTORE_PASSWORD,
    Convention,
    Here,
    Key,
    KeyWord,
    Mode,
    Printable,
    Seconds,
    Secret,
    Word,
)
from renewer.model.value import Value


class Starttls(StrEnum):
    """Protocols that turn to TLS after a few words in clear, each with the `port` where it does as a rule."""

    port: int

    SMTP = "smtp", 25
    SUBMISSION = "submission", 587
    IMAP = "imap", 143
    POP3 = "pop3", 110
    LDAP = "ldap", 389
    POSTGRESQL = "postgresql", 5432
    MYSQL = "mysql", 3306
    XMPP = "xmpp", 5222
    FTP = "ftp", 21
    SIEVE = "sieve", 4190

    def __new__(cls, word: str, port: int = 0) -> Self:
        """A word with the port of that protocol."""
        made = str.__new__(cls, word)
        made._value_, made.port = word, port
        return made


BEFORE_TLS = {protocol.port: protocol for protocol in Starttls}
"""What is spoken at a port before TLS when nobody says so."""

_TLS_AT_ONCE = {
    465: Starttls.SMTP,
    636: Starttls.LDAP,
    990: Starttls.FTP,
    993: Starttls.IMAP,
    995: Starttls.POP3,
    5223: Starttls.XMPP,
}


_GREETS_LATE = (Starttls.SMTP, Starttls.SUBMISSION)


_USUAL_PATIENCE = 5.0


_LATEST_GREETING = 15.0  # seconds: postscreen waits six by default before it says its first whole line


class Endpoint(Value):
    """A port where the certificate must be served.

    `host` is set only if the config names the address to look at; else `server_name` is resolved. `protocol`
    is what is spoken inside TLS where no STARTTLS comes before it. `timeout` is that of one look, in seconds.
    With `proxy_protocol` the port wants to hear first for whom the connection is.
    """

    server_name: Annotated[str, Key("Name to ask for (SNI).")]
    port: Annotated[int, Key("Default 443, or the usual one of starttls.")] = 443
    host: Annotated[str | None, Key("Address to look at; default: where the name points.")] = None
    starttls: Annotated[Starttls | None, Key("Protocol that turns to TLS.")] = None
    protocol: Annotated[Starttls | None, Key("Protocol inside TLS; default that of the port.")] = None
    timeout: Annotated[float | None, Key("Of one look; default 5s, mail 15s.", Seconds("1s", "2m"))] = None
    proxy_protocol: Annotated[bool, Key("The port wants a PROXY header first.")] = False

    @property
    def spoken(self) -> Starttls | None:
        """The protocol in which a look takes its leave; None where nothing need be said, as in HTTP."""
        return self.starttls or self.protocol or _TLS_AT_ONCE.get(self.port)

    @property
    def patience(self) -> float:
        """How many seconds a look may take, from the first packet to the end of the handshake."""
        return self.timeout or (_LATEST_GREETING if self.starttls in _GREETS_LATE else _USUAL_PATIENCE)

    def __str__(self) -> str:
        address = self.host or self.server_name
        text = f"[{address}]:{self.port}" if ":" in address else f"{address}:{self.port}"
        if self.host and self.host != self.server_name:
            text += f"/{self.server_name}"
        return text


class CopyPart(KeyWord):
    """What a copied file holds, in the order of writing: no chain ever stands there before its key.

    PEM, but for `der` (the certificate), `key_der` (PKCS#8) and the two keystores.
    """

    KEY = "key", "The private key."
    KEY_DER = "key_der", "The private key as DER (PKCS#8)."
    CERT = "cert", "The certificate alone."
    CHAIN = "chain", "The chain without the certificate."
    FULLCHAIN = "fullchain", "The certificate and its chain."
    COMBINED = "combined", "Certificate, chain and key in one file."
    DER = "der", "The certificate alone as DER."
    PKCS12 = "pkcs12", "Key, certificate and chain as PKCS#12."
    JKS = "jks", "The same as a Java keystore; needs Java's keytool."


SEALED_PARTS = (CopyPart.PKCS12, CopyPart.JKS)  # keystores: a password is needed to write and to read them


LEAFLESS_PARTS = (CopyPart.KEY, CopyPart.KEY_DER, CopyPart.CHAIN)  # those that do not say whose they are


SECRET_PARTS = (CopyPart.KEY, CopyPart.KEY_DER, CopyPart.COMBINED, *SEALED_PARTS)  # those that hold the key


class Encryption(StrEnum):
    """How a PKCS#12 is sealed."""

    MODERN = "modern"  # AES-256 and PBKDF2 with SHA-256
    LEGACY = "legacy"  # 3DES and SHA-1, for consumers that can read nothing else


class Copy(Value):
    """Files elsewhere that follow the live version; absolute paths.

    `paths` has the path of each part. `owner` and `group` are names or numbers. What is None is kept of a
    file that is replaced, and left to the system for a new one. `mode` goes for files that hold a key
    (usually 0600); beside one, those without are readable by all (0644). `password` seals the keystores,
    in which the certificate is called `alias`; with `unsealed` that is the empty password. `encryption`
    is that of a PKCS#12. `in_place` writes into a file that is there, which is not atomic, rather than
    put another one into its place.
    """

    paths: Annotated[tuple[tuple[CopyPart, str], ...], Here(CopyPart)]
    owner: Annotated[str | None, Key("User that owns the files.", Word("user"))] = None
    group: Annotated[str | None, Key("Group of the files.", Word("group"))] = None
    mode: Annotated[int | None, Key("Mode of files with the key, as 0640.", Mode(0o777, "the file"))] = None
    password: Annotated[
        Secret | None,
        Key(
            'What seals pkcs12 and jks: { file = … } and the like; "" for the empty one.',
            KEYSTORE_PASSWORD,
            of=str | Secret,
        ),
    ] = None
    alias: Annotated[
        str,
        Key(
            "What it is called in pkcs12 and jks; default the certificate's name.",
            Printable("must be 1 to 64 printable characters", 64),
        ),
    ] = ""
    unsealed: bool = False
    in_place: Annotated[bool, Key("Write into the file that is there, as for bind mounts; not atomic.")] = (
        False
    )
    encryption: Annotated[Encryption, Key("Of pkcs12: modern, or legacy (3DES) for old consumers.")] = (
        Encryption.MODERN
    )

    @property
    def shows_leaf(self) -> bool:
        """Whether one of its files tells which certificate it is of."""
        return any(part not in LEAFLESS_PARTS for part, _ in self.paths)


class HookEvent(StrEnum):
    """What a hook is asked to do; argv[1]."""

    TEST = "test"
    DEPLOY = "deploy"
    ROLLBACK = "rollback"
    PUBLISH = "publish"  # what will be served is known: let others know of its key before it is
    PRE = "pre"  # something is about to be ordered
    POST = "post"  # all orders and deployments of the run are over


SERVER_EVENTS = (HookEvent.TEST, HookEvent.DEPLOY, HookEvent.ROLLBACK)  # those about what a server serves


CERTBOT_EVENTS = (HookEvent.DEPLOY, HookEvent.PRE, HookEvent.POST)  # those that certbot has, too


class Hook(Value):
    """A program that makes a server load the certificate.

    `run` is an absolute path; one with `arguments` is not told the event as another one. One that hears
    only `pre`, `post` or `publish` loads nothing, and nothing waits for it to `deploy`. The failure of
    one that is not `required` is told and retried; it turns nothing back and holds nothing up. `ports`
    are those of its server, as far as they are known: if another one is stale, it need not be called
    again.
    """

    name: str
    run: Annotated[
        str,
        Key(
            "A shipped hook by name, or a path; or a program with its arguments, as a list.",
            of=tuple[str, ...],
            single=True,
            some='name a program: run = "/path", or ["/path", "argument"]',
        ),
    ]
    shipped: bool
    arguments: tuple[str, ...] = ()
    convention: Annotated[Convention, Key("How it is spoken to; certbot: RENEWED_LINEAGE, a directory.")] = (
        Convention.RENEWER
    )
    events: Annotated[tuple[HookEvent, ...], Key("What it hears: test, deploy, …, pre, post, publish.")] = (
        HookEvent.DEPLOY,
    )
    timeout: Annotated[float, Key("Longest time it may take, as 60s.", Seconds("1s", "1h"))] = 60.0
    env: Annotated[tuple[tuple[str, str | Secret], ...], ENVIRONMENT] = ()
    required: Annotated[bool, Key("false: its failure is told and retried, and turns nothing back.")] = True
    ports: Annotated[
        tuple[int, ...],
        Key(
            "Ports of its server: not called again for others.",
            some="take it out, or name the ports of its server",
        ),
    ] = ()

    @property
    def argv(self) -> tuple[str, ...]:
        """The program with its own arguments."""
        return (self.run, *self.arguments)

    def called_for(self, event: str) -> tuple[str, ...]:
        """How it is called: with the event, unless it has arguments of its own or was written for certbot."""
        told = self.convention is not Convention.CERTBOT and not self.arguments
        return (*self.argv, event) if told else self.argv

    @property
    def deploys(self) -> bool:
        """Whether a deployment is to call it."""
        return HookEvent.DEPLOY in self.events

    @property
    def publishes(self) -> bool:
        """Whether it is to be called before a new version goes live."""
        return HookEvent.PUBLISH in self.events
