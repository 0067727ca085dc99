"""What a config file may say, key by key; the JSON Schema for editors is made from these tables.

Everything here is as the operator wrote it; `resolve` checks it and turns it into `model.desired`.
"""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from renewer.config.challenge_tables import ChallengeKeys, ChallengeTable
from renewer.config.channel_tables import ChannelTable
from renewer.config.tables import DURATION, SIZE, SecretTable, Table
from renewer.model.desired import (
    Convention,
    Encryption,
    FirstLook,
    HookEvent,
    KeyType,
    Starttls,
    SummaryEvery,
)

_MODE = {"pattern": r"^0?[0-7]{3}$"}


class EabTable(Table):
    """External account binding, as the authority handed it out."""

    kid: Annotated[str, Meta(description="The key identifier.")]
    hmac: Annotated[SecretTable, Meta(description="Where the HMAC key is: { file = … } and the like.")]


class AgentTable(Table):
    """The agent itself: where its state lies and how it runs."""

    state: Annotated[str, Meta(description="Directory of keys, certificates and the ledger.")] | UnsetType = (
        UNSET
    )
    group: (
        Annotated[str, Meta(description="Group that may read the live certificates and keys.")] | UnsetType
    ) = UNSET
    log: (
        Annotated[str, Meta(description="The renewal log, JSON Lines; default <state>/renewal.log.")]
        | UnsetType
    ) = UNSET
    log_size: (
        Annotated[
            str,
            Meta(
                description="A larger log gives way to a new one, as 10M; 0: never.", extra_json_schema=SIZE
            ),
        ]
        | UnsetType
    ) = UNSET
    log_keep: Annotated[int, Meta(description="Old logs that stay, 1 to 1000.")] | UnsetType = UNSET
    journald: Annotated[bool, Meta(description="Tell systemd's journal every event.")] | UnsetType = UNSET
    syslog: Annotated[bool, Meta(description="Tell syslog every event.")] | UnsetType = UNSET
    ledger: Annotated[str, Meta(description="Where the ledger is kept: sqlite.")] | UnsetType = UNSET
    host: Annotated[str, Meta(description="This host's name in the ledger; default its own.")] | UnsetType = (
        UNSET
    )
    wake: (
        Annotated[str, Meta(description="How often the timer calls, as 1h.", extra_json_schema=DURATION)]
        | UnsetType
    ) = UNSET
    workers: Annotated[int, Meta(description="Orders in flight at once, 1 to 64.")] | UnsetType = UNSET
    deadline: (
        Annotated[str, Meta(description="Longest time of one run, as 50m.", extra_json_schema=DURATION)]
        | UnsetType
    ) = UNSET
    look_every: (
        Annotated[str, Meta(description="How often each endpoint is looked at.", extra_json_schema=DURATION)]
        | UnsetType
    ) = UNSET
    preflight: (
        Annotated[FirstLook, Meta(description="Look at the names before a first order: warn or off.")]
        | UnsetType
    ) = UNSET
    resolvers: (
        Annotated[
            list[str], Meta(description="DNS resolvers doctor asks, as 192.0.2.1:53; default the system's.")
        ]
        | UnsetType
    ) = UNSET
    proxy: (
        Annotated[
            str | SecretTable,
            Meta(description="HTTP proxy for heartbeats and webhooks; with a password as { file = … }."),
        ]
        | UnsetType
    ) = UNSET


