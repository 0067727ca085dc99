"""Names that a new version no longer has, while a server of this host still shows it for them."""

from collections.abc import Sequence

import msgspec

from renewer import clock
from renewer.deploy.move import Move
from renewer.model.desired import Endpoint
from renewer.model.names import IdentifierType
from renewer.model.told import LeftName
from renewer.network import verify
from renewer.policy.serving import lost

LIMIT = 10  # looks for one certificate


def still_served(move: Move, seen: Sequence[verify.Sight]) -> list[LeftName]:
    """The names that were taken out and are still served, each with the place.

    A name that leads to other hosts by now is none: whoever asks for it does not come here.
    """
    former = move.former
    if former is None or former.placeholder or not move.turns:
        return []
    names = [
        name
        for name in lost(former.leaf.names, move.version.leaf.names, move.wish.names)
        if name.type is IdentifierType.DNS and not name.wildcard
    ]
    here = {(sight.endpoint, sight.address) for sight in seen if sight.local and sight.completed}
    found: dict[str, LeftName] = {}
    looks = [(name, place) for name in names for place in sorted(here, key=str)]
    for name, (endpoint, address) in looks[:LIMIT]:
        asked = msgspec.structs.replace(endpoint, server_name=str(name), host=None)
        if str(name) not in found and _shows(move, asked, address):
            found[str(name)] = LeftName(
                certificate=move.wish.name,
                host=move.context.host,
                name=str(name),
                endpoint=str(endpoint),
                address=address,
                at=clock.now(),
            )
    return list(found.values())


def sentence(left: Sequence[LeftName]) -> str:
    """What is told of them; "" if there are none."""
    if not left:
        return ""
    words = ", ".join(f"{one.name} (at {one.address})" for one in left)
    return (
        f"no longer in it, and still served with it: {words}; end that at the server, or put it into `names`"
    )


def _shows(move: Move, asked: Endpoint, address: str) -> bool:
    """Whether the new version is shown for the name, where it leads here or nowhere."""
    roots = verify.ANY
    led = [sight for sight in verify.look([verify.Target(endpoint=asked, roots=roots)]) if sight.address]
    if led:
        sights = [sight for sight in led if sight.local]
    else:
        pinned = msgspec.structs.replace(asked, host=address.rpartition(":")[0].strip("[]"))
        sights = verify.look([verify.Target(endpoint=pinned, roots=roots)])
    return any(sight.fingerprint == move.version.leaf.fingerprint for sight in sights)
