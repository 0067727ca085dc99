"""Files that we wrote elsewhere and that the config names no more: found, and removed on request."""

import hashlib
import os
from collections.abc import Callable, Iterable
from enum import StrEnum

from renewer.copies import files
from renewer.errors import RenewerError
from renewer.model.desired import Certificate
from renewer.model.facts import CopyFact
from renewer.model.value import Value

BESIDE = ".before-renewer"
"""What earlier releases added to the name of a file that was there before them, and kept beside."""

Former = Callable[[str], str | None]
"""Where the former file of a path is kept."""


class LeftoverState(StrEnum):
    """What lies at a path where we wrote a file."""

    OURS = "ours"  # byte for byte what we wrote
    CHANGED = "changed"  # something else: not ours to remove
    MISSING = "missing"
    UNKNOWN = "unknown"  # it cannot be read


class CopyLeftover(Value):
    """A file that we wrote, as it is found; `named` is whether the config still names it on this host.

    `backup` is where the file is kept that was there before us, if it still is; `why` says more of UNKNOWN.
    """

    record: CopyFact
    found: LeftoverState
    named: bool
    backup: str | None = None
    why: str = ""


def beside(path: str) -> str | None:
    """The file that an earlier release kept beside a copy, where servers may load it; or None."""
    return path + BESIDE if os.path.lexists(path + BESIDE) else None


def standing(
    records: Iterable[CopyFact], wishes: Iterable[Certificate], host: str, former: Former = beside
) -> list[CopyLeftover]:
    """Every file that we wrote on this host. One that another certificate has taken over is its own now."""
    owner = {
        path: wish.name
        for wish in wishes
        if host in wish.hosts
        for copy in wish.copies
        for _, path in copy.paths
    }
    return [
        _look(record, former, named=owner.get(record.path) == record.certificate)
        for record in records
        if record.host == host and owner.get(record.path) in (None, record.certificate)
    ]


def remove(one: CopyLeftover, former: Former = beside) -> CopyLeftover:
    """Remove a file that is still ours, or was so a moment ago; the file as it was found. Raises nothing."""
    now = _look(one.record, former, named=one.named)
    if now.found is not LeftoverState.OURS:
        return now
    try:
        with files.told(one.record.path):
            files.remove(one.record.path, one.record.stamp[0] if one.record.stamp else 0)
    except RenewerError as error:
        return CopyLeftover(
            record=one.record, found=LeftoverState.UNKNOWN, named=one.named, backup=now.backup, why=error.text
        )
    return now


def _look(record: CopyFact, former: Former, *, named: bool) -> CopyLeftover:
    why = ""
    try:
        there = files.find(record.path)
        if there is None:
            found = LeftoverState.MISSING
        else:
            same = there.link is None and hashlib.sha256(there.content).hexdigest() == record.sha256
            found = LeftoverState.OURS if same else LeftoverState.CHANGED
            why = "" if there.link is None else f"it is a symbolic link to {there.link} now"
    except NotADirectoryError:
        found = LeftoverState.MISSING
    except OSError as error:
        found, why = LeftoverState.UNKNOWN, error.strerror or ""
    except RenewerError as error:
        found, why = LeftoverState.CHANGED, error.text
    return CopyLeftover(
        record=record,
        found=found,
        named=named,
        backup=former(record.path) or beside(record.path),
        why=why,
    )
