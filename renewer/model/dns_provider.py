"""What a provider of DNS records must do. Anybody can ship one: entry points, group `renewer.dns_providers`.

The entry point's name is what the config calls `provider`; it points to a class (or any callable with an
attribute `rules`) that takes the challenge's table and returns the provider:

    [project.entry-points."renewer.dns_providers"]
    example = "renewer_example:ExampleProvider"
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

from renewer.errors import GiveUp, RenewerError
from renewer.model.desired import Dns01
from renewer.model.dns_options import Rules
from renewer.model.value import Value

T = TypeVar("T")


class TxtRecord(Value):
    """A TXT record for one challenge (RFC 8555 §8.4). Names are in small letters, without the final dot.

    `name` is where it has to lie: where the aliases of `asked` (`_acme-challenge.www.example.org`) end.
    `domain` is the name that is proved, without the wildcard's label. When a killed run's record is removed,
    nothing is known any more that the provider remembered; `key_authorization` may be empty then.
    """

    name: str
    value: str
    asked: str
    domain: str
    token: str = ""
    key_authorization: str = ""


@contextmanager
def untouched() -> Iterator[None]:
    """Whatever goes wrong in here has changed nothing anywhere: nothing need be removed afterwards."""
    try:
        yield
    except RenewerError as error:
        error.untouched = True
        raise


def each(things: Iterable[T], act: Callable[[T], object]) -> None:
    """Act on all. Raises afterwards what went wrong: the first final error, else the first one."""
    failed: list[RenewerError] = []
    for one in things:
        try:
            act(one)
        except RenewerError as error:
            failed.append(error)
    if failed:
        raise next((error for error in failed if isinstance(error, GiveUp)), failed[0])


class AcmeDnsAccount(Value):
    """One account at an acme-dns server: who may set the records of `fulldomain`."""

    fulldomain: str
    subdomain: str
    username: str
    password: str

    def __repr__(self) -> str:
        return f"AcmeDnsAccount({self.fulldomain})"


class Provider(Protocol):
    """Publishes and removes TXT records. Threads: one call a zone at a time, different zones at once.

    It is made of a table whose secrets are in their places, and has nothing but that and the network: no
    files, no environment, no programs. Nothing happens when it is made: servers are asked at the first call.
    """

    needs_zone: bool
    """Whether it must be told the zone. If not, it is used even if no zone can be found, with the zone ""."""

    def ready(self, names: Sequence[str]) -> None:
        """Whether it was given what it needs, by form only.

        `names` are those to be proved, without the wildcard's label. Asks no server. Raises RetryLater or
        GiveUp; its `identifiers` are those of `names` that are concerned, none if all are. A provider may
        come without this method.
        """

    def add(self, zone: str, records: Sequence[TxtRecord]) -> None:
        """Publish the records of one zone, if possible at once, and return when that is accepted.

        Adds to what is there: a wildcard and its apex share one name, and so may other people. A record
        that is there already is no error. Raises RetryLater or GiveUp; then `remove` is called for all of
        them, whatever was published, unless the error is known to have left them `untouched`. Calls are
        bounded in time.
        """

    def remove(self, zone: str, records: Sequence[TxtRecord]) -> None:
        """Remove exactly these values and nothing else; what is not there is no error.

        Raises RetryLater or GiveUp if one may still be there.
        """

    def close(self) -> None:
        """Let go of connections; never raises, and twice is no error."""


class ProviderFactory(Protocol):
    """Makes a provider of a challenge's table; `rules` say what its `options` may hold."""

    rules: Rules

    def __call__(self, challenge: Dns01, /) -> Provider:
        """The provider; raises nothing but GiveUp."""
