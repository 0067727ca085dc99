"""`renewer timer`: the clock that calls `renewer run`, by systemd or, where there is none, by cron."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from renewer import durable, proc
from renewer.cli import screen, units
from renewer.errors import RenewerError, UsageError
from renewer.model.desired import Config

SYSTEM = "/etc/systemd/system"
VENDOR = "/usr/lib/systemd/system"
"""Where packages put their units."""
CRON = "/etc/cron.d/renewer"
"""Our line for cron, where that runs and systemd does not."""
_CRONS = ("/usr/sbin/cron", "/usr/sbin/crond")
_BOOTED = "/run/systemd/system"  # sd_booted(3): systemd is running if this directory exists
_TIMEOUT = 60.0  # seconds for systemctl

_directory = click.option(
    "--directory",
    default=SYSTEM,
    show_default=True,
    type=click.Path(path_type=Path),
    help="Where the units lie. With another one systemctl is not called.",
)


@click.group()
def command() -> None:
    """Install, remove or show the timer that calls `renewer run`.

    A systemd service and timer; without systemd, the line for cron.
    """


@command.command()
@_directory
@click.option("--print", "only_print", is_flag=True, help="Print the units, change nothing.")
@screen.pass_setup
def install(setup: screen.Setup, directory: Path, *, only_print: bool) -> int:
    """Write the units and start the timer; again after changing the configuration.

    Units of an earlier release are replaced, units of a package get drop-ins; what changes is said.
    """
    config = setup.config()
    wanted = _wanted(config, directory)
    if only_print:
        for path, text in wanted.items():
            screen.out(f"# {path}\n{text}" if text else f"# {path} goes: the package has a unit\n")
        return screen.OK
    begin(config, directory)
    return screen.OK


def begin(config: Config, directory: Path) -> None:
    """Write the units and start the timer, or say what to do where systemd does not run.

    Raises UsageError if other units stand there.
    """
    wanted = _wanted(config, directory)
    if directory == Path(SYSTEM) and not _systemd_runs():
        _have_cron(config)
        return
    foreign = [path for path in wanted if _state(path, None) == "foreign"]
    if foreign:
        raise UsageError(
            f"{foreign[0]} was not written by renewer, nothing was changed",
            hint="move it away, or give another place by --directory",
        )
    if directory == Path(SYSTEM):
        _make_directories(config)
    before = _effective(directory)
    changed = [path for path, text in wanted.items() if _state(path, text) != "current"]
    for path in changed:
        _put(path, wanted[path])
    _tell(before, _effective(directory), changed)
    if directory == Path(SYSTEM):
        _start(changed=bool(changed))


def _have_cron(config: Config) -> None:
    """Write the line for cron, or print it where there is none that reads such files. Raises UsageError."""
    if not _cron_is_here():
        screen.say(
            "systemd does not run here, so nothing was installed; add this line by `crontab -e` as root:"
        )
        screen.out(units.cron_line(config, program()))
        return
    path, text = Path(CRON), units.cron_file(config, program())
    state = _state(path, text)
    if state == "foreign":
        raise UsageError(f"{path} was not written by renewer, nothing was changed", hint="move it away")
    _make_directories(config)
    if state == "current":
        screen.out(f"{path} is as it should be")
    else:
        _put(path, text)
    screen.say("systemd does not run here: cron calls")


def _cron_is_here() -> bool:
    return any(os.access(one, os.X_OK) for one in _CRONS) and Path(CRON).parent.is_dir()


def _tell(
    before: Mapping[str, units.Settings], after: Mapping[str, units.Settings], changed: list[Path]
) -> None:
    """Say what is other than before, and which settings of others' drop-ins hooks will feel."""
    if not changed:
        screen.out("the units are as they should be")
    for name, then in before.items():
        if then:  # of what is new nobody needs to be told how it differs
            for line in units.changes(then, after[name]):
                screen.out(f"  {name}: {line}")
    service = after[f"{units.NAME}.service"]
    felt = [
        f"{key}={value}" for (_, key), values in service.items() if key in units.WALLS for value in values
    ]
    if felt:
        screen.say(
            f"a drop-in of yours sets {', '.join(felt)}: hooks feel that, so one may work by hand and not by "
            f"timer; see: systemctl cat {units.NAME}.service"
        )


