"""Certificates, completed by what [defaults] says; and those that are only watched."""

import os
from collections.abc import Container, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from renewer import ownership
from renewer.config.authorities import Authorities, profiles
from renewer.config.challenges import Challenges
from renewer.config.channels import Channels
from renewer.config.faults import Faults, Path, did_you_mean, dotted
from renewer.config.given import Given
from renewer.config.hooks import Hooks
from renewer.model.desired import (
    SEALED_PARTS,
    SECRET_PARTS,
    WILDCARD_CHALLENGES,
    Agent,
    Certificate,
    Challenge,
    Copy,
    CopyPart,
    Defaults,
    DeployWindow,
    Endpoint,
    KeyType,
    Watch,
    Ways,
)
from renewer.model.keys import host_and_port, mode
from renewer.model.names import Identifier, IdentifierType

if TYPE_CHECKING:
    from renewer.config.requests import OwnRequest

_Found = tuple[Challenge, ...]  # ways to prove a name, in the order of trying
MOST_NAMES = 100  # no public authority takes more (Let's Encrypt: 100 in classic)


class Certificates:
    """Turns tables into wishes; knows what they may refer to."""

    def __init__(  # noqa: PLR0913  what a wish may refer to, each by its name
        self,
        *,
        defaults: Given[Defaults] | None,
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

    def resolve(self, tables: Mapping[str, Given[Certificate]]) -> dict[str, Certificate]:
        """Every certificate that could be resolved, in the order of the files."""
        resolved = [one for name, given in tables.items() for one in self._each(name, given, tables)]
        return {wish.name: wish for wish in resolved}

    def _each(self, name: str, given: Given[Certificate], tables: Container[str]) -> Iterator[Certificate]:
        """Those that a table makes: two, if it names two kinds of keys."""
        wish = _Wish(self, name, given).resolve()
        if wish is None:
            return
        yield wish
        for key in given.get("key", ())[1:] if "csr" not in given else ():
            second, at = f"{wish.name}-{key.family}", ("certificate", name, "key")
            if second in tables:
                hint = "give that table another name, or name one kind of key here"
                text = f"makes a second certificate '{second}', and there is a table of that name"
                self.faults.add(at, text, hint)
            if wish.copies:
                hint = f"make two tables of it, [certificate.{name}] and [certificate.{second}]"
                text = "would be written by the certificates of both kinds of keys"
                self.faults.add(("certificate", name, "copies"), text, hint)
            yield msgspec.structs.replace(wish, name=second, key=key)


class _Wish:
    """One certificate on its way from table to value."""

    __slots__ = ("_agent", "_given", "_name", "_room")

    def __init__(self, room: Certificates, name: str, given: Given[Certificate]) -> None:
        self._room = room
        self._agent = room.agent
        self._name = name
        self._given = given

    def resolve(self) -> Certificate | None:
        given, room = self._given, self._room
        csr = self._request()
        given.over(room.defaults)
        names = self._names(csr)
        authorities = self._authorities()
        ways, challenges = self._challenges(names)
        hooks: tuple[str, ...] = given.get("hooks", ())
        for index, hook in enumerate(hooks):
            room.hooks.use(hook, (*given.at("hooks"), index))
        room.channels.check(given.get("notify", ()), given.at("notify"))
        more: dict[str, Any] = {
            "authorities": authorities,
            "challenge": next(iter(ways), None),
            "otherwise": ways[1:],
            "challenges": challenges,
            "key": csr.key if csr else self._keys()[0],
            "csr": csr.given if csr else None,
            "deploy_windows": self._deploy_windows(),
            "endpoints": self._endpoints(names, hooks),
            "copies": self._copies(),
            "hosts": given.get("hosts") or (self._agent.host,),
            **profiles(given),
        }
        if "csr" in given:  # whose key is not here
            more |= {"reuse_key": False, "placeholder": False}
        if "key_mode" not in given:  # always said: part of a fingerprint in the ledger
            more["key_mode"] = 0o640 if self._agent.group else 0o600  # what a group is named for
        return given.make(name=self._name, names=names, **more) if names and authorities and ways else None

    def _request(self) -> "OwnRequest | None":
        """The operator's own request, if the table names one."""
        if "csr" not in self._given:
            return None
        from renewer.config.requests import read  # for those who have one

        return read(self._given)

    def _names(self, csr: "OwnRequest | None") -> tuple[Identifier, ...]:
        given = self._given
        if "names" not in given:
            if "csr" not in given and not given.spoilt("csr"):
                given.wrong("names", "is missing", 'names = ["example.org"]')
            return csr.names if csr else ()
        names: tuple[Identifier, ...] = given.get("names")
        if len(names) > MOST_NAMES:
            text = f"has {len(names)} names: authorities take at most {MOST_NAMES}"
            given.wrong("names", text, "make several certificates of it")
        if csr:
            csr.compare(names)
        return names

    def _keys(self) -> tuple[KeyType, ...]:
        """The kinds of its key, the first of them for the table's own name."""
        kinds: tuple[KeyType, ...] = self._given.get("key", ())
        for index, one in enumerate(kinds):
            if one.family in [other.family for other in kinds[:index]]:
                text = f"has two {one.family.upper()} keys: a server holds one of each kind for a name"
                hint = 'keep one: key = ["ecdsa-p256", "rsa-2048"]'
                self._room.faults.add((*self._given.at("key"), index), text, hint)
        return kinds or (KeyType.ECDSA_P256,)

    def _authorities(self) -> tuple[str, ...]:
        """In order; those of [defaults] only if the certificate names none."""
        given = self._given
        both = [key for key in ("authority", "authorities") if key in given]
        for keys in ([key for key in both if not given.inherited(key)], both):
            if len(keys) > 1 and given.inherited(keys[0]) == given.inherited(keys[1]):
                hint = "keep `authorities`, which is tried in order"
                given.wrong("authority", "is there beside authorities", hint)
            if keys:
                at = given.at(keys[-1])
                found = given.get(keys[-1])
                names: tuple[str, ...] = (found,) if isinstance(found, str) else found
                for index, name in enumerate(names):
                    self._room.authorities.use(name, at if isinstance(found, str) else (*at, index))
                return names
            if given.spoilt("authority", "authorities"):
                return ()
        hint = 'write authority = "letsencrypt" here or in [defaults]'
        self._room.faults.add(("certificate", self._name, "authority"), "is missing", hint)
        return ()

    def _challenges(
        self, names: tuple[Identifier, ...]
    ) -> tuple[_Found, tuple[tuple[Identifier, Challenge], ...]]:
        """The ways to prove names in the order of trying, and those of single names."""
        given = self._given
        single = self._single_challenges(names)
        each = tuple((name, way) for name, ways in single.items() for way in ways)
        if "challenge" in given:
            ways = self._room.challenges.use_all(given.get("challenge"), given.at("challenge"))
            self._fit(names, single, ways)
            return ways, each
        if names and all(name in single for name in names):
            self._fit(names, single, ())
            return (each[0][1],) if each else (), each
        if not given.spoilt("challenge"):
            hint = 'challenge = { type = "http-01", webroot = "/var/www/html" }, here or in [defaults]'
            given.wrong("challenge", "is missing", hint)
        return (), ()

    def _fit(
        self, names: tuple[Identifier, ...], single: Mapping[Identifier, _Found], otherwise: _Found
    ) -> None:
        """Can each name be proved in one of its ways?"""
        for index, name in enumerate(names):
            self._fits(("certificate", self._name, "names", index), name, single.get(name, otherwise))

    def _fits(self, path: Path, name: Identifier, ways: _Found) -> None:
        if not ways or not (name.wildcard or name.type == "ip"):
            return
        kinds = " or ".join(dict.fromkeys(str(way.__struct_config__.tag) for way in ways))
        by_dns = [isinstance(way, WILDCARD_CHALLENGES) for way in ways]
        if name.wildcard and not any(by_dns):  # RFC 8555 §7.1.3, RFC 8737 §3
            hint = f'give it a dns-01 challenge: challenges = {{ "{name}" = … }}'
            self._room.faults.add(path, f"a wildcard '{name}' cannot be proved by {kinds}", hint)
        if name.type == "ip" and all(by_dns):  # RFC 8738 §7: "MUST NOT be used"
            hint = f'give it an http-01 challenge: challenges = {{ "{name}" = … }}'
            self._room.faults.add(path, f"an address '{name}' cannot be proved by {kinds}", hint)

    def _single_challenges(self, names: tuple[Identifier, ...]) -> dict[Identifier, _Found]:
        """Challenges of single names; those of [defaults] go for the names that a certificate has."""
        given, faults = self._given, self._room.faults
        at, single = given.at("challenges"), dict[Identifier, _Found]()
        wished: Mapping[str, Ways] = given.get("challenges", {})
        for text, ways in wished.items():
            try:
                name = Identifier.parse(text)
            except ValueError as error:
                faults.add((*at, text), str(error))
                continue
            if name in names:
                single[name] = self._room.challenges.use_all(ways, (*at, text))
            elif not given.inherited("challenges") and not given.spoilt("names"):
                hint = did_you_mean(str(name), [str(one) for one in names])
                faults.add((*at, text), "is not one of this certificate's names", hint)
        return single

    def _endpoints(self, names: tuple[Identifier, ...], hooks: tuple[str, ...]) -> tuple[Endpoint, ...]:
        if "endpoints" not in self._given:
            return default_endpoints(names) if hooks else ()
        found: dict[Endpoint, None] = {}
        for index, one in enumerate(self._given.get("endpoints")):
            try:
                found[placed(one, names)] = None
            except ValueError as error:
                if names:  # else it merely follows
                    self._room.faults.add((*self._given.at("endpoints"), index), str(error))
        return tuple(found)

    def _copies(self) -> tuple[Copy, ...]:
        at, keyless = self._given.at("copies"), "csr" in self._given
        return tuple(
            self._room.copies.take(copy, (*at, index), self._name, keyless=keyless)
            for index, copy in enumerate(self._given.get("copies", ()))
        )

    def _deploy_windows(self) -> tuple[DeployWindow, ...]:
        if "deploy_window" not in self._given:
            return ()
        from renewer.config.windows import deploy_window  # for those who have one

        found = []
        for index, text in enumerate(self._given.get("deploy_window")):
            try:
                found.append(deploy_window(text))
            except ValueError as error:
                self._room.faults.add((*self._given.at("deploy_window"), index), str(error))
        return tuple(found)


# --- copies -------------------------------------------------------------------------------------------------


class Copies:
    """Remembers whose each path is: two writers of one file would fight for ever."""

    def __init__(self, state: str, faults: Faults) -> None:
        self._state = state
        self._faults = faults
        self._taken: dict[str, Path] = {}

    def take(self, copy: Copy, at: Path, certificate: str, *, keyless: bool) -> Copy:
        """The copy of a certificate; `keyless` is whether the key is elsewhere."""
        for part, path in copy.paths:
            if keyless and part in SECRET_PARTS:
                text = "needs the key, which is not here: it is that of `csr`"
                self._faults.add((*at, part.value), text, "cert, chain, fullchain and der do not")
            self._check(path, (*at, part.value), certificate)
        sealed = (copy.password or copy.unsealed) and not copy.alias
        return msgspec.structs.replace(copy, alias=certificate) if sealed else copy

    def _check(self, path: str, at: Path, certificate: str) -> None:
        # Whatever links lead to its directory; one at the path itself is replaced, and leads nowhere
        real = os.path.join(ownership.resolved(os.path.dirname(path)), os.path.basename(path))
        if any(one == self._state or one.startswith(self._state + "/") for one in (path, real)) or any(
            os.path.realpath(self._state) == one for one in _above(real)
        ):
            self._faults.add(at, "lies inside the agent's state", "copy to the place where the server looks")
        elif (other := self._taken.get(real)) is None:
            self._taken[real] = at
        elif other == at:  # the same entry of [defaults], for another certificate
            text = f"{path} would be written by several certificates: '{certificate}' is the second"
            self._faults.add(at, text, "move it to the certificate it is for")
        else:
            self._faults.add(at, f"{path} is written by {dotted(other)} already", "give it another path")


def _above(path: str) -> Iterator[str]:
    """A path, and every directory above it."""
    while True:
        yield path
        if path == (path := os.path.dirname(path)):
            return


def copy(given: Given[Copy]) -> Copy | None:
    """The rule of an entry of `copies`."""
    asked = [part for part in CopyPart if part in given or given.spoilt(part)]
    paths = tuple((part, given.get(part)) for part in asked if part in given)
    if not asked:
        given.wrong("", "names no file", 'as fullchain = "/etc/nginx/tls/www.pem"')
        return None
    sealed = [part.value for part in asked if part in SEALED_PARTS]
    if "password" in given:
        if not sealed:
            given.wrong("password", "seals nothing here", "it goes with pkcs12 or jks")
        elif given.get("password") == "" and CopyPart.JKS in asked:
            text = "is empty, and keytool writes no jks without one"
            given.wrong("password", text, "use pkcs12, or name one")
    elif sealed:
        hint = 'password = { file = "/etc/renewer/secrets/keystore" }'
        given.wrong("password", f"is missing: {' and '.join(sealed)} cannot be written without one", hint)
    _check_names(given, asked)
    _check_rights(given, paths)
    unsealed = given.get("password") == ""
    return given.make(paths=paths, password=given.get("password") or None, unsealed=unsealed)


def _check_names(given: Given[Copy], asked: list[CopyPart]) -> None:
    alias: str = given.get("alias", "")
    if "alias" in given and not any(part in asked for part in SEALED_PARTS):
        given.wrong("alias", "names nothing here", "it goes with pkcs12 or jks")
    elif CopyPart.JKS in asked and alias != alias.lower():
        given.wrong("alias", "has capitals, and a jks has small letters only", "write it so")
    if "encryption" in given and CopyPart.PKCS12 not in asked:
        given.wrong("encryption", "encrypts nothing here", "it goes with pkcs12")


def _check_rights(given: Given[Copy], paths: tuple[tuple[CopyPart, str], ...]) -> None:
    """No key where more than its readers can read it, or where others could have put another file."""
    keys = [path for part, path in paths if part in SECRET_PARTS]
    if "mode" in given:
        allowed, what = (0o640, "a key") if keys else (0o644, "a file that servers trust")
        try:
            mode(f"{given.get('mode'):04o}", allowed, what)
        except ValueError as error:
            given.wrong("mode", str(error))
    for path in keys if given.get("in_place") else ():
        try:
            danger = ownership.danger_of_additions(os.path.dirname(path))
        except OSError:  # told when it is written
            continue
        if danger is not None:
            text = f"writes a key into {path}, which others could replace: {danger.text}"
            given.wrong("in_place", text, f"{danger.hint}; or leave in_place out")


# --- endpoints ----------------------------------------------------------------------------------------------

_LAST_PORT = 65535


def default_endpoints(names: tuple[Identifier, ...]) -> tuple[Endpoint, ...]:
    """Each DNS name that is no wildcard, on :443."""
    return tuple(
        Endpoint(server_name=name.value)
        for name in names
        if name.type is IdentifierType.DNS and not name.wildcard
    )


def endpoint(given: Given[Endpoint]) -> Endpoint:
    """The rule of a table of `endpoints`; whose it is, and so what is asked for, is not known yet."""
    starttls = given.get("starttls")
    port = given.get("port", starttls.port if starttls else 443)
    return given.make(port=port, server_name=given.get("server_name", ""))


def placed(given: str | Endpoint, names: tuple[Identifier, ...]) -> Endpoint:
    """One entry of `endpoints`, as a certificate for these names has it. Raises ValueError with a sentence.

    An address that is none of the certificate's names is looked at under its first DNS name.
    """
    if isinstance(given, str):
        text, port = host_and_port(given)
        host = Identifier.parse(text)
        if host.type is IdentifierType.IP and not _covered(host, names):
            return Endpoint(server_name=_first(names, host), port=port or 443, host=host.value)
        return Endpoint(server_name=_wanted(host, names), port=port or 443)
    if not 1 <= given.port <= _LAST_PORT:
        raise ValueError(f"{given.port} is not a port: a number from 1 to 65535")
    address = None if given.host is None else Identifier.parse(given.host)
    if address and address.wildcard:
        raise ValueError(f"'{address}' is no host that can be asked")
    if given.server_name:
        server_name = _wanted(Identifier.parse(given.server_name), names)
    elif address is None:
        raise ValueError("needs host or server_name")
    else:
        server_name = address.value if _covered(address, names) else _first(names, address)
    if given.starttls is not None and given.protocol is not None:
        raise ValueError("has starttls and protocol: the latter is for TLS from the first byte, take one out")
    host_value = address.value if address else None
    return msgspec.structs.replace(given, server_name=server_name, host=host_value)


def _covered(name: Identifier, names: tuple[Identifier, ...]) -> bool:
    return name in names or any(one.wildcard and one.covers(name) for one in names)


def _wanted(name: Identifier, names: tuple[Identifier, ...]) -> str:
    if name.wildcard:
        raise ValueError(f"'{name}' is no host that can be asked: give one below it")
    if not _covered(name, names):
        raise ValueError(
            f"'{name}' is not one of this certificate's names: to look at another host, write "
            f'{{ host = "{name}", server_name = "{names[0] if names else "…"}" }}'
        )
    return name.value


def _first(names: tuple[Identifier, ...], otherwise: Identifier) -> str:
    plain = (name.value for name in names if name.type is IdentifierType.DNS and not name.wildcard)
    return next(plain, otherwise.value)


# --- watches ------------------------------------------------------------------------------------------------


def watch(given: Given[Watch]) -> Watch:
    """The rule of [watch.X]."""
    if ("endpoint" in given) == ("file" in given) and not given.spoilt("endpoint", "file"):
        hint = 'endpoint = "mail.example.org:993", or file = "/etc/ssl/mail.pem"'
        given.wrong("endpoint", "exactly one of endpoint and file is needed", hint)
    if "file" in given and "roots" in given:
        given.wrong("roots", "goes with endpoint, not with file", "take it out")
    found = None
    if "endpoint" in given:
        try:
            found = _anywhere(given.get("endpoint"))
        except ValueError as error:
            given.wrong("endpoint", str(error))
    return given.make(name=given.path[1], endpoint=found)


def _anywhere(given: str | Endpoint) -> Endpoint:
    """Any port at all: what is asked for is the host itself, unless `server_name` says otherwise."""
    asked = host_and_port(given)[0] if isinstance(given, str) else given.server_name or given.host
    return placed(given, (Identifier.parse(asked),) if asked else ())


def check_watches(
    watches: Mapping[str, Watch], certificates: Container[str], channels: Channels, faults: Faults
) -> None:
    """No watch has the name of a certificate: notices, the log and `ack` speak of both by name alone."""
    for name, one in watches.items():
        if name in certificates:
            hint = "give it another name"
            faults.add(("watch", name), "has the name of a certificate that is renewed", hint)
        channels.check(one.notify, ("watch", name, "notify"))
