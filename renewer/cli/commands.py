"""The commands: grouped by what somebody wants to do, each with an example, imported only when called."""

from importlib import import_module
from typing import NamedTuple

import click

from renewer.cli import screen

DEFAULT_CONFIG = "/etc/renewer/config.toml"


class Listed(NamedTuple):
    """A command that there is: its module below renewer.cli, one line of help, and how it is typed.

    `:` parts the module from the attribute where a family of commands shares one.
    """

    place: str
    says: str
    examples: tuple[str, ...]


GROUPS: dict[str, dict[str, Listed]] = {
    "To begin": {
        "init": Listed(
            "init",
            "Write a first configuration from what is on this host.",
            ("renewer init", "renewer init --name www.example.org --agree-terms --write-snippet"),
        ),
        "config": Listed("config", "Check the configuration, or print its schema.", ()),
        "rehearse": Listed(
            "rehearse", "Play the whole issuance at the authority's staging.", ("renewer rehearse www",)
        ),
        "timer": Listed("timer", "Install, remove or show the timer that calls run.", ()),
        "import": Listed(
            "moving:import_",
            "Bring certificates, keys and settings of another client along.",
            ("renewer import certbot --dry-run", "renewer import certbot --only example.org"),
        ),
        "takeover": Listed(
            "takeover",
            "Let another client's paths lead to our certificates; --undo.",
            ("renewer takeover certbot", "renewer takeover certbot --undo"),
        ),
    },
    "Every day": {
        "status": Listed(
            "status",
            "Answer: am I fine?",
            ("renewer status", "renewer status --look www", "renewer status --watch"),
        ),
        "run": Listed(
            "run",
            "Do what is needed now; what the timer calls.",
            ("renewer run", "renewer run www", "renewer run --force www"),
        ),
        "plan": Listed(
            "plan",
            "Show what a run would do, and why; changes nothing.",
            ("renewer plan", "renewer -v plan www"),
        ),
        "log": Listed(
            "log", "Read the renewal log.", ("renewer log www --last", "renewer log --since 7d --follow")
        ),
    },
    "To look around": {
        "check": Listed(
            "check",
            "Look at what any port serves.",
            ("renewer check www.example.org", "renewer check smtp://mail.example.org:587"),
        ),
        "discover": Listed(
            "discover",
            "Find every certificate on this host, and who renews it.",
            ("renewer discover", "renewer discover --toml", "renewer discover --watch"),
        ),
        "doctor": Listed(
            "doctor",
            "Look at the names as an authority would: DNS, CAA, DNSSEC, ports.",
            ("renewer doctor www", "renewer doctor --host"),
        ),
        "report": Listed(
            "report",
            "Say what came of the last days: renewals, failures, margins.",
            ("renewer report --since 30d", "renewer report --readiness"),
        ),
        "docs": Listed(
            "docs", "Read the documentation, offline.", ("renewer docs", "renewer docs operations")
        ),
        "page": Listed(
            "report:page",
            "Write one HTML file that shows how every certificate stands.",
            ("renewer page --out /var/www/renewer/index.html",),
        ),
    },
    "On a bad day": {
        "ack": Listed(
            "notify:ack",
            "Say that you know of a trouble: no more notices of it for a while.",
            ('renewer ack www --until 7d --reason "the server is being moved"',),
        ),
        "deploy": Listed(
            "deploy", "Make the servers load the newest version again.", ("renewer deploy www",)
        ),
        "rollback": Listed(
            "deploy:rollback",
            "Serve an older version again, and hold what is newer.",
            ('renewer rollback www --reason "old clients fail"',),
        ),
        "revoke": Listed(
            "revoke",
            "Have a certificate revoked, and replaced.",
            ("renewer revoke www --reason keyCompromise",),
        ),
        "challenge": Listed("challenge", "Show what must be published or configured for challenges.", ()),
    },
    "To keep order": {
        "versions": Listed(
            "versions",
            "List the versions of a certificate: dates, names, key, where each is served.",
            ("renewer versions www",),
        ),
        "copies": Listed(
            "copies", "List the files that follow certificates; remove those no longer named.", ()
        ),
        "rename": Listed(
            "versions:rename",
            "Let a certificate's versions follow its new name in the configuration.",
            ("renewer rename www shop",),
        ),
        "forget": Listed(
            "versions:forget",
            "Delete what is on disk of a certificate that no configuration names.",
            ("renewer forget www",),
        ),
    },
    "What else is at work": {
        "account": Listed("account", "Look after the accounts at the authorities.", ()),
        "hooks": Listed("hooks", "List, show or copy the shipped deploy hooks; try a hook out.", ()),
        "extras": Listed(
            "docs:extras", "Say what may be added to this installation, and how.", ("renewer extras",)
        ),
        "notify": Listed("notify", "Try the channels that tell people.", ()),
        "acme-dns": Listed(
            "acme_dns", "Make accounts at an acme-dns server, and say which CNAMEs they need.", ()
        ),
    },
}
"""By task, in the order in which people meet them."""

