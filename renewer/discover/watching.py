"""What others renew on this host becomes `[watch.X]`: a file below conf.d that is ours to write anew."""

import os
from collections.abc import Mapping

from renewer import durable
from renewer.config.load import load
from renewer.discover import suggestion
from renewer.errors import UsageError
from renewer.model.installed import Discovery
from renewer.moving import importing

_FILE = "conf.d/discovered.toml"
_MARK = "# Written by `renewer discover --watch`, which writes it anew: changes belong into another file."


def renew(path: str, found: Discovery) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Write the watches of a config at `path` anew: their targets by name, before and after.

    What is watched by another file is left to that. Raises ConfigError, UsageError.
    """
    file = os.path.join(os.path.dirname(path), _FILE)
    _must_be_ours(file)
    first = importing.begin(path)
    importing.must_be_read(path, first, file, "do this again")
    begun = {} if first is None else {path: first.replace(importing.INCLUDE, "")}
    others = load(path, drafts={file: "", **begun})
    standing = load(path, drafts=begun)
    before = {n: one.target for n, one in standing.watches.items() if n not in others.watches}
    tables = suggestion.watches(
        found,
        {target: name for name, target in before.items()},
        {*others.watches, *others.certificates},
        {watch.target for watch in others.watches.values()},
    )
    text = "\n\n".join((_MARK, *tables.values())) + "\n"
    whole = load(path, drafts={file: text, **begun})
    if first is not None:
        put(path, first)
    if tables or before:
        put(file, text)
    return before, {name: whole.watches[name].target for name in tables}


def _must_be_ours(file: str) -> None:
    try:
        with open(file, encoding="utf-8") as opened:
            if opened.readline().startswith(_MARK):
                return
    except FileNotFoundError:
        return
    except (OSError, ValueError):
        pass
    raise UsageError(f"{file} was not written by renewer: it stays", hint="move it away, or rename it")


def put(path: str, text: str) -> None:
    """A file of the configuration, whole. Raises UsageError if it cannot be written."""
    try:
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        durable.replace(path, text.encode(), durable.with_mode(path, 0o644))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", hint="run it as root") from error
