"""The tables of challenges, one a type: `type` tells them apart. A further type joins the union below."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from renewer.config.tables import DURATION, SecretTable, Table
from renewer.model.desired import Convention, Preflight, PropagationCheck, TsigAlgorithm, Unreachable


class Http01Table(Table, tag_field="type", tag="http-01"):
    """HTTP-01: a file below the webroot of a running server, or our own listener."""

    webroot: Annotated[str, Meta(description="Directory that the web server serves at /.")] | UnsetType = (
        UNSET
    )
    listen: Annotated[str, Meta(description="Address of our own listener, as 0.0.0.0:80.")] | UnsetType = (
        UNSET
    )
    script: (
        Annotated[
            list[str], Meta(description="Program that puts the token where it is served, and its arguments.")
        ]
        | UnsetType
    ) = UNSET
    convention: (
        Annotated[Convention, Meta(description="How script is spoken to; certbot: CERTBOT_TOKEN and others.")]
        | UnsetType
    ) = UNSET
    cleanup: (
        Annotated[
            list[str], Meta(description="With convention certbot: program that takes the token away again.")
        ]
        | UnsetType
    ) = UNSET
    preflight: (
        Annotated[Preflight, Meta(description="Fetch the token ourselves first: require, warn or off.")]
        | UnsetType
    ) = UNSET
    before: (
        Annotated[
            list[str], Meta(description="With listen: program run before listening, and its arguments.")
        ]
        | UnsetType
    ) = UNSET
    after: (
        Annotated[list[str], Meta(description="With listen: program always run after listening.")] | UnsetType
    ) = UNSET


class TsigTable(Table):
    """The key that DNS updates are signed with (RFC 8945)."""

    name: Annotated[str, Meta(description="The key's name, as the server knows it.")]
    secret: Annotated[SecretTable, Meta(description="Where the secret is, as base64.")]
    algorithm: Annotated[TsigAlgorithm, Meta(description="Default hmac-sha256.")] | UnsetType = UNSET


class PropagationTable(Table):
    """How to wait until a record can be seen."""

    check: (
        Annotated[PropagationCheck, Meta(description="Who is asked: authoritative, resolvers or none.")]
        | UnsetType
    ) = UNSET
    timeout: (
        Annotated[str, Meta(description="Longest time to wait; default 10m.", extra_json_schema=DURATION)]
        | UnsetType
    ) = UNSET
    resolvers: (
        Annotated[list[str], Meta(description="Resolvers to ask, as 192.0.2.1:53; default the system's.")]
        | UnsetType
    ) = UNSET
    wait: (
        Annotated[
            str, Meta(description="With check none: how long to wait, as 60s.", extra_json_schema=DURATION)
        ]
        | UnsetType
    ) = UNSET
    unreachable: (
        Annotated[
            Unreachable, Meta(description="What a name server without an answer means: ignore or require.")
        ]
        | UnsetType
    ) = UNSET


EXPERIMENTAL = "Must be true: the type is a draft, and what authorities do with it may change."


class TlsAlpn01Table(Table, tag_field="type", tag="tls-alpn-01"):
    """TLS-ALPN-01: a handshake with our own listener on port 443, or behind the TLS server there."""

    listen: Annotated[str, Meta(description="Address of our own listener, as 0.0.0.0:443.")]


class Dns01Table(Table, tag_field="type", tag="dns-01"):
    """DNS-01: a TXT record that a provider publishes; proves wildcards, too."""

    provider: Annotated[str, Meta(description="Who publishes it: rfc2136, or another one's name.")]
    server: (
        Annotated[str, Meta(description="With rfc2136: the server that takes updates, as 192.0.2.53:53.")]
        | UnsetType
    ) = UNSET
    tsig: (
        Annotated[TsigTable, Meta(description="With rfc2136: the key to sign updates with.")] | UnsetType
    ) = UNSET
    options: (
        Annotated[
            dict[str, str | list[str] | SecretTable], Meta(description="What any other provider needs.")
        ]
        | UnsetType
    ) = UNSET
    env: (
        Annotated[dict[str, str | SecretTable], Meta(description="With script, lexicon: what they run in.")]
        | UnsetType
    ) = UNSET
    propagation: (
        Annotated[PropagationTable, Meta(description="How to wait until the record can be seen.")] | UnsetType
    ) = UNSET
    one_at_a_time: (
        Annotated[
            bool, Meta(description="The provider keeps one value only: prove names of a record in turn.")
        ]
        | UnsetType
    ) = UNSET


class DnsAccount01Table(Dns01Table, tag_field="type", tag="dns-account-01"):
    """As DNS-01, under a name of our account's own: several accounts prove one name side by side."""

    experimental: Annotated[bool, Meta(description=EXPERIMENTAL)] | UnsetType = UNSET


class DnsPersist01Table(Table, tag_field="type", tag="dns-persist-01"):
    """A TXT record that the operator publishes once: `renewer challenge show` prints it."""

    experimental: Annotated[bool, Meta(description=EXPERIMENTAL)] | UnsetType = UNSET
    propagation: (
        Annotated[PropagationTable, Meta(description="Who is asked whether the record can be seen.")]
        | UnsetType
    ) = UNSET


ChallengeTable = Http01Table | TlsAlpn01Table | Dns01Table | DnsAccount01Table | DnsPersist01Table
ChallengeKeys = str | ChallengeTable | list[str | ChallengeTable]
"""What `challenge` can be: a table by name or in place, or several of them in the order of trying."""
