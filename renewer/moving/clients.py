"""The clients that can be read, by the names that commands take."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from renewer.errors import RenewerError, UsageError
from renewer.moving import acmesh, certbot, dehydrated, lego, servers, uacme
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
    "acme.sh": Client(acmesh.HOMES, acmesh.glance, acmesh.read),
    "lego": Client(lego.HOMES, lego.glance, lego.read),
    "dehydrated": Client(dehydrated.HOMES, dehydrated.glance, dehydrated.read),
    "uacme": Client(uacme.HOMES, uacme.glance, uacme.read),
    "caddy": Client(servers.CADDY, servers.glance_caddy, servers.read_caddy),
    "mod_md": Client(servers.MOD_MD, servers.glance_mod_md, servers.read_mod_md),
    "traefik": Client(servers.TRAEFIK, servers.glance_traefik, servers.read_traefik),
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


def names_of(client: str, root: str = "/") -> list[str]:
    """What a client in its usual place calls its certificates; none where that cannot be read."""
    if client not in CLIENTS:
        return []
    names: list[str] = []
    for one in map(os.path.expanduser, CLIENTS[client].homes):
        place = os.path.join(root, one.lstrip("/"))
        with contextlib.suppress(RenewerError):
            if os.path.isdir(place):
                names += [name for name, _, _ in CLIENTS[client].glance(Tree(place))]
    return names
