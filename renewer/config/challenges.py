"""Challenges: those with a table, and challenges written in place."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from renewer.config.faults import Faults, Path, did_you_mean
from renewer.config.given import Given
from renewer.model.desired import (
    Challenge,
    Convention,
    Dns01,
    DnsAccount01,
    DnsPersist01,
    Http01,
    OptionValue,
    Propagation,
    PropagationCheck,
    Rfc2136,
    Ways,
)

RFC2136 = "rfc2136"
ENTRY_POINTS = "renewer.dns_providers"


class Challenges:
    """Those with a table, by name."""

    def __init__(self, tables: Mapping[str, Challenge], state: str, faults: Faults) -> None:
        self._state = state
        self._faults = faults
        self._named = {name: self._placed(one) for name, one in tables.items()}

    def use_all(self, given: Ways, path: Path) -> tuple[Challenge, ...]:
        """One challenge or several, in the order of trying; none if there was a fault."""
        found = [self._use(one, (*path, index)) for index, one in enumerate(given)]
        for index, one in enumerate(found):
            if one is not None and one in found[:index]:
                self._faults.add((*path, index), "is there twice", "take one of them out")
        known = [one for one in found if one is not None]
        return tuple(known) if len(known) == len(found) else ()

    def _use(self, given: str | Challenge, path: Path) -> Challenge | None:
        """A challenge by name or in place; None if that was a fault."""
        if not isinstance(given, str):
            return self._placed(given)
        if given in self._named:
            return self._named[given]
        if not self._faults.spoilt(("challenge", given)):
            hint = did_you_mean(given, list(self._named)) or f"write a table [challenge.{given}]"
            self._faults.add(path, f"there is no challenge '{given}'", hint)
        return None

    def _placed(self, one: Challenge) -> Challenge:
        """With what follows from where the agent keeps its state."""
        if not isinstance(one, Dns01) or one.provider == RFC2136:
            return one
        from renewer.model.dns_options import completed

        return msgspec.structs.replace(one, options=completed(one.provider, one.options, self._state))


def http01(given: Given[Http01]) -> Http01 | None:
    """The rule of a table of type http-01."""
    made = given.make()
    ways = [way for way in ("webroot", "listen", "script") if way in given or given.spoilt(way)]
    if not ways:
        hint = 'webroot = "/var/www/html" for a server that runs, or listen = "0.0.0.0:80"'
        given.wrong("", "needs either webroot or listen (or a script)", hint)
        return None
    if len(ways) > 1:
        given.wrong("", f"has both {ways[0]} and {ways[1]}", "a running server needs webroot alone")
        return None
    if ways != ["script"] and "convention" in given:
        given.wrong("convention", "goes with script only", "take it out")
    if made.cleanup and made.convention is not Convention.CERTBOT:
        hint = "take it out: script is called with clean_up"
        given.wrong("cleanup", 'goes with convention = "certbot" only', hint)
    for key, argv in (("before", made.before), ("after", made.after)):
        if argv and ways != ["listen"]:
            given.wrong(key, "goes with listen only", "take it out, or use listen instead of webroot")
    return made if made.webroot or made.listen or made.script else None


def dns01(given: Given[Dns01] | Given[DnsAccount01]) -> Dns01 | None:
    """The rule of a table of type dns-01."""
    if "provider" not in given or not _is_provider(given, given.get("provider")):
        return None
    rfc2136 = _rfc2136(given)
    whole = _check_options(given)
    if not whole or (given.get("provider") == RFC2136 and rfc2136 is None):
        return None
    # The propagation is always said: it is part of a fingerprint in the ledger.
    return given.make(rfc2136=rfc2136, propagation=given.get("propagation") or Propagation())


def dns_account01(given: Given[DnsAccount01]) -> Dns01 | None:
    """The rule of a table of type dns-account-01."""
    made = dns01(given)
    return made if _accepted(given, "dns-account-01") else None


def dns_persist01(given: Given[DnsPersist01]) -> DnsPersist01 | None:
    """The rule of a table of type dns-persist-01."""
    made = given.make(propagation=given.get("propagation") or Propagation())
    return made if _accepted(given, "dns-persist-01") else None


def _accepted(given: Given[Any], kind: str) -> bool:
    """Whether the operator knows that it is a draft."""
    if given.get("experimental"):
        return True
    hint = "what authorities do with it may change; to use it all the same: experimental = true"
    given.wrong("experimental", f"must be true: {kind} is still a draft", hint)
    return False


def _is_provider(given: Given[Any], name: str) -> bool:
    from renewer.model.dns_options import BUILT_IN  # 5 ms, for those who use DNS

    if name in BUILT_IN:
        return True
    from importlib.metadata import entry_points  # only for providers that others ship

    others = [point.name for point in entry_points(group=ENTRY_POINTS)]
    if re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name) and name in others:
        return True
    hint = did_you_mean(name, list(dict.fromkeys((*BUILT_IN, *others))))
    text = f"there is no provider '{name}'" if name.isprintable() else "is not a provider"
    given.wrong("provider", text, hint)
    return False


def _rfc2136(given: Given[Any]) -> Rfc2136 | None:
    if given.get("provider") != RFC2136:
        for key in ("server", "tsig"):
            if key in given:
                text = "goes with the provider rfc2136 only"
                given.wrong(key, text, "other providers take options = { … }")
        return None
    if "server" not in given:
        hint = 'the server that takes updates: server = "192.0.2.53:53"'
        given.wrong("server", "is missing", hint)
        return None
    return None if given.spoilt("tsig") else Rfc2136(server=given.get("server"), tsig=given.get("tsig"))


def _check_options(given: Given[Any]) -> bool:
    """Whether the provider can be called with them."""
    from renewer.model.dns_options import BUILT_IN, option_faults

    options: tuple[tuple[str, OptionValue], ...] = given.get("options", ())
    rules = BUILT_IN.get(given.get("provider"))
    if rules and not rules.env and "env" in given:
        given.wrong("env", "goes with a provider that runs programs only", 'provider = "script"')
    wrong = option_faults(rules, options) if rules and not given.spoilt("options") else ()
    for name, text, hint in wrong:
        given.faults.add((*given.at("options"), name), text, hint, source=given.source)
    return not wrong


def propagation(given: Given[Propagation]) -> Propagation:
    """The rule of `propagation`."""
    made = given.make()
    quiet = made.check is PropagationCheck.NONE
    if quiet and "wait" not in given:
        given.wrong("wait", "is missing", 'nobody is asked then, so say how long to wait: wait = "60s"')
    if not quiet and "wait" in given:
        hint = "the other checks look until they see it; take it out, or use timeout"
        given.wrong("wait", 'goes with check = "none" only', hint)
    if made.check is PropagationCheck.RESOLVERS and not made.resolvers:
        given.wrong("resolvers", "is missing", 'say whom to ask: resolvers = ["192.0.2.1:53"]')
    return made
