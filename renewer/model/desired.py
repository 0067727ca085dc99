"""What the operator wishes, as the config says it: checked, normalised, complete with its defaults."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

from renewer.model.names import Identifier
from renewer.model.value import Value
from renewer.model.windows import DeployWindow


class KeyFamily(StrEnum):
    """What a client can ask a server for: servers may hold a certificate of each (RFC 8446 §4.4.2.2)."""

    ECDSA = "ecdsa"
    RSA = "rsa"


class KeyType(StrEnum):
    """Kinds of key, as the config names them."""

    ECDSA_P256 = "ecdsa-p256"
    ECDSA_P384 = "ecdsa-p384"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"

    @property
    def family(self) -> KeyFamily:
        """The kind of signature it makes."""
        return KeyFamily(self.value.partition("-")[0])


class SecretSource(StrEnum):
    """Where a secret is taken from when it is needed; the config never holds one itself."""

    FILE = "file"
    ENV = "env"
    CREDENTIAL = "credential"
    COMMAND = "command"


class Secret(Value):
    """A reference to a secret: a path, a variable's name, a systemd credential's name, or an argv."""

    source: SecretSource
    argument: tuple[str, ...]


class Eab(Value):
    """External account binding (RFC 8555 §7.3.4)."""

    kid: str
    hmac: Secret


class Authority(Value):
    """An ACME authority and how we are known to it; `workers` bounds the orders in flight there.

    `test` is whether no client trusts what it signs. `profile` is asked for, or the first of `other_profiles`
    that is offered if it is not. A `proxy` with a password in it is a secret.
    """

    name: str
    directory: str
    contact: tuple[str, ...] = ()
    agree_terms: bool = False
    account_key: KeyType = KeyType.ECDSA_P256
    workers: int | None = None
    profile: str | None = None
    other_profiles: tuple[str, ...] = ()
    chain: str | None = None
    eab: Eab | None = None
    ca_bundle: str | None = None
    roots: str = "system"
    staging: str | None = None
    proxy: str | Secret | None = None
    test: bool = False


class Preflight(StrEnum):
    """What to do when our own look at the challenge does not find it."""

    REQUIRE = "require"
    WARN = "warn"
    OFF = "off"


class FirstLook(StrEnum):
    """Whether the names of a certificate are looked at before its first order (`renewer doctor`)."""

    WARN = "warn"  # what is wrong goes to the renewal log, and the order leaves all the same
    OFF = "off"


class Convention(StrEnum):
    """How a program of the operator's is spoken to."""

    RENEWER = "renewer"
    CERTBOT = "certbot"


class Http01(Value, tag="http-01"):
    """How HTTP-01 is answered (RFC 8555 §8.3): a file below `webroot`, our own listener, or a `script`.

    Exactly one of the three is set; `listen` is "HOST:PORT" ("[::]:80" for IPv6), `script` a program with its
    arguments. By the convention `certbot` another one, `cleanup`, takes away what it put there.
    """

    webroot: str | None = None
    listen: str | None = None
    script: tuple[str, ...] = ()
    convention: Convention = Convention.RENEWER
    cleanup: tuple[str, ...] = ()
    preflight: Preflight = Preflight.WARN
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


class TsigAlgorithm(StrEnum):
    """How DNS messages are signed (RFC 8945 §6): those that are still recommended."""

    HMAC_SHA256 = "hmac-sha256"
    HMAC_SHA384 = "hmac-sha384"
    HMAC_SHA512 = "hmac-sha512"


class Tsig(Value):
    """A key that signs DNS messages (RFC 8945); the secret is base64."""

    name: str
    secret: Secret
    algorithm: TsigAlgorithm = TsigAlgorithm.HMAC_SHA256


class Rfc2136(Value):
    """A server that takes DNS updates (RFC 2136): `server` is "HOST:PORT" ("[::1]:53" for IPv6)."""

    server: str
    tsig: Tsig | None = None


class PropagationCheck(StrEnum):
    """Who is asked whether a record can be seen."""

    AUTHORITATIVE = "authoritative"  # every server of the zone
    RESOLVERS = "resolvers"  # the given ones
    NONE = "none"  # nobody; a stated time is waited


