"""Authorities: those with a table, and the built-in ones."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from renewer.config import scalars
from renewer.config.agent import checked
from renewer.config.faults import Faults, Path, did_you_mean
from renewer.config.schema import AuthorityTable, DefaultsTable, EabTable
from renewer.config.tables import SecretTable
from renewer.model.desired import Authority, Eab, KeyType, Secret, SecretSource

_STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"

# SSL.com has a directory for each kind of key: ours is the one for ECDSA, our default kind.
BUILT_IN: Mapping[str, tuple[str, str | None]] = {
    "letsencrypt": ("https://acme-v02.api.letsencrypt.org/directory", _STAGING),
    "letsencrypt-staging": (_STAGING, _STAGING),
    "google": ("https://dv.acme-v02.api.pki.goog/directory", None),
    "zerossl": ("https://acme.zerossl.com/v2/DV90", None),
    "sslcom": ("https://acme.ssl.com/sslcom-dv-ecc", None),
    "actalis": ("https://acme-api.actalis.com/acme/directory", None),
}

TESTS = frozenset(
    {
        _STAGING,
        "https://dv.acme-v02.test-api.pki.goog/directory",
        "https://acme-staging-v02.api.letsencrypt.org/directory/",
        "https://api.test4.buypass.no/acme/directory",
        "https://acme-testing.ssl.com/sslcom-dv-ecc",
        "https://acme-testing.ssl.com/sslcom-dv-rsa",
    }
)
"""Directories that are known to be for tests."""


class Authorities:
    """Those with a table, and the built-in ones that a certificate names."""

    def __init__(
        self, tables: Mapping[str, AuthorityTable] | UnsetType, defaults: DefaultsTable, faults: Faults
    ) -> None:
        self._tables = {} if tables is UNSET else tables
        self._defaults = defaults
        self._faults = faults
        self._contact = self._contacts(("defaults", "contact"), defaults.contact)
        self._resolved: dict[str, Authority] = {
            name: self._resolve(name, table) for name, table in self._tables.items()
        }
        self._agreed: set[str] = set()

    def resolved(self) -> dict[str, Authority]:
        """Every one with a table, then the built-in ones in use."""
        return self._resolved

    def use(self, name: str, path: Path) -> bool:
        """A certificate names an authority: is there one, and did the operator agree to its terms?"""
        if name in self._agreed:
            return True
        if name not in self._resolved:
            if name not in BUILT_IN:
                if not self._faults.spoilt(("authority", name)):
                    known = [*self._resolved, *(one for one in BUILT_IN if one not in self._resolved)]
                    hint = did_you_mean(name, known)
                    self._faults.add(path, f"there is no authority '{name}'", hint)
                return False
            self._resolved[name] = self._resolve(name, AuthorityTable())
        self._agreed.add(name)
        if not self._resolved[name].agree_terms:
            self._disagreed(name)
        return True

    def _disagreed(self, name: str) -> None:
        table = self._tables.get(name)
        own = table is not None and table.agree_terms is not UNSET
        path: Path = ("authority", name, "agree_terms") if own else ("defaults", "agree_terms")
        self._faults.add(
            path,
            "must be true: an authority issues only to those who agree to its terms of service",
            f"read them (the directory {self._resolved[name].directory} links to them), then write "
            f"agree_terms = true in [defaults] or [authority.{name}]",
        )

    def _workers(self, at: Path, table: AuthorityTable) -> int | None:
        if table.workers is UNSET:
            return None
        if not 1 <= table.workers <= 64:
            self._faults.add((*at, "workers"), f"{table.workers} is out of bounds: 1 to 64 make sense")
        return table.workers

    def _resolve(self, name: str, table: AuthorityTable) -> Authority:
        directory, staging = BUILT_IN.get(name, ("", None))
        at: Path = ("authority", name)
        if table.directory is UNSET and not directory:
            known = did_you_mean(name, list(BUILT_IN))
            hint = 'directory = "https://…"' + (f"; {known}" if known.startswith("did") else "")
            self._faults.add((*at, "directory"), "is missing, and no built-in authority has this name", hint)
        if table.directory is not UNSET:
            if table.directory != directory:
                staging = None
            directory = checked(self._faults, (*at, "directory"), table.directory, scalars.url) or ""
        agree = self._defaults.agree_terms if table.agree_terms is UNSET else table.agree_terms
        contact = self._contacts((*at, "contact"), table.contact)
        profiles = profile_names((*at, "profile"), table.profile, self._faults)
        return Authority(
            name=name,
            directory=directory,
            contact=self._contact or () if contact is None else contact,
            agree_terms=agree is True,
            account_key=KeyType.ECDSA_P256 if table.account_key is UNSET else table.account_key,
            workers=self._workers(at, table),
            profile=next(iter(profiles), None),
            other_profiles=profiles[1:],
            chain=_text(table.chain),
            eab=self._eab(at, table.eab),
            ca_bundle=checked(self._faults, (*at, "ca_bundle"), table.ca_bundle, scalars.absolute),
            roots=checked(self._faults, (*at, "roots"), table.roots, chain_roots) or "system",
            staging=checked(self._faults, (*at, "staging"), table.staging, scalars.url) or staging,
            proxy=resolve_proxy((*at, "proxy"), table.proxy, self._faults),
            test=directory in TESTS if table.test is UNSET else table.test,
        )

    def _contacts(self, path: Path, given: list[str] | UnsetType) -> tuple[str, ...] | None:
        if given is UNSET:
            return None
        read = [
            checked(self._faults, (*path, index), text, scalars.contact) for index, text in enumerate(given)
        ]
        return tuple(contact for contact in dict.fromkeys(read) if contact)

    def _eab(self, at: Path, table: EabTable | UnsetType) -> Eab | None:
        if table is UNSET:
            return None
        secret = resolve_secret((*at, "eab", "hmac"), table.hmac, self._faults)
        if not table.kid or not table.kid.isprintable():
            self._faults.add((*at, "eab", "kid"), "is not a key identifier")
        return Eab(kid=table.kid, hmac=secret) if secret else None


def resolve_secret(path: Path, table: SecretTable, faults: Faults) -> Secret | None:
    """A reference to a secret; None if that was a fault."""
    given = msgspec.structs.asdict(table)
    sources = [key for key, value in given.items() if value is not UNSET]
    if len(sources) != 1:
        if not any(faults.spoilt((*path, key)) for key in given):
            faults.add(path, "needs exactly one of file, env, credential and command")
        return None
    source = SecretSource(sources[0])
    value = given[source]
    argument = tuple(value) if isinstance(value, list) else (value,)
    try:
        if source in (SecretSource.FILE, SecretSource.COMMAND):
            argument = (scalars.absolute(argument[0] if argument else ""), *argument[1:])
        elif not argument[0] or "/" in argument[0] or "=" in argument[0] or not argument[0].isprintable():
            raise ValueError("is not a name")  # noqa: TRY301  told like the others
        if any("\0" in part for part in argument):
            raise ValueError("holds a NUL character")  # noqa: TRY301
    except ValueError as error:
        faults.add((*path, source.value), str(error))
        return None
    return Secret(source=source, argument=argument)


def _text(given: str | UnsetType) -> str | None:
    return None if given is UNSET else given or None


def chain_roots(text: str) -> str:
    """What served certificates must chain to: 'system', 'any', or a PEM file."""
    if text in ("system", "any"):
        return text
    if not text.startswith("/"):
        raise ValueError("must be system, any or the absolute path of a PEM file")
    return scalars.absolute(text)


def profile_names(path: Path, given: str | Sequence[str] | UnsetType, faults: Faults) -> tuple[str, ...]:
    """The profiles to ask for, in the order of preference; none if the authority may choose."""
    if given is UNSET or isinstance(given, str):
        return (given,) if given else ()
    if not given:
        faults.add(path, "is empty", "name at least one profile, or leave the key out")
    for index, one in enumerate(given):
        if not one or not one.isprintable():
            faults.add((*path, index), "is not the name of a profile")
        elif one in given[:index]:
            faults.add((*path, index), f"'{one}' is there twice", "take one of them out")
    return tuple(given)


def resolve_proxy(path: Path, given: str | SecretTable | UnsetType, faults: Faults) -> str | Secret | None:
    """A proxy's URL, or where it is if a password stands in it; None if it is not given, or was a fault."""
    if not isinstance(given, str):
        return None if given is UNSET else resolve_secret(path, given, faults)
    if "@" in given:
        hint = 'put the whole URL into a file of its own: proxy = { file = "/etc/renewer/secrets/proxy" }'
        faults.add(path, "holds a user or a password, which never stand in the configuration", hint)
        return None
    return checked(faults, path, given, _proxy)


def _proxy(text: str) -> str:
    return scalars.url(text, ("http", "https"))
