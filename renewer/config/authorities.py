"""Authorities: those with a table, and the built-in ones."""

from collections.abc import Mapping
from typing import Any

from renewer.config.faults import Faults, Path, did_you_mean
from renewer.config.given import Given
from renewer.model.desired import Authority, Defaults

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
        self, tables: Mapping[str, Given[Authority]], defaults: Given[Defaults] | None, faults: Faults
    ) -> None:
        self._tables = tables
        self._faults = faults
        known = {} if defaults is None else defaults.values
        self._contact: tuple[str, ...] = known.get("contact", ())
        self._agree: bool = known.get("agree_terms", False)
        self.resolved = {name: self._with_table(name, given) for name, given in tables.items()}
        self._agreed: set[str] = set()

    def use(self, name: str, path: Path) -> None:
        """A certificate names an authority: is there one, and did the operator agree to its terms?"""
        if name in self._agreed:
            return
        if name not in self.resolved:
            if name not in BUILT_IN:
                if not self._faults.spoilt(("authority", name)):
                    hint = did_you_mean(name, list(dict.fromkeys((*self.resolved, *BUILT_IN))))
                    self._faults.add(path, f"there is no authority '{name}'", hint)
                return
            directory, staging = BUILT_IN[name]
            self.resolved[name] = Authority(
                name=name,
                directory=directory,
                contact=self._contact,
                agree_terms=self._agree,
                staging=staging,
                test=directory in TESTS,
            )
        self._agreed.add(name)
        if not self.resolved[name].agree_terms:
            self._disagreed(name)

    def _disagreed(self, name: str) -> None:
        own = name in self._tables and "agree_terms" in self._tables[name]
        self._faults.add(
            ("authority", name, "agree_terms") if own else ("defaults", "agree_terms"),
            "must be true: an authority issues only to those who agree to its terms of service",
            f"read them (the directory {self.resolved[name].directory} links to them), then write "
            f"agree_terms = true in [defaults] or [authority.{name}]",
        )

    def _with_table(self, name: str, given: Given[Authority]) -> Authority:
        built_in, staging = BUILT_IN.get(name, ("", None))
        directory = given.get("directory", built_in)
        if not directory:
            known = did_you_mean(name, list(BUILT_IN))
            hint = 'directory = "https://…"' + (f"; {known}" if known.startswith("did") else "")
            given.wrong("directory", "is missing, and no built-in authority has this name", hint)
        usual = {
            "directory": directory,
            "contact": self._contact,
            "agree_terms": self._agree,
            "staging": staging if directory == built_in else None,
            "test": directory in TESTS,
        }
        for key in given.values:
            usual.pop(key, None)
        return given.make(name=name, **usual, **profiles(given))


def profiles(given: Given[Any]) -> dict[str, Any]:
    """The profile to ask for, and others in the order of preference; none if the authority may choose."""
    wished = given.get("profile", ())
    return {"profile": next(iter(wished), None), "other_profiles": wished[1:]}