class Unreachable(StrEnum):
    """What to do about a name server that gives no usable answer."""

    IGNORE = "ignore"  # told; the others decide
    REQUIRE = "require"  # without its answer the authority is not asked


class Propagation(Value):
    """How long to wait until a record can be seen everywhere.

    `resolvers` are "ADDRESS:PORT"; none means those of the system. `wait` goes with the check `none`.
    """

    check: PropagationCheck = PropagationCheck.AUTHORITATIVE
    timeout: timedelta = timedelta(minutes=10)
    resolvers: tuple[str, ...] = ()
    wait: timedelta = timedelta(0)
    unreachable: Unreachable = Unreachable.IGNORE


OptionValue = str | tuple[str, ...] | Secret


class Dns01(Value, tag="dns-01"):
    """How DNS-01 is answered (RFC 8555 §8.4): by a TXT record that a provider publishes.

    `rfc2136` is set for the provider of that name and for no other; `options` are what any other one takes,
    `env` is the environment of the programs that one of them runs. `one_at_a_time` is whether the provider
    keeps one value a record only, so that names which share a record are proved one after the other.
    """

    provider: str
    rfc2136: Rfc2136 | None = None
    options: tuple[tuple[str, OptionValue], ...] = ()
    env: tuple[tuple[str, str | Secret], ...] = ()
    propagation: Propagation = Propagation()
    one_at_a_time: bool = False


class TlsAlpn01(Value, tag="tls-alpn-01"):
    """How TLS-ALPN-01 is answered (RFC 8737): by our own listener, "HOST:PORT" ("[::]:443" for IPv6)."""

    listen: str


class DnsAccount01(Dns01, tag="dns-account-01"):
    """As DNS-01, under a name that only our account asks for (draft-ietf-acme-dns-account-label)."""


class DnsPersist01(Value, tag="dns-persist-01"):
    """Proved by a TXT record that the operator publishes once (draft-ietf-acme-dns-persist)."""

    propagation: Propagation = Propagation()


Challenge = Http01 | TlsAlpn01 | Dns01 | DnsAccount01 | DnsPersist01
WILDCARD_CHALLENGES = (Dns01, DnsPersist01)  # those that can prove a wildcard (RFC 8555 §7.1.3, RFC 8737 §3)


class Starttls(StrEnum):
    """Protocols that turn to TLS after a few words in clear."""

    SMTP = "smtp"
    SUBMISSION = "submission"
    IMAP = "imap"
    POP3 = "pop3"
    LDAP = "ldap"
    POSTGRESQL = "postgresql"
    MYSQL = "mysql"
    XMPP = "xmpp"
    FTP = "ftp"
    SIEVE = "sieve"


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
    """A port where a certificate must be served.

    `host` is set only if the config names the address to look at; else `server_name` is resolved. `protocol`
    is what is spoken inside TLS where no STARTTLS comes before it. `timeout` is that of one look, in seconds.
    With `proxy_protocol` the port wants to hear first for whom the connection is.
    """

    server_name: str
    port: int = 443
    host: str | None = None
    starttls: Starttls | None = None
    protocol: Starttls | None = None
    timeout: float | None = None
    proxy_protocol: bool = False

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


class CopyPart(StrEnum):
    """What a copied file holds, in the order of writing: no chain ever stands there before its key.

    PEM, but for `der` (the certificate), `key_der` (PKCS#8) and the two keystores.
    """

    KEY = "key"
    KEY_DER = "key_der"
    CERT = "cert"
    CHAIN = "chain"
    FULLCHAIN = "fullchain"
    COMBINED = "combined"
    DER = "der"
    PKCS12 = "pkcs12"
    JKS = "jks"


SEALED_PARTS = (CopyPart.PKCS12, CopyPart.JKS)  # keystores: a password is needed to write and to read them
LEAFLESS_PARTS = (CopyPart.KEY, CopyPart.KEY_DER, CopyPart.CHAIN)  # those that do not say whose they are
SECRET_PARTS = (CopyPart.KEY, CopyPart.KEY_DER, CopyPart.COMBINED, *SEALED_PARTS)  # those that hold the key


