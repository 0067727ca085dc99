"""The duty of changing records through one provider, on the worker's side of the door."""

import math
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, TypeVar, cast

import msgspec

from renewer.decoding import decode
from renewer.errors import GiveUp, OurFault, RenewerError
from renewer.model.desired import Dns01
from renewer.model.dns_provider import Provider, ProviderFactory
from renewer.network.door import Asker
from renewer.network.protocol import Done, DoorMessage, Failed, Trust
from renewer.network.providers import messages as said

A = TypeVar("A", bound=DoorMessage)
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


class _Nobody:
    """Main, where nobody hears what a worker says beside its answer."""

    descriptors: tuple[int, ...] = ()

    def note(self, text: str) -> None:
        """It is lost."""

    def cancelled(self) -> bool:
        """Never."""
        return False

    def until(self) -> float:
        """As long as it takes."""
        return math.inf

    def ask(self, request: DoorMessage, kind: type[A]) -> A:
        """Nothing is granted."""
        raise OurFault(f"{type(request).__name__} is granted to nobody", kind=kind.__name__)


def alone(requests: Iterable[bytes]) -> bytes:
    """Answer requests one after the other, up to the first that fails; how that went, as a message."""
    worker = Publisher()
    try:
        for request in requests:
            for _ in worker.answer(decode(request, Publisher.asks), _Nobody()):
                pass
    except RenewerError as error:
        return msgspec.json.encode(Failed.of(error))
    return msgspec.json.encode(Done())