@command.command()
@_directory
def remove(directory: Path) -> int:
    """Stop the timer and remove the units, if they are ours; a package's stay, switched off."""
    candidates = [path for name in _NAMES for path in (_drop_in(directory, name), directory / name)]
    ours = [path for path in candidates if _state(path, None) == "outdated"]
    for path in candidates:
        if _state(path, None) == "foreign":
            screen.say(f"{path} was not written by renewer: it stays")
    on_system = directory == Path(SYSTEM) and _systemd_runs()
    packaged = on_system and any(map(_packaged, _NAMES))
    if on_system and (packaged or directory / f"{units.NAME}.timer" in ours):
        _systemctl("disable", "--now", f"{units.NAME}.timer")
    for path in ours:
        _put(path, None)
    if on_system and ours:
        _systemctl("daemon-reload")
    if directory == Path(SYSTEM) and _state(Path(CRON), None) == "outdated":
        ours.append(Path(CRON))
        _put(Path(CRON), None)
    if not ours and not packaged:
        screen.out(f"there are no units of ours in {directory}")
    return screen.OK


@command.command()
@_directory
@screen.json_option
@screen.pass_setup
def show(setup: screen.Setup, directory: Path, *, as_json: bool) -> int:
    """Say whether the timer is installed, as it should be, and when it calls next."""
    config = setup.config()
    wanted = _wanted(config, directory)
    states = {str(path): _state(path, text) for path, text in wanted.items()}
    for name in _NAMES:
        if directory == Path(SYSTEM) and _packaged(name) is not None:
            states |= {f"{VENDOR}/{name}": "packaged"}
            if states[str(directory / name)] == "current":
                del states[str(directory / name)]
    facts = _timer_facts() if _systemd_runs() else {}
    if "last" in facts and _no_run_yet(config):  # systemd counts from the moment of the installation
        facts["last"] = "no run yet"
    cron = units.cron_line(config, program())
    if as_json:
        screen.emit(
            {
                "schema": screen.SCHEMA,
                "systemd": _systemd_runs(),
                "units": [{"path": path, "state": state} for path, state in states.items()],
                "timer": facts,
                "cron": cron,
            }
        )
        return screen.OK
    for path, state in states.items():
        screen.out(f"{path}: {_WORDS[state]}")
    for key, value in facts.items():
        screen.out(f"{key}: {value}")
    if not _systemd_runs() and _cron_is_here():
        screen.out(f"{CRON}: {_WORDS[_state(Path(CRON), units.cron_file(config, program()))]}")
    elif not _systemd_runs():
        screen.out("systemd does not run here; the line for root's crontab:")
        screen.out(cron)
    return screen.OK


_WORDS = {
    "current": "as it should be",
    "outdated": "differs from what the configuration asks for: renewer timer install",
    "missing": "not installed",
    "foreign": "not written by renewer",
    "packaged": "of the package",
}


_NAMES = (f"{units.NAME}.service", f"{units.NAME}.timer")


def unit_texts(config: Config) -> Mapping[str, str]:
    """The units by file name."""
    return dict(zip(_NAMES, (units.service(config, program()), units.timer(config)), strict=True))


def _wanted(config: Config, directory: Path) -> dict[Path, str | None]:
    """What each file of ours should hold; None where there should be none.

    On the system's own place a package's unit gets a drop-in, and a whole unit that would hide it goes.
    """
    found: dict[Path, str | None] = {}
    for name, text in unit_texts(config).items():
        packaged = _packaged(name) if directory == Path(SYSTEM) else None
        drop_in = units.drop_in(packaged, text) if packaged is not None else None
        found[directory / name] = text if packaged is None else None
        if drop_in is not None or os.path.lexists(_drop_in(directory, name)):
            found[_drop_in(directory, name)] = drop_in
    return found


def _drop_in(directory: Path, name: str) -> Path:
    return directory / f"{name}.d" / "50-configuration.conf"


def _packaged(name: str) -> str | None:
    """The unit of that name that a package of ours brought."""
    try:
        text = Path(VENDOR, name).read_text("utf-8", "replace")
    except OSError:
        return None
    return text if text.startswith(units.PACKAGED) else None