class Encryption(StrEnum):
    """How a PKCS#12 is sealed."""

    MODERN = "modern"  # AES-256 and PBKDF2 with SHA-256
    LEGACY = "legacy"  # 3DES and SHA-1, for consumers that can read nothing else


class Copy(Value):
    """Files that follow the live version: absolute path by part, with owner, group and mode.

    `owner` and `group` are names or numbers. What is None is kept of a file that is replaced, and left to the
    system for a new one. `mode` goes for files that hold a key (usually 0600); beside one, those without are
    readable by all (0644). `password` seals the keystores, in which the certificate is called `alias`; with
    `unsealed` that is the empty password. `encryption` is that of a PKCS#12. `in_place`
    writes into a file that is there, which is not atomic, rather than put another one into its place.
    """

    paths: tuple[tuple[CopyPart, str], ...]
    owner: str | None = None
    group: str | None = None
    mode: int | None = None
    password: Secret | None = None
    alias: str = ""
    unsealed: bool = False
    in_place: bool = False
    encryption: Encryption = Encryption.MODERN

    @property
    def shows_leaf(self) -> bool:
        """Whether one of its files tells which certificate it is of."""
        return any(part not in LEAFLESS_PARTS for part, _ in self.paths)


class HookEvent(StrEnum):
    """What a hook is asked to do; argv[1]."""

    TEST = "test"
    DEPLOY = "deploy"
    ROLLBACK = "rollback"
    PRE = "pre"  # something is about to be ordered
    POST = "post"  # all orders and deployments of the run are over


SERVER_EVENTS = (HookEvent.TEST, HookEvent.DEPLOY, HookEvent.ROLLBACK)  # those about what a server serves
CERTBOT_EVENTS = (HookEvent.DEPLOY, HookEvent.PRE, HookEvent.POST)  # those that certbot has, too


class Hook(Value):
    """A program that makes a server load what is at `live`. `run` is an absolute path.

    One that hears only `pre` and `post` deploys nothing, and no deployment waits for it. The failure of one
    that is not `required` is told and retried; it turns nothing back and holds nothing up. `ports` are
    those of its server, as far as they are known: if another one is stale, it need not be called again.
    """

    name: str
    run: str
    shipped: bool
    convention: Convention = Convention.RENEWER
    events: tuple[HookEvent, ...] = (HookEvent.DEPLOY,)
    timeout: float = 60.0
    env: tuple[tuple[str, str | Secret], ...] = ()
    required: bool = True
    ports: tuple[int, ...] = ()

    @property
    def deploys(self) -> bool:
        """Whether a deployment is to call it."""
        return HookEvent.DEPLOY in self.events


class GivenRequest(Value):
    """A certificate signing request of the operator's, for a key that is elsewhere: in an HSM, an appliance.

    `der` is the request itself, `spki` what tells its key (SHA-256 of the SPKI, in hex).
    """

    path: str
    der: bytes
    spki: str


