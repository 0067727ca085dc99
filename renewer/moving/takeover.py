"""Taking over from certbot: its `live/NAME` lead to ours, which it cannot touch any more; and the way back.

What was done is told by the disk alone, so that a kill at any instant can be finished or undone:
`live/NAME.before-renewer` is a link to ours while a certificate is about to be taken, and certbot's own
directory once it was; `renewal/NAME.conf.before-renewer` is its file, moved aside, so that no verb of certbot
finds a certificate there.
"""

import fcntl
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from renewer import durable, hooks, ownership
from renewer.context import Context
from renewer.errors import RenewerError, StateError, UsageError
from renewer.hooks import HookCertificate, HookVerdict
from renewer.model.desired import HookEvent
from renewer.moving.planning import Coming
from renewer.moving.reading import Tree
from renewer.statedir import StateDirectory, find_root

ASIDE = ".before-renewer"
_PARTS = ("privkey", "cert", "chain", "fullchain")
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


def why_not(context: Context, one: Coming, *, links_anyway: bool) -> str | None:
    """Why a certificate of certbot's must not be taken over yet; None if it may be."""
    shelf = context.store.shelf(one.name)
    if not one.configured or all(found.id != one.version.id for found in shelf.found):
        return "what certbot serves was not imported: renewer import certbot"
    if shelf.live is None:
        return f"nothing is live here: renewer run {one.name}"
    live = context.store.about(one.name, shelf.live)
    if live.placeholder or live.leaf.not_after < one.leaf.not_after:
        return f"what is live here is older than certbot's: renewer deploy {one.name}"
    key = os.stat(one.seen[1])
    if not links_anyway and context.config.agent.group is None and stat.S_IMODE(key.st_mode) & 0o044:
        return (
            f"others than root may read {one.seen[1]}, and could not read ours: set [agent] group, or "
            "give them `copies`; if nobody does read it: --links-anyway"
        )
    return None


def take(context: Context, tree: Tree, one: Coming) -> None:
    """Take one over. Raises RenewerError, with all exchanged back, if a hook's test or reload says so."""
    with _opened(tree, "live") as live:
        if live.mode(f"{one.old}{ASIDE}") is None:
            live.symlink(f"{one.old}{ASIDE}", context.store.path(one.name))
            live.sync()
    finish(tree)
    if fault := _refusal(context, one):
        undo_one(tree, one.old)
        raise RenewerError(
            f"{one.old} was exchanged back: {fault}", hint="mend that, then say this again", kind="hook"
        )


def finish(tree: Tree) -> None:
    """Whatever was begun, by a run that was killed perhaps: done to its end."""
    with _opened(tree, "live") as live, _opened(tree, "renewal") as renewal:
        for name in _aside(live):
            if not _is_link(live, f"{name}{ASIDE}"):
                continue
            if renewal.mode(f"{name}.conf") is not None:
                renewal.rename(f"{name}.conf", f"{name}.conf{ASIDE}")
            live.exchange(f"{name}{ASIDE}", name)


def taken(tree: Tree) -> Sequence[str]:
    """The certificates that were taken over, or nearly so, by certbot's names."""
    with _opened(tree, "live") as live:
        return _aside(live)


def undo_one(tree: Tree, name: str) -> None:
    """Hand one back, with our newest version as certbot's own next one. Done before is done."""
    aside = f"{name}{ASIDE}"
    with _opened(tree, "live") as live, _opened(tree, "renewal") as renewal:
        if _is_link(live, name) and not _is_link(live, aside):
            _hand_over(tree, name)
            live.exchange(aside, name)
        if renewal.mode(f"{name}.conf{ASIDE}") is not None:
            renewal.rename(f"{name}.conf{ASIDE}", f"{name}.conf")
        if _is_link(live, aside):
            live.discard(aside)
            live.sync()


def _hand_over(tree: Tree, name: str) -> None:
    """Our newest as archive N+1, to which certbot's own links then lead: key first, all before any link."""
    ours, theirs = tree.path("live", name), tree.path("live", f"{name}{ASIDE}")
    if _content(ours, "fullchain") == _content(theirs, "fullchain"):
        return
    archive = os.path.dirname(os.path.realpath(os.path.join(theirs, "fullchain.pem")))
    if not archive.startswith(f"{os.path.realpath(tree.root)}/") or ownership.danger(archive):
        raise StateError(f"{archive} is not certbot's own archive", hint="look at it", kind="refused")
    numbers = [int(match[1]) for one in os.listdir(archive) if (match := _NUMBERED.fullmatch(one))]
    complete = [n for n in numbers if all(os.path.exists(f"{archive}/{part}{n}.pem") for part in _PARTS)]
    new = max(complete, default=0) + 1
    for part in _PARTS:
        mode = 0o600 if part == "privkey" else 0o644
        path = f"{archive}/{part}{new}.pem"
        durable.replace(path, _content(ours, part), durable.with_mode(path, mode))
    for part in _PARTS:
        durable.replace_by_link(
            f"{theirs}/{part}.pem", f"../../archive/{os.path.basename(archive)}/{part}{new}.pem"
        )


def _content(directory: str, part: str) -> bytes:
    with open(os.path.join(directory, f"{part}.pem"), "rb") as file:
        return file.read()


def _refusal(context: Context, one: Coming) -> str | None:
    """What a hook says against it, with the links leading to ours; None if nothing."""
    wish = context.config.certificates[one.name]
    live = context.store.path(one.name)
    told = HookCertificate(
        name=one.name,
        names=tuple(map(str, wish.names)),
        version=context.store.shelf(one.name).live or "",
        live=live,
        **{part: f"{live}/{part}.pem" for part in _PARTS},
        previous=None,
        not_after=one.leaf.not_after,
        serial=one.leaf.serial,
        lineage=context.store.lineage(one.name),
    )
    for event in (HookEvent.TEST, HookEvent.DEPLOY):
        for name in wish.hooks:
            hook = context.config.hooks[name]
            for result in hooks.run(hook, event, [told], host=context.host, run_id=context.run):
                if result.verdict is HookVerdict.FAILED:
                    return result.error
    return None


def _opened(tree: Tree, name: str) -> StateDirectory:
    found = find_root(tree.path(name))
    if found is None:
        raise UsageError(f"{tree.path(name)} is not there", hint="is this certbot's directory?")
    return found


def _aside(live: StateDirectory) -> list[str]:
    return [one.removesuffix(ASIDE) for one in live.names() if one.endswith(ASIDE) and one != ASIDE]


def _is_link(directory: StateDirectory, name: str) -> bool:
    return stat.S_ISLNK(directory.mode(name) or 0)
