"""From a path to a checked `Config`: read, fit to the tables, resolve; every fault told at once.

Only safe files are read, only UTF-8, only TOML; whatever is wrong becomes a fault.
"""

import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from renewer import ownership
from renewer.config import certificates, challenges, channels, hooks, shape
from renewer.config.authorities import Authorities
from renewer.config.faults import Faults, Path, Source
from renewer.config.given import Given, Rule, TableReader
from renewer.model.desired import (
    Agent,
    Apprise,
    Authority,
    Certificate,
    Config,
    Copy,
    Defaults,
    Dns01,
    DnsAccount01,
    DnsPersist01,
    Email,
    Endpoint,
    Hook,
    Http01,
    Program,
    Propagation,
    Report,
    Watch,
    Webhook,
)
from renewer.model.names import CERTIFICATE_NAME

LARGEST = 16 * 1024 * 1024  # bytes; a config of ten thousand certificates is a tenth of it
_MAGIC = r"[*?[]"
_KINDS = ("authority", "challenge", "certificate", "hook", "watch", "notify")
_MAIN_ONLY = ("include", "agent", "defaults", "report")


def _as_it_is(given: Given[Any]) -> Given[Any]:
    """The rule of a table that can be completed only when all the others are known."""
    return given


RULES: Mapping[type, Rule] = {
    Config: _as_it_is,
    Defaults: _as_it_is,
    Authority: _as_it_is,
    Certificate: _as_it_is,
    Copy: certificates.copy,
    Endpoint: certificates.endpoint,
    Watch: certificates.watch,
    Http01: challenges.http01,
    Dns01: challenges.dns01,
    DnsAccount01: challenges.dns_account01,
    DnsPersist01: challenges.dns_persist01,
    Propagation: challenges.propagation,
    Hook: hooks.hook,
    Email: channels.email,
    Webhook: channels.named,
    Apprise: channels.named,
    Program: channels.named,
    Report: channels.report,
}
"""What the keys of a table say of each other; what tables say of one another is looked at afterwards."""


def load(path: str, *, drafts: Mapping[str, str] | None = None) -> Config:
    """Read a config file and all that it includes. Raises ConfigError with every fault found.

    `drafts` are files (absolute path and text) that count as if they stood there like that.
    """
    path = os.path.abspath(path)
    faults = Faults(path)
    main = _parsed(path, drafts[path], faults) if drafts and path in drafts else _read(path, faults)
    if main is None:
        raise faults.error()
    more = [_parsed(one, text, faults) for one, text in (drafts or {}).items() if one != path]
    config = _resolve(path, _merge(main, [one for one in more if one is not None], faults), faults)
    if faults:
        raise faults.error()
    return config


def finder(path: str) -> Callable[[Path], tuple[str, int | None]]:
    """Where the keys of a config stand: file, and line of the key or of what would hold it."""
    from renewer.config.lines import Lines

    faults = Faults(path)
    sources = [main] if (main := _read(path, faults)) is not None else []
    if sources:
        sources += _included(sources[0], _fit(sources[0], faults).get("include", ()), faults)
    scanned = [(source, Lines(source.text)) for source in sources]

    def find(key: Path) -> tuple[str, int | None]:
        keys = [key]
        if key[:1] == ("certificate",) and len(key) > 2:
            keys += [(*key[:2], "authorities")] if key[2] == "authority" else []
            keys += [("defaults", *one[2:]) for one in keys]
        best: tuple[tuple[int, int], str, int | None] = ((-len(key), 0), path, None)
        for one in keys:
            for source, lines in scanned:
                if depth := lines.depth(
                    one
                ):  # as little as possible is missing, and then as deep as possible
                    best = max(
                        best,
                        ((depth - len(one), depth), source.path, lines.find(one)),
                        key=lambda found: found[0],
                    )
        return best[1:]

    return find


