"""What will come of what was found: names, versions, and the tables of a new file. Changes nothing."""

import fnmatch
import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from renewer.config.authorities import BUILT_IN
from renewer.errors import RenewerError
from renewer.model.desired import Authority, Config, Hook
from renewer.model.facts import Leaf, Version
from renewer.model.value import Value
from renewer.moving import naming, sound
from renewer.moving.found import Estate, Gap, Lineage, OldAccount, OldHook, Table
from renewer.moving.writing import Secrets, document
from renewer.store.contract import Material
from renewer.store.disk import version_id


class Coming(Value):
    """A certificate that comes along: its name here, its version, whether the config has it already."""

    old: str
    name: str
    leaf: Leaf
    version: Version
    material: Material
    configured: bool
    table: Table
    hooks: tuple[tuple[str, ...], ...]
    remarks: tuple[Gap, ...]
    seen: tuple[str, ...]


class ImportPlan(Value):
    """All that an import would do. `text` is empty if no file needs to be written."""

    found: Estate
    coming: tuple[Coming, ...]
    accounts: tuple[tuple[str, OldAccount], ...]  # by the name of the authority here
    refused: tuple[Gap, ...]
    remarks: tuple[Gap, ...]
    path: str
    text: str
    secrets: Mapping[str, str]
    watches: tuple[str, ...] = ()


Named = Sequence[tuple[tuple[str, ...], Table, Sequence[Gap]]]


def plan(
    config: Config, found: Estate, now: datetime, *, only: Sequence[str] = (), challenge: str | None = None
) -> ImportPlan:
    """What an import of these would do with this config."""
    return _Planner(config, found, now, challenge).made(only)


