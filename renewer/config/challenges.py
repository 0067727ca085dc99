"""Challenges: those with a table, and challenges written in place."""

from collections.abc import Mapping

from msgspec import UNSET, UnsetType

from renewer.config import scalars
from renewer.config.agent import checked
from renewer.config.challenge_tables import ChallengeTable, Http01Table
from renewer.config.dns01 import resolve_dns01
from renewer.config.faults import Faults, Path, did_you_mean
from renewer.model.desired import Challenge, Http01, Preflight


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
        return resolve_dns01(table, path, self._state, self._faults)

    def _http01(self, table: Http01Table, path: Path) -> Http01 | None:
        faults = self._faults
        webroot = checked(faults, (*path, "webroot"), table.webroot, scalars.absolute)
        listen = checked(faults, (*path, "listen"), table.listen, scalars.listen_address)
        if table.webroot is UNSET and table.listen is UNSET:
            if not (faults.spoilt((*path, "webroot")) or faults.spoilt((*path, "listen"))):
                hint = 'webroot = "/var/www/html" for a server that runs, or listen = "0.0.0.0:80"'
                faults.add(path, "needs either webroot or listen", hint)
            return None
        if table.webroot is not UNSET and table.listen is not UNSET:
            faults.add(path, "has both webroot and listen", "a running server needs webroot alone")
            return None
        if webroot is None and listen is None:
            return None
        return Http01(
            webroot=webroot,
            listen=listen,
            preflight=Preflight.WARN if table.preflight is UNSET else table.preflight,
            before=self._argv((*path, "before"), table.before, listen),
            after=self._argv((*path, "after"), table.after, listen),
        )

    def _argv(self, path: Path, given: list[str] | UnsetType, listen: str | None) -> tuple[str, ...]:
        if given is UNSET or not given:
            return ()
        if listen is None:
            self._faults.add(path, "goes with listen only", "take it out, or use listen instead of webroot")
        elif not given[0].startswith("/") or any("\0" in part for part in given):
            self._faults.add(path, "must begin with the absolute path of a program", '["/path", "argument"]')
        return tuple(given)
