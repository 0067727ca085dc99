"""Hooks: those with a table, and the shipped ones."""

import os.path
import re
from collections.abc import Callable, Mapping
from datetime import timedelta

from msgspec import UNSET, UnsetType

from renewer.config import scalars
from renewer.config.agent import checked
from renewer.config.authorities import resolve_secret
from renewer.config.faults import Faults, Path, did_you_mean
from renewer.config.schema import HookTable
from renewer.config.shipped import shipped, shipped_names, usual_ports
from renewer.config.tables import SecretTable
from renewer.model.desired import CERTBOT_EVENTS, SERVER_EVENTS, Convention, Hook, HookEvent, Secret

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_LAST_PORT = 65535
_RESERVED = ("RENEWER_", "RENEWED_")
_EVENTS = ", ".join(CERTBOT_EVENTS)


class Hooks:
    """Those with a table, and the shipped ones that a certificate names."""

    def __init__(self, tables: Mapping[str, HookTable] | UnsetType, main: str, faults: Faults) -> None:
        self._main = main
        self._faults = faults
        self._tables = {} if tables is UNSET else tables
        self._resolved: dict[str, Hook] = {}
        for name, table in self._tables.items():
            if (hook := self._resolve(name, table)) is not None:
                self._resolved[name] = hook

    def resolved(self) -> dict[str, Hook]:
        """Every one with a table, then the shipped ones in use."""
        return self._resolved

    def use(self, name: str, path: Path) -> None:
        """A certificate names a hook: is there one?"""
        if name in self._resolved or name in self._tables or self._faults.spoilt(("hook", name)):
            return
        if run := shipped(name):
            ports = usual_ports(name)
            self._resolved[name] = Hook(name=name, run=run, shipped=True, events=SERVER_EVENTS, ports=ports)
            return
        known = list(dict.fromkeys([*self._tables, *shipped_names()]))
        hint = did_you_mean(name, known) or f'write a table [hook.{name}] with run = "/path"'
        self._faults.add(path, f"there is no hook '{name}', neither a table nor a shipped one", hint)

    def _resolve(self, name: str, table: HookTable) -> Hook | None:
        at: Path = ("hook", name)
        ours = False
        run = name if table.run is UNSET else table.run
        if "/" in run:
            path = checked(self._faults, (*at, "run"), run, self._path(at))
        else:
            path = shipped(run)
            ours = True
            if path is None:
                self._not_shipped(at, run, given=table.run is not UNSET)
        if path is None:
            return None
        convention = Convention.RENEWER if table.convention is UNSET else table.convention
        if ours and convention is Convention.CERTBOT:
            hint = "take `convention` out: it is for scripts written for certbot"
            self._faults.add((*at, "convention"), "a shipped hook does not speak certbot's convention", hint)
        if convention is not Convention.CERTBOT and not ours and os.path.isdir(path):
            hint = 'name the program that is to be run; scripts written for certbot: convention = "certbot"'
            self._faults.add((*at, "run"), f"{path} is a directory", hint)
        timeout = checked(
            self._faults, (*at, "timeout"), table.timeout, lambda text: scalars.duration(text, "1s", "1h")
        )
        events = self._events(at, table.events, convention, ours=ours)
        return Hook(
            name=name,
            run=path,
            shipped=ours,
            convention=convention,
            events=events,
            timeout=(timeout or timedelta(minutes=1)).total_seconds(),
            env=variables((*at, "env"), table.env, self._faults),
            required=self._required(at, table, events),
            ports=self._ports(at, table, path if ours else ""),
        )

    def _required(self, at: Path, table: HookTable, events: tuple[HookEvent, ...]) -> bool:
        """Whether its failure turns back; one before an order always is, for the order relies on it."""
        if table.required is UNSET or table.required:
            return True
        if HookEvent.PRE in events:
            hint = "take `required` out, or `pre` out of `events`: a second hook can be called for the rest"
            text = "a hook that hears pre is always required: the order that follows relies on it"
            self._faults.add((*at, "required"), text, hint)
        return False

    def _ports(self, at: Path, table: HookTable, shipped_at: str) -> tuple[int, ...]:
        """Those of its server: as the table says, else where a shipped hook's server usually listens."""
        if table.ports is UNSET:
            return usual_ports(os.path.basename(shipped_at))
        for port in table.ports:
            if not 1 <= port <= _LAST_PORT:
                self._faults.add((*at, "ports"), f"{port} is no port", "1 to 65535, as [993, 995]")
        if not table.ports:
            self._faults.add((*at, "ports"), "is empty", "take it out, or name the ports of its server")
        return tuple(dict.fromkeys(table.ports))

    def _path(self, at: Path) -> Callable[[str], str]:
        source = self._faults.origins.get(at)
        base = os.path.dirname(source.path if source else self._main)
        return lambda text: scalars.absolute(os.path.join(base, text))

    def _not_shipped(self, at: Path, run: str, *, given: bool) -> None:
        if self._faults.spoilt((*at, "run")):
            return
        near = did_you_mean(run, shipped_names())
        near = f"{near}; " if near else ""
        if given:
            hint = f"{near}for a program of your own give its path, as /usr/local/sbin/reload"
            self._faults.add((*at, "run"), f"no hook '{run}' is shipped", hint)
        else:
            hint = f'{near}run = "/path/to/program", or the name of a shipped hook'
            self._faults.add((*at, "run"), "is missing, and no shipped hook has this name", hint)

    def _events(
        self, at: Path, given: list[HookEvent] | UnsetType, convention: Convention, *, ours: bool
    ) -> tuple[HookEvent, ...]:
        path = (*at, "events")
        if given is UNSET:
            return SERVER_EVENTS if ours else (HookEvent.DEPLOY,)
        if convention is Convention.CERTBOT and (strange := sorted(set(given) - set(CERTBOT_EVENTS))):
            hint = f"of {_EVENTS}; for {strange[0]} use the convention renewer"
            self._faults.add(path, f"certbot's convention has no {strange[0]}", hint)
        elif ours and (around := sorted(set(given) - set(SERVER_EVENTS))):
            hint = 'give a program of your own: run = "/path/to/program"'
            self._faults.add(path, f"a shipped hook has nothing to do at {around[0]}", hint)
        elif not given:
            self._faults.add(path, "is empty: a hook that hears nothing does nothing", "take it out")
        elif HookEvent.DEPLOY not in given and set(given) & set(SERVER_EVENTS):
            self._faults.add(path, "must have deploy: a hook that never deploys loads nothing")
        return tuple(event for event in HookEvent if event in given)


def variables(
    path: Path, given: Mapping[str, str | SecretTable] | UnsetType, faults: Faults
) -> tuple[tuple[str, str | Secret], ...]:
    """Environment variables for a program of the operator's."""
    if given is UNSET:
        return ()
    read: list[tuple[str, str | Secret]] = []
    for name, value in given.items():
        if not _VARIABLE.fullmatch(name):
            hint = "letters, digits and _ only, not beginning with a digit"
            faults.add((*path, name), "is not a variable's name", hint)
        elif name.startswith(_RESERVED):
            faults.add((*path, name), "is kept for what hooks are told by us", "take another name")
        if not isinstance(value, str):
            if secret := resolve_secret((*path, name), value, faults):
                read.append((name, secret))
            continue
        if "\0" in value:
            faults.add((*path, name), "holds a NUL character")
        read.append((name, value))
    return tuple(read)