class _Planner:
    def __init__(self, config: Config, found: Estate, now: datetime, challenge: str | None) -> None:
        self._config = config
        self._found = found
        self._now = now
        self._challenge = challenge
        self._taken = set(config.certificates)
        self._authorities: dict[tuple[str, str | None], str] = {}
        self._hooks: dict[OldHook, str] = {}
        self._tables: list[tuple[tuple[str, ...], Table, Sequence[Gap]]] = []
        self._refused = list(found.refused)

    def made(self, only: Sequence[str]) -> ImportPlan:
        chosen = [one for one in self._found.lineages if not only or one.name in only]
        refused = [one for one in self._refused if not only or one.about in only]
        coming = []
        for one in chosen:
            try:
                coming.append(self._coming(one))
            except RenewerError as error:
                refused.append(Gap(about=one.name, text=error.text, hint=error.hint))
        watches = self._watches(only)
        directory = os.path.join(os.path.dirname(self._config.path), "conf.d")
        secrets = Secrets(os.path.join(os.path.dirname(self._config.path), "secrets"))
        tables = [
            *self._tables,
            *((("certificate", one.name), one.table, one.remarks) for one in coming if not one.configured),
        ]
        text = document(self._head(), tables, secrets) if tables else ""
        return ImportPlan(
            found=self._found,
            coming=tuple(coming),
            accounts=tuple(self._accounts()),
            refused=tuple(refused),
            remarks=self._found.remarks,
            path=free_path(directory, self._found.client) if text else "",
            text=text,
            secrets=secrets.files,
            watches=watches,
        )

    def _head(self) -> list[str]:
        return [
            f"Written by `renewer import {self._found.client}` at {self._now:%Y-%m-%d %H:%M} UTC",
            f"from {self._found.directory}. It is yours now: change it as you like.",
        ]

    # certificates -----------------------------------------------------------------------------------------

    def _coming(self, one: Lineage) -> Coming:
        material, leaf = sound.material(one, self._now)
        way: object = self._challenge or one.challenge
        name, configured = self._name(one, leaf)
        if way is None and not configured:
            raise RenewerError(one.why, hint=one.hint, kind="challenge")
        authority = self._authority(one)
        wish = self._config.certificates.get(name) if configured else None
        known = self._config.authorities.get(authority)
        version = Version(
            id=version_id(leaf.not_before, leaf.serial),
            made_at=leaf.not_before,
            leaf=leaf,
            authority=authority,
            directory=known.directory if known else one.server,
            account=next((a.url for a in self._found.accounts if a.id == one.account), None),
            # Nobody remembers with which one it was ordered; it is not held against it until it is renewed
            profile=one.profile or (wish.profile if wish else None) or (known.profile if known else None),
        )
        hooks = [self._hook(hook) for hook in one.hooks]
        return Coming(
            old=one.name,
            name=name,
            leaf=leaf,
            version=version,
            material=material,
            configured=configured,
            table={} if configured else self._table(one, leaf, authority, way, hooks),
            hooks=tuple(hook.argv for hook in one.hooks if hook.argv),
            remarks=(*self._renamed(one, name), *self._of_key(one, leaf), *one.remarks),
            seen=one.seen,
        )

    def _name(self, one: Lineage, leaf: Leaf) -> tuple[str, bool]:
        """The name here, and whether the config has that certificate already."""
        name = naming.table_name(one.name)
        mine = self._config.certificates.get(name)
        if mine is not None and set(mine.names) == set(leaf.names):
            return name, True
        name = naming.table_name(one.name, self._taken)
        self._taken.add(name)
        return name, False

    def _renamed(self, one: Lineage, name: str) -> Sequence[Gap]:
        if name == one.name:
            return ()
        return (Gap(about=one.name, text=f"it is called '{name}' here: '{one.name}' cannot be, or is taken"),)

    def _of_key(self, one: Lineage, leaf: Leaf) -> Sequence[Gap]:
        if leaf.key is not None:
            return ()
        return (Gap(about=one.name, text="its kind of key is not made here: it is renewed with ecdsa-p256"),)

    def _table(self, one: Lineage, leaf: Leaf, authority: str, way: object, hooks: list[str]) -> Table:
        names = [str(name) for name in leaf.names]
        table: dict[str, object] = {"names": names, "authority": authority, "challenge": way}
        if not self._challenge:
            singles = {name: way for name, way in one.challenges.items() if name in names}
            if singles:
                table["challenges"] = singles
        if leaf.key is not None:
            table["key"] = leaf.key.value
        if one.reuse_key:
            table["reuse_key"] = True
        if one.profile:
            table["profile"] = one.profile
        if hooks:
            table["hooks"] = list(dict.fromkeys(hooks))
        if one.copies:
            table["copies"] = list(one.copies)
        return table

    # authorities and accounts -----------------------------------------------------------------------------

    def _authority(self, one: Lineage) -> str:
        server = one.server or BUILT_IN["letsencrypt"][0]
        at = (server, one.account)
        if at not in self._authorities:
            self._authorities[at] = self._new_authority(server, one)
        return self._authorities[at]

    def _new_authority(self, server: str, one: Lineage) -> str:
        used = set(self._authorities.values())
        mine = next(
            (n for n, a in self._config.authorities.items() if _same(a.directory, server) and n not in used),
            None,
        )
        if mine is not None:
            return mine
        if not urlsplit(server).path.strip("/"):
            hint = "write [authority.X] with its directory in the configuration, then import again"
            raise RenewerError(
                f"of its authority only the host is known: {server}", hint=hint, kind="authority"
            )
        usual = next((n for n, (url, _) in BUILT_IN.items() if _same(url, server)), None)
        taken = used | set(self._config.authorities)
        name = (
            usual
            if usual and usual not in taken
            else naming.table_name(usual or urlsplit(server).netloc, taken)
        )
        account = next((a for a in self._found.accounts if a.id == one.account), None)
        table: dict[str, object] = {} if name == usual else {"directory": server}
        if account is not None and account.contact:
            table["contact"] = [contact.removeprefix("mailto:") for contact in account.contact]
        if one.chain:
            table["chain"] = one.chain
        table["agree_terms"] = True
        why = Gap(about=name, text=f"agreed to when {self._found.client} made its account there")
        self._tables.append((("authority", name), table, (why,)))
        return name

    def _accounts(self) -> Sequence[tuple[str, OldAccount]]:
        known = {one.id: one for one in self._found.accounts}
        return [
            (name, known[account])
            for (_, account), name in self._authorities.items()
            if account is not None and account in known
        ]

    # hooks ------------------------------------------------------------------------------------------------

    def _hook(self, one: OldHook) -> str:
        if one.shipped:
            return one.shipped
        if one in self._hooks:
            return self._hooks[one]
        for name, mine in self._config.hooks.items():
            if _is_hook(mine, one):
                return name
        taken = set(self._hooks.values()) | set(self._config.hooks)
        name = naming.table_name(f"{self._found.client}-{one.events[0]}", taken)
        table: dict[str, object] = {"run": one.argv[0] if len(one.argv) == 1 else list(one.argv)}
        if one.convention != "renewer":
            table["convention"] = one.convention
        table["events"] = [event.value for event in one.events]
        note = (Gap(about=name, text=one.note),) if one.note else ()
        self._tables.append((("hook", name), table, note))
        self._hooks[one] = name
        return name

    # what is only watched ---------------------------------------------------------------------------------

    def _watches(self, only: Sequence[str]) -> tuple[str, ...]:
        names = []
        known = {
            (one.file, str(one.endpoint) if one.endpoint else None) for one in self._config.watches.values()
        }
        taken = set(self._config.watches)
        for one in self._found.watched:
            if (only and one.name not in only) or (one.file, one.endpoint) in known:
                continue
            name = naming.table_name(f"{self._found.client}-{one.name}", taken)
            taken.add(name)
            where: Table = {"file": one.file} if one.file else {"endpoint": one.endpoint}
            self._tables.append((("watch", name), where, ()))
            names.append(name)
        return tuple(names)


def _same(one: str, server: str) -> bool:
    """Whether a directory's URL is that of a server; of some clients only its host is known."""
    if not urlsplit(server).path.strip("/"):
        return urlsplit(one).netloc == urlsplit(server).netloc
    return one.rstrip("/") == server.rstrip("/")


def _is_hook(mine: Hook, one: OldHook) -> bool:
    same = mine.argv == one.argv and mine.events == one.events
    return same and mine.convention.value == one.convention


def free_path(directory: str, client: str) -> str:
    """The path of a file that is not there yet."""
    first, number = stem(client), 1
    while os.path.lexists(path := f"{directory}/{first}{'' if number == 1 else f'-{number}'}.toml"):
        number += 1
    return path


def stem(client: str) -> str:
    """How the files that are imported from a client are called."""
    return f"from-{re.sub(r'[^a-z0-9]+', '-', client)}"


def is_included(patterns: Sequence[str], main: str, path: str) -> bool:
    """Whether a file of the config's directory will be read by these `include`s."""
    relative = os.path.relpath(path, os.path.dirname(main))
    return any(fnmatch.fnmatch(relative, one) or fnmatch.fnmatch(path, one) for one in patterns)


def with_authority(config: Config, name: str) -> Authority:
    """An authority by its name, also a built-in one that no certificate uses yet."""
    if name in config.authorities:
        return config.authorities[name]
    return Authority(name=name, directory=BUILT_IN[name][0])
