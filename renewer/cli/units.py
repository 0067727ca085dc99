"""The systemd service and timer, and the cron line, as text: computed from the config, touching nothing."""

import hashlib
import shlex
from collections.abc import Sequence
from datetime import timedelta

from renewer.cli import sandbox
from renewer.cli.unit_words import command_line, word
from renewer.model.desired import Config

NAME = "renewer"
MARK = "# Written by `renewer timer install`, which may overwrite it and `renewer timer remove` remove it."
LOCK_WAIT = timedelta(minutes=5)  # how long the timer's run waits for the lock (design: exit 75)
_SLACK = timedelta(minutes=5)  # beyond the deadline, for the step in hand to end
_MAX_SPREAD = timedelta(hours=1)


def service(config: Config, program: Sequence[str]) -> str:
    """The service unit: one run. `program` is the argv that starts renewer, by its absolute path."""
    words = [*program, "--config", config.path, "run", "--wait", f"{_seconds(LOCK_WAIT)}s"]
    timeout = config.agent.deadline + LOCK_WAIT + _SLACK
    places = sandbox.writable(config)
    return "\n".join(
        [
            MARK,
            "# To change it: systemctl edit renewer.service (a drop-in is never touched).",
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
            "",
            *sandbox.HEAD,
            *(line for path, why in places for line in (f"# {why}", f"ReadWritePaths={word('-' + path)}")),
            "",
            *sandbox.restrictions(places, config.agent.state),
            "",
        ]
    )


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


def _seconds(span: timedelta) -> int:
    return max(1, int(span.total_seconds()))


def _span(span: timedelta) -> str:
    return f"{_seconds(span)} s"
