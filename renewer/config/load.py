"""From a path to a checked `Config`: read, fit to the schema, resolve; every fault told at once."""

import os.path
from collections.abc import Mapping

import msgspec
from msgspec import UNSET, UnsetType

from renewer.config import sources
from renewer.config.agent import resolve_agent
from renewer.config.authorities import Authorities, resolve_proxy
from renewer.config.certificates import Certificates
from renewer.config.challenges import Challenges
from renewer.config.channels import Channels
from renewer.config.faults import Faults, Source
from renewer.config.hooks import Hooks
from renewer.config.report import resolve_report
from renewer.config.schema import DefaultsTable, Document
from renewer.config.tables import Table
from renewer.config.watches import resolve_watches
from renewer.model.desired import Config
from renewer.model.names import CERTIFICATE_NAME

_KINDS = ("authority", "challenge", "certificate", "hook", "watch", "notify")
_MAIN_ONLY = ("include", "agent", "defaults", "report")


def load(path: str) -> Config:
    """Read a config file and all that it includes. Raises ConfigError with every fault found."""
    path = os.path.abspath(path)
    faults = Faults(path)
    main = sources.read(path, faults)
    if main is None:
        raise faults.error()
    document = _merge(main, faults)
    config = _resolve(path, document, faults)
    if faults:
        raise faults.error()
    return config


def _merge(main: Source, faults: Faults) -> Document:
    """One document out of all files; remembers for every table which file it stands in."""
    for key in _MAIN_ONLY:
        faults.origins[key,] = main
    document = _fit(main, faults)
    if document.include is UNSET:
        _remember(main, document, faults)
        return document
    tables: dict[str, dict[str, Table]] = {kind: {} for kind in _KINDS}
    _take(main, document, tables, faults)
    for source in sources.included(main, document.include, faults):
        part = _fit(source, faults)
        for key in _MAIN_ONLY:
            if getattr(part, key) is not UNSET:
                faults.add((key,), "must stand in the main file", f"move it to {main.path}", source=source)
        _take(source, part, tables, faults)
    return msgspec.structs.replace(document, **tables)


def _fit(source: Source, faults: Faults) -> Document:
    try:
        return msgspec.convert(source.data, Document)
    except msgspec.ValidationError:
        from renewer.config.check import prune

        return msgspec.convert(prune(source, faults), Document)


def _remember(source: Source, document: Document, faults: Faults) -> None:
    for kind in _KINDS:
        for name in _tables(getattr(document, kind)):
            faults.origins[kind, name] = source


def _take(source: Source, part: Document, tables: dict[str, dict[str, Table]], faults: Faults) -> None:
    for kind in _KINDS:
        for name, table in _tables(getattr(part, kind)).items():
            if name in tables[kind]:
                other = faults.origins[kind, name].path
                faults.add((kind, name), f"is in {other} already", "give it another name", source=source)
            else:
                tables[kind][name] = table
                faults.origins[kind, name] = source


def _tables(given: Mapping[str, Table] | UnsetType) -> Mapping[str, Table]:
    return {} if given is UNSET else given


def _resolve(path: str, document: Document, faults: Faults) -> Config:
    for kind in _KINDS:
        for name in _tables(getattr(document, kind)):
            if not CERTIFICATE_NAME.fullmatch(name):
                from renewer.config.scalars import legal_name

                rule = "must be small letters, digits and . _ -, and begin with a letter or digit"
                faults.add((kind, name), f"is no good name: it {rule}", f"call it '{legal_name(name)}'")
    defaults = DefaultsTable() if document.defaults is UNSET else document.defaults
    agent = resolve_agent(document.agent, faults)
    if document.agent is not UNSET:
        way = resolve_proxy(("agent", "proxy"), document.agent.proxy, faults)
        agent = msgspec.structs.replace(agent, proxy=way)
    authorities = Authorities(document.authority, defaults, faults)
    challenges = Challenges(document.challenge, agent.state, faults)
    hooks = Hooks(document.hook, path, faults)
    channels = Channels(document.notify, faults)
    certificates = Certificates(
        defaults=defaults,
        agent=agent,
        authorities=authorities,
        challenges=challenges,
        hooks=hooks,
        channels=channels,
        faults=faults,
    )
    resolved = certificates.resolve({} if document.certificate is UNSET else document.certificate)
    return Config(
        path=path,
        agent=agent,
        authorities=authorities.resolved(),
        certificates=resolved,
        hooks=hooks.resolved(),
        channels=channels.resolved(),
        watches=resolve_watches(document.watch, channels, resolved, faults),
        report=resolve_report(document.report, agent, channels, faults),
        notes=tuple(faults.notes),
    )