def _effective(directory: Path) -> dict[str, units.Settings]:
    """What systemd reads for each unit: the whole one here, or the package's, and then the drop-ins."""
    found = {}
    for name in _NAMES:
        whole = _text(directory / name) or (_packaged(name) if directory == Path(SYSTEM) else None)
        added = [_text(path) or "" for path in sorted((directory / f"{name}.d").glob("*.conf"))]
        found[name] = units.settings(whole, *added) if whole else {}
    return found


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return None


def program() -> list[str]:
    """The argv that starts this very renewer: the console script beside this interpreter, or the module."""
    script = Path(sys.executable).parent / "renewer"
    if os.access(script, os.X_OK):
        return [str(script)]
    return [sys.executable, "-P", "-m", "renewer"]  # -P: never a module out of the working directory


def _systemd_runs() -> bool:
    return Path(_BOOTED).is_dir()


def _state(path: Path, wanted: str | None) -> str:
    """How a file stands to what it should hold: current, outdated (but ours), missing or foreign.

    A file that should not be there is current if it is missing.
    """
    try:
        if path.is_symlink():
            return "foreign"
        found = path.read_text(errors="replace")
    except FileNotFoundError:
        return "current" if wanted is None else "missing"
    except OSError:
        return "foreign"
    if found == wanted:
        return "current"
    return "outdated" if found.startswith(units.MARK) else "foreign"


def _make_directories(config: Config) -> None:
    for path, mode in ((config.agent.state, 0o700), (os.path.dirname(config.agent.log_path), 0o755)):
        if not Path(path).exists():
            Path(path).mkdir(mode=mode, parents=True)
            screen.out(f"made {path}")


def _put(path: Path, text: str | None) -> None:
    """Write a unit, all or nothing, durable; or remove it. Raises RenewerError with what to do."""
    try:
        if text is None:
            path.unlink()
            if path.parent.name.endswith((".service.d", ".timer.d")) and not any(path.parent.iterdir()):
                path.parent.rmdir()
        else:
            if path.parent.name.endswith(".d"):
                path.parent.mkdir(mode=0o755, exist_ok=True)
            durable.replace(
                str(path.absolute()), text.encode(), durable.with_mode(str(path), 0o644), alone=False
            )
    except OSError as error:
        raise RenewerError(
            f"{path} cannot be {'removed' if text is None else 'written'}: {error.strerror}",
            hint="run it as root, or give another --directory",
            kind="timer",
        ) from error
    screen.out(f"{'removed' if text is None else 'wrote'} {path}")


def _start(*, changed: bool) -> None:
    if changed:
        _systemctl("daemon-reload")
    _systemctl("enable", "--now", f"{units.NAME}.timer")
    if changed:  # a timer that ran already goes by its old hours until it is started anew
        _systemctl("restart", f"{units.NAME}.timer")


def _systemctl(*arguments: str) -> str:
    """Run systemctl and say so. Raises RenewerError with what it said."""
    words = ["systemctl", *arguments]
    if arguments[0] != "show":
        screen.out("ran " + " ".join(words))
    result = proc.run(words, env=proc.scrubbed_environment(), timeout=_TIMEOUT)
    if result.code != 0:
        raise RenewerError(
            f"{' '.join(words)} failed: {result.output.strip() or result.code}",
            hint="the units are written; run that command by hand, or this one again",
            kind="timer",
        )
    return result.output


def _timer_facts() -> dict[str, str]:
    """What systemd knows of the timer, in its own words."""
    wanted = {
        "UnitFileState": "enabled",
        "ActiveState": "active",
        "NextElapseUSecRealtime": "next",
        "LastTriggerUSec": "last",
    }
    output = _systemctl("show", f"{units.NAME}.timer", "--property", ",".join(wanted))
    return dict(_facts(output, wanted))


def _no_run_yet(config: Config) -> bool:
    """Whether this host's ledger knows of no run at all."""
    from renewer.context import Context
    from renewer.model.facts import RunRecord

    try:
        with Context(config, write=False) as context:
            return not any(one.host == context.host for one in context.ledger.load(RunRecord))
    except RenewerError:
        return False


def _facts(output: str, wanted: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for line in output.splitlines():
        key, _, value = line.partition("=")
        if key in wanted:
            yield wanted[key], value or "-"