class AuthorityTable(Table):
    """An ACME authority and how we are known to it."""

    directory: (
        Annotated[str, Meta(description="URL of its directory; built-in ones have it.")] | UnsetType
    ) = UNSET
    contact: Annotated[list[str], Meta(description="E-mail addresses told to the authority.")] | UnsetType = (
        UNSET
    )
    agree_terms: Annotated[bool, Meta(description="You agree to its terms of service.")] | UnsetType = UNSET
    test: (
        Annotated[bool, Meta(description="It is for tests: no client trusts what it signs.")] | UnsetType
    ) = UNSET
    account_key: Annotated[KeyType, Meta(description="Kind of the account's key.")] | UnsetType = UNSET
    workers: Annotated[int, Meta(description="Orders in flight there at once, 1 to 64.")] | UnsetType = UNSET
    profile: (
        Annotated[
            str | list[str],
            Meta(description="Its certificate profile; of several the first that it offers is asked for."),
        ]
        | UnsetType
    ) = UNSET
    chain: Annotated[str, Meta(description="Preferred root, by common name.")] | UnsetType = UNSET
    eab: (
        Annotated[EabTable, Meta(description="External account binding, if it asks for one.")] | UnsetType
    ) = UNSET
    ca_bundle: (
        Annotated[str, Meta(description="PEM file to trust for the authority's own TLS.")] | UnsetType
    ) = UNSET
    roots: (
        Annotated[str, Meta(description="What served certificates must chain to: system, any or a PEM file.")]
        | UnsetType
    ) = UNSET
    staging: Annotated[str, Meta(description="URL of its directory for rehearsals.")] | UnsetType = UNSET
    proxy: (
        Annotated[
            str | SecretTable,
            Meta(description="HTTP proxy to reach it by; with a password as { file = … } and the like."),
        ]
        | UnsetType
    ) = UNSET


class EndpointTable(Table):
    """A port where the certificate must be served."""

    host: (
        Annotated[str, Meta(description="Address to look at; default: where the name points.")] | UnsetType
    ) = UNSET
    port: Annotated[int, Meta(description="Default 443, or the usual one of starttls.")] | UnsetType = UNSET
    server_name: Annotated[str, Meta(description="Name to ask for (SNI).")] | UnsetType = UNSET
    starttls: Annotated[Starttls, Meta(description="Protocol that turns to TLS.")] | UnsetType = UNSET
    protocol: (
        Annotated[Starttls, Meta(description="Protocol inside TLS; default that of the port.")] | UnsetType
    ) = UNSET
    timeout: (
        Annotated[str, Meta(description="Of one look; default 5s, mail 15s.", extra_json_schema=DURATION)]
        | UnsetType
    ) = UNSET
    proxy_protocol: Annotated[bool, Meta(description="The port wants a PROXY header first.")] | UnsetType = (
        UNSET
    )


class CopyTable(Table):
    """Files elsewhere that follow the live version; absolute paths."""

    key: Annotated[str, Meta(description="The private key.")] | UnsetType = UNSET
    cert: Annotated[str, Meta(description="The certificate alone.")] | UnsetType = UNSET
    chain: Annotated[str, Meta(description="The chain without the certificate.")] | UnsetType = UNSET
    fullchain: Annotated[str, Meta(description="The certificate and its chain.")] | UnsetType = UNSET
    combined: Annotated[str, Meta(description="Certificate, chain and key in one file.")] | UnsetType = UNSET
    key_der: Annotated[str, Meta(description="The private key as DER (PKCS#8).")] | UnsetType = UNSET
    der: Annotated[str, Meta(description="The certificate alone as DER.")] | UnsetType = UNSET
    pkcs12: Annotated[str, Meta(description="Key, certificate and chain as PKCS#12.")] | UnsetType = UNSET
    jks: (
        Annotated[str, Meta(description="The same as a Java keystore; needs Java's keytool.")] | UnsetType
    ) = UNSET
    password: (
        Annotated[
            str | SecretTable,
            Meta(description='What seals pkcs12 and jks: { file = … } and the like; "" for the empty one.'),
        ]
        | UnsetType
    ) = UNSET
    alias: (
        Annotated[
            str, Meta(description="What it is called in pkcs12 and jks; default the certificate's name.")
        ]
        | UnsetType
    ) = UNSET
    encryption: (
        Annotated[Encryption, Meta(description="Of pkcs12: modern, or legacy (3DES) for old consumers.")]
        | UnsetType
    ) = UNSET
    in_place: (
        Annotated[
            bool, Meta(description="Write into the file that is there, as for bind mounts; not atomic.")
        ]
        | UnsetType
    ) = UNSET
    owner: Annotated[str, Meta(description="User that owns the files.")] | UnsetType = UNSET
    group: Annotated[str, Meta(description="Group of the files.")] | UnsetType = UNSET
    mode: (
        Annotated[str, Meta(description="Mode of files with the key, as 0640.", extra_json_schema=_MODE)]
        | UnsetType
    ) = UNSET


