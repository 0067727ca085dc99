"""A command line that is none: what was probably meant, as somebody could type it. Loaded only then."""

import os.path
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

from renewer.cli import screen
from renewer.cli.commands import COMMANDS, DEFAULT_CONFIG, OF_FAMILIES
from renewer.errors import RenewerError, UsageError

if TYPE_CHECKING:
    from renewer.model.desired import Config

_COMMAND = re.compile(r"No such command '(.*?)'")
_EXTRA = re.compile(r"Got unexpected extra arguments? \((.*)\)")
_GUESS = re.compile(r"\s*\(?(?:Possible options:|Did you mean ).*$", re.DOTALL)

# What other programs call it, and what that is here.
_ELSEWHERE = {
    word: here
    for here, theirs in {
        "renewer status": "list ls certificates certs info",
        "renewer run; one of them: renewer run NAME": "renew cron update renew-all",
        "names stand in the configuration, as [certificate.www]; then: renewer run": (
            "certonly issue obtain order new add create certify enroll"
        ),
        "take it out of the configuration, then: renewer forget NAME": "delete remove rm",
        "renewer timer install": "service daemon schedule install enable",
        "renewer timer remove": "uninstall disable",
        "renewer config check; the issuance: renewer rehearse": "validate lint test configtest",
        "renewer plan; at the authority's staging: renewer rehearse": "dry-run dryrun preview",
        "renewer deploy NAME": "reload install-cert deploy-hook",
        "renewer log": "logs history journal",
        "renewer discover": "scan find",
        "renewer check HOST; what is configured: renewer status --look": "verify probe look",
        "renewer account show": "register unregister accounts",
        "renewer rollback NAME": "undo restore revert",
        "renewer page --out FILE": "dashboard html",
        "renewer --help; of a command: renewer run --help": "help man",
        "renewer --version": "version",
        "renewer notify test": "ping",
        "renewer copies clean; of a certificate that is not configured: renewer forget NAME": "prune",
    }.items()
    for word in theirs.split()
}
_OPTIONS_ELSEWHERE = {
    word: here
    for here, theirs in {
        "renewer plan; at the authority's staging: renewer rehearse": "--dry-run",
        "renewer run --force NAME": "--force-renewal",
        "renewer run NAME": "--renew",
        "renewer rehearse; or `authority` in the configuration": "--staging --test-cert --test",
        "it stands in the configuration (config.example.toml has every key); then: renewer run": (
            "-d --domain --domains --webroot -w --standalone --email -m --server --dns --agree-tos --nginx "
            "--apache --key-type --preferred-chain --deploy-hook"
        ),
        "names stand behind the command: renewer run NAME": "--cert-name --certificate --name -n",
        "not needed: what is no terminal is asked nothing": "--quiet -q --non-interactive --batch",
        "renewer -v run": "--debug",
        "renewer --config FILE": "-c",
    }.items()
    for word in theirs.split()
}


def tell(error: click.ClickException, argv: Sequence[str], group: click.Group, *, as_json: bool) -> int:
    """Tell that the command line is wrong, and what to type instead; how to exit."""
    if type(error).__name__ == "NoArgsIsHelpError" and not as_json:
        error.show(file=sys.stderr)
        return screen.USAGE
    words = _without_config(argv)
    context = getattr(error, "ctx", None) or _context(words, group)
    told = UsageError(plain(error), hint=_hint(error, context, words), kind="usage")
    return screen.fault(told, as_json=as_json, code=screen.USAGE)


def plain(error: click.ClickException) -> str:
    """What is wrong, without what click guesses."""
    return _GUESS.sub("", error.format_message()).strip()


def _hint(error: click.ClickException, context: click.Context, words: Sequence[str]) -> str:
    text = plain(error)
    if match := _COMMAND.search(text):
        return _command(context, match[1], words)
    if isinstance(error, click.NoSuchOption):
        return _option(context, error.option_name, words)
    if match := _EXTRA.search(text):
        return _extra(context, match[1].split())
    if isinstance(error, click.MissingParameter):
        return _missing(context, error.param)
    asked = _options(context.command).get(getattr(error, "option_name", None) or "")
    typed = f"as {context.command_path} {asked.opts[-1]} {asked.make_metavar(context)}" if asked else ""
    return typed or _help(context)


