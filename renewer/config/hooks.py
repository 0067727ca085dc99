"""Hooks: those with a table, and those that come with the package; and where these lie."""

import os.path
import re
from collections.abc import Mapping, Sequence

from renewer.config.faults import Faults, Path, did_you_mean
from renewer.config.given import Given
from renewer.model.desired import CERTBOT_EVENTS, SERVER_EVENTS, Convention, Hook, HookEvent
from renewer.model.keys import absolute

_LAST_PORT = 65535
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
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name):
        return None
    path = os.path.join(hooks_directory(), name)
    return path if os.path.isfile(path) else None


def shipped_names() -> list[str]:
    """The names of all shipped hooks, sorted; none if their directory is missing."""
    try:
        return sorted(name for name in os.listdir(hooks_directory()) if shipped(name))
    except OSError:
        return []


def needs_key(run: str) -> bool:
    """Whether the shipped hook at that path can do nothing for a certificate whose key is elsewhere."""
    return os.path.dirname(run) == hooks_directory() and os.path.basename(run) in _KEYED


class Hooks:
    """Those with a table, and the shipped ones that a certificate names."""

    def __init__(self, tables: Mapping[str, Hook], faults: Faults) -> None:
        self._faults = faults
        self.resolved = dict(tables)

    def use(self, name: str, path: Path) -> None:
        """A certificate names a hook: is there one?"""
        if name in self.resolved or self._faults.spoilt(("hook", name)):
            return
        if run := shipped(name):
            ports = _USUAL_PORTS.get(name, ())
            self.resolved[name] = Hook(name=name, run=run, shipped=True, events=SERVER_EVENTS, ports=ports)
            return
        if name.strip() and ("/" in name or len(name.split()) > 1):
            self._faults.add(path, f"'{name}' is a command, and hooks are named here", _as_table(name))
            return
        known = list(dict.fromkeys([*self.resolved, *shipped_names()]))
        hint = did_you_mean(name, known) or f'write a table [hook.{name}] with run = "/path"'
        self._faults.add(path, f"there is no hook '{name}', neither a table nor a shipped one", hint)


def _as_table(command: str) -> str:
    """How a command is written that stands where a hook's name belongs."""
    program, *words = command.split()
    program = os.path.splitext(os.path.basename(program))[0]
    table = "-".join(re.findall(r"[a-z0-9]+", " ".join((program, *words)).lower())[-2:]) or "reload"
    ours = next((f'hooks = ["{one}"] reloads it with its test; or ' for one in _known(command)), "")
    return f'{ours}write [hook.{table}] with run = {as_argv(command)}, and here hooks = ["{table}"]'


def _known(command: str) -> list[str]:
    """The shipped hooks that a command may stand for."""
    return [one for one in shipped_names() if one in re.findall(r"[a-z0-9-]+", command.lower())]


def as_argv(command: str) -> str:
    """A command line as `run` has it: the program's path, then each word; in a shell what needs one."""
    import shlex
    import shutil

    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if not words or re.search(r"[|&;<>$`*?~]", command):
        words = ["/bin/sh", "-c", command]
    path = words[0] if "/" in words[0] else shutil.which(words[0]) or f"/usr/bin/{words[0]}"
    quoted = ", ".join(
        '"' + one.replace("\\", "\\\\").replace('"', '\\"') + '"' for one in [path, *words[1:]]
    )
    return f"[{quoted}]"


