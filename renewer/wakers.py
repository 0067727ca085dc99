"""What on this host will call the next run, read from files alone: systemd's timer, or a line for cron."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = "/"
"""Where the host's files begin; another place in tests."""

TIMER = "renewer.timer"
RIVALS = ("certbot", "acme.sh", "lego", "dehydrated", "uacme", "getssl")
_UNITS = (
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
)
_TABS = ("etc/crontab", "etc/anacrontab")
_DIRECTORIES = (
    *("etc/cron.d", "etc/cron.hourly", "etc/cron.daily", "etc/periodic/15min", "etc/periodic/hourly"),
    *("etc/periodic/daily", "etc/crontabs", "var/spool/cron", "var/spool/cron/crontabs"),
)
_LARGEST = 1 << 20  # bytes of a table


def callers() -> tuple[str, ...] | None:
    """The files that have `renewer run` called; None if some may not be read and the others say nothing."""
    found, hidden = [], False
    if timer := _enabled_timer():
        found.append(timer)
    for path in _tables():
        try:
            text = _read(path)
        except PermissionError:
            hidden = True
            continue
        except OSError:
            continue
        if any(_calls(line) for line in text.splitlines()):
            found.append(str(path))
    return None if hidden and not found else tuple(found)


class Caller(NamedTuple):
    """Another client, the file that has it called, and the line there ("" of a timer's link)."""

    client: str
    path: str
    line: str = ""


def rivals() -> tuple[tuple[str, str], ...]:
    """Other clients that something on this host calls: their names, and the file that has them called."""
    found: dict[str, str] = {}
    for one in calls():
        found.setdefault(one.client, one.path)
    return tuple(found.items())


def calls() -> Iterator[Caller]:
    """Everything that has another client called, timers first.

    A line of cron that waits for systemd's absence, as Debian's for certbot, counts only where that is so.
    """
    for link in _enabled_timers():
        client = _client_of(link.name.removesuffix(".timer"))
        if client is not None and _unit(link.name) is not None:
            yield Caller(client, str(link))
    for path in _tables():
        try:
            lines = _read(path).splitlines()
        except OSError:
            continue
        for line in lines:
            words = [word.rpartition("/")[2].strip("\"'") for word in line.split("#", 1)[0].split()]
            client = next((one for one in RIVALS if one in words), None)
            if client is not None and not (is_booted() and "/run/systemd/system" in line):
                yield Caller(client, str(path), line)


def _client_of(timer: str) -> str | None:
    return next((one for one in RIVALS if one.split(".", maxsplit=1)[0] in timer), None)


def is_booted() -> bool:
    """Whether systemd runs (sd_booted(3))."""
    return os.path.isdir(os.path.join(ROOT, "run/systemd/system"))


def _enabled_timers() -> Iterator[Path]:
    """The links in targets' `.wants`, as `systemctl enable` makes them."""
    for directory in (Path(ROOT, place) for place in _UNITS):
        yield from sorted(directory.glob("*.wants/*.timer"))


def _enabled_timer() -> str | None:
    """The one that leads to a timer that starts us."""
    for link in _enabled_timers():
        unit = _unit(link.name)
        if unit is not None and (link.name == TIMER or _starts_us(link.name)):
            return str(link)
    return None


def _unit(name: str) -> Path | None:
    """The unit of that name, unless it is masked."""
    paths = [Path(ROOT, place, name) for place in _UNITS]
    path = next((path for path in paths if os.path.lexists(path)), None)
    return path if path is not None and path.is_file() and os.path.realpath(path) != os.devnull else None


def _starts_us(timer: str) -> bool:
    service = _unit(f"{timer.removesuffix('.timer')}.service")
    try:
        return service is not None and any(_calls(line) for line in _read(service).splitlines())
    except OSError:
        return False


def _tables() -> Iterator[Path]:
    yield from (Path(ROOT, place) for place in _TABS)
    for directory in (Path(ROOT, place) for place in _DIRECTORIES):
        try:
            entries = sorted(directory.iterdir())
        except PermissionError:
            yield directory  # that it may not be read is told by whoever reads it
        except OSError:
            continue
        else:
            yield from (entry for entry in entries if not entry.is_dir())


def _read(path: Path) -> str:
    if path.is_dir():
        raise PermissionError(path)
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        return file.read(_LARGEST).decode("utf-8", "replace")


def _calls(line: str) -> bool:
    """Whether a line, of a table or a script, starts a run of ours."""
    words = line.split("#", 1)[0].split()
    ours = [number for number, word in enumerate(words) if word.rpartition("/")[2] == "renewer"]
    return bool(ours) and "run" in words[ours[0] + 1 :]
