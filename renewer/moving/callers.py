"""What has another client called on this host: switched off when it was taken over, on again afterwards.

A timer by `systemctl`, which also survives an upgrade of its package; a line in root's crontab as a comment.
A table that belongs to a package (/etc/cron.d) is left alone: it would ask at the next upgrade.
"""

import os
import stat
from collections.abc import Iterator

from renewer import durable, proc, wakers
from renewer.context import Context
from renewer.errors import RenewerError
from renewer.model.told import Silenced

MARK = "# taken over by renewer: "
_TABLES = ("var/spool/cron/crontabs/root", "var/spool/cron/root", "etc/crontabs/root")
_TIMEOUT = 60.0  # seconds for systemctl


def off(context: Context, client: str, directory: str | None) -> Iterator[str]:
    """Switch off what calls it, each told as a sentence; with a directory only what names that one."""
    for call in list(wakers.calls()):
        if call.client != client:
            continue
        if directory is not None and directory not in call.line:
            yield f"{call.path} calls {client}, it does not say for {directory}: it stays as it is"
            continue
        record = Silenced(certificate="", host=context.host, client=client, path=call.path, line=call.line)
        if not call.line:
            name = os.path.basename(call.path)
            context.ledger.save(record)
            yield _systemctl("disable", name)
        elif call.path in _own():
            try:
                context.ledger.save(record)
                _rewrite(call.path, call.line, MARK + call.line)
                yield f"its line in {call.path} is a comment now"
            except RenewerError as error:
                yield f"{error.text}; {error.hint}"
        else:
            yield f"{call.path} still calls it; switch that off by hand: {call.line.strip()}"


def on(context: Context, client: str) -> Iterator[str]:
    """Switch on again what was switched off here, each told as a sentence."""
    for one in context.ledger.load(Silenced):
        if one.client != client or one.host != context.host:
            continue
        if one.line:
            try:
                _rewrite(one.path, MARK + one.line, one.line)
                yield f"its line in {one.path} is back"
            except RenewerError as error:
                yield f"{error.text}; {error.hint}"
        else:
            yield _systemctl("enable", os.path.basename(one.path))
        context.ledger.drop(one)


def _own() -> list[str]:
    return [os.path.join(wakers.ROOT, one) for one in _TABLES]


def _systemctl(verb: str, timer: str) -> str:
    words = ["systemctl", verb, timer]
    if wakers.is_booted():
        words.insert(2, "--now")
    if wakers.ROOT != "/":
        words.insert(1, f"--root={wakers.ROOT}")
    try:
        ended = proc.run(words, env=proc.scrubbed_environment(), timeout=_TIMEOUT)
    except RenewerError as error:
        return f"{timer} could not be switched: {error.text}; say: {' '.join(words)}"
    if ended.code != 0:
        return f"{timer} could not be switched; say: {' '.join(words)}"
    return f"ran {' '.join(words)}"


def _rewrite(path: str, line: str, instead: str) -> None:
    """A line of a table of cron, replaced; cron sees that its directory changed."""
    try:
        entry = os.lstat(path)
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except OSError as error:
        hint = f"change that line by hand: {line.strip()}"
        raise RenewerError(f"{path} cannot be read: {error.strerror}", hint=hint, kind="cron") from None
    lines = [instead if one == line else one for one in text.split("\n")]
    content = "\n".join(lines).encode("utf-8", "surrogateescape")

    def settle(file: int) -> None:
        os.fchown(file, entry.st_uid, entry.st_gid)
        os.fchmod(file, stat.S_IMODE(entry.st_mode))

    if content != text.encode("utf-8", "surrogateescape"):
        durable.replace(path, content, settle)
