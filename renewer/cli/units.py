"""The systemd service and timer, and the cron line, as text: computed from the config, touching nothing."""

import hashlib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from renewer.errors import UsageError
from renewer.model.desired import Config

NAME = "renewer"
MARK = "# Written by `renewer timer install`, which may overwrite it and `renewer timer remove` remove it."
LOCK_WAIT = timedelta(minutes=5)  # how long the timer's run waits for the lock (design: exit 75)
PACKAGED = (
    "# Of the package renewer; `renewer timer install` adds drop-ins where the configuration asks for more."
)
_SLACK = timedelta(minutes=5)  # beyond the deadline, for the step in hand to end
_MAX_SPREAD = timedelta(hours=1)


def service(config: Config, program: Sequence[str]) -> str:
    """The service unit: one run. `program` is the argv that starts renewer, by its absolute path."""
    words = [*program, "--config", config.path, "run", "--wait", f"{_seconds(LOCK_WAIT)}s"]
    timeout = config.agent.deadline + LOCK_WAIT + _SLACK
    return "\n".join(
        [
            MARK,
            "# To change it: systemctl edit renewer.service (a drop-in of yours is never touched).",
            "[Unit]",
            "Description=Renew certificates and deploy them (renewer)",
            "# at boot the network may be late; the first run would fail for no reason",
            "Wants=network-online.target",
            "After=network-online.target nss-lookup.target",
            "",
            "[Service]",
            "Type=oneshot",
            f"ExecStart={command_line(words)}",
            "# 75: another run still holds the lock after the wait; nothing is wrong, the next run comes",
            "SuccessExitStatus=75",
            "# [agent] deadline, the wait for the lock, and the end of the step in hand",
            f"TimeoutStartSec={_seconds(timeout)}",
            "# no Restart=: the timer is the retry, and every certificate keeps its own backoff",
            *LIVING,
            "",
        ]
    )


LIVING = (
    "# a server that a hook starts stays when the run ends, as by hand; the run itself ends its hooks",
    "KillMode=process",
    "# a hook that runs out of memory fails by itself: it is told and tried again, the run goes on",
    "OOMPolicy=continue",
    "# kernel keys of root's, such as Kerberos tickets, are found as in a session of root's",
    "KeyringMode=shared",
    "# No sandbox, on purpose. What this unit may not do its hooks may not do either, so what works by hand",
    "# would fail by timer: copies to /etc, a reload that needs a capability, other programs' sockets. What",
    "# strangers send is parsed by processes without rights, by hand and by timer alike (docs/security.md).",
)
"""What hooks meet under the unit, each setting below its reason; nothing here takes anything from them."""


def timer(config: Config) -> str:
    """The timer unit: every `[agent] wake`."""
    interval = effective_wake(config.agent.wake)
    spread = min(interval, _MAX_SPREAD)
    lines = [
        MARK,
        "[Unit]",
        "Description=Renew certificates (renewer)",
        "",
        "[Timer]",
    ]
    if interval != config.agent.wake:
        lines += [
            f"# [agent] wake is {_span(config.agent.wake)}, no even part of a day: the next shorter that is"
        ]
    return "\n".join(
        [
            *lines,
            "# by the calendar: it counts on while the machine is suspended or off",
            f"OnCalendar={calendar(interval)}",
            "# a run missed while the machine was off is made up for",
            "Persistent=true",
            "# not all machines at once, but each always at its own moment: the interval stays what it is",
            f"RandomizedDelaySec={_seconds(spread)}",
            "FixedRandomDelay=true",
            f"AccuracySec={_seconds(min(interval / 10, timedelta(minutes=1)))}",
            "",
            "[Install]",
            "WantedBy=timers.target",
            "",
        ]
    )


def effective_wake(wake: timedelta) -> timedelta:
    """The longest interval up to `wake` that divides a minute, an hour or a day evenly.

    A calendar knows no other, and calling more often than asked for does no harm.
    """
    seconds = max(1, int(wake.total_seconds()))
    for unit, count in ((3600, 24), (60, 60), (1, 60)):
        fitting = [
            unit * part for part in range(1, count + 1) if count % part == 0 and unit * part <= seconds
        ]
        if fitting:
            return timedelta(seconds=fitting[-1])
    return timedelta(seconds=1)


def calendar(interval: timedelta) -> str:
    """An effective wake as systemd.time(7) writes it."""
    seconds = _seconds(interval)
    if seconds >= 86400:
        return "*-*-* 00:00:00"
    if seconds >= 3600:
        return f"*-*-* 00/{seconds // 3600}:00:00"
    if seconds >= 60:
        return f"*-*-* *:00/{seconds // 60}:00"
    return f"*-*-* *:*:00/{seconds}"


