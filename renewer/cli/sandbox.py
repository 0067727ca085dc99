"""The service's sandbox: what a run may write, computed from the config, and why each restriction stands.

One unit that runs hooks as root cannot be shut in as tightly as one that only asks for certificates: what
hooks cannot live with stands here with its reason, too.
"""

import re
from collections.abc import Iterable, Iterator
from posixpath import basename, dirname, normpath

from renewer.cli.unit_words import word
from renewer.model.desired import Certificate, Config, Hook, Http01

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
