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
from importlib import import_module
from typing import NoReturn

import click

from renewer import __version__
from renewer.cli import screen
from renewer.errors import ConfigError, LockHeld, RenewerError, UsageError, shortage

DEFAULT_CONFIG = "/etc/renewer/config.toml"

# name → (module below renewer.cli, one line of help): the module is imported only when called; `:` parts it
# from the attribute where a family of commands shares one
COMMANDS = {
    "run": ("run", "Do what is needed now; what the timer calls."),
    "plan": ("plan", "Show what a run would do, and why; changes nothing."),
    "status": ("status", "Answer: am I fine?"),
    "log": ("log", "Read the renewal log."),
    "page": ("report:page", "Write one HTML file that shows how every certificate stands."),
    "report": ("report", "Say what came of the last days: renewals, failures, margins."),
    "check": ("check", "Look at what any port serves."),
    "discover": ("discover", "Find every certificate on this host, and who renews it."),
    "doctor": ("doctor", "Look at the names as an authority would: DNS, CAA, DNSSEC, ports."),
    "deploy": ("deploy", "Make the servers load the newest version again."),
    "rollback": ("deploy:rollback", "Serve an older version again, and hold what is newer."),
    "versions": ("versions", "List the versions of a certificate: dates, names, key, where each is served."),
    "rename": ("versions:rename", "Let a certificate's versions follow its new name in the configuration."),
    "forget": ("versions:forget", "Delete what is on disk of a certificate that no configuration names."),
    "import": ("moving:import_", "Bring certificates, keys and settings of another client along."),
    "takeover": ("moving:takeover", "Let another client's paths lead to our certificates; --undo."),
    "rehearse": ("rehearse", "Play the whole issuance at the authority's staging."),
    "revoke": ("revoke", "Have a certificate revoked, and replaced."),
    "ack": ("notify:ack", "Say that you know of a trouble: no more notices of it for a while."),
    "notify": ("notify", "Try the channels that tell people."),
    "acme-dns": ("acme_dns", "Make accounts at an acme-dns server, and say which CNAMEs they need."),
    "account": ("account", "Look after the accounts at the authorities."),
    "config": ("config", "Check the configuration, or print its schema."),
    "challenge": ("challenge", "Show what must be published or configured for challenges."),
    "copies": ("copies", "List the files that follow certificates; remove those no longer named."),
    "hooks": ("hooks", "List, show or copy the shipped deploy hooks; try a hook out."),
    "timer": ("timer", "Install, remove or show the timer that calls run."),
}


class LazyGroup(click.Group):
    """A group whose commands' modules are imported only when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """The commands, in the order in which people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """Import the command's module and take the attribute from it: `command`, if none is named."""
        if cmd_name not in COMMANDS:
            return None
        place, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"renewer.cli.{place}"), attribute or "command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


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
    code = screen.OK
    try:
        code = _run(sys.argv[1:])
        screen.flush()
    except BrokenPipeError:
        screen.close_broken_stdout()
    except screen.LostAnswerError as error:  # no answer is no success
        screen.close_broken_stdout()
        screen.say(f"renewer: the answer could not be written: {error}")
        code = screen.FAILED
    sys.exit(code)


def _run(argv: list[str]) -> int:  # noqa: C901, PLR0911  a branch for each way to end
    as_json = "--json" in argv
    try:
        code = group.main(args=argv, prog_name="renewer", standalone_mode=False)
        return code if isinstance(code, int) else screen.OK
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        return screen.usage_fault(error, as_json=as_json)
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
