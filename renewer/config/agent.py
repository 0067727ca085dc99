"""What stands in [agent]."""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from msgspec import UNSET, UnsetType

from renewer.config import scalars
from renewer.config.faults import Faults, Path
from renewer.config.schema import AgentTable
from renewer.model.desired import Agent

Read = TypeVar("Read")


def checked(faults: Faults, path: Path, given: str | UnsetType, read: Callable[[str], Read]) -> Read | None:
    """What `read` makes of a text; None if it is not given, or if it was a fault."""
    if given is UNSET:
        return None
    try:
        return read(given)
    except ValueError as error:
        faults.add(path, str(error))
        return None


def resolve_agent(table: AgentTable | UnsetType, faults: Faults) -> Agent:
    """The agent with its defaults."""
    table = AgentTable() if table is UNSET else table
    usual = Agent()
    state = checked(faults, ("agent", "state"), table.state, _state) or usual.state
    if table.ledger not in (UNSET, "sqlite"):
        faults.add(("agent", "ledger"), "is not a kind of ledger", 'the only one so far is "sqlite"')
    workers = usual.workers if table.workers is UNSET else table.workers
    if not 1 <= workers <= 64:
        faults.add(("agent", "workers"), f"{workers} is out of bounds: 1 to 64 make sense")
    keep = usual.log_keep if table.log_keep is UNSET else table.log_keep
    if not 1 <= keep <= 1000:
        faults.add(("agent", "log_keep"), f"{keep} is out of bounds: 1 to 1000 make sense")
    size = checked(
        faults, ("agent", "log_size"), table.log_size, lambda text: scalars.size(text, "64K", "1G")
    )
    return Agent(
        state=state,
        group=checked(faults, ("agent", "group"), table.group, lambda text: scalars.word(text, "group")),
        log=checked(faults, ("agent", "log"), table.log, scalars.absolute),
        log_size=usual.log_size if size is None else size,
        log_keep=keep,
        journald=table.journald is True,
        syslog=table.syslog is True,
        host=checked(faults, ("agent", "host"), table.host, lambda text: scalars.word(text, "host name"))
        or own_host_name(),
        wake=_duration(faults, "wake", table.wake, "1m", "7d") or usual.wake,
        workers=workers,
        deadline=_duration(faults, "deadline", table.deadline, "1m", "24h") or usual.deadline,
        look_every=_duration(faults, "look_every", table.look_every, "1m", "30d") or usual.look_every,
        preflight=usual.preflight if table.preflight is UNSET else table.preflight,
        resolvers=resolvers(faults, ("agent", "resolvers"), table.resolvers),
    )


def resolvers(faults: Faults, path: Path, given: list[str] | UnsetType) -> tuple[str, ...]:
    """DNS resolvers, each as an address with a port."""
    if given is UNSET:
        return ()
    read = [checked(faults, (*path, index), one, scalars.dns_server) for index, one in enumerate(given)]
    return tuple(dict.fromkeys(one for one in read if one))


def _duration(faults: Faults, key: str, given: str | UnsetType, least: str, most: str) -> timedelta | None:
    return checked(faults, ("agent", key), given, lambda text: scalars.duration(text, least, most))


def _state(text: str) -> str:
    path = scalars.absolute(text)
    if path == "/":
        raise ValueError("must be a directory of its own, not /")
    return path


def own_host_name() -> str:
    """The first label of this host's name; asked of the kernel, without importing `socket`."""
    return os.uname().nodename.partition(".")[0] or "localhost"
