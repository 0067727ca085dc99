"""How names are proved: the kinds of challenges, as the config says them."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar

from renewer.model.keys import (
    ABS_PATH,
    DNS_SERVER,
    KEY_NAME,
    LISTEN,
    UPDATE_SERVER,
    Argv,
    Convention,
    Duration,
    Here,
    Key,
    Secret,
    Variables,
)
from renewer.model.value import Value


class Preflight(StrEnum):
    """What to do when our own look at the challenge does not find it."""

    REQUIRE = "require"
    WARN = "warn"
    OFF = "off"


class Http01(Value, tag="http-01"):
    """HTTP-01: a file below the webroot of a running server, our own listener, or a script (RFC 8555 §8.3).

    Exactly one of the three is set; `listen` is "HOST:PORT" ("[::]:80" for IPv6), `script` a program with its
    arguments. By the convention `certbot` another one, `cleanup`, takes away what it put there.
    """

    webroot: Annotated[str | None, Key("Directory that the web server serves at /.", ABS_PATH)] = None
    listen: Annotated[str | None, Key("Address of our own listener, as 0.0.0.0:80.", LISTEN)] = None
    script: Annotated[
        tuple[str, ...], Key("Program that puts the token where it is served, and its arguments.", Argv())
    ] = ()
    convention: Annotated[Convention, Key("How script is spoken to; certbot: CERTBOT_TOKEN and others.")] = (
        Convention.RENEWER
    )
    cleanup: Annotated[
        tuple[str, ...], Key("With convention certbot: program that takes the token away again.", Argv())
    ] = ()
    preflight: Annotated[Preflight, Key("Fetch the token ourselves first: require, warn or off.")] = (
        Preflight.WARN
    )
    before: Annotated[
        tuple[str, ...],
        Key("With listen: program run before listening, and its arguments.", Argv(blank=True)),
    ] = ()
    after: Annotated[
        tuple[str, ...], Key("With listen: program always run after listening.", Argv(blank=True))
    ] = ()


class TsigAlgorithm(StrEnum):
    """How DNS messages are signed (RFC 8945 §6): those that are still recommended."""

    HMAC_SHA256 = "hmac-sha256"
    HMAC_SHA384 = "hmac-sha384"
    HMAC_SHA512 = "hmac-sha512"


class Tsig(Value):
    """The key that DNS updates are signed with (RFC 8945)."""

    name: Annotated[str, Key("The key's name, as the server knows it.", KEY_NAME, missing="")]
    secret: Annotated[Secret, Key("Where the secret is, as base64.", missing="")]
    algorithm: Annotated[TsigAlgorithm, Key("Default hmac-sha256.")] = TsigAlgorithm.HMAC_SHA256


class Rfc2136(Value):
    """A server that takes DNS updates (RFC 2136): `server` is "HOST:PORT" ("[::1]:53" for IPv6)."""

    server: Annotated[
        str, Key("With rfc2136: the server that takes updates, as 192.0.2.53:53.", UPDATE_SERVER)
    ]
    tsig: Annotated[Tsig | None, Key("With rfc2136: the key to sign updates with.")] = None


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
    """How to wait until a record can be seen.

    `resolvers` are "ADDRESS:PORT"; none means those of the system. `wait` goes with the check `none`.
    """

    check: Annotated[PropagationCheck, Key("Who is asked: authoritative, resolvers or none.")] = (
        PropagationCheck.AUTHORITATIVE
    )
    timeout: Annotated[timedelta, Key("Longest time to wait; default 10m.", Duration("1s", "6h"))] = (
        timedelta(minutes=10)
    )
    resolvers: Annotated[
        tuple[str, ...], Key("Resolvers to ask, as 192.0.2.1:53; default the system's.", DNS_SERVER)
    ] = ()
    wait: Annotated[timedelta, Key("With check none: how long to wait, as 60s.", Duration("0s", "6h"))] = (
        timedelta(0)
    )
    unreachable: Annotated[
        Unreachable, Key("What a name server without an answer means: ignore or require.")
    ] = Unreachable.IGNORE


OptionValue = str | tuple[str, ...] | Secret


class Dns01(Value, tag="dns-01"):
    """DNS-01: a TXT record that a provider publishes; proves wildcards, too (RFC 8555 §8.4).

    `rfc2136` is set for the provider of that name and for no other; `options` are what any other one takes,
    `env` is the environment of the programs that one of them runs. `one_at_a_time` is whether the provider
    keeps one value a record only, so that names which share a record are proved one after the other.
    """

    provider: Annotated[
        str,
        Key(
            "Who publishes it: rfc2136, or another one's name.",
            missing='say who publishes the record: provider = "rfc2136"',
        ),
    ]
    rfc2136: Annotated[Rfc2136 | None, Here(Rfc2136)] = None
    options: Annotated[tuple[tuple[str, OptionValue], ...], Key("What any other provider needs.")] = ()
    env: Annotated[
        tuple[tuple[str, str | Secret], ...],
        Key("With script, lexicon: what they run in.", Variables("scripts", "RENEWER_", "CERTBOT_")),
    ] = ()
    propagation: Annotated[Propagation, Key("How to wait until the record can be seen.")] = Propagation()
    one_at_a_time: Annotated[
        bool, Key("The provider keeps one value only: prove names of a record in turn.")
    ] = False


_DRAFT = Key("Must be true: the type is a draft, and what authorities do with it may change.")


class TlsAlpn01(Value, tag="tls-alpn-01"):
    """TLS-ALPN-01: a handshake with our own listener on port 443, or behind the TLS server there (RFC 8737).

    `listen` is "HOST:PORT" ("[::]:443" for IPv6).
    """

    listen: Annotated[
        str,
        Key(
            "Address of our own listener, as 0.0.0.0:443.",
            LISTEN,
            missing='say where to listen: listen = "0.0.0.0:443"',
        ),
    ]


class DnsAccount01(Dns01, tag="dns-account-01"):
    """As DNS-01, under a name of our account's own: several accounts prove one name side by side.

    draft-ietf-acme-dns-account-label.
    """

    experimental: ClassVar[Annotated[bool, _DRAFT]]


class DnsPersist01(Value, tag="dns-persist-01"):
    """A TXT record that the operator publishes once: `renewer challenge show` prints it.

    draft-ietf-acme-dns-persist.
    """

    experimental: ClassVar[Annotated[bool, _DRAFT]]
    propagation: Annotated[Propagation, Key("Who is asked whether the record can be seen.")] = Propagation()


Challenge = Http01 | TlsAlpn01 | Dns01 | DnsAccount01 | DnsPersist01


WILDCARD_CHALLENGES = (Dns01, DnsPersist01)  # those that can prove a wildcard (RFC 8555 §7.1.3, RFC 8737 §3)


Ways = tuple[str | Challenge, ...]
"""Challenges as the config names them: a [challenge.X] by name, or a table in place."""
