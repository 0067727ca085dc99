"""Challenges of the type dns-01: who publishes the record, and how to wait until it can be seen."""

import re
from datetime import timedelta

from msgspec import UNSET, UnsetType

from renewer.config import scalars
from renewer.config.agent import checked, resolvers
from renewer.config.authorities import resolve_secret
from renewer.config.challenge_tables import Dns01Table, PropagationTable, TsigTable
from renewer.config.faults import Faults, Path, did_you_mean
from renewer.model.desired import (
    Dns01,
    OptionValue,
    Propagation,
    PropagationCheck,
    Rfc2136,
    Secret,
    Tsig,
    TsigAlgorithm,
    Unreachable,
)
from renewer.model.dns_options import BUILT_IN, completed, option_faults
from renewer.model.names import Identifier

RFC2136 = "rfc2136"
ENTRY_POINTS = "renewer.dns_providers"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_RESERVED = ("RENEWER_", "CERTBOT_")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_KEY_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")


def resolve_dns01(table: Dns01Table, path: Path, state: str, faults: Faults) -> Dns01 | None:
    """The checked challenge; None if something needed is wrong. `state` is where the agent keeps its own."""
    if not _is_provider(table.provider, (*path, "provider"), faults):
        return None
    rfc2136 = _rfc2136(table, path, faults)
    options = _options(table, path, faults)
    env = _environment(table, (*path, "env"), faults)
    propagation = resolve_propagation(table.propagation, (*path, "propagation"), faults)
    if options is None or (table.provider == RFC2136 and rfc2136 is None):
        return None
    return Dns01(
        provider=table.provider,
        rfc2136=rfc2136,
        options=completed(table.provider, options, state),
        env=env,
        propagation=propagation,
        one_at_a_time=table.one_at_a_time is not UNSET and table.one_at_a_time,
    )


def _is_provider(name: str, path: Path, faults: Faults) -> bool:
    if name in BUILT_IN:
        return True
    from importlib.metadata import entry_points  # only for providers that others ship

    others = [point.name for point in entry_points(group=ENTRY_POINTS)]
    if _NAME.fullmatch(name) and name in others:
        return True
    hint = did_you_mean(name, list(dict.fromkeys((*BUILT_IN, *others))))
    faults.add(path, f"there is no provider '{name}'" if name.isprintable() else "is not a provider", hint)
    return False


def _rfc2136(table: Dns01Table, path: Path, faults: Faults) -> Rfc2136 | None:
    if table.provider != RFC2136:
        for key in ("server", "tsig"):
            if getattr(table, key) is not UNSET:
                faults.add(
                    (*path, key),
                    "goes with the provider rfc2136 only",
                    "other providers take options = { … }",
                )
        return None
    if table.server is UNSET:
        hint = 'the server that takes updates: server = "192.0.2.53:53"'
        faults.add((*path, "server"), "is missing", hint)
        return None
    server = checked(faults, (*path, "server"), table.server, _server)
    tsig = _tsig(table.tsig, (*path, "tsig"), faults)
    if server is None or (table.tsig is not UNSET and tsig is None):
        return None
    return Rfc2136(server=server, tsig=tsig)


def _tsig(table: TsigTable | UnsetType, path: Path, faults: Faults) -> Tsig | None:
    if table is UNSET:
        return None
    secret = resolve_secret((*path, "secret"), table.secret, faults)
    if not _KEY_NAME.fullmatch(table.name) or len(table.name) > 253:
        faults.add(
            (*path, "name"), "is not a key's name", "as the server's config has it, without quotes in it"
        )
        return None
    if secret is None:
        return None
    algorithm = TsigAlgorithm.HMAC_SHA256 if table.algorithm is UNSET else table.algorithm
    return Tsig(name=table.name.removesuffix(".").lower(), secret=secret, algorithm=algorithm)


def _options(table: Dns01Table, path: Path, faults: Faults) -> tuple[tuple[str, OptionValue], ...] | None:
    given = {} if table.options is UNSET else table.options
    at = (*path, "options")
    read: list[tuple[str, OptionValue]] = []
    whole = True
    for name, value in given.items():
        if isinstance(value, str):
            read.append((name, value))
        elif isinstance(value, list):
            read.append((name, tuple(value)))
        elif secret := resolve_secret((*at, name), value, faults):
            read.append((name, secret))
        else:
            whole = False
    rules = BUILT_IN.get(table.provider)
    wrong = option_faults(rules, read) if rules and whole and not faults.spoilt(at) else ()
    for name, text, hint in wrong:
        faults.add((*at, name), text, hint)
    return tuple(read) if whole and not wrong else None


def _environment(table: Dns01Table, path: Path, faults: Faults) -> tuple[tuple[str, str | Secret], ...]:
    if table.env is UNSET:
        return ()
    rules = BUILT_IN.get(table.provider)
    if rules and not rules.env:
        faults.add(path, "goes with a provider that runs programs only", 'provider = "script"')
    read: list[tuple[str, str | Secret]] = []
    for name, value in table.env.items():
        if not _VARIABLE.fullmatch(name):
            faults.add((*path, name), "is not a variable's name", "letters, digits and _ only")
        elif name.startswith(_RESERVED):
            faults.add((*path, name), "is kept for what scripts are told by us", "take another name")
        elif not isinstance(value, str):
            if secret := resolve_secret((*path, name), value, faults):
                read.append((name, secret))
        elif "\0" in value:
            faults.add((*path, name), "holds a NUL character")
        else:
            read.append((name, value))
    return tuple(read)


def resolve_propagation(table: PropagationTable | UnsetType, path: Path, faults: Faults) -> Propagation:
    """How to wait until a record can be seen."""
    if table is UNSET:
        return Propagation()
    usual = Propagation()
    check = usual.check if table.check is UNSET else table.check
    quiet = check is PropagationCheck.NONE
    if quiet and table.wait is UNSET:
        hint = 'nobody is asked then, so say how long to wait: wait = "60s"'
        faults.add((*path, "wait"), "is missing", hint)
    if not quiet and table.wait is not UNSET:
        hint = "the other checks look until they see it; take it out, or use timeout"
        faults.add((*path, "wait"), 'goes with check = "none" only', hint)
    if check is PropagationCheck.RESOLVERS and (table.resolvers is UNSET or not table.resolvers):
        faults.add((*path, "resolvers"), "is missing", 'say whom to ask: resolvers = ["192.0.2.1:53"]')
    return Propagation(
        check=check,
        timeout=_duration(table.timeout, "1s", "6h", (*path, "timeout"), faults) or usual.timeout,
        resolvers=resolvers(faults, (*path, "resolvers"), table.resolvers),
        wait=_duration(table.wait, "0s", "6h", (*path, "wait"), faults) or usual.wait,
        unreachable=Unreachable.IGNORE if table.unreachable is UNSET else table.unreachable,
    )


def _duration(given: str | UnsetType, least: str, most: str, path: Path, faults: Faults) -> timedelta | None:
    return checked(faults, path, given, lambda text: scalars.duration(text, least, most))


def _server(text: str) -> str:
    """An address, or a host's name, with the port."""
    host, port = scalars.host_and_port(text)
    name = Identifier.parse(host)
    if name.wildcard:
        raise ValueError("is not a server's name or address")
    return f"[{name}]:{port or 53}" if ":" in name.value else f"{name}:{port or 53}"
