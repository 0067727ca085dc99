"""What stood elsewhere before we wrote there: kept in the state directory, where no server reads it.

Beside a copy it would be loaded: HAProxy, nginx and others take every file of a directory.
"""

import os

from renewer.store import layout
from renewer.store.workspace import Bench, fresh

_LONGEST = 180  # characters of a name; a file name ends at 255


def name_of(path: str) -> str:
    """The name under which a path's former file is kept: the path itself, with its slashes encoded."""
    from urllib.parse import quote  # it and hashlib only where something is kept, not in idle runs

    name = quote(os.fsencode(path), safe="")
    if len(name) <= _LONGEST:
        return name
    import hashlib

    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return f"{name[-_LONGEST:].lstrip('%')}-{digest}"


def where(state: str, path: str) -> str | None:
    """Where the former file of a path is kept; None if none is."""
    kept = f"{state}/{layout.REPLACED}/{name_of(path)}"
    return kept if os.path.lexists(kept) else None


def keep(bench: Bench, path: str, content: bytes, link: str | None) -> str:
    """Keep what stood at a path, for the agent alone (0600), a link as a link; the first one only.

    Returns where it is kept. Raises StateError.
    """
    name = name_of(path)
    with bench.shelf_of(layout.REPLACED) as (shelf, tmp):
        if shelf.mode(name) is None:
            with fresh(tmp) as draft:
                if link is None:
                    tmp.write(draft, content, 0o600)
                else:
                    tmp.symlink(draft, link)
                tmp.move(draft, shelf, name)
        return f"{shelf.path}/{name}"
