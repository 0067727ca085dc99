"""`renewer hooks`: the deploy hooks that come with the package, to use or to begin from; hooks tried out."""

import os
import shlex
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from renewer import words
from renewer.cli import screen
from renewer.cli.screen import Setup
from renewer.config.hooks import hooks_directory, shipped, shipped_names
from renewer.errors import UsageError
from renewer.model.desired import SERVER_EVENTS, Hook, HookEvent

if TYPE_CHECKING:
    from renewer.cli.hook_trial import TrialCall

_UNKNOWN = "unknown"  # an event that no hook knows
_LINES = 10  # of a hook's output


@click.group()
def command() -> None:
    """List, show or copy the shipped deploy hooks; try any hook out.

    A shipped hook is named in the configuration as it is: hooks = ["nginx"].
    """


@command.command("list")
@screen.json_option
def list_(*, as_json: bool) -> int:
    """List the shipped hooks, each with what it does."""
    hooks = [(path.name, _summary(path), str(path)) for path in _shipped()]
    if as_json:
        documents = [{"name": name, "text": text, "path": path} for name, text, path in hooks]
        screen.emit({"schema": screen.SCHEMA, "hooks": documents})
        return screen.OK
    width = max((len(name) for name, _, _ in hooks), default=0)
    for name, text, _ in hooks:
        screen.out(f"{name:{width}}  {text}" if screen.is_terminal() else f"{name}\t{text}")
    return screen.OK


@command.command()
@click.argument("name")
def show(name: str) -> int:
    """Print a shipped hook; its header says what it needs and how to configure it."""
    screen.out(_find(name).read_text().removesuffix("\n"))
    return screen.OK


@command.command()
@click.argument("name")
@click.argument("dest", type=click.Path(path_type=Path))
def copy(name: str, dest: Path) -> int:
    """Copy a shipped hook to DEST (a new file, or a directory) to change it there."""
    source = _find(name)
    if dest.is_dir():
        dest /= source.name
    try:
        # Born executable for its owner alone to change, and never over something that is there.
        handle = os.open(dest, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o755)
    except FileExistsError:
        raise UsageError(f"{dest} exists already", hint="choose another place, or remove it first") from None
    except OSError as error:
        raise UsageError(f"{dest} cannot be written: {error.strerror}") from None
    with os.fdopen(handle, "wb") as file:
        file.write(source.read_bytes())
        os.fchmod(file.fileno(), 0o755)
    screen.say(f"{dest} is yours now; name it in the configuration:")
    screen.out(f'[hook.{dest.name}]\nrun    = "{dest.absolute()}"\nevents = ["test", "deploy", "rollback"]')
    return screen.OK


@command.command("test")
@click.argument("name")
@click.option(
    "--event",
    "asked",
    multiple=True,
    type=click.Choice([*(event.value for event in HookEvent), _UNKNOWN]),
    help="Call it for this event, also one that acts; may be repeated.  [default: test]",
)
@click.option("--yes", is_flag=True, help="Do not ask before an event that acts.")
@screen.json_option
@screen.pass_setup
def try_out(setup: Setup, name: str, asked: tuple[str, ...], yes: bool, as_json: bool) -> int:
    """Try a hook out: is it safe to run, what is it called with, what does it say?

    NAME is a table [hook.NAME] of the configuration, or a shipped hook. It is told of a self-made certificate
    in a private directory that goes when the command ends. Without --event only `test` is called, which
    changes nothing, and of the other events it is said how they would be called.
    """
    from renewer import hooks
    from renewer.cli import hook_trial

    hook, host = _configured(setup, name)
    heard = hook_trial.hears(hook)
    for event in asked:
        if event != _UNKNOWN and event not in heard:
            raise UsageError(f"the hook '{name}' does not hear {event}", hint=f"it hears: {', '.join(heard)}")
    # What is shipped is known to say 42; another's script may well do its work whatever it is asked.
    harmless = {HookEvent.TEST.value, _UNKNOWN} if hook.shipped else {HookEvent.TEST.value}
    events = list(dict.fromkeys(asked or [one for one in (*heard, _UNKNOWN) if one in harmless]))
    problem = hooks.problem(hook)
    if acting := [event for event in events if event not in harmless and not problem]:
        _warn(hook, acting, yes=yes)
    with hook_trial.scratch() as told:
        trial = hook_trial.Trial(hook, told, host)
        calls = [] if problem else [trial.call(event) for event in events]
        calls += [trial.would(event) for event in heard if event not in events and not problem]
    document = hook_trial.document(hook, problem, calls)
    if as_json:
        screen.emit({"schema": screen.SCHEMA, **document})
    else:
        _tell(hook, problem, calls)
    return screen.OK if document["ok"] else screen.FAILED


