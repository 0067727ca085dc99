"""The duty of changing records through one provider, on the worker's side of the door."""

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, cast

import msgspec

from renewer.errors import GiveUp, OurFault, RenewerError
from renewer.model.desired import Dns01
from renewer.model.dns_provider import Provider, ProviderFactory
from renewer.network.door import Asker
from renewer.network.protocol import DoorMessage, Trust
from renewer.network.providers import messages as said

GROUP = "renewer.dns_providers"
OURS = {
    "acme-dns": "renewer.network.providers.acme_dns:AcmeDnsProvider",
    "httpreq": "renewer.network.providers.httpreq:HttpreqProvider",
    "lexicon": "renewer.network.providers.lexicon:LexiconProvider",
    "rfc2136": "renewer.network.providers.rfc2136:Rfc2136Provider",
}
"""By a table, also where no package metadata is installed; then those of others."""


class Publisher:
    """Publishes through the provider that it was told."""

    asks = said.OfProvider | said.OfRecords

    def __init__(self) -> None:
        self._roots = ""
        self._made: Provider | None = None

    def answer(self, request: said.OfProvider | said.OfRecords, main: Asker) -> Iterator[DoorMessage]:  # noqa: ARG002
        """What came of it; what others did not foresee is a fault of theirs alone."""
        try:
            if isinstance(request, said.OfRecords):
                yield from _change(self._provider, request)
            else:
                yield from self._answer(request)
        except RenewerError:
            raise
        except Exception as error:
            zone = getattr(request, "zone", "") or "?"
            text = f"the DNS provider broke at the zone {zone}: {type(error).__name__}: {error}"
            raise OurFault(text, hint="tell its authors", kind="provider") from error

    @property
    def _provider(self) -> Any:
        if self._made is None:
            raise OurFault("a defect of this program: a worker without a provider", kind="defect")
        return self._made

    def _answer(self, request: said.OfProvider) -> Iterator[DoorMessage]:
        match request:
            case Trust(pem=pem):
                self._roots += pem
            case said.Describe(provider=name):
                found: Any = factory(name)
                yield said.Described(rules=found.rules, needs_zone=found.needs_zone)
            case said.Employ(challenge=challenge, key=key):
                self._made = _made(challenge, key, self._roots)
            case said.Prepare(names=names):
                if look := getattr(self._provider, "ready", None):  # older ones of others have no such method
                    look(list(names))
            case said.Dismiss():
                if self._made is not None:
                    self._made.close()


def _change(provider: Any, request: said.OfRecords) -> Iterator[DoorMessage]:
    match request:
        case said.Publish(accounts=()):
            provider.add(request.zone, list(request.records))
        case said.Publish(accounts=accounts):
            provider.add_at(accounts, request.records)
        case said.Remove():
            provider.remove(request.zone, list(request.records))
        case said.Register():
            yield said.Registered(account=provider.register())


def _made(challenge: Dns01, key: str, roots: str) -> Provider:
    if roots:
        options = tuple({**dict(challenge.options), "ca_bundle": roots}.items())
        challenge = msgspec.structs.replace(challenge, options=options)
    make: Any = factory(challenge.provider)
    return cast("Provider", make(challenge, key) if key else make(challenge))


def factory(name: str) -> ProviderFactory:
    """What makes the provider. Raises GiveUp if there is none."""
    if (had := _prepared.get(name)) is not None:
        return had()
    try:
        if name in OURS:
            module, _, attribute = OURS[name].partition(":")
            return cast("ProviderFactory", getattr(import_module(module), attribute))
        for point in entry_points(group=GROUP, name=name):
            return cast("ProviderFactory", point.load())
    except (Exception, SystemExit) as error:  # whatever a stranger's module does when it is imported
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


_prepared: dict[str, Callable[[], ProviderFactory]] = {}
"""What came of looking for it while there were rights: the factory, or the error."""


def prepare(of: str) -> None:
    """Import a provider (of lexicon's: `lexicon SERVICE`); what is wrong with it is told who employs it."""
    name, _, service = of.partition(" ")
    try:
        found = factory(name)
        _prepared[name] = lambda: found
    except GiveUp as error:
        _prepared[name] = _raising(error)
    if name == "lexicon":
        from renewer.network.providers import lexicon

        lexicon.prepare(service)


def _raising(error: GiveUp) -> Callable[[], ProviderFactory]:
    def told() -> ProviderFactory:
        raise error

    return told