def _context(words: Sequence[str], group: click.Group) -> click.Context:
    """Where the words lead to: of click's errors some do not say it."""
    context = click.Context(group, info_name="renewer")
    for word in words:
        here = context.command
        if isinstance(here, click.Group) and (below := here.get_command(context, word)) is not None:
            context = click.Context(below, info_name=word, parent=context)
    return context


def _help(context: click.Context) -> str:
    path = " ".join(_path(context))
    examples = COMMANDS[path].examples if path in COMMANDS else OF_FAMILIES.get(path, ())
    asked = f"{context.command_path} --help"
    return f"for example: {examples[0]}; all of it: {asked}" if examples else asked


def _without_config(argv: Sequence[str]) -> list[str]:
    words, given = [], iter(argv)
    for word in given:
        if word == "--config":
            next(given, None)
        elif not word.startswith("--config="):
            words.append(word)
    return words


# --- a word that is no command ------------------------------------------------------------------------------


def _command(context: click.Context, word: str, words: Sequence[str]) -> str:
    rest = " ".join(("", *words[words.index(word) + 1 :])) if word in words else ""
    if context.parent is not None:  # of a family
        return _below(context, word, rest)
    return _name(context, word) or _near(word, rest) or "the commands: renewer --help"


def _near(word: str, rest: str) -> str:
    """A command that is called nearly so, here or elsewhere; "" if there is none."""
    families = [f"renewer {path}" for path in OF_FAMILIES if path.split()[1] == word]
    ways = (
        *(f"renewer {one}{rest}" for one in get_close_matches(word, COMMANDS, 1, 0.75)),
        _ELSEWHERE.get(word, ""),
        ", ".join(families),
        f"renewer check {word}" if "." in word or ":" in word else "",
        *(f"renewer {one}{rest}" for one in get_close_matches(word, COMMANDS, 1)),
        *(_ELSEWHERE[one] for one in get_close_matches(word, _ELSEWHERE, 1)),
    )
    way = next(filter(None, ways), "")
    return f"did you mean: {way}" if way and word not in _ELSEWHERE else _here(way)


def _here(way: str) -> str:
    return f"here that is: {way}" if way.startswith("renewer ") else way


def _below(context: click.Context, word: str, rest: str) -> str:
    family = context.info_name
    known = [path.split()[1] for path in OF_FAMILIES if path.startswith(f"{family} ")]
    if near := get_close_matches(word, known, 1):
        return f"did you mean: renewer {family} {near[0]}{rest}"
    here = f"there are: {', '.join(f'renewer {family} {one}' for one in known)}"
    if word in COMMANDS:
        return f"did you mean: renewer {word}{rest}; {here}"
    if word in _subjects(str(family), context):
        return f"did you mean: renewer {family} {_ASKING.get(str(family), 'show')} {word}; {here}"
    return here


_ASKING = {"hooks": "test", "notify": "test", "copies": "list"}


def _subjects(family: str, context: click.Context) -> Collection[str]:
    """The names of what a family of commands is about."""
    from renewer.config.hooks import shipped_names

    if (config := _config(context)) is None:
        return shipped_names() if family == "hooks" else ()
    if family == "hooks":
        return (*config.hooks, *shipped_names())
    return {"account": config.authorities, "notify": config.channels}.get(family, config.certificates)


def _name(context: click.Context, word: str) -> str:
    """What somebody may want who types the name of a certificate, or one that stands in it."""
    config = _config(context)
    if config is None:
        return ""
    if word in config.certificates:
        return f"'{word}' is a certificate: renewer status {word}, or to have it done now: renewer run {word}"
    for name, wish in config.certificates.items():
        if word.lower() in map(str, wish.names):
            ways = f"renewer run {name}, or look at its port: renewer check {word}"
            return f"'{word}' is a name of the certificate '{name}': {ways}"
    return ""