COMMANDS = {name: one for group in GROUPS.values() for name, one in group.items()}

OF_FAMILIES = {
    "account deactivate": ("renewer account deactivate zerossl",),
    "account recover": ("renewer account recover letsencrypt --key /root/account-key.pem",),
    "account register": ("renewer account register letsencrypt",),
    "account rollover": ("renewer account rollover letsencrypt",),
    "account show": ("renewer account show",),
    "acme-dns register": ("renewer acme-dns register www",),
    "acme-dns show": ("renewer acme-dns show",),
    "challenge clean": ("renewer challenge clean www",),
    "challenge show": ("renewer challenge show www",),
    "challenge snippet": ("renewer challenge snippet nginx",),
    "config check": ("renewer config check", "renewer --config ./new.toml config check"),
    "config schema": ("renewer config schema > renewer.schema.json",),
    "copies clean": ("renewer copies clean www",),
    "copies list": ("renewer copies list",),
    "hooks copy": ("renewer hooks copy nginx /usr/local/sbin/reload-nginx",),
    "hooks list": ("renewer hooks list",),
    "hooks show": ("renewer hooks show postfix",),
    "hooks test": ("renewer hooks test nginx",),
    "notify test": ("renewer notify test ops",),
    "timer install": ("renewer timer install", "renewer timer install --print"),
    "timer remove": ("renewer timer remove",),
    "timer show": ("renewer timer show",),
}
"""The examples of commands that stand below another."""


class LazyGroup(click.Group):
    """A group whose commands' modules are imported only when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """The commands, in the order in which people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """Import the command's module and take the attribute from it: `command`, if none is named."""
        if cmd_name not in COMMANDS:
            return None
        place, _, attribute = COMMANDS[cmd_name].place.partition(":")
        command: click.Command = getattr(import_module(f"renewer.cli.{place}"), attribute or "command")
        _complete(command, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        """List the commands by task, without importing them."""
        widest = max(map(len, COMMANDS))
        for title, group in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(widest), one.says) for name, one in group.items()])
        with formatter.section("For example"):
            rows = [
                (command, says) for command, says in _FIRST_STEPS.items() if command.split()[1] in COMMANDS
            ]
            formatter.write_dl(rows, col_max=40)
        formatter.write_paragraph()
        formatter.write_text("Each command has a help of its own, with examples: renewer run --help")


_FIRST_STEPS = {
    "renewer init": "a configuration from what is here",
    "renewer config check": "is it right, and the world as it says?",
    "renewer run": "order, install and load what is due",
    "renewer timer install": "from now on without you",
    "renewer status": "is all well? If not: what to type",
    "renewer check www.example.org": "what does that port serve?",
    "renewer log www --last": "what happened to that certificate?",
}


def _complete(command: click.Command, path: str) -> None:
    """Give a command, and those below it, their examples and the options that all have; once."""
    if any(param.name == "config_here" for param in command.params):
        return
    command.params += [_config_here(), _verbose_here()]
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            _complete(below, f"{path} {name}")
        return
    examples = COMMANDS[path].examples if path in COMMANDS else OF_FAMILIES.get(path, ())
    if examples:
        title = "Example" if len(examples) == 1 else "Examples"
        command.epilog = "\n".join(("\b", f"{title}:", *(f"  {one}" for one in examples)))


def _config_here() -> click.Option:
    return click.Option(
        ["--config", "config_here"],
        metavar="FILE",
        type=click.Path(),
        expose_value=False,
        callback=_other_config,
        help="The configuration; as before the command.",
    )


def _verbose_here() -> click.Option:
    return click.Option(
        ["-v", "--verbose", "verbose_here"],
        count=True,
        expose_value=False,
        callback=_louder,
        help="Explain every decision; as before the command.",
    )


def _other_config(ctx: click.Context, param: click.Parameter, value: str | None) -> None:  # noqa: ARG001  click's signature
    if value is not None:
        root = ctx.find_root()
        root.params.update(config_path=value)
        if isinstance(root.obj, screen.Setup):
            root.obj.config_path = value


def _louder(ctx: click.Context, param: click.Parameter, value: int) -> None:  # noqa: ARG001  click's signature
    setup = ctx.find_root().obj
    if value and isinstance(setup, screen.Setup):
        setup.verbose += value