class CertificateKeys(Table):
    """What a certificate and the defaults have in common."""

    authority: Annotated[str, Meta(description="Name of the authority.")] | UnsetType = UNSET
    authorities: (
        Annotated[list[str], Meta(description="Names of authorities, tried in order.")] | UnsetType
    ) = UNSET
    challenge: (
        Annotated[
            ChallengeKeys,
            Meta(description="A [challenge.X] by name, a table in place, or a list of them to try in order."),
        ]
        | UnsetType
    ) = UNSET
    challenges: (
        Annotated[dict[str, ChallengeKeys], Meta(description="Challenges for single names.")] | UnsetType
    ) = UNSET
    key: (
        Annotated[
            KeyType | list[KeyType],
            Meta(description="Kind of the key; of an ECDSA and an RSA kind, two certificates are made."),
        ]
        | UnsetType
    ) = UNSET
    reuse_key: Annotated[bool, Meta(description="Keep the key at renewal.")] | UnsetType = UNSET
    placeholder: (
        Annotated[bool, Meta(description="Self-signed until the first issuance, so that servers can start.")]
        | UnsetType
    ) = UNSET
    profile: (
        Annotated[
            str | list[str],
            Meta(description="The authority's certificate profile; of several the first that is offered."),
        ]
        | UnsetType
    ) = UNSET
    renew_before: (
        Annotated[
            str,
            Meta(
                description="Renew so long before expiry, where there is no ARI.", extra_json_schema=DURATION
            ),
        ]
        | UnsetType
    ) = UNSET
    deploy_window: (
        Annotated[
            str | list[str],
            Meta(description="When servers may be touched: 'Sat 02:00-04:00', or several such."),
        ]
        | UnsetType
    ) = UNSET
    hooks: (
        Annotated[list[str], Meta(description="Hooks that make servers load it: [hook.X] or shipped ones.")]
        | UnsetType
    ) = UNSET
    endpoints: (
        Annotated[
            list[str | EndpointTable],
            Meta(description="Ports to look at; default each name on :443 with hooks; [] turns looking off."),
        ]
        | UnsetType
    ) = UNSET
    key_mode: (
        Annotated[str, Meta(description="Mode of the key file, as 0640.", extra_json_schema=_MODE)]
        | UnsetType
    ) = UNSET
    copies: Annotated[list[CopyTable], Meta(description="Files elsewhere that follow it.")] | UnsetType = (
        UNSET
    )
    hosts: Annotated[list[str], Meta(description="Hosts that deploy it; default this one.")] | UnsetType = (
        UNSET
    )
    notify: (
        Annotated[list[str], Meta(description="Which [notify.X] are told of it; default all.")] | UnsetType
    ) = UNSET


class CertificateTable(CertificateKeys, kw_only=True):
    """A certificate that is wished for."""

    names: (
        Annotated[list[str], Meta(description="Host names, *.wildcards and IP addresses, at most 100.")]
        | UnsetType
    ) = UNSET
    csr: (
        Annotated[
            str, Meta(description="Certificate signing request, PEM or DER, for a key that is elsewhere.")
        ]
        | UnsetType
    ) = UNSET


class DefaultsTable(CertificateKeys):
    """What goes for every certificate that does not say otherwise, and for every authority in use."""

    contact: Annotated[list[str], Meta(description="E-mail addresses told to authorities.")] | UnsetType = (
        UNSET
    )
    agree_terms: (
        Annotated[bool, Meta(description="You agree to the authorities' terms of service.")] | UnsetType
    ) = UNSET