def _merge(main: Source, drafts: list[Source], faults: Faults) -> Given[Config]:
    """One document out of all files; remembers for every table which file it stands in."""
    for key in _MAIN_ONLY:
        faults.origins[key,] = main
    whole = _fit(main, faults)
    _remember(main, whole, faults)
    included = _included(main, whole.get("include"), faults) if "include" in whole else []
    drafted = {one.path for one in drafts}
    for source in (*(one for one in included if one.path not in drafted), *drafts):
        part = _fit(source, faults)
        for key in _MAIN_ONLY:
            if key in source.data:
                faults.add((key,), "must stand in the main file", f"move it to {main.path}", source=source)
        _take(source, part, whole, faults)
    return whole


def _fit(source: Source, faults: Faults) -> Given[Config]:
    for kind in _KINDS:
        named = source.data.get(kind)
        if isinstance(named, dict):
            source.data[kind] = named = _whole_names(kind, named, source, faults)
        for name in named if isinstance(named, dict) else ():
            if not CERTIFICATE_NAME.fullmatch(name):
                rule = "must be small letters, digits and . _ -, and begin with a letter or digit"
                hint = f"call it '{_legal_name(name)}'"
                faults.add((kind, name), f"is no good name: it {rule}", hint, source=source)
    document = shape.document()
    read = document.read(source.data, (), TableReader(source, faults, RULES))
    assert isinstance(read, Given)  # noqa: S101  its rule says so
    return read


def _whole_names(kind: str, named: dict[str, object], source: Source, faults: Faults) -> dict[str, object]:
    """The tables of a kind without those whose names have dots and no quotes, which are told."""
    if not any(
        isinstance(one, dict) for table in named.values() if isinstance(table, dict) for one in table.values()
    ):
        return named
    from renewer.config import slips

    known, kept = shape.keys_of(kind), dict(named)
    for name, table in named.items():
        pieces = list(slips.dotted(table, known)) if isinstance(table, dict) else []
        for rest in pieces:
            whole = ".".join((name, *rest))
            hint = f'a name with dots stands in quotes: [{kind}."{whole}"]'
            faults.add(
                (kind, name, *rest),
                f"is read as a table in a table, and no table '{whole}'",
                hint,
                source=source,
            )
            faults.taint((kind, whole))
        if pieces and isinstance(table, dict):
            kept[name] = {key: one for key, one in table.items() if key not in {rest[0] for rest in pieces}}
            if not kept[name]:
                del kept[name]
    return kept


def _remember(source: Source, part: Given[Config], faults: Faults) -> None:
    for kind in _KINDS:
        for name in part.get(kind, ()):
            faults.origins[kind, name] = source


def _take(source: Source, part: Given[Config], whole: Given[Config], faults: Faults) -> None:
    for kind in _KINDS:
        tables = whole.values.setdefault(kind, {})
        for name, table in part.get(kind, {}).items():
            if name in tables:
                other = faults.origins[kind, name].path
                faults.add((kind, name), f"is in {other} already", "give it another name", source=source)
            else:
                tables[name] = table
                faults.origins[kind, name] = source


def _resolve(path: str, given: Given[Config], faults: Faults) -> Config:
    """What all tables together say."""
    tables = {kind: given.get(kind, {}) for kind in _KINDS}
    agent: Agent = given.get("agent", Agent())
    if not agent.host:  # the first label of this host's name, without importing `socket`
        agent = msgspec.structs.replace(agent, host=os.uname().nodename.partition(".")[0] or "localhost")
    defaults = given.get("defaults")
    known = channels.Channels(tables["notify"], faults)
    authorities = Authorities(tables["authority"], defaults, faults)
    of_hooks = hooks.Hooks(tables["hook"], faults)
    resolved = certificates.Certificates(
        defaults=defaults,
        agent=agent,
        authorities=authorities,
        challenges=challenges.Challenges(tables["challenge"], agent.state, faults),
        hooks=of_hooks,
        channels=known,
        faults=faults,
    ).resolve(tables["certificate"])
    report: Report = given.get("report", Report())
    certificates.check_watches(tables["watch"], resolved, known, faults)
    channels.check_report(report, agent, known, faults)
    return Config(
        path=path,
        agent=agent,
        authorities=authorities.resolved,
        certificates=resolved,
        hooks=of_hooks.resolved,
        channels=known.resolved,
        watches=tables["watch"],
        report=report,
        notes=tuple(faults.notes),
    )