def hook(given: Given[Hook]) -> Hook | None:
    """The rule of [hook.X]."""
    name = str(given.path[1])
    run, *arguments = given.get("run") or (name,)
    ours = "/" not in run
    if not _is_argv(given, run, arguments):
        return None
    path = _shipped(given, run) if ours else _own(given, run, arguments)
    if path is None:
        return None
    convention = given.get("convention")
    if ours and convention is Convention.CERTBOT:
        hint = "take `convention` out: it is for scripts written for certbot"
        given.wrong("convention", "a shipped hook does not speak certbot's convention", hint)
    events = _events(given, ours=ours)
    if not given.get("required", True) and HookEvent.PRE in events:
        hint = "take `required` out, or `pre` out of `events`: a second hook can be called for the rest"
        text = "a hook that hears pre is always required: the order that follows relies on it"
        given.wrong("required", text, hint)
    for port in given.get("ports", ()):
        if not 1 <= port <= _LAST_PORT:
            given.wrong("ports", f"{port} is no port", "1 to 65535, as [993, 995]")
    usual = _USUAL_PORTS.get(os.path.basename(path), ()) if ours else ()
    return given.make(
        name=name,
        run=path,
        arguments=tuple(arguments),
        shipped=ours,
        events=events,
        ports=given.get("ports", usual),
        timeout=given.get("timeout", 60.0),  # always said: part of a fingerprint in the ledger
    )


def _is_argv(given: Given[Hook], run: str, arguments: Sequence[str]) -> bool:
    """Whether the words are a program and what it is called with; else that is told."""
    first, *more = run.split() or [""]
    if not arguments and more and ("/" not in first or (os.path.isfile(first) and not os.path.exists(run))):
        text = f"'{run}' is a command line, and each word stands by itself"
        given.wrong("run", text, f"run = {as_argv(run)}")
    elif "/" not in run and arguments:
        import shlex

        hint = f"give the program's path: run = {as_argv(shlex.join((run, *arguments)))}"
        given.wrong("run", f"'{run}' is no path, and a shipped hook takes no arguments", hint)
    elif any("\0" in one for one in arguments):
        given.wrong("run", "holds a NUL character")
    else:
        return True
    return False


def _own(given: Given[Hook], run: str, arguments: Sequence[str]) -> str | None:
    """A program of the operator's; its path may begin at the directory of its file."""
    try:
        path = absolute(os.path.join(os.path.dirname(given.source.path), run))
    except ValueError as error:
        given.wrong("run", str(error))
        return None
    if (given.get("convention") is not Convention.CERTBOT or arguments) and os.path.isdir(path):
        hint = 'name the program that is to be run; scripts written for certbot: convention = "certbot"'
        given.wrong("run", f"{path} is a directory", hint)
    return path


def _shipped(given: Given[Hook], run: str) -> str | None:
    if (path := shipped(run)) is not None:
        return path
    near = did_you_mean(run, shipped_names())
    near = f"{near}; " if near else ""
    if "run" in given:
        hint = f"{near}for a program of your own give its path, as /usr/local/sbin/reload"
        given.wrong("run", f"no hook '{run}' is shipped", hint)
    else:
        hint = f'{near}run = "/path/to/program", or the name of a shipped hook'
        given.wrong("run", "is missing, and no shipped hook has this name", hint)
    return None


def _events(given: Given[Hook], *, ours: bool) -> tuple[HookEvent, ...]:
    if "events" not in given:
        return SERVER_EVENTS if ours else (HookEvent.DEPLOY,)
    events = given.get("events")
    certbot = given.get("convention") is Convention.CERTBOT
    if certbot and (strange := sorted(set(events) - set(CERTBOT_EVENTS))):
        hint = f"of {', '.join(CERTBOT_EVENTS)}; for {strange[0]} use the convention renewer"
        given.wrong("events", f"certbot's convention has no {strange[0]}", hint)
    elif ours and (around := sorted(set(events) - set(SERVER_EVENTS))):
        hint = 'give a program of your own: run = "/path/to/program"'
        given.wrong("events", f"a shipped hook has nothing to do at {around[0]}", hint)
    elif not events:
        given.wrong("events", "is empty: a hook that hears nothing does nothing", "take it out")
    elif HookEvent.DEPLOY not in events and set(events) & set(SERVER_EVENTS):
        given.wrong("events", "must have deploy: a hook that never deploys loads nothing")
    return tuple(event for event in HookEvent if event in events)
