"""A provider by its name: ours by a table, also where no package metadata is installed; then others'.

What ours need of this host is put in here: those that speak to strangers take secrets, accounts and the start
of a process as values. They are made anew for each call, of what is there at that moment, and keep nothing.
Those of others take the challenge as the config has it, with references to secrets.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from typing import cast

import msgspec

from renewer import secrets
from renewer.errors import GiveUp
from renewer.model.desired import Dns01, OptionValue, Secret
from renewer.model.dns_options import option_faults
from renewer.model.dns_provider import AcmeDnsAccount, Provider, ProviderFactory, TxtRecord, untouched
from renewer.provisioning import acme_dns as accounts

GROUP = "renewer.dns_providers"
OURS = {
    "acme-dns": "renewer.network.challenges.dns01.providers.acme_dns:AcmeDnsProvider",
    "httpreq": "renewer.network.challenges.dns01.providers.httpreq:HttpreqProvider",
    "lexicon": "renewer.network.challenges.dns01.providers.lexicon:LexiconProvider",
    "rfc2136": "renewer.network.challenges.dns01.providers.rfc2136:Rfc2136Provider",
    "script": "renewer.provisioning.dns_script:ScriptProvider",
}


def make(challenge: Dns01) -> Provider:
    """The provider that a challenge names. Raises GiveUp if there is none, or if its options are wrong."""
    factory = _factory(challenge.provider)
    if faults := option_faults(factory.rules, challenge.options):
        said = "; ".join(f"{name} {text}" for name, text, _ in faults)
        hint = "; ".join(dict.fromkeys(hint for *_, hint in faults if hint))
        raise GiveUp(f"the options of the provider {challenge.provider}: {said}", hint=hint, kind="config")
    if challenge.env and not factory.rules.env:
        hint = 'provider = "script"'
        raise GiveUp(f"the provider {challenge.provider} takes no env", hint=hint, kind="config")
    if fill := _FILLED.get(challenge.provider):
        if fill is _acme_dns:
            _without_accounts(challenge)  # what is wrong with its options is told at once
        return _Filled(challenge, fill, needs_zone=cast("type[Provider]", factory).needs_zone)
    return factory(challenge)


def _factory(name: str) -> ProviderFactory:
    try:
        if name in OURS:
            module, _, attribute = OURS[name].partition(":")
            return cast("ProviderFactory", getattr(import_module(module), attribute))
        for point in entry_points(group=GROUP, name=name):
            return cast("ProviderFactory", point.load())
    except Exception as error:  # whatever a stranger's module does when it is imported
        raise GiveUp(
            f"the provider {name} cannot be used: {type(error).__name__}: {error}",
            hint="is everything installed that it needs?",
            kind="config",
        ) from error
    raise GiveUp(
        f"there is no provider '{name}'",
        hint="install the package that ships it, for the Python that runs renewer",
        kind="config",
    )


class _Filled:
    """One of ours, made for each call with what it needs at that moment."""

    def __init__(self, challenge: Dns01, fill: Callable[[Dns01], Provider], *, needs_zone: bool) -> None:
        self._challenge = challenge
        self._fill = fill
        self.needs_zone = needs_zone

    def ready(self, names: Sequence[str]) -> None:
        """Whether what is put in is there, and what else it needs."""
        self._fill(self._challenge).ready(names)

    def add(self, zone: str, records: Sequence[TxtRecord]) -> None:
        """As the provider does; what is put in and is not there has changed nothing."""
        with untouched():
            provider = self._fill(self._challenge)
        provider.add(zone, records)

    def remove(self, zone: str, records: Sequence[TxtRecord]) -> None:
        """As the provider does. acme-dns only forgets them: for that no file of accounts is needed."""
        fill = _without_accounts if self._fill is _acme_dns else self._fill
        fill(self._challenge).remove(zone, records)

    def close(self) -> None:
        """Nothing is kept."""


def _httpreq(challenge: Dns01) -> Provider:
    from renewer.network.challenges.dns01.providers.httpreq import HttpreqProvider

    return HttpreqProvider(_told(challenge)[0])


def _lexicon(challenge: Dns01) -> Provider:
    from renewer.network.challenges.dns01.providers.lexicon import LexiconProvider
    from renewer.provisioning.dns_script import run_python

    return LexiconProvider(*_told(challenge), run_python)


def _rfc2136(challenge: Dns01) -> Provider:
    from renewer.network.challenges.dns01.providers.rfc2136 import Rfc2136Provider

    key = challenge.rfc2136.tsig if challenge.rfc2136 else None
    return Rfc2136Provider(challenge, secrets.resolve(key.secret) if key else "")


def _acme_dns(challenge: Dns01) -> Provider:
    from renewer.network.challenges.dns01.providers.acme_dns import AcmeDnsProvider

    storage = dict(challenge.options).get("storage")
    return AcmeDnsProvider(challenge, accounts.load(str(storage)) if storage else {})


def _without_accounts(challenge: Dns01) -> Provider:
    from renewer.network.challenges.dns01.providers.acme_dns import AcmeDnsProvider

    return AcmeDnsProvider(challenge, {})


_FILLED: dict[str, Callable[[Dns01], Provider]] = {
    "acme-dns": _acme_dns,
    "httpreq": _httpreq,
    "lexicon": _lexicon,
    "rfc2136": _rfc2136,
}


def _told(challenge: Dns01) -> tuple[Dns01, list[str]]:
    """The challenge with its secrets in their places, and those by themselves."""
    found: list[str] = []

    def told(value: OptionValue) -> OptionValue:
        if not isinstance(value, Secret):
            return value
        found.append(secrets.resolve(value))
        return found[-1]

    options = tuple((name, told(value)) for name, value in challenge.options)
    shown = list(found)
    env = tuple(
        (name, secrets.resolve(value) if isinstance(value, Secret) else value)
        for name, value in challenge.env
    )
    return msgspec.structs.replace(challenge, options=options, env=env), shown


def register(challenge: Dns01, domain: str) -> AcmeDnsAccount:
    """Make an account at the challenge's acme-dns server for a domain, and store it.

    Raises RetryLater, GiveUp or StateError.
    """
    from renewer.network.challenges.dns01.providers.acme_dns import AcmeDnsProvider

    options = dict(challenge.options)
    account = AcmeDnsProvider(challenge, {}).register()
    accounts.add(str(options["storage"]), domain, account, str(options["server"]).rstrip("/"))
    return account