def _legal_name(text: str) -> str:
    """A name for a table that begins like `text` and obeys the rule of names."""
    near = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:64]
    return near if CERTIFICATE_NAME.fullmatch(near) else "www"


# --- files --------------------------------------------------------------------------------------------------


def _read(path: str, faults: Faults) -> Source | None:
    """A file and what it says; None if that was a fault."""
    if (data := _bytes(path, faults)) is None:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        faults.add_file(path, "is not UTF-8 text", "save it as UTF-8", line)
        return None
    return _parsed(path, text, faults)


def _parsed(path: str, text: str, faults: Faults) -> Source | None:
    """What a text says; None if that was a fault."""
    try:
        return Source(path, text, tomllib.loads(text))
    except RecursionError:
        faults.add_file(path, "is not TOML: tables or lists are nested far too deep")
    except ValueError as error:
        said = str(error)
        place = re.search(r" \((?:at line (\d+), column \d+|at end of document)\)$", said)
        line = int(place[1]) if place and place[1] else text.count("\n") + 1
        told = said[: place.start()] if place else said
        told = re.sub(r"\('(.*)',?\)", lambda match: "[" + match[1].replace("', '", ".") + "]", told)
        from renewer.config import slips

        hint = slips.hint(told, text, line)
        faults.add_file(path, f"is not TOML: {told[:1].lower()}{told[1:]}", hint, line)
    return None


def _bytes(path: str, faults: Faults) -> bytes | None:
    try:
        # Not blocking: a FIFO must not stop us. What was opened is what is judged and read.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            if (wrong := _wrong(path, os.fstat(file.fileno()))) is None:
                return file.read(LARGEST + 1)
    except IsADirectoryError:
        wrong = _NO_FILE
    except FileNotFoundError:
        first = "renewer init writes one" if path == faults.main else "write it"
        wrong = ("does not exist", f"{first}; or correct the name (--config FILE, or `include`)")
    except PermissionError:
        wrong = ("may not be read by this user", "run as root or as the agent's user")
    except (OSError, ValueError) as error:
        wrong = (f"cannot be read: {error.strerror if isinstance(error, OSError) else error}", "")
    faults.add_file(path, *wrong)
    return None


_NO_FILE = ("is not a file", "give a TOML file; `include` in it can name whole directories: conf.d/*.toml")


def _wrong(path: str, entry: os.stat_result) -> tuple[str, str] | None:
    """Why an open file is not to be used, and what to do."""
    if not stat.S_ISREG(entry.st_mode):
        return _NO_FILE
    if entry.st_size > LARGEST:
        return (f"is larger than {LARGEST >> 20} MiB", "is it the right file?")
    if (found := ownership.danger(path)) is not None:
        return (f"is not used, since others could change it: {found.text}", found.hint)
    return None


def _included(main: Source, patterns: tuple[str, ...], faults: Faults) -> list[Source]:
    """The files that `include` names, each once, in order; relative to the main file."""
    import glob

    base = os.path.dirname(main.path)
    seen = {os.path.realpath(main.path)}
    sources = []
    for index, pattern in enumerate(patterns):
        where = ("include", index)
        if not pattern or not pattern.isprintable():
            faults.add(where, "is not a file name", "name files, as conf.d/*.toml")
            continue
        whole = os.path.join(base, pattern)
        fixed = os.path.dirname(re.split(_MAGIC, whole)[0])
        if not os.path.isdir(fixed):
            faults.add(where, f"there is no directory {fixed}", "make it, or take it out of `include`")
            continue
        if not os.access(fixed, os.R_OK | os.X_OK):
            faults.add(where, f"the directory {fixed} may not be read", "let the agent's user read it")
            continue
        found = sorted(glob.glob(whole)) if re.search(_MAGIC, pattern) else [whole]
        if not found:
            faults.notes.append(f"include: {pattern} matches no file in {fixed}")
        for path in found:
            if (real := os.path.realpath(path)) not in seen:
                seen.add(real)
                if (source := _read(path, faults)) is not None:
                    sources.append(source)
    return sources
