"""What the operator wishes, as the config says it: checked, normalised, complete with its defaults.

Every key of the config is said here and nowhere else: a field with a `Key` is one, and so is a ClassVar with
a `Key`, which is looked at and not kept. `config.shape` reads the tables by it.
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar

from renewer.model.challenges import (
    WILDCARD_CHALLENGES,
    Challenge,
    Dns01,
    DnsAccount01,
    DnsPersist01,
    Http01,
    OptionValue,
    Preflight,
    Propagation,
    PropagationCheck,
    Rfc2136,
    TlsAlpn01,
    Tsig,
    TsigAlgorithm,
    Unreachable,
    Ways,
)
from renewer.model.channels import Apprise, Channel, Email, MailSecurity, Notified, Program, Topic, Webhook
from renewer.model.keys import (
    ABS_PATH,
    CONTACT,
    DIRECTORY,
    DNS_SERVER,
    NAME,
    PROXY,
    ROOTS,
    URL,
    Convention,
    Duration,
    Here,
    Key,
    Mode,
    Number,
    OneOf,
    Printable,
    Secret,
    SecretSource,
    Size,
    Word,
)
from renewer.model.names import Identifier
from renewer.model.served import (
    CERTBOT_EVENTS,
    LEAFLESS_PARTS,
    SEALED_PARTS,
    SECRET_PARTS,
    SERVER_EVENTS,
    Copy,
    CopyPart,
    Encryption,
    Endpoint,
    Hook,
    HookEvent,
    Starttls,
)
from renewer.model.value import Value

__all__ = [
    "CERTBOT_EVENTS", "LEAFLESS_PARTS", "SEALED_PARTS", "SECRET_PARTS", "SERVER_EVENTS",
    "WILDCARD_CHALLENGES", "Agent", "Apprise", "Authority", "Certificate", "Challenge", "Channel",
    "Config", "Convention", "Copy", "CopyPart", "Defaults", "Dns01", "DnsAccount01", "DnsPersist01",
    "Eab", "Email", "Encryption", "Endpoint", "FirstLook", "GivenRequest", "Hook", "HookEvent", "Http01",
    "KeyFamily", "KeyType", "MailSecurity", "Notified", "OptionValue", "Preflight", "Program",
    "Propagation", "PropagationCheck", "Report", "Rfc2136", "Secret", "SecretSource", "Starttls",
    "SummaryEvery", "TlsAlpn01", "Topic", "Tsig", "TsigAlgorithm", "Unreachable", "Watch", "Ways",
    "Webhook",
]  # fmt: skip

_PROFILE = Key(
    "Certificate profile of the authority; of several the first that is offered.",
    Printable("is not the name of a profile"),
    of=tuple[str, ...],
    single=True,
    some="name at least one profile, or leave the key out",
    once=True,
    blank=True,
)


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


class Eab(Value):
    """External account binding, as the authority handed it out (RFC 8555 §7.3.4)."""

    kid: Annotated[
        str,
        Key(
            "The key identifier.",
            Printable("is not a key identifier"),
            missing="the authority's site hands out both, kid and hmac",
        ),
    ]
    hmac: Annotated[
        Secret,
        Key(
            "Where the HMAC key is: { file = … } and the like.",
            missing='the authority\'s site hands it out; keep it in a file: hmac = { file = "/path" }',
        ),
    ]


class Authority(Value):
    """An ACME authority and how we are known to it.

    `workers` bounds the orders in flight there. `test` is whether no client trusts what it signs. `profile`
    is asked for, or the first of `other_profiles` that is offered if it is not. A `proxy` with a password in
    it is a secret.
    """

    name: str
    directory: Annotated[str, Key("URL of its directory; built-in ones have it.", URL)]
    contact: Annotated[tuple[str, ...], Key("E-mail addresses told to the authority.", CONTACT)] = ()
    agree_terms: Annotated[bool, Key("You agree to its terms of service.")] = False
    account_key: Annotated[KeyType, Key("Kind of the account's key.")] = KeyType.ECDSA_P256
    workers: Annotated[int | None, Key("Orders in flight there at once, 1 to 64.", Number(1, 64))] = None
    profile: Annotated[str | None, _PROFILE] = None
    other_profiles: tuple[str, ...] = ()
    chain: Annotated[str | None, Key("Preferred root, by common name.", blank=True)] = None
    eab: Annotated[Eab | None, Key("External account binding, if it asks for one.")] = None
    ca_bundle: Annotated[str | None, Key("PEM file to trust for the authority's own TLS.", ABS_PATH)] = None
    roots: Annotated[
        str, Key("What served certificates must chain to: system, any or a PEM file.", ROOTS)
    ] = "system"
    staging: Annotated[str | None, Key("URL of its directory for rehearsals.", URL)] = None
    proxy: Annotated[
        str | Secret | None,
        Key("HTTP proxy to reach it by; with a password as { file = … } and the like.", PROXY),
    ] = None
    test: Annotated[bool, Key("It is for tests: no client trusts what it signs.")] = False


class FirstLook(StrEnum):
    """Whether the names of a certificate are looked at before its first order (`renewer doctor`)."""

    WARN = "warn"  # what is wrong goes to the renewal log, and the order leaves all the same
    OFF = "off"


_NOTIFY = Key("Which [notify.X] are told of it; default all.")
_WAYS = "name at least one challenge, or leave the key out"
_LEDGERS = OneOf(("sqlite",), "is not a kind of ledger", 'the only one so far is "sqlite"')


class GivenRequest(Value):
    """A certificate signing request of the operator's, for a key that is elsewhere: in an HSM, an appliance.

    `der` is the request itself, `spki` what tells its key (SHA-256 of the SPKI, in hex).
    """

    path: str
    der: bytes
    spki: str


class DeployWindow(Value):
    """When a certificate may be deployed: on these weekdays (0 is Monday) from `start` to `end`.

    In minutes of the day as the clocks of `zone` show it; an end that is not after the start lies on the next
    day. `text` is how the config says it. `fault` is why this host cannot tell when that is: such a window
    never opens.
    """

    text: str
    days: tuple[int, ...]
    start: int
    end: int
    zone: str
    fault: str = ""


class Certificate(Value):
    """A certificate that is wished for.

    `otherwise` are further ways to prove names, tried after `challenge` in this order. A name that stands in
    `challenges` several times has several ways of its own, in that order. With `csr` we have no key of it.
    `deploy_after` is how long a new version waits after its key was published, before it goes live.
    """

    authority: ClassVar[Annotated[str, Key("Name of the authority.")]]
    name: str
    names: Annotated[
        tuple[Identifier, ...],
        Key(
            "Host names, *.wildcards and IP addresses, at most 100.",
            NAME,
            some='say which names it is for: names = ["example.org"]',
            once=True,
        ),
    ]
    authorities: Annotated[
        tuple[str, ...],
        Key("Names of authorities, tried in order.", some='name at least one: ["letsencrypt"]', once=True),
    ]
    challenge: Annotated[
        Challenge,
        Key(
            "A [challenge.X] by name, a table in place, or a list of them to try in order.",
            of=Ways,
            single=True,
            some=_WAYS,
        ),
    ]
    otherwise: tuple[Challenge, ...] = ()
    challenges: Annotated[
        tuple[tuple[Identifier, Challenge], ...],
        Key("Challenges for single names.", of=Mapping[str, Ways], single=True, some=_WAYS),
    ] = ()
    key: Annotated[
        KeyType,
        Key(
            "Kind of the key; of an ECDSA and an RSA kind, two certificates are made.",
            of=tuple[KeyType, ...],
            single=True,
            some='name a kind: key = "ecdsa-p256", or ["ecdsa-p256", "rsa-2048"]',
        ),
    ] = KeyType.ECDSA_P256
    csr: Annotated[
        GivenRequest | None,
        Key("Certificate signing request, PEM or DER, for a key that is elsewhere.", ABS_PATH, of=str),
    ] = None
    reuse_key: Annotated[bool, Key("Keep the key at renewal.")] = False
    placeholder: Annotated[bool, Key("Self-signed until the first issuance, so that servers can start.")] = (
        True
    )
    profile: Annotated[str | None, _PROFILE] = None
    other_profiles: tuple[str, ...] = ()
    renew_before: Annotated[
        timedelta | None,
        Key("Renew so long before expiry, where there is no ARI.", Duration("1h", "365d"), blank=True),
    ] = None
    deploy_windows: Annotated[
        tuple[DeployWindow, ...],
        Key(
            "When servers may be touched: 'Sat 02:00-04:00', or several such.",
            key="deploy_window",
            of=tuple[str, ...],
            single=True,
        ),
    ] = ()
    deploy_after: Annotated[
        timedelta | None,
        Key(
            "How long a new version waits after hooks have published it, as 2h.",
            Duration("1m", "30d"),
            blank=True,
        ),
    ] = None
    hooks: Annotated[
        tuple[str, ...], Key("Hooks that make servers load it: [hook.X] or shipped ones.", once=True)
    ] = ()
    endpoints: Annotated[
        tuple[Endpoint, ...],
        Key(
            "Ports to look at; default each name on :443 with hooks; [] turns looking off.",
            of=tuple[str | Endpoint, ...],
        ),
    ] = ()
    key_mode: Annotated[int, Key("Mode of the key file, as 0640.", Mode(0o640, "a key"))] = 0o600
    copies: Annotated[tuple[Copy, ...], Key("Files elsewhere that follow it.")] = ()
    hosts: Annotated[tuple[str, ...], Key("Hosts that deploy it; default this one.", Word("host name"))] = ()
    notify: Annotated[tuple[str, ...], _NOTIFY] = ()


class Defaults(Value):
    """What goes for every certificate that does not say otherwise, and for every authority in use."""

    certificate: Annotated[Certificate, Here(Certificate, without=("names", "csr"))]
    contact: Annotated[tuple[str, ...], Key("E-mail addresses told to authorities.", CONTACT)] = ()
    agree_terms: Annotated[bool, Key("You agree to the authorities' terms of service.")] = False


class Agent(Value):
    """The agent itself: where its state lies and how it runs.

    The log gives way to a new one before it grows beyond `log_size` bytes (0: never), and `log_keep` old ones
    stay. `journald` and `syslog` are told every event, too. `proxy` is the way to heartbeats and webhooks.
    `network_user` is whom the processes become that speak to strangers, where the agent is root.
    """

    state: Annotated[str, Key("Directory of keys, certificates and the ledger.", DIRECTORY)] = (
        "/var/lib/renewer"
    )
    group: Annotated[
        str | None, Key("Group that may read the live certificates and keys.", Word("group"))
    ] = None
    log: Annotated[str | None, Key("The renewal log, JSON Lines; default <state>/renewal.log.", ABS_PATH)] = (
        None
    )
    log_size: Annotated[
        int, Key("A larger log gives way to a new one, as 10M; 0: never.", Size("64K", "1G"))
    ] = 10 << 20
    log_keep: Annotated[int, Key("Old logs that stay, 1 to 1000.", Number(1, 1000))] = 5
    journald: Annotated[bool, Key("Tell systemd's journal every event.")] = False
    syslog: Annotated[bool, Key("Tell syslog every event.")] = False
    ledger: Annotated[str | Secret, Key("Where the ledger is kept: sqlite.", _LEDGERS, of=str)] = "sqlite"
    host: Annotated[str, Key("This host's name in the ledger; default its own.", Word("host name"))] = ""
    wake: Annotated[timedelta, Key("How often the timer calls, as 1h.", Duration("1m", "7d"))] = timedelta(
        hours=1
    )
    workers: Annotated[int, Key("Orders in flight at once, 1 to 64.", Number(1, 64))] = 8
    deadline: Annotated[timedelta, Key("Longest time of one run, as 50m.", Duration("1m", "24h"))] = (
        timedelta(minutes=50)
    )
    look_every: Annotated[timedelta, Key("How often each endpoint is looked at.", Duration("1m", "30d"))] = (
        timedelta(hours=1)
    )
    preflight: Annotated[FirstLook, Key("Look at the names before a first order: warn or off.")] = (
        FirstLook.WARN
    )
    resolvers: Annotated[
        tuple[str, ...], Key("DNS resolvers doctor asks, as 192.0.2.1:53; default the system's.", DNS_SERVER)
    ] = ()
    network_user: Annotated[
        str | None, Key("User as whom strangers are spoken to; default renewer, else nobody's.", Word("user"))
    ] = None
    proxy: Annotated[
        str | Secret | None,
        Key("HTTP proxy for heartbeats and webhooks; with a password as { file = … }.", PROXY),
    ] = None

    @property
    def log_path(self) -> str:
        """Where the renewal log lies."""
        return self.log or f"{self.state}/renewal.log"


class Watch(Value):
    """A certificate that is looked at and told of, not renewed: at a port, or in a file.

    Exactly one of the two is set. `roots` is what one at a port must chain to, as for an authority.
    """

    name: str
    endpoint: Annotated[
        Endpoint | None, Key("Where it is served, as mail.example.org:993.", of=str | Endpoint)
    ] = None
    file: Annotated[str | None, Key("PEM file that holds it; absolute path.", ABS_PATH)] = None
    roots: Annotated[str, Key("What it must chain to at its port: system, any or a PEM file.", ROOTS)] = (
        "system"
    )
    notify: Annotated[tuple[str, ...], _NOTIFY] = ()

    @property
    def target(self) -> str:
        """Where it is, for people."""
        return self.file or str(self.endpoint)


class SummaryEvery(StrEnum):
    """How often a summary is told."""

    WEEKLY = "weekly"  # on Mondays, of the week before
    MONTHLY = "monthly"  # on the first, of the month before


class Report(Value):
    """What is left for others after each run.

    Files (absolute paths), and pings to a healthchecks-style URL. A `summary` goes to the channels
    `summary_to` (all that send mail if it is empty and there is no `summary_file`) and to `summary_file`,
    whose name says in which form.
    """

    metrics: Annotated[
        str | None, Key("File of metrics for node_exporter's textfile collector.", ABS_PATH)
    ] = None
    page: Annotated[str | None, Key("HTML file that shows how things stand.", ABS_PATH)] = None
    heartbeat: Annotated[Secret | None, Key("Where the healthchecks-style URL is: { file = … } …")] = None
    summary: Annotated[
        SummaryEvery | None, Key("How often a summary is told: renewals, failures, margins.")
    ] = None
    summary_to: Annotated[tuple[str, ...], Key("Channels that get it; default: all that send mail.")] = ()
    summary_file: Annotated[str | None, Key("File that gets it: .html, .txt, .csv or .json.", ABS_PATH)] = (
        None
    )


class Config(Value):
    """The configuration of renewer.

    Mappings are by name, in the order of the files; `notes` are odd, and no faults.
    """

    include: ClassVar[Annotated[tuple[str, ...], Key("More files, as conf.d/*.toml, relative to this one.")]]
    path: str
    agent: Annotated[Agent, Key("The agent itself.")]
    defaults: ClassVar[Annotated[Defaults, Key("Keys for every certificate.")]]
    authorities: Annotated[Mapping[str, Authority], Key("ACME authorities.", key="authority")]
    challenge: ClassVar[Annotated[Mapping[str, Challenge], Key("Ways to prove control of a name.")]]
    certificates: Annotated[Mapping[str, Certificate], Key("The certificates wished for.", key="certificate")]
    hooks: Annotated[Mapping[str, Hook], Key("Programs that make servers load them.", key="hook")]
    watches: Annotated[Mapping[str, Watch], Key("Certificates that are only watched.", key="watch")] = {}
    channels: Annotated[Mapping[str, Channel], Key("Ways to tell people how it goes.", key="notify")] = {}
    report: Annotated[Report, Key("What is left for others after each run.")] = Report()
    notes: tuple[str, ...] = ()