def _configured(setup: Setup, name: str) -> tuple[Hook, str]:
    """The hook of that name and this host's; a shipped one also where nothing has been configured yet."""
    from renewer.cli.commands import DEFAULT_CONFIG

    tables: dict[str, Hook] = {}
    host = os.uname().nodename
    if setup.config_path != DEFAULT_CONFIG or os.path.exists(DEFAULT_CONFIG):
        config = setup.config()
        tables, host = dict(config.hooks), config.agent.host
    if name in tables:
        return tables[name], host
    if run := shipped(name):
        return Hook(name=name, run=run, shipped=True, events=SERVER_EVENTS), host
    from renewer.config.faults import did_you_mean

    known = list(dict.fromkeys([*tables, *shipped_names()]))
    raise UsageError(
        f"there is no hook '{name}', neither a table in {setup.config_path} nor a shipped one",
        hint=did_you_mean(name, known),
    )


def _warn(hook: Hook, events: list[str], *, yes: bool) -> None:
    """Say what an event does that acts, and ask."""
    text = (
        f"{' and '.join(events)} of {hook.name} will be called in earnest: its server loads what is live "
        "for it,\nwhich is not the self-made certificate. But a hook that copies files (copy, ssh, docker, "
        "kubernetes,\ncockpit, your own) puts the self-made one where it copies to, over what may lie there."
    )
    if yes:
        screen.say(text)
    else:
        screen.confirm(text)


def _tell(hook: Hook, problem: str | None, calls: "list[TrialCall]") -> None:
    kind = "shipped" if hook.shipped else f"convention {hook.convention}"
    screen.out(f"{hook.name}: {shlex.join(hook.argv)} ({kind}, time limit {hook.timeout:g} s)")
    if problem:
        screen.out(f"  it would not be run: {problem}")
        return
    whose = "it came with this program" if hook.shipped else "nobody but root and this user can change it"
    screen.out(f"  it may be run: {whose}")
    told: tuple[str, ...] = ()
    for call in calls:
        if call.verdict is None:
            act = f"renewer hooks test {hook.name} --event {call.event}"
            screen.out(f"{call.event}: not called; to call it: {act}")
        else:
            code = "no exit code" if call.code is None else f"exit code {call.code}"
            screen.out(f"{call.event}: {code}, {call.meaning}; took {words.exact(call.took_ms / 1000)}")
        screen.out(f"  called as    {' '.join(call.argv)}")
        if call.told != told:
            screen.out(f"  told by      {' '.join(call.told)}")
            told = call.told
        for line in call.output.strip().splitlines()[-_LINES:]:
            screen.out(f"  | {line}")
        if call.code is None and call.error:
            screen.out(f"  {call.error}")
        for left in call.left:
            screen.out(f"  it left a process running: {left.pid} ({left.program})")
        if call.note:
            screen.out(f"  note: {call.note}")


def _shipped() -> list[Path]:
    directory = Path(hooks_directory())
    return [directory / name for name in shipped_names()]


def _find(name: str) -> Path:
    for path in _shipped():
        if path.name == name:
            return path
    names = ", ".join(path.name for path in _shipped()) or "none"
    raise UsageError(f"no hook '{name}' is shipped", hint=f"shipped are: {names}")


def _summary(path: Path) -> str:
    """The header's first sentence, without the words that all have in common."""
    lines = path.read_text().splitlines()[1:]
    first = takewhile(str, (line.lstrip("# ") for line in lines if line.startswith("#")))
    text = " ".join(first).removeprefix("renewer's hook ").removeprefix("for ")
    return text.rstrip(".")
