"""Whether the file systems that keys lie on keep the rights that are asked for: tried with empty files."""

import os
from collections.abc import Iterator

from renewer.copies.rights import group_number, owner_number, rights
from renewer.errors import RenewerError
from renewer.model.desired import SECRET_PARTS, Certificate, Config
from renewer.model.inspection import Finding, Severity
from renewer.ownership import Danger, rights_kept_beside

CODE = "modes-ignored"


def state(config: Config) -> Danger | None:
    """Why no key can be kept in the state directory, or in what it will be made in; None if one can."""
    path = config.agent.state
    while path != "/" and not os.path.isdir(path):
        path = os.path.dirname(path)
    return _tried(os.path.join(path, "key"), -1, 0o600)


def copies(wish: Certificate) -> Iterator[tuple[str, Danger]]:
    """The paths of copies where no key can be kept, each with why."""
    for copy in wish.copies:
        for part, path in copy.paths:
            if part not in SECRET_PARTS:
                continue
            try:
                asked = rights(copy, part, None)
                fault = _tried(path, owner_number(copy.owner), asked.mode, group_number(copy.group))
            except RenewerError:  # no such user or group: that is told elsewhere
                continue
            if fault is not None:
                yield path, fault


def findings(wish: Certificate, config: Config) -> tuple[Finding, ...]:
    """What a run would refuse to write a key to."""
    found = [(path, fault) for path, fault in copies(wish)]
    if (fault := state(config)) is not None:
        found.insert(0, (config.agent.state, fault))
    return tuple(
        Finding(severity=Severity.ERROR, code=CODE, text=sentence(path, fault), hint=fault.hint)
        for path, fault in found
    )


def sentence(path: str, fault: Danger) -> str:
    """What is wrong there."""
    return f"no key is written to {path}: {fault.text}"


def _tried(path: str, owner: int, mode: int, group: int = -1) -> Danger | None:
    """What was read back; None as well where this user can make nothing, for then nothing is known."""
    try:
        return rights_kept_beside(path, owner, mode, group)
    except OSError:
        return None
