"""A provider by its name: ours by a table, also where no package metadata is installed; then others'."""

from importlib import import_module
from importlib.metadata import entry_points
from typing import cast

from renewer.errors import GiveUp
from renewer.model.desired import Dns01
from renewer.model.dns_options import option_faults
from renewer.network.challenges.dns01.providers.contract import Provider, ProviderFactory

GROUP = "renewer.dns_providers"
OURS = {
    "acme-dns": "renewer.network.challenges.dns01.providers.acme_dns:AcmeDnsProvider",
    "httpreq": "renewer.network.challenges.dns01.providers.httpreq:HttpreqProvider",
    "lexicon": "renewer.network.challenges.dns01.providers.lexicon:LexiconProvider",
    "rfc2136": "renewer.network.challenges.dns01.providers.rfc2136:Rfc2136Provider",
    "script": "renewer.network.challenges.dns01.providers.script:ScriptProvider",
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
