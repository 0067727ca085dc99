"""Certificates, completed by what [defaults] says."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TypeVar

from msgspec import UNSET, UnsetType

from renewer.config import keys, scalars
from renewer.config.agent import checked
from renewer.config.authorities import Authorities, profile_names
from renewer.config.challenge_tables import ChallengeKeys
from renewer.config.challenges import Challenges
from renewer.config.channels import Channels
from renewer.config.copies import Copies
from renewer.config.endpoints import default_endpoints, resolve_endpoint
from renewer.config.faults import Faults, Path, did_you_mean
from renewer.config.hooks import Hooks
from renewer.config.requests import GivenRequests
from renewer.config.schema import CertificateTable, DefaultsTable
from renewer.config.windows import deploy_window
from renewer.model.desired import (
    WILDCARD_CHALLENGES,
    Agent,
    Certificate,
    Challenge,
    Copy,
    Endpoint,
    Http01,
    KeyType,
)
from renewer.model.names import Identifier
from renewer.model.windows import DeployWindow

_Ways = tuple[Challenge, ...]  # to prove a name, in the order of trying
MOST_NAMES = 100  # no public authority takes more (Let's Encrypt: 100 in classic)

T = TypeVar("T")


class Certificates:
    """Turns tables into wishes; knows what they may refer to."""

    def __init__(  # noqa: PLR0913  what a wish may refer to, each by its name
        self,
        *,
        defaults: DefaultsTable,
        agent: Agent,
        authorities: Authorities,
        challenges: Challenges,
        hooks: Hooks,
        channels: Channels,
        faults: Faults,
    ) -> None:
        self.defaults = defaults
        self.agent = agent
        self.authorities = authorities
        self.challenges = challenges
        self.hooks = hooks
        self.channels = channels
        self.faults = faults
        self.copies = Copies(agent.state, faults)

    def resolve(self, tables: Mapping[str, CertificateTable]) -> dict[str, Certificate]:
        """Every certificate that could be resolved, in the order of the files."""
        resolved = [one for name, table in tables.items() for one in self._each(name, table, tables)]
        return {wish.name: wish for wish in resolved}

    def _each(
        self, name: str, table: CertificateTable, tables: Mapping[str, object]
    ) -> Iterator[Certificate]:
        """Those that a table makes: two, if it names two kinds of keys."""
        made = _Wish(self, name, table)
        wish, kinds = made.resolve(), made.keys()
        if wish is not None:
            yield from keys.each(wish, kinds, tables, self.faults)


class _Wish:
    """One certificate on its way from table to value."""

    __slots__ = ("_defaults", "_faults", "_name", "_own", "_room")

    def __init__(self, room: Certificates, name: str, own: CertificateTable) -> None:
        self._room = room
        self._name = name
        self._own = own
        self._defaults = room.defaults
        self._faults = room.faults

    def resolve(self) -> Certificate | None:
        own, defaults = self._own, self._defaults
        csr = GivenRequests(self._name, own, self._faults).resolve()
        names = self._names() if own.names is not UNSET else csr.names if csr else ()
        if own.names is UNSET and own.csr is UNSET:
            self._faults.add(("certificate", self._name, "names"), "is missing", 'names = ["example.org"]')
        if csr and names:
            csr.compare(names)
        authorities = self._authorities()
        ways, challenges = self._challenges(names)
        hooks = self._hooks()
        key_mode = self._key_mode()
        renew_before = self._renew_before()
        given = _pick(own.profile, defaults.profile, "")
        profiles = profile_names(self._at("profile"), given, self._faults)
        wish = Certificate(
            name=self._name,
            names=names,
            authorities=authorities,
            challenge=ways[0] if ways else _NONE,
            otherwise=ways[1:],
            challenges=challenges,
            key=csr.key if csr else self.keys()[0],
            csr=csr.given if csr else None,
            reuse_key=own.csr is UNSET and _pick(own.reuse_key, defaults.reuse_key, False),
            placeholder=own.csr is UNSET and _pick(own.placeholder, defaults.placeholder, True),
            profile=next(iter(profiles), None),
            other_profiles=profiles[1:],
            renew_before=renew_before,
            deploy_windows=self._deploy_windows(),
            hooks=hooks,
            endpoints=self._endpoints(names, hooks),
            key_mode=key_mode,
            copies=self._copies(),
            hosts=self._hosts(),
            notify=self._room.channels.chosen(
                _pick(self._own.notify, self._defaults.notify, []), self._at("notify")
            ),
        )
        return wish if names and authorities and ways else None

    def keys(self) -> tuple[KeyType, ...]:
        """The kinds of keys, none of them ours if there is a request."""
        if self._own.csr is not UNSET:
            return (KeyType.ECDSA_P256,)
        usual: KeyType | list[KeyType] = KeyType.ECDSA_P256
        return keys.kinds(_pick(self._own.key, self._defaults.key, usual), self._at("key"), self._faults)

    def _at(self, key: str) -> Path:
        """Where the value of a key stands: here or in [defaults]."""
        if getattr(self._own, key) is UNSET and getattr(self._defaults, key, UNSET) is not UNSET:
            return ("defaults", key)
        return ("certificate", self._name, key)

    def _names(self) -> tuple[Identifier, ...]:
        at: Path = ("certificate", self._name, "names")
        seen: dict[Identifier, None] = {}
        given = [] if self._own.names is UNSET else self._own.names
        for index, text in enumerate(given):
            try:
                name = Identifier.parse(text)
            except ValueError as error:
                self._faults.add((*at, index), str(error))
                continue
            if name in seen:
                self._faults.add((*at, index), f"'{name}' is there twice", "take one of them out")
            seen[name] = None
        if not given:
            self._faults.add(at, "is empty", 'say which names it is for: names = ["example.org"]')
        if len(seen) > MOST_NAMES:
            hint = "make several certificates of it"
            self._faults.add(at, f"has {len(seen)} names: authorities take at most {MOST_NAMES}", hint)
        return tuple(seen)

    def _authorities(self) -> tuple[str, ...]:
        """In order; those of [defaults] only if the certificate names none."""
        for table, start in ((self._own, ("certificate", self._name)), (self._defaults, ("defaults",))):
            one, several = table.authority, table.authorities
            at: Path = start
            if one is not UNSET and several is not UNSET:
                hint = "keep `authorities`, which is tried in order"
                self._faults.add((*at, "authority"), "is there beside authorities", hint)
            if several is not UNSET:
                return self._several((*at, "authorities"), several)
            if one is not UNSET:
                return (one,) if self._room.authorities.use(one, (*at, "authority")) else ()
            if self._faults.spoilt((*at, "authority")) or self._faults.spoilt((*at, "authorities")):
                return ()
        hint = 'write authority = "letsencrypt" here or in [defaults]'
        self._faults.add(("certificate", self._name, "authority"), "is missing", hint)
        return ()

    def _several(self, at: Path, names: list[str]) -> tuple[str, ...]:
        if not names:
            self._faults.add(at, "is empty", 'name at least one: ["letsencrypt"]')
        for index, name in enumerate(names):
            if name in names[:index]:
                self._faults.add((*at, index), f"'{name}' is there twice", "take one of them out")
            self._room.authorities.use(name, (*at, index))
        return tuple(names)

    def _challenges(
        self, names: tuple[Identifier, ...]
    ) -> tuple[_Ways, tuple[tuple[Identifier, Challenge], ...]]:
        """The ways to prove names in the order of trying, and those of single names."""
        single = self._single_challenges(names)
        each = tuple((name, way) for name, ways in single.items() for way in ways)
        given: ChallengeKeys | UnsetType = self._own.challenge
        given = self._defaults.challenge if given is UNSET else given
        if given is UNSET:
            if names and all(name in single for name in names):
                self._fit(names, single, ())
                return (each[0][1],) if each else (), each
            if not self._faults.spoilt(("defaults", "challenge")):
                hint = 'challenge = { type = "http-01", webroot = "/var/www/html" }, here or in [defaults]'
                self._faults.add(("certificate", self._name, "challenge"), "is missing", hint)
            return (), ()
        ways = self._room.challenges.use_all(given, self._at("challenge"))
        self._fit(names, single, ways)
        return ways, each

    def _fit(
        self, names: tuple[Identifier, ...], single: Mapping[Identifier, _Ways], otherwise: _Ways
    ) -> None:
        """Can each name be proved in one of its ways?"""
        for index, name in enumerate(names):
            self._fits(("certificate", self._name, "names", index), name, single.get(name, otherwise))

    def _fits(self, path: Path, name: Identifier, ways: _Ways) -> None:
        kinds = " or ".join(dict.fromkeys(str(way.__struct_config__.tag) for way in ways))
        by_dns = [isinstance(way, WILDCARD_CHALLENGES) for way in ways]
        if name.wildcard and ways and not any(by_dns):  # RFC 8555 §7.1.3, RFC 8737 §3
            hint = f'give it a dns-01 challenge: challenges = {{ "{name}" = … }}'
            self._faults.add(path, f"a wildcard '{name}' cannot be proved by {kinds}", hint)
        if name.type == "ip" and ways and all(by_dns):  # RFC 8738 §7: "MUST NOT be used"
            hint = f'give it an http-01 challenge: challenges = {{ "{name}" = … }}'
            self._faults.add(path, f"an address '{name}' cannot be proved by {kinds}", hint)

    def _single_challenges(self, names: tuple[Identifier, ...]) -> dict[Identifier, _Ways]:
        """Challenges of single names; those of [defaults] go for the names that a certificate has."""
        given = _pick(self._own.challenges, self._defaults.challenges, {})
        at, ours = self._at("challenges"), self._own.challenges is not UNSET
        single: dict[Identifier, _Ways] = {}
        for text, challenge in given.items():
            name = checked(self._faults, (*at, text), text, Identifier.parse)
            if name is None:
                continue
            if name in names:
                single[name] = self._room.challenges.use_all(challenge, (*at, text))
            elif ours and not self._faults.spoilt(("certificate", self._name, "names")):
                hint = did_you_mean(str(name), [str(one) for one in names])
                self._faults.add((*at, text), "is not one of this certificate's names", hint)
        return single

    def _hooks(self) -> tuple[str, ...]:
        hooks = _pick(self._own.hooks, self._defaults.hooks, [])
        at = self._at("hooks")
        for index, name in enumerate(hooks):
            if name in hooks[:index]:
                self._faults.add((*at, index), f"'{name}' is there twice", "take one of them out")
            self._room.hooks.use(name, (*at, index))
        return tuple(hooks)

    def _endpoints(self, names: tuple[Identifier, ...], hooks: tuple[str, ...]) -> tuple[Endpoint, ...]:
        given = _pick(self._own.endpoints, self._defaults.endpoints, None)
        if given is None:
            return default_endpoints(names) if hooks else ()
        at = self._at("endpoints")
        found: dict[Endpoint, None] = {}
        for index, one in enumerate(given):
            try:
                found[resolve_endpoint(one, names)] = None
            except ValueError as error:
                if names:  # else it merely follows
                    self._faults.add((*at, index), str(error))
        return tuple(found)

    def _copies(self) -> tuple[Copy, ...]:
        given = _pick(self._own.copies, self._defaults.copies, [])
        at = self._at("copies")
        keyless = self._own.csr is not UNSET
        found = [
            self._room.copies.resolve(table, (*at, i), self._name, keyless=keyless)
            for i, table in enumerate(given)
        ]
        return tuple(copy for copy in found if copy is not None)

    def _hosts(self) -> tuple[str, ...]:
        given = _pick(self._own.hosts, self._defaults.hosts, [])
        at = self._at("hosts")
        for index, host in enumerate(given):
            checked(self._faults, (*at, index), host, lambda text: scalars.word(text, "host name"))
        return tuple(dict.fromkeys(given)) or (self._room.agent.host,)

    def _key_mode(self) -> int:
        usual = "0640" if self._room.agent.group else "0600"  # what a group is named for
        given = _pick(self._own.key_mode, self._defaults.key_mode, usual)
        at = self._at("key_mode")
        return checked(self._faults, at, given, lambda text: scalars.mode(text, 0o640, "a key")) or 0o600

    def _renew_before(self) -> timedelta | None:
        given = _pick(self._own.renew_before, self._defaults.renew_before, "")
        at = self._at("renew_before")
        return checked(self._faults, at, given or UNSET, lambda text: scalars.duration(text, "1h", "365d"))

    def _deploy_windows(self) -> tuple[DeployWindow, ...]:
        given = _pick(self._own.deploy_window, self._defaults.deploy_window, [])
        at = self._at("deploy_window")
        if isinstance(given, str):
            found = [checked(self._faults, at, given, deploy_window)]
        else:
            found = [checked(self._faults, (*at, i), text, deploy_window) for i, text in enumerate(given)]
        return tuple(window for window in found if window is not None)


_NONE = Http01()  # stands where a fault was told; never leaves this module


def _pick(own: T | UnsetType, default: T | UnsetType, otherwise: T) -> T:
    """What the certificate says, else what [defaults] says, else the usual."""
    if own is not UNSET:
        return own
    return default if default is not UNSET else otherwise
