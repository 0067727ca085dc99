"""What a client goes by for a certificate, moved aside so that none of its verbs finds it; and put back.

The disk alone tells what was moved, so that a kill at any instant can be finished or undone: a file ends in
`.before-renewer`, a line of dehydrated's begins with a mark. lego goes by its command line and the
certificate itself, so nothing of it can be moved.
"""

import os
import stat

from renewer import durable
from renewer.errors import UsageError
from renewer.moving import dehydrated
from renewer.moving.reading import Tree
from renewer.statedir import StateDirectory, find_root

ASIDE = ".before-renewer"


def hidden(client: str, tree: Tree) -> list[str]:
    """The certificates of which that was moved aside, by the client's names."""
    if client == dehydrated.CLIENT:
        return dehydrated.hidden(tree)
    found = []
    if client == "certbot":
        aside = f".conf{ASIDE}"
        found = [one.removesuffix(aside) for one in tree.names("renewal") if one.endswith(aside)]
    elif client == "acme.sh":
        for name in tree.directories():
            parts, file = _place(client, name)
            if tree.has(*parts, file + ASIDE):
                found.append(name)
    return found


def hide(client: str, tree: Tree, name: str) -> None:
    """Move it aside. Done before is done."""
    _move(client, tree, name, "", ASIDE)


def show(client: str, tree: Tree, name: str) -> None:
    """Put it back. Done before is done; what the client has made anew meanwhile stays."""
    _move(client, tree, name, ASIDE, "")


def opened(tree: Tree, *parts: str) -> StateDirectory:
    """A directory of the client's, to be changed. Raises UsageError if it is not there."""
    found = find_root(tree.path(*parts))
    if found is None:
        raise UsageError(f"{tree.path(*parts)} is not there", hint="is this the client's directory?")
    return found


def _move(client: str, tree: Tree, name: str, before: str, after: str) -> None:
    if client == dehydrated.CLIENT:
        _mark(tree, name, hidden=after == ASIDE)
        return
    if client not in ("certbot", "acme.sh"):
        return
    parts, file = _place(client, name)
    with opened(tree, *parts) as directory:
        if directory.mode(file + before) is None:
            return
        if after or directory.mode(file) is None:
            directory.rename(file + before, file + after)
        else:
            directory.discard(file + before)


def _place(client: str, name: str) -> tuple[tuple[str, ...], str]:
    """Where the file lies that configures a certificate."""
    if client == "certbot":
        return ("renewal",), f"{name}.conf"
    return (name,), f"{name.removesuffix('_ecc')}.conf"


def _mark(tree: Tree, name: str, *, hidden: bool) -> None:
    """Dehydrated's line of a certificate, as a comment or as it was; the rest of the file stays."""
    path, text = dehydrated.domains(tree)
    changed = dehydrated.marked(text, name, hidden=hidden)
    if changed != text:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        durable.replace(path, changed.encode(), durable.with_mode(path, mode))