def _config(context: click.Context) -> "Config | None":
    from renewer.config.load import load

    given = context.find_root().params.get("config_path") or os.environ.get("RENEWER_CONFIG")
    try:
        return load(str(given or DEFAULT_CONFIG))
    except RenewerError:
        return None


# --- an option that is none here ----------------------------------------------------------------------------


def _option(context: click.Context, option: str, words: Sequence[str]) -> str:
    here = context.command
    family = _path(context)
    if isinstance(here, click.Group) and (moved := _moved(context, option, words)):
        return f"it stands behind its command: {moved}"
    if context.parent is not None and option in _options(context.find_root().command):
        return f"it stands alone: renewer {option}"
    others = [path for path, command in _all(context.find_root()) if option in _options(command)]
    near = get_close_matches(option, _options(here), 1, 0.7)
    if near and not others:
        return f"did you mean: {near[0]}"
    if option in _OPTIONS_ELSEWHERE:
        return _here(_OPTIONS_ELSEWHERE[option])
    if others and option.startswith("--"):
        return f"{option} goes with: " + ", ".join(f"renewer {path}" for path in others[:4])
    return f"its options: {' '.join(('renewer', *family, '--help'))}"


def _moved(context: click.Context, option: str, words: Sequence[str]) -> str:
    """The same line with the option behind the command that follows it; "" if that does not know it."""
    index = next((n for n, word in enumerate(words) if word.partition("=")[0] == option), None)
    if index is None:
        return ""
    command: click.Command | None = context.command
    rest = words[index + 1 :]
    for word in rest:
        if isinstance(command, click.Group):
            command = command.get_command(context, word) or command
    found = _options(command).get(option) if command is not None else None
    if found is None:
        return ""
    valued = "=" not in words[index] and not (
        found.is_flag or found.count or getattr(found, "_flag_needs_value", False)
    )
    taken = words[index : index + 1 + valued]
    return " ".join(("renewer", *words[:index], *words[index + len(taken) :], *taken))


def _path(context: click.Context) -> tuple[str, ...]:
    return tuple(context.command_path.split()[1:])


def _options(command: click.Command) -> Mapping[str, click.Option]:
    return {
        word: param
        for param in command.params
        if isinstance(param, click.Option)
        for word in (*param.opts, *param.secondary_opts)
    }


def _all(root: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Every command that can be called, by its path."""
    if not isinstance(root.command, click.Group):
        return
    for name in COMMANDS:
        command = root.command.get_command(root, name)
        if isinstance(command, click.Group):
            yield from ((f"{name} {below}", one) for below, one in command.commands.items())
        elif command is not None:
            yield name, command


# --- arguments too many, or too few -------------------------------------------------------------------------


def _extra(context: click.Context, words: Sequence[str]) -> str:
    path = " ".join(_path(context))
    if path == "config check":
        return f"another configuration: renewer --config {words[0]} config check"
    if os.path.isfile(words[0]):
        return f"a file? renewer --config {words[0]} {path}"
    taken = [param for param in context.command.params if isinstance(param, click.Argument)]
    if taken and taken[0].name in ("name", "authority"):
        return f"one at a time: renewer {path} {words[0]}"
    with_names = [
        name for name, one in COMMANDS.items() if any(f"{name} www" in each for each in one.examples)
    ]
    if said := _name(context, words[0]):
        return f"renewer {path} is about all of them; {said}"
    return f"it takes no name; these do: {', '.join(with_names)}" if not taken else _help(context)


def _missing(context: click.Context, param: click.Parameter | None) -> str:
    if isinstance(param, click.Argument) and param.name in ("name", "names", "old"):
        path = _path(context)
        config = _config(context)
        if config is not None and path[0] == "hooks":
            known = [*config.hooks] or ["renewer hooks list shows the shipped ones"]
        else:
            known = [*config.certificates] if config is not None else []
        if known:
            from renewer.words import several

            return f"as {context.command_path} {known[0]}; there are: {several(known, 12)}"
    return _help(context)
