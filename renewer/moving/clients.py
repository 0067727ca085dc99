"""The clients that can be read, by the names that commands take."""

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from renewer.errors import UsageError
from renewer.moving import certbot
from renewer.moving.found import Estate
from renewer.moving.reading import Tree

Glance = tuple[str, str, tuple[str, ...]]
"""A certificate's name at the client, the file that configures it, and the files that servers may name."""


class Client(NamedTuple):
    """Where its state usually lies, the light half that opens nothing much, and the whole."""

    homes: tuple[str, ...]
    glance: Callable[[Tree], Iterator[Glance]]
    read: Callable[[Tree], Estate]


CLIENTS = {
    "certbot": Client(certbot.HOMES, certbot.glance, certbot.read),
}


def home(name: str, directory: str | None = None) -> Tree:
    """The client's state. Raises UsageError if it is not there."""
    client = CLIENTS[name]
    places = [directory] if directory else [os.path.expanduser(one) for one in client.homes]
    for place in places:
        if os.path.isdir(place):
            return Tree(place)
    raise UsageError(
        f"there is no state of {name} in {' or '.join(places)}",
        hint=f"say where it lies: renewer import {name} --from DIRECTORY",
    )


def glances() -> Iterator[tuple[str, str, Glance]]:
    """Every certificate of every client in its usual place: client, directory, and what is known of it."""
    for name, client in CLIENTS.items():
        for place in map(os.path.expanduser, client.homes):
            if os.path.isdir(place):
                for one in client.glance(Tree(place)):
                    yield name, place, one
