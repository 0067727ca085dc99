"""Challenges: those with a table, and challenges written in place."""

from collections.abc import Mapping

import msgspec
from msgspec import UNSET, UnsetType

from renewer.config import scalars
from renewer.config.agent import checked
from renewer.config.challenge_tables import (
    ChallengeKeys,
    ChallengeTable,
    DnsAccount01Table,
    DnsPersist01Table,
    Http01Table,
    TlsAlpn01Table,
)
from renewer.config.faults import Faults, Path, did_you_mean
from renewer.model.desired import (
    Challenge,
    Convention,
    DnsAccount01,
    DnsPersist01,
    Http01,
    Preflight,
    TlsAlpn01,
)


class Challenges:
    """Those with a table, by name."""

    def __init__(self, tables: Mapping[str, ChallengeTable] | UnsetType, state: str, faults: Faults) -> None:
        self._state = state
        self._faults = faults
        self._named = {
            name: self._resolve(table, ("challenge", name))
            for name, table in ({} if tables is UNSET else tables).items()
        }
        self._in_place: dict[Path, Challenge | None] = {}

    def use_all(self, given: ChallengeKeys, path: Path) -> tuple[Challenge, ...]:
        """One challenge or several, in the order of trying; none if there was a fault."""
        if not isinstance(given, list):
            one = self.use(given, path)
            return (one,) if one is not None else ()
        if not given:
            self._faults.add(path, "is empty", "name at least one challenge, or leave the key out")
        found = [self.use(one, (*path, index)) for index, one in enumerate(given)]
        for index, one in enumerate(found):
            if one is not None and one in found[:index]:
                self._faults.add((*path, index), "is there twice", "take one of them out")
        known = [one for one in found if one is not None]
        return tuple(known) if len(known) == len(found) else ()

    def use(self, given: str | ChallengeTable, path: Path) -> Challenge | None:
        """A challenge by name or in place; None if that was a fault."""
        if not isinstance(given, str):
            if path not in self._in_place:  # those of [defaults] come again with every certificate
                self._in_place[path] = self._resolve(given, path)
            return self._in_place[path]
        if given in self._named:
            return self._named[given]
        if not self._faults.spoilt(("challenge", given)):
            hint = did_you_mean(given, list(self._named)) or f"write a table [challenge.{given}]"
            self._faults.add(path, f"there is no challenge '{given}'", hint)
        return None

    def _resolve(self, table: ChallengeTable, path: Path) -> Challenge | None:
        if isinstance(table, Http01Table):
            return self._http01(table, path)
        if isinstance(table, TlsAlpn01Table):
            listen = checked(self._faults, (*path, "listen"), table.listen, scalars.listen_address)
            return None if listen is None else TlsAlpn01(listen=listen)
        from renewer.config.dns01 import resolve_dns01, resolve_propagation  # 5 ms, for those who use DNS

        if isinstance(table, DnsPersist01Table):
            propagation = resolve_propagation(table.propagation, (*path, "propagation"), self._faults)
            return DnsPersist01(propagation=propagation) if self._accepted(table, path) else None
        found = resolve_dns01(table, path, self._state, self._faults)
        if not isinstance(table, DnsAccount01Table):
            return found
        accepted = self._accepted(table, path)
        return DnsAccount01(**msgspec.structs.asdict(found)) if accepted and found else None

    def _accepted(self, table: DnsAccount01Table | DnsPersist01Table, path: Path) -> bool:
        """Whether the operator knows that it is a draft."""
        if table.experimental is True:
            return True
        at = (*path, "experimental")
        if not self._faults.spoilt(at):
            hint = "what authorities do with it may change; to use it all the same: experimental = true"
            self._faults.add(at, f"must be true: {table.__struct_config__.tag} is still a draft", hint)
        return False

    def _http01(self, table: Http01Table, path: Path) -> Http01 | None:
        faults = self._faults
        ways = ("webroot", "listen", "script")
        given = [key for key in ways if getattr(table, key) is not UNSET]
        if not given:
            if not any(faults.spoilt((*path, key)) for key in ways):
                hint = 'webroot = "/var/www/html" for a server that runs, or listen = "0.0.0.0:80"'
                faults.add(path, "needs either webroot or listen (or a script)", hint)
            return None
        if len(given) > 1:
            text = f"has both {given[0]} and {given[1]}"
            faults.add(path, text, "a running server needs webroot alone")
            return None
        webroot = checked(faults, (*path, "webroot"), table.webroot, scalars.absolute)
        listen = checked(faults, (*path, "listen"), table.listen, scalars.listen_address)
        script = _program((*path, "script"), table.script, faults)
        if webroot is None and listen is None and not script:
            return None
        return Http01(
            webroot=webroot,
            listen=listen,
            script=script,
            convention=self._convention(table, path),
            cleanup=self._cleanup(table, path),
            preflight=Preflight.WARN if table.preflight is UNSET else table.preflight,
            before=self._argv((*path, "before"), table.before, listen),
            after=self._argv((*path, "after"), table.after, listen),
        )

    def _convention(self, table: Http01Table, path: Path) -> Convention:
        if table.convention is UNSET:
            return Convention.RENEWER
        if table.script is UNSET:
            self._faults.add((*path, "convention"), "goes with script only", "take it out")
        return table.convention

    def _cleanup(self, table: Http01Table, path: Path) -> tuple[str, ...]:
        """Certbot's way has a program of its own for it; ours is told by its argument."""
        if table.cleanup is UNSET:
            return ()
        if table.convention is not Convention.CERTBOT:
            hint = "take it out: script is called with clean_up"
            self._faults.add((*path, "cleanup"), 'goes with convention = "certbot" only', hint)
        return _program((*path, "cleanup"), table.cleanup, self._faults)

    def _argv(self, path: Path, given: list[str] | UnsetType, listen: str | None) -> tuple[str, ...]:
        if given is UNSET or not given:
            return ()
        if listen is None:
            self._faults.add(path, "goes with listen only", "take it out, or use listen instead of webroot")
            return ()
        return _program(path, given, self._faults)


def _program(path: Path, given: list[str] | UnsetType, faults: Faults) -> tuple[str, ...]:
    """A program's absolute path with its arguments; nothing if that was a fault."""
    if given is UNSET:
        return ()
    if not given or not given[0].startswith("/") or any("\0" in part for part in given):
        faults.add(path, "must begin with the absolute path of a program", '["/path", "argument"]')
        return ()
    return tuple(given)
