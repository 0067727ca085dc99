"""The import: versions, accounts and secrets are put, then a new file of the config; orders nothing.

The file comes last: killed before, nothing is configured that is not on disk; the next import finishes it.
"""

import os
import re
import stat
import tomllib
from collections.abc import Collection

from renewer import durable, install
from renewer.accounts.brought import Brought, bring, compare
from renewer.config.load import load
from renewer.context import Context
from renewer.errors import RenewerError, UsageError
from renewer.model.decision import EventName
from renewer.model.desired import Config
from renewer.model.value import Value
from renewer.moving import planning
from renewer.moving.planning import Coming, ImportPlan

INCLUDE = 'include = ["conf.d/*.toml"]'
_BEGINNING = f"# The configuration of renewer: docs/configuration.md\n{INCLUDE}\n"


class Imported(Value):
    """What became of each certificate (by its name here: imported, there) and of each account."""

    certificates: tuple[tuple[str, str], ...]
    accounts: tuple[tuple[str, Brought], ...]


def begin(path: str) -> str | None:
    """The text of a configuration to begin with, if there is none at that path."""
    return None if os.path.lexists(path) else _BEGINNING


def checked(config: Config, plan: ImportPlan, first: str | None) -> Config:
    """The config as it will be. Raises ConfigError if it would have faults, UsageError if it is not read."""
    if not plan.text:
        return config
    must_be_read(config.path, first, plan.path)
    drafts = {plan.path: plan.text}
    if first is not None:
        # Its directory is made with the file that goes there, which is a draft by itself
        drafts[config.path] = first.replace(INCLUDE, "")
    return load(config.path, drafts=drafts)


def must_be_read(config: str, first: str | None, file: str, again: str = "import again") -> None:
    """Raises UsageError if a config, that it begins with or what stands there, does not include a file."""
    if not planning.is_included(_includes(config, first), config, file):
        raise UsageError(
            f"{config} does not read {os.path.dirname(file)}, where the new file goes",
            hint=f"write this at its beginning, then {again}: {INCLUDE}",
        )


def _includes(path: str, first: str | None) -> list[str]:
    if first is None:
        with open(path, "rb") as file:
            first = file.read().decode()
    return [str(one) for one in tomllib.loads(first).get("include", ())]


def forecast(config: Config, plan: ImportPlan) -> Imported:
    """What `carry_out` would say; changes nothing."""
    from renewer.store.disk import DiskStore

    store = DiskStore(config.agent.state, group=config.agent.group)
    there = []
    for one in plan.coming:
        shelf = store.shelf(one.name)
        there.append((one.name, "there" if any(v.id == one.version.id for v in shelf.found) else "imported"))
    accounts = [
        (name, compare(config.agent.state, planning.with_authority(config, name), account.key, account.path))
        for name, account in plan.accounts
    ]
    return Imported(certificates=tuple(there), accounts=tuple(accounts))


def carry_out(context: Context, plan: ImportPlan, first: str | None) -> Imported:
    """Import; the caller holds the lock, and `context` has the config as it will be."""
    certificates = [(one.name, _put(context, one)) for one in plan.coming]
    accounts = []
    for name, account in plan.accounts:
        authority = planning.with_authority(context.config, name)
        became = bring(context.accounts, authority, account.key, account.url, account.path)
        accounts.append((name, became))
    for path, content in plan.secrets.items():
        _write(path, f"{content}\n", 0o600, new=False)
    if plan.text:
        if first is not None:
            _write(context.config.path, first, 0o644, new=True)
        _write(plan.path, plan.text, 0o644, new=True)
    done = [name for name, became in certificates if became == "imported"]
    if done:
        text = f"imported from {plan.found.client}: {', '.join(done)}"
        context.journal.tell(EventName.NOTICE, text=text)
    return Imported(certificates=tuple(certificates), accounts=tuple(accounts))


def _put(context: Context, one: Coming) -> str:
    shelf = context.store.shelf(one.name)
    wish = context.config.certificates[one.name]
    there = any(version.id == one.version.id for version in shelf.found)
    context.store.put(one.name, one.version, one.material, key_mode=wish.key_mode)
    version = context.store.about(one.name, one.version.id)
    install.remember(context, one.name, version)
    live = context.store.about(one.name, shelf.live) if shelf.live and not there else None
    if shelf.live is None or (live is not None and live.placeholder):
        context.store.turn(one.name, version.id)
    return "there" if there else "imported"


def _write(path: str, text: str, mode: int, *, new: bool) -> None:
    """A file, whole; a new one never over what is there."""
    directory = os.path.dirname(path)
    os.makedirs(directory, 0o700 if mode == 0o600 else 0o755, exist_ok=True)
    if new and os.path.lexists(path):
        raise UsageError(f"{path} is there already", hint="import again: another name is taken")
    durable.replace(path, text.encode(), durable.with_mode(path, mode))


WITHDRAWN = ".handed-back"
"""What is added to the name of a file of ours once all of its certificates were handed back."""


def withdraw(config: Config, client: str, names: Collection[str]) -> tuple[list[str], list[str]]:
    """Take certificates that were handed back out of the configuration, or both would renew them.

    The files of an import move aside if all their certificates are among `names` and the rest of the
    configuration needs nothing of them. Gives what they are called now, and the names still configured.
    """
    moved = []
    for path in _imported(config, client):
        with open(path, "rb") as file:
            held = set(tomllib.load(file).get("certificate", ()))
        if held <= set(names):
            durable.rename(path, path + WITHDRAWN)
            try:
                config = load(config.path)
            except RenewerError:
                durable.rename(path + WITHDRAWN, path)
            else:
                moved.append(path + WITHDRAWN)
    return moved, sorted(set(config.certificates) & set(names))


def follow(config: Config, client: str, name: str, copies: str) -> Config | None:
    """Write `copies` (TOML) into the table of a certificate that was imported; the config as it is then.

    None if the table does not stand in a file of the import's own, or has copies by now: nothing is written.
    """
    header = re.compile(rf"\[certificate\.(?:{re.escape(name)}|\"{re.escape(name)}\")\]\s*(?:#.*)?")
    for path in _imported(config, client):
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines(keepends=True)
        at = next((number for number, line in enumerate(lines) if header.fullmatch(line.strip())), None)
        if at is None or "copies" in tomllib.loads("".join(lines)).get("certificate", {}).get(name, {}):
            continue
        lines.insert(at + 1, f"copies = {copies}\n")
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if tomllib.loads("".join(lines))["certificate"][name].get("copies"):
            durable.replace(path, "".join(lines).encode(), durable.with_mode(path, mode))
            return load(config.path)
    return None


def _imported(config: Config, client: str) -> list[str]:
    """The files of the configuration that imports from a client wrote."""
    directory = os.path.join(os.path.dirname(config.path), "conf.d")
    entries = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    own = re.compile(rf"{re.escape(planning.stem(client))}(-[0-9]+)?\.toml")
    return [f"{directory}/{entry}" for entry in entries if own.fullmatch(entry)]