class HookTable(Table):
    """A program that makes a server load the certificate."""

    run: Annotated[str, Meta(description="A shipped hook by name, or a path.")] | UnsetType = UNSET
    convention: (
        Annotated[Convention, Meta(description="How it is spoken to; certbot: RENEWED_LINEAGE, a directory.")]
        | UnsetType
    ) = UNSET
    events: (
        Annotated[list[HookEvent], Meta(description="What it hears: test, deploy, …, pre, post.")] | UnsetType
    ) = UNSET
    timeout: (
        Annotated[str, Meta(description="Longest time it may take, as 60s.", extra_json_schema=DURATION)]
        | UnsetType
    ) = UNSET
    env: (
        Annotated[
            dict[str, str | SecretTable],
            Meta(description="Environment variables for it; a secret as { file = … } and the like."),
        ]
        | UnsetType
    ) = UNSET
    ports: (
        Annotated[list[int], Meta(description="Ports of its server: not called again for others.")]
        | UnsetType
    ) = UNSET
    required: (
        Annotated[bool, Meta(description="false: its failure is told and retried, and turns nothing back.")]
        | UnsetType
    ) = UNSET


class WatchTable(Table):
    """A certificate that is looked at and told of, not renewed: at a port, or in a file."""

    endpoint: (
        Annotated[str | EndpointTable, Meta(description="Where it is served, as mail.example.org:993.")]
        | UnsetType
    ) = UNSET
    file: Annotated[str, Meta(description="PEM file that holds it; absolute path.")] | UnsetType = UNSET
    roots: (
        Annotated[str, Meta(description="What it must chain to at its port: system, any or a PEM file.")]
        | UnsetType
    ) = UNSET
    notify: (
        Annotated[list[str], Meta(description="Which [notify.X] are told of it; default all.")] | UnsetType
    ) = UNSET


class ReportTable(Table):
    """What is left for others after each run."""

    metrics: (
        Annotated[str, Meta(description="File of metrics for node_exporter's textfile collector.")]
        | UnsetType
    ) = UNSET
    page: Annotated[str, Meta(description="HTML file that shows how things stand.")] | UnsetType = UNSET
    summary: (
        Annotated[SummaryEvery, Meta(description="How often a summary is told: renewals, failures, margins.")]
        | UnsetType
    ) = UNSET
    summary_to: (
        Annotated[list[str], Meta(description="Channels that get it; default: all that send mail.")]
        | UnsetType
    ) = UNSET
    summary_file: (
        Annotated[str, Meta(description="File that gets it: .html, .txt, .csv or .json.")] | UnsetType
    ) = UNSET
    heartbeat: (
        Annotated[SecretTable, Meta(description="Where the healthchecks-style URL is: { file = … } …")]
        | UnsetType
    ) = UNSET


class Document(Table):
    """The configuration of renewer."""

    include: (
        Annotated[list[str], Meta(description="More files, as conf.d/*.toml, relative to this one.")]
        | UnsetType
    ) = UNSET
    agent: Annotated[AgentTable, Meta(description="The agent itself.")] | UnsetType = UNSET
    defaults: Annotated[DefaultsTable, Meta(description="Keys for every certificate.")] | UnsetType = UNSET
    authority: Annotated[dict[str, AuthorityTable], Meta(description="ACME authorities.")] | UnsetType = UNSET
    challenge: (
        Annotated[dict[str, ChallengeTable], Meta(description="Ways to prove control of a name.")] | UnsetType
    ) = UNSET
    certificate: (
        Annotated[dict[str, CertificateTable], Meta(description="The certificates wished for.")] | UnsetType
    ) = UNSET
    hook: (
        Annotated[dict[str, HookTable], Meta(description="Programs that make servers load them.")] | UnsetType
    ) = UNSET
    watch: (
        Annotated[dict[str, WatchTable], Meta(description="Certificates that are only watched.")] | UnsetType
    ) = UNSET
    notify: (
        Annotated[dict[str, ChannelTable], Meta(description="Ways to tell people how it goes.")] | UnsetType
    ) = UNSET
    report: (
        Annotated[ReportTable, Meta(description="What is left for others after each run.")] | UnsetType
    ) = UNSET


def json_schema() -> dict[str, object]:
    """The JSON Schema (2020-12) of a config file."""
    schema: dict[str, object] = msgspec.json.schema(Document)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "renewer", **schema}