def cron_line(config: Config, program: Sequence[str]) -> str:
    """A line for root's crontab, for machines without systemd.

    Its moment is a hash of the host and the config's path: spread over machines, the same at every install.
    """
    digest = hashlib.sha256(f"{config.agent.host}\0{config.path}".encode()).digest()
    minutes = max(1, _seconds(effective_wake(config.agent.wake)) // 60)
    offset = int.from_bytes(digest[:8], "big") % minutes
    hour, minute = divmod(offset, 60)
    if minutes == 1:
        when = "* * * * *"
    elif minutes < 60:
        when = f"{minute}-59/{minutes} * * * *"
    elif minutes < 24 * 60:
        hours = "*" if minutes == 60 else f"{hour}-23/{minutes // 60}"
        when = f"{minute} {hours} * * *"
    else:
        when = f"{minute} {hour} * * *"
    words = [*program, "--config", config.path, "run", "--wait", f"{_seconds(LOCK_WAIT)}s"]
    # crontab(5): a bare % is a line break. What went well is no mail; what went wrong is on stderr.
    return f"{when} {shlex.join(words).replace('%', chr(92) + '%')} >/dev/null"


def cron_file(config: Config, program: Sequence[str]) -> str:
    """The same as a file of cron's own directory, where a line names its user (cron(8))."""
    *when, command = cron_line(config, program).split(" ", 5)
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return "\n".join((MARK, path, f"{' '.join(when)} root {command}", ""))


def _seconds(span: timedelta) -> int:
    return max(1, int(span.total_seconds()))


def _span(span: timedelta) -> str:
    return f"{_seconds(span)} s"


def command_line(words: Sequence[str]) -> str:
    """An argv as ExecStart= reads it: like `word`, and $ is no variable but in the program's own path.

    Raises UsageError if the program's path has quotes or backslashes, which systemd refuses there.
    """
    if re.search(r"[\"'\\]", words[0]):
        raise UsageError(
            f"systemd starts no program with such a path: {words[0]}", hint="install renewer elsewhere"
        )
    return " ".join([word(words[0]), *(word(text.replace("$", "$$")) for text in words[1:])])


def word(text: str) -> str:
    """One word of a systemd setting (systemd.syntax(7)): quoted if needed, % is no specifier.

    Raises UsageError for control characters, which no setting can hold.
    """
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise UsageError(
            f"{text!r} cannot stand in a systemd unit", hint="choose a path without control characters"
        )
    escaped = text.replace("%", "%%")
    if re.fullmatch(r"[A-Za-z0-9_@%/.:=+,$-]+", escaped):
        return escaped
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"') + '"'


Settings = Mapping[tuple[str, str], tuple[str, ...]]
"""A unit's settings: (section, key) to the values in order, as systemd would have them."""


def settings(*texts: str) -> Settings:
    """What a unit and then its drop-ins say; an empty value takes back what was said before it."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for text in texts:
        section = ""
        for line in map(str.strip, text.replace("\\\n", " ").splitlines()):
            if line.startswith("[") and line.endswith("]"):
                section = line[1:-1]
            elif line and line[0] not in "#;" and "=" in line:
                key, _, value = (part.strip() for part in line.partition("="))
                place = (section, key)
                many = key in _LISTS or key.startswith("Exec")
                found[place] = ((*found.get(place, ()), value) if many else (value,)) if value else ()
    return {place: values for place, values in found.items() if values}


_LISTS = frozenset(
    (
        "After",
        "Before",
        "Environment",
        "OnCalendar",
        "ReadOnlyPaths",
        "ReadWritePaths",
        "Requires",
        "Wants",
        "WantedBy",
    )
)

WALLS = (
    *("ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectClock", "ProtectHostname"),
    *("ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups"),
    *("CapabilityBoundingSet", "NoNewPrivileges", "RestrictSUIDSGID", "RestrictAddressFamilies"),
    *("RestrictNamespaces", "RestrictRealtime", "LockPersonality", "SystemCallArchitectures"),
    *(
        "SystemCallFilter",
        "ReadWritePaths",
        "ReadOnlyPaths",
        "InaccessiblePaths",
        "ProtectProc",
        "ProcSubset",
    ),
    *("PrivateNetwork", "PrivateUsers", "User", "DynamicUser", "MemoryDenyWriteExecute", "IPAddressDeny"),
    *("RootDirectory", "RootImage", "TemporaryFileSystem", "DevicePolicy", "UMask"),
)
"""Settings that hooks feel (systemd.exec(5)): with one a hook may fail by timer that works by hand."""


def changes(before: Settings, after: Settings) -> Iterator[str]:
    """What a person is told when one unit takes the place of another: a sentence for each setting."""
    for place in sorted({*before, *after}):
        old, new = ("; ".join(side.get(place, ())) for side in (before, after))
        if old == new:
            continue
        if not new:
            yield f"no longer {place[1]}={old}"
        elif not old:
            yield f"now {place[1]}={new}"
        else:
            yield f"{place[1]}={new}, was {old}"


def drop_in(packaged: str, wanted: str) -> str | None:
    """What must be added to a packaged unit so that it says what is wanted; None if it says it already."""
    before, after = settings(packaged), settings(wanted)
    lines: list[str] = []
    section = ""
    for place in [*after, *(place for place in before if place not in after)]:
        old, new = before.get(place, ()), after.get(place, ())
        if old == new:
            continue
        if place[0] != section:
            section = place[0]
            lines.append(f"[{section}]")
        reset = [f"{place[1]}="] if old else []  # lists would grow, and what is not wanted any more must go
        lines += [*reset, *(f"{place[1]}={value}" for value in new)]
    return "\n".join([MARK, *lines, ""]) if lines else None
