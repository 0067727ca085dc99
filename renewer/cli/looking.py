"""What `renewer status --look` does before it answers: look at the ports at this moment."""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec

from renewer.errors import RenewerError

if TYPE_CHECKING:
    from renewer.model.desired import Config
    from renewer.model.facts import Sighting, Situation


def look_now(config: "Config", names: Sequence[str] = ()) -> "tuple[Sighting, ...]":
    """Look at every port of these certificates, all without names.

    What was seen is kept if nobody else is at work and the state may be written to; else it is only shown.
    """
    from renewer import inventory, observe
    from renewer.context import Context
    from renewer.store.lock import Lock

    with ExitStack() as closing:
        write = os.path.isdir(config.agent.state)
        if write:
            try:
                closing.enter_context(Lock(config.agent.state, group=config.agent.group).acquire())
            except RenewerError:
                write = False
        context = closing.enter_context(Context(config, write=write))
        found = observe.look(context, inventory.take(context, names or None).values())
        if write:
            found.save()
        return tuple(found.records)


def with_seen(situations: "Mapping[str, Situation]", seen: "Sequence[Sighting]") -> "dict[str, Situation]":
    """The same situations with what was just seen in place of what was seen before."""
    changed = dict(situations)
    for name, situation in situations.items():
        new = [one for one in seen if one.certificate == name]
        looked_at = {one.endpoint for one in new}
        kept = [one for one in situation.sightings if one.endpoint not in looked_at]
        changed[name] = msgspec.structs.replace(situation, sightings=(*kept, *new))
    return changed
