"""The systemd service and timer, and the cron line, as text: computed from the config, touching nothing."""

import hashlib
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from posixpath import basename, dirname, normpath

from renewer.errors import UsageError
from renewer.model.desired import Certificate, Config, Hook, Http01

NAME = "renewer"
MARK = "# Written by `renewer timer install`, which may overwrite it and `renewer timer remove` remove it."
LOCK_WAIT = timedelta(minutes=5)  # how long the timer's run waits for the lock (design: exit 75)
_SLACK = timedelta(minutes=5)  # beyond the deadline, for the step in hand to end
_MAX_SPREAD = timedelta(hours=1)


def service(config: Config, program: Sequence[str]) -> str:
    """The service unit: one run. `program` is the argv that starts renewer, by its absolute path."""
    words = [*program, "--config", config.path, "run", "--wait", f"{_seconds(LOCK_WAIT)}s"]
    timeout = config.agent.deadline + LOCK_WAIT + _SLACK
    places = writable(config)
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
            *HEAD,
            *(line for path, why in places for line in (f"# {why}", f"ReadWritePaths={word('-' + path)}")),
            "",
            *restrictions(places, config.agent.state),
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


# What the shipped hooks' programs write when they are asked whether a config is right.
_WRITTEN_BY = {
    "nginx": (
        ("/run", "nginx -t opens its pid file for writing"),
        ("/var/log/nginx", "nginx -t opens its logs for writing"),
        ("/var/lib/nginx", "nginx -t makes and owns its directories for temporary files"),
        ("/var/cache/nginx", "the same in nginx.org's packages"),
    ),
    "cockpit": (("/etc/cockpit/ws-certs.d", "where Cockpit looks for certificates"),),
}
_FILE_VARIABLES = re.compile(r".*_(PID|SOCKET|LOG)")  # in a hook's env: a file in a directory that is written
_DIRECTORY_VARIABLES = re.compile(r".*_PREFIX|COPY_TO|COCKPIT_DIR")

HEAD = (
    "# --- What it may write: computed from the configuration; after changing that, install again. A hook of",
    "# --- your own that writes elsewhere: systemctl edit renewer.service, ReadWritePaths=/the/directory",
    "# everything else is read-only, /etc, /usr and /boot among it",
    "ProtectSystem=strict",
)


def restrictions(places: Iterable[tuple[str, str]], state: str) -> Iterator[str]:
    """The sandbox, each restriction below its reason."""
    shared = [path for path, _ in places if _below(path, "/tmp") or _below(path, "/var/tmp")]  # noqa: S108
    if not shared:
        yield "# nobody else's temporary files"
        yield "PrivateTmp=yes"
        yield "# it goes when the run ends, and the report of a defect must not go with it"
        yield f"Environment={word('TMPDIR=' + state)}"
    else:
        yield f"# no PrivateTmp=: {shared[0]} lies in what it would hide"
    for reasons, setting in _SANDBOX:
        for reason in reasons:
            yield f"# {reason}"
        if setting:
            yield setting


CAPABILITIES = (
    "CAP_CHOWN CAP_FOWNER CAP_FSETID CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH "
    "CAP_KILL CAP_NET_BIND_SERVICE CAP_SETUID CAP_SETGID CAP_SYS_PTRACE"
)