class Certificate(Value):
    """A certificate that is wished for: one table of the config.

    `otherwise` are further ways to prove names, tried after `challenge` in this order. A name that stands in
    `challenges` several times has several ways of its own, in that order. With `csr` we have no key of it.
    """

    name: str
    names: tuple[Identifier, ...]
    authorities: tuple[str, ...]
    challenge: Challenge
    otherwise: tuple[Challenge, ...] = ()
    challenges: tuple[tuple[Identifier, Challenge], ...] = ()
    key: KeyType = KeyType.ECDSA_P256
    csr: GivenRequest | None = None
    reuse_key: bool = False
    placeholder: bool = True
    profile: str | None = None
    other_profiles: tuple[str, ...] = ()
    renew_before: timedelta | None = None
    deploy_windows: tuple[DeployWindow, ...] = ()
    hooks: tuple[str, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    key_mode: int = 0o600
    copies: tuple[Copy, ...] = ()
    hosts: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()


class Agent(Value):
    """The agent itself: where its state lies and how it runs.

    The log gives way to a new one before it grows beyond `log_size` bytes (0: never), and `log_keep` old ones
    stay. `journald` and `syslog` are told every event, too. `proxy` is the way to heartbeats and webhooks.
    """

    state: str = "/var/lib/renewer"
    group: str | None = None
    log: str | None = None
    log_size: int = 10 << 20
    log_keep: int = 5
    journald: bool = False
    syslog: bool = False
    ledger: str | Secret = "sqlite"
    host: str = ""
    wake: timedelta = timedelta(hours=1)
    workers: int = 8
    deadline: timedelta = timedelta(minutes=50)
    look_every: timedelta = timedelta(hours=1)
    preflight: FirstLook = FirstLook.WARN
    resolvers: tuple[str, ...] = ()
    proxy: str | Secret | None = None

    @property
    def log_path(self) -> str:
        """Where the renewal log lies."""
        return self.log or f"{self.state}/renewal.log"


class Topic(StrEnum):
    """What a channel may be told of; `on` in the config."""

    FAILED = "failed"
    RECOVERED = "recovered"
    RENEWED = "renewed"
    EXPIRING = "expiring"
    DEGRADED = "degraded"


class MailSecurity(StrEnum):
    """How a mail server is spoken to."""

    STARTTLS = "starttls"
    TLS = "tls"
    PLAIN = "plain"  # to a loopback address only


class Email(Value, tag="email"):
    """Notices by e-mail: by way of an SMTP `server` ("HOST:PORT"), or of a local `sendmail` (absolute path).

    Exactly one of the two is set. `ca_bundle` is a PEM file to trust instead of the system's roots.
    """

    name: str
    on: frozenset[Topic]
    to: tuple[str, ...]
    sender: str
    server: str | None = None
    security: MailSecurity = MailSecurity.STARTTLS
    username: str | None = None
    password: Secret | None = None
    ca_bundle: str | None = None
    sendmail: str | None = None
    escalate_to: tuple[str, ...] = ()


class Webhook(Value, tag="webhook"):
    """Notices as JSON, posted to a URL; signed with `secret` if there is one. The URL may hold a token."""

    name: str
    on: frozenset[Topic]
    url: Secret
    secret: Secret | None = None
    ca_bundle: str | None = None


class Apprise(Value, tag="apprise"):
    """Notices to whatever service apprise knows, by its URLs; those hold passwords and are secrets."""

    name: str
    on: frozenset[Topic]
    urls: tuple[Secret, ...]
    escalate_to: tuple[Secret, ...] = ()


class Program(Value, tag="command"):
    """Notices as JSON on the stdin of a program of the operator's; `timeout` in seconds."""

    name: str
    on: frozenset[Topic]
    run: tuple[str, ...]
    timeout: float = 60.0
    env: tuple[tuple[str, str | Secret], ...] = ()


Channel = Email | Webhook | Apprise | Program


class Watch(Value):
    """A certificate that is looked at and told of, not renewed: one at a port, or one in a file (absolute).

    Exactly one of the two is set. `roots` is what one at a port must chain to, as for an authority.
    """

    name: str
    endpoint: Endpoint | None = None
    file: str | None = None
    roots: str = "system"
    notify: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """Where it is, for people."""
        return self.file or str(self.endpoint)


class SummaryEvery(StrEnum):
    """How often a summary is told."""

    WEEKLY = "weekly"  # on Mondays, of the week before
    MONTHLY = "monthly"  # on the first, of the month before


class Report(Value):
    """What is left for others after each run: files (absolute paths), pings to a healthchecks-style URL.

    A `summary` goes to the channels `summary_to` (all that send mail if it is empty and there is no
    `summary_file`) and to `summary_file`, whose name says in which form.
    """

    metrics: str | None = None
    page: str | None = None
    heartbeat: Secret | None = None
    summary: SummaryEvery | None = None
    summary_to: tuple[str, ...] = ()
    summary_file: str | None = None


class Config(Value):
    """The whole wish. Mappings are by name, in the order of the files; `notes` are odd, and no faults."""

    path: str
    agent: Agent
    authorities: Mapping[str, Authority]
    certificates: Mapping[str, Certificate]
    hooks: Mapping[str, Hook]
    channels: Mapping[str, Channel] = {}
    watches: Mapping[str, Watch] = {}
    report: Report = Report()
    notes: tuple[str, ...] = ()
