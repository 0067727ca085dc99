"""The `renewer` command: options for all, commands loaded when called, errors turned into words.

The rules of the screen, obeyed by every command:

1. stdout holds the answer, stderr what happens on the way (progress, warnings, faults).
2. `--json` prints exactly one documented document on stdout and nothing else there.
3. An error is a sentence that says what happened and why, then a line `→` that says what to do.
4. No trace ever reaches a person: a defect is written to the log with its trace, and its place is told.
5. Colour and drawn tables only on a terminal; elsewhere output is plain and stays stable: a record a line,
   the columns of a table parted by tabs, below a line with their names. Without colour (`NO_COLOR`,
   `TERM=dumb`) and without Unicode nothing is lost: signs and words say the same.
6. Exit codes are those of `renewer.cli.screen`.
"""

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click

from renewer import __version__, network
from renewer.cli import screen
from renewer.cli.commands import DEFAULT_CONFIG, LazyGroup
from renewer.errors import ConfigError, LockHeld, RenewerError, UsageError, shortage
from renewer.network import confine


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--config",
    "config_path",
    default=DEFAULT_CONFIG,
    show_default=True,
    envvar="RENEWER_CONFIG",
    metavar="FILE",
    help="The configuration.",
)
@click.option("-v", "--verbose", count=True, help="Explain every decision.")
@click.version_option(__version__, "-V", "--version", prog_name="renewer", message="%(prog)s %(version)s")
@click.pass_context
def group(ctx: click.Context, config_path: str, verbose: int) -> None:
    """Keep the certificates of web servers alive, and prove it at the port."""
    ctx.obj = screen.Setup(config_path=config_path, verbose=verbose)


def main() -> NoReturn:
    """The console script: run the command, turn what went wrong into words and an exit code."""
    screen.prepare()
    confine.closed_to_others()
    code = screen.OK
    if opener is not None:
        network.opener, network.expected = opener, _expected
    try:
        code = _run(sys.argv[1:])
        screen.flush()
    except BrokenPipeError:
        screen.close_broken_stdout()
    except screen.LostAnswerError as error:  # no answer is no success
        screen.close_broken_stdout()
        screen.say(f"renewer: the answer could not be written: {error}")
        code = screen.FAILED
    finally:
        if workers := sys.modules.get("renewer.workers"):
            workers.end()
    sys.exit(code)


def _worker(duty: str, of: str, shared: bool) -> Any:
    """Who talks to strangers is a process of its own; a run that asks nobody imports nothing for it."""
    from renewer import workers

    return workers.ours().open(duty, of, shared)


def _expected(duties: tuple[str, ...]) -> None:
    from renewer import workers

    workers.ours().expect(duties)


opener: Callable[[str, str, bool], Any] | None = _worker
"""Tests that count imports, or compare, take it away: then workers live in this process."""


def _run(argv: list[str]) -> int:  # noqa: C901, PLR0911  a branch for each way to end
    as_json = "--json" in argv
    try:
        code = group.main(args=argv, prog_name="renewer", standalone_mode=False)
        return code if isinstance(code, int) else screen.OK
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        from renewer.cli import astray

        return astray.tell(error, argv, group, as_json=as_json)
    except (click.Abort, KeyboardInterrupt):
        screen.say("interrupted: what was begun is remembered, run again to go on")
        return screen.INTERRUPTED
    except BrokenPipeError:
        screen.close_broken_stdout()
        return screen.OK
    except ConfigError as error:
        return screen.config_fault(error, as_json=as_json)
    except LockHeld as error:
        return screen.fault(error, as_json=as_json, code=screen.BUSY)
    except UsageError as error:
        return screen.fault(error, as_json=as_json, code=screen.USAGE)
    except RenewerError as error:
        return screen.fault(error, as_json=as_json, code=screen.FAILED)
    except screen.LostAnswerError:
        raise
    except Exception as error:  # noqa: BLE001  the last net: a defect of ours is told without its trace
        if want := shortage(error):
            return screen.fault(want, as_json=as_json, code=screen.FAILED)
        return screen.defect(error, as_json=as_json)
