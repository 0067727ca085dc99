"""The deploy hooks and snippets that come with the package."""

import os.path
import re

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_MAIL = (25, 465, 587)
_USUAL_PORTS = {
    "dovecot": (110, 143, 993, 995, 4190),
    "exim": _MAIL,
    "mariadb": (3306,),
    "opensmtpd": _MAIL,
    "postfix": _MAIL,
    "postgresql": (5432,),
    "prosody": (5222, 5223, 5269, 5270),
    "redis": (6379, 6380),
    "vsftpd": (21, 990),
}
"""Where these servers listen unless told otherwise; web servers and proxies may stand before any."""
_KEYED = {"cockpit", "kubernetes"}
"""Hooks whose server takes a key from us, and nothing without one."""
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def hooks_directory() -> str:
    """Where they lie: inside an installed package, or beside the package in the source tree."""
    installed = os.path.join(_PACKAGE, "shipped_hooks")
    return installed if os.path.isdir(installed) else os.path.join(os.path.dirname(_PACKAGE), "hooks")


def snippets_directory() -> str:
    """Where the pieces of configuration for web servers lie, in the same way."""
    installed = os.path.join(_PACKAGE, "shipped_snippets")
    return installed if os.path.isdir(installed) else os.path.join(os.path.dirname(_PACKAGE), "snippets")


def shipped(name: str) -> str | None:
    """The absolute path of the shipped hook of that name; None if there is none."""
    if not _NAME.fullmatch(name):
        return None
    path = os.path.join(hooks_directory(), name)
    return path if os.path.isfile(path) else None


def usual_ports(name: str) -> tuple[int, ...]:
    """The ports at which the server of a shipped hook usually listens; none where that cannot be told."""
    return _USUAL_PORTS.get(name, ())


def needs_key(run: str) -> bool:
    """Whether the shipped hook at that path can do nothing for a certificate whose key is elsewhere."""
    return os.path.dirname(run) == hooks_directory() and os.path.basename(run) in _KEYED


def shipped_names() -> list[str]:
    """The names of all shipped hooks, sorted; none if their directory is missing."""
    try:
        return sorted(name for name in os.listdir(hooks_directory()) if shipped(name))
    except OSError:
        return []
