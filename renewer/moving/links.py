"""certbot's `live/NAME`, exchanged for a link to ours, which it cannot touch any more; and back.

What was done is told by the disk alone, so that a kill at any instant can be finished or undone:
`live/NAME.before-renewer` is a link to ours while a certificate is about to be taken, and certbot's own
directory once it was. Where links would not do, its files there are copies of ours instead.
"""

import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from renewer import durable, ownership
from renewer.errors import StateError, UsageError
from renewer.moving import hiding
from renewer.moving.hiding import ASIDE, opened
from renewer.moving.reading import Tree
from renewer.statedir import StateDirectory

CLIENT = "certbot"
PARTS = ("privkey", "cert", "chain", "fullchain")
_NUMBERED = re.compile(r"(?:privkey|cert|chain|fullchain)([0-9]{1,6})\.pem")


@contextmanager
def held(tree: Tree) -> Iterator[None]:
    """Hold certbot's own lock. Raises UsageError if certbot is at work."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(tree.path(".certbot.lock"), flags, 0o600)
    try:
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                "certbot is at work", hint="wait until it has ended, then say this again"
            ) from None
        yield
    finally:
        os.close(fd)  # the file stays, as certbot's own code would find it


def begin(tree: Tree, name: str, target: str) -> None:
    """Lay the link that `finish` exchanges."""
    with opened(tree, "live") as live:
        if live.mode(f"{name}{ASIDE}") is None:
            live.symlink(f"{name}{ASIDE}", target)
            live.sync()


def finish(tree: Tree) -> None:
    """Whatever was begun, by a run that was killed perhaps: done to its end."""
    with opened(tree, "live") as live:
        for name in unfinished(live.names()):
            if not _is_link(live, f"{name}{ASIDE}"):
                continue
            hiding.hide(CLIENT, tree, name)
            live.exchange(f"{name}{ASIDE}", name)


def unfinished(names: list[str]) -> list[str]:
    """The certificates with something aside, of the entries of `live`."""
    return [one.removesuffix(ASIDE) for one in names if one.endswith(ASIDE) and one != ASIDE]


def taken(tree: Tree) -> list[str]:
    """The certificates that were taken over, or nearly so, by certbot's names."""
    return sorted({*unfinished(tree.names("live")), *hiding.hidden(CLIENT, tree)})


def undo(tree: Tree, name: str) -> None:
    """Hand one back, with our newest version as certbot's own next one. Done before is done."""
    aside = f"{name}{ASIDE}"
    with opened(tree, "live") as live:
        linked = _is_link(live, name) and not _is_link(live, aside)
        if linked:
            _hand_over(tree, name, aside)
            live.exchange(aside, name)
        elif live.mode(f"{name}/privkey.pem") is not None:
            _hand_over(tree, name, name)
        hiding.show(CLIENT, tree, name)
        if _is_link(live, aside):
            live.discard(aside)
            live.sync()


def _hand_over(tree: Tree, name: str, aside: str) -> None:
    """Our newest as archive N+1, to which certbot's own links then lead: key first, all before any link."""
    ours, theirs = tree.path("live", name), tree.path("live", aside)
    if all(os.path.islink(f"{theirs}/{part}.pem") for part in PARTS) and _same(ours, theirs):
        return
    archive = _archive(tree, name, f"{theirs}/fullchain.pem")
    contents = {part: _content(ours, part) for part in PARTS}
    numbers = [int(match[1]) for one in os.listdir(archive) if (match := _NUMBERED.fullmatch(one))]
    complete = [n for n in numbers if all(os.path.exists(f"{archive}/{part}{n}.pem") for part in PARTS)]
    last = max(complete, default=0)
    there = last and all(_read(f"{archive}/{part}{last}.pem") == contents[part] for part in PARTS)
    new = last if there else last + 1
    for part in PARTS:
        mode = 0o600 if part == "privkey" else 0o644
        path = f"{archive}/{part}{new}.pem"
        durable.replace(path, contents[part], durable.with_mode(path, mode))
    for part in PARTS:
        durable.replace_by_link(
            f"{theirs}/{part}.pem", f"../../archive/{os.path.basename(archive)}/{part}{new}.pem"
        )


def _archive(tree: Tree, name: str, linked: str) -> str:
    """Where certbot keeps the versions of a certificate. Raises StateError if that is not its own."""
    archive = os.path.join(os.path.realpath(tree.path("archive")), name)
    if os.path.islink(linked):
        archive = os.path.dirname(os.path.realpath(linked))
    home = os.path.realpath(tree.path("archive"))
    if os.path.dirname(archive) != home or not os.path.isdir(archive) or ownership.danger(archive):
        raise StateError(f"{archive} is not certbot's own archive", hint="look at it", kind="refused")
    return archive


def _same(ours: str, theirs: str) -> bool:
    return _content(ours, "fullchain") == _content(theirs, "fullchain")


def _content(directory: str, part: str) -> bytes:
    return _read(os.path.join(directory, f"{part}.pem"))


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _is_link(directory: StateDirectory, name: str) -> bool:
    return stat.S_ISLNK(directory.mode(name) or 0)
