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
    """Write the units and start the timer; again after changing the configuration."""
    config = setup.config()
    texts = unit_texts(config)
    if only_print:
        for name, text in texts.items():
            screen.out(f"# {directory / name}\n{text}")
        return screen.OK
    if directory == Path(SYSTEM) and not _systemd_runs():
        screen.say(
            "systemd does not run here, so nothing was installed; add this line by `crontab -e` as root:"
        )
        screen.out(units.cron_line(config, program()))
        return screen.OK
    foreign = [path for path in (directory / name for name in texts) if _state(path, None) == "foreign"]
    if foreign:
        raise UsageError(
            f"{foreign[0]} was not written by renewer, nothing was changed",
            hint="move it away, or give another place by --directory",
        )
    if directory == Path(SYSTEM):
        _make_directories(config)
    changed = [
        directory / name for name, text in texts.items() if _state(directory / name, text) != "current"
    ]
    for path in changed:
        _write(path, texts[path.name])
        screen.out(f"wrote {path}")
    if not changed:
        screen.out(f"the units in {directory} are as they should be")
    if directory == Path(SYSTEM):
        _start(changed=bool(changed))
    return screen.OK


@command.command()
@_directory
def remove(directory: Path) -> int:
    """Stop the timer and remove the units, if they are ours."""
    paths = [directory / name for name in (f"{units.NAME}.timer", f"{units.NAME}.service")]
    ours = [path for path in paths if _state(path, None) == "outdated"]
    for path in paths:
        if _state(path, None) == "foreign":
            screen.say(f"{path} was not written by renewer: it stays")
    on_system = directory == Path(SYSTEM) and _systemd_runs()
    if on_system and paths[0] in ours:
        _systemctl("disable", "--now", paths[0].name)
    for path in ours:
        try:
            path.unlink()
        except OSError as error:
            raise RenewerError(
                f"{path} cannot be removed: {error.strerror}", hint="run it as root", kind="timer"
            ) from error
        screen.out(f"removed {path}")
    if on_system and ours:
        _systemctl("daemon-reload")
    if not ours:
        screen.out(f"there are no units of ours in {directory}")
    return screen.OK


@command.command()
@_directory
@screen.json_option
@screen.pass_setup
def show(setup: screen.Setup, directory: Path, *, as_json: bool) -> int:
    """Say whether the timer is installed, as it should be, and when it calls next."""
    config = setup.config()
    states = {
        str(directory / name): _state(directory / name, text) for name, text in unit_texts(config).items()
    }
    facts = _timer_facts() if _systemd_runs() else {}
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
    if not _systemd_runs():
        screen.out("systemd does not run here; the line for root's crontab:")
        screen.out(cron)
    return screen.OK


_WORDS = {
    "current": "as it should be",
    "outdated": "differs from what the configuration asks for: renewer timer install",
    "missing": "not installed",
    "foreign": "not written by renewer",
}


def unit_texts(config: Config) -> Mapping[str, str]:
    """The units by file name."""
    return {
        f"{units.NAME}.service": units.service(config, program()),
        f"{units.NAME}.timer": units.timer(config),
    }


def program() -> list[str]:
    """The argv that starts this very renewer: the console script beside this interpreter, or the module."""
    script = Path(sys.executable).parent / "renewer"
    if os.access(script, os.X_OK):
        return [str(script)]
    return [sys.executable, "-P", "-m", "renewer"]  # -P: never a module out of the working directory


def _systemd_runs() -> bool:
    return Path(_BOOTED).is_dir()


def _state(path: Path, wanted: str | None) -> str:
    """How a file stands to what it should hold: current, outdated (but ours), missing or foreign."""
    try:
        if path.is_symlink():
            return "foreign"
        found = path.read_text(errors="replace")
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "foreign"
    if found == wanted:
        return "current"
    return "outdated" if found.startswith(units.MARK) else "foreign"


def _make_directories(config: Config) -> None:
    """What the unit may write must exist before it starts; only our own two are made, others are told."""
    log_directory = os.path.dirname(config.agent.log_path)
    for path, mode in ((config.agent.state, 0o700), (log_directory, 0o755)):
        if not Path(path).exists():
            Path(path).mkdir(mode=mode, parents=True)
            screen.out(f"made {path}")
    for path, why in units.writable(config):
        # packages that are not installed are no fault
        if not Path(path).is_dir() and not why.startswith(("nginx", "the same")):
            screen.say(f"{path} ({why}) does not exist: make it, then run this again")


def _write(path: Path, text: str) -> None:
    """Write a unit, all or nothing, durable. Raises RenewerError with what to do."""
    try:
        durable.replace(str(path.absolute()), text.encode(), durable.with_mode(str(path), 0o644), alone=False)
    except OSError as error:
        raise RenewerError(
            f"{path} cannot be written: {error.strerror}",
            hint="run it as root, or give another --directory",
            kind="timer",
        ) from error


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


def _facts(output: str, wanted: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for line in output.splitlines():
        key, _, value = line.partition("=")
        if key in wanted:
            yield wanted[key], value or "-"