_SANDBOX: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("webroots and environments may lie in homes: readable; written only if listed above",),
        "ProtectHome=read-only",
    ),
    (("no raw disks; /dev/null, /dev/urandom and /dev/log remain",), "PrivateDevices=yes"),
    (("nobody here sets a clock, a host name, a sysctl or a cgroup, or loads a module",), "ProtectClock=yes"),
    ((), "ProtectHostname=yes"),
    ((), "ProtectKernelTunables=yes"),
    ((), "ProtectKernelModules=yes"),
    ((), "ProtectKernelLogs=yes"),
    ((), "ProtectControlGroups=yes"),
    (
        (
            "as root, with what hooks and copies need: own and read files of other users (CHOWN FOWNER",
            "FSETID DAC_*), signal a server's process (KILL), bind 80 and 443 as nginx -t does",
            "(NET_BIND_SERVICE), call a server's own tools that change to its user (SETUID SETGID), read in",
            "/proc what a server was started with: its environment, program and directory (SYS_PTRACE)",
        ),
        f"CapabilityBoundingSet={CAPABILITIES}",
    ),
    (("sudo and other setuid programs gain nothing; root needs none",), "NoNewPrivileges=yes"),
    (("no program that a hook leaves behind keeps another user's rights",), "RestrictSUIDSGID=yes"),
    (
        ("D-Bus and logs (UNIX), authority and ports (INET, INET6), the system's resolver (NETLINK)",),
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    ),
    (
        ("nothing here makes containers; a hook asks its server, or systemd, by a socket",),
        "RestrictNamespaces=yes",
    ),
    (("no real-time scheduling, no other execution domain",), "RestrictRealtime=yes"),
    ((), "LockPersonality=yes"),
    (
        ("only this machine's own system calls: others are a way round the filter",),
        "SystemCallArchitectures=native",
    ),
    (
        ("what services use; mounting, tracing, rebooting and the like are refused",),
        "SystemCallFilter=@system-service",
    ),
    (
        ("refused with an error that a hook can tell of, instead of being killed without a word",),
        "SystemCallErrorNumber=EPERM",
    ),
    (("keys in the kernel's keyring are nobody else's",), "KeyringMode=private"),
    (
        (
            "Left out, since hooks cannot live with it:",
            "MemoryDenyWriteExecute=: nginx -t compiles patterns (PCRE JIT) and Lua",
            "ProtectProc=, ProcSubset=: a hook looks for its server's process",
            "PrivateUsers=, User=: copies are given to other users, and root's servers are signalled",
            "PrivateNetwork=, IPAddressDeny=: the authority and the ports that are looked at",
            "UMask=: files are made with their final mode; what a hook's program makes is as without us",
        ),
        "",
    ),
)


def writable(config: Config) -> tuple[tuple[str, str], ...]:
    """Directories that a run writes, each with its reason; none that lies below another one of them."""
    found: dict[str, str] = {}
    for path, why in _written(config):
        found.setdefault(normpath(path), why)
    return tuple(
        (path, why)
        for path, why in found.items()
        if not any(path != other and _below(path, other) for other in found)
    )


def _written(config: Config) -> Iterator[tuple[str, str]]:
    yield config.agent.state, "the state: keys, certificates, ledger, lock"
    yield dirname(config.agent.log_path), "the renewal log"
    for certificate in config.certificates.values():
        for webroot in _webroots(certificate):
            yield webroot, f"challenges of {certificate.name}"
        for copy in certificate.copies:
            for _, path in copy.paths:
                yield dirname(path), f"copies of {certificate.name}"
    for hook in config.hooks.values():
        yield from _written_by(hook)
    wish = config.report
    files = {"metrics": wish.metrics, "page": wish.page, "summary_file": wish.summary_file}
    for key, file in files.items():
        if file is not None:
            yield dirname(file), f"{key} of [report]"


def _webroots(certificate: Certificate) -> Iterator[str]:
    ways = (certificate.challenge, *certificate.otherwise, *(other for _, other in certificate.challenges))
    for challenge in ways:
        if isinstance(challenge, Http01) and challenge.webroot is not None:
            yield challenge.webroot


def _written_by(hook: Hook) -> Iterator[tuple[str, str]]:
    if hook.shipped:
        yield from _WRITTEN_BY.get(basename(hook.run), ())
    for variable, value in hook.env:
        if isinstance(value, str) and value.startswith("/"):
            if _FILE_VARIABLES.fullmatch(variable):
                yield dirname(value), f"{variable} of the hook {hook.name}"
            elif _DIRECTORY_VARIABLES.fullmatch(variable):
                yield value, f"{variable} of the hook {hook.name}"


def _below(path: str, other: str) -> bool:
    return path == other or path.startswith(other.rstrip("/") + "/")


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
