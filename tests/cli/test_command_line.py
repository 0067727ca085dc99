"""The command line: commands by task, an example each, and what to type instead of what there is not."""

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from renewer.cli.app import _run, group
from renewer.cli.commands import COMMANDS, GROUPS

CONFIG = """\
[agent]
host = "web-1"
state = "{0}/state"
[defaults]
authority = "letsencrypt"
agree_terms = true
challenge = {{ type = "http-01", webroot = "{0}" }}
[certificate.www]
names = ["example.org", "www.example.org"]
[certificate.mail]
names = ["mail.example.org"]
hooks = ["nginx"]
endpoints = []
"""

Typed = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration that is read unless another is named."""
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(tmp_path))
    path.chmod(0o644)
    monkeypatch.setenv("RENEWER_CONFIG", str(path))
    return path


@pytest.fixture
def typed(config: Path, capsys: pytest.CaptureFixture[str]) -> Typed:  # noqa: ARG001  it must be there
    """Type a command: how it ended, what it said to stdout and to stderr."""

    def typed(line: str) -> tuple[int, str, str]:
        code = _run(shlex.split(line))
        return code, *capsys.readouterr()

    return typed


def _leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield " ".join(path), command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        yield from _leaves(below, (*path, name))


def test_help_has_every_command_once_and_by_task(typed: Typed) -> None:
    """Each stands below its task, with a line of help, and examples end the page."""
    code, out, _ = typed("--help")

    assert code == 0
    places = [out.index(f"\n{title}:\n") for title in GROUPS]
    assert places == sorted(places)
    for name, one in COMMANDS.items():
        (line,) = [line for line in out.splitlines() if line.split()[:1] == [name] and line.startswith("  ")]
        assert one.says.split()[0] in line
    assert "\nFor example:\n" in out
    assert "renewer timer install" in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("path", "command"), [*_leaves(group)], ids=lambda one: one if isinstance(one, str) else ""
)
def test_every_command_has_an_example_that_can_be_typed(
    path: str, command: click.Command, typed: Typed
) -> None:
    """Its own help shows it, and the command line takes it."""
    _, out, _ = typed(f"{path} --help")
    _, _, shown = out.partition("\n  Example")
    examples = [line.strip() for line in shown.splitlines()[1:] if line.strip()]

    assert examples
    for example in examples:
        words = shlex.split(example.partition(" > ")[0])
        assert words[0] == "renewer"
        assert path in example
        arguments = words[1:]
        while arguments[: len(path.split())] != path.split():
            arguments = arguments[1:]  # options before the command
        command.make_context(path, arguments[len(path.split()) :], resilient_parsing=False, obj=None)


MISTAKES = {
    "statsu --look": ("No such command 'statsu'", "did you mean: renewer status --look"),
    "rnu": ("No such command 'rnu'", "renewer run"),
    "list": ("No such command 'list'", "renewer status"),
    "renew": ("No such command 'renew'", "renewer run"),
    "certonly -d example.org": ("No such command 'certonly'", "[certificate.www]", "renewer run"),
    "install": ("No such command 'install'", "renewer timer install"),
    "delete www": ("No such command 'delete'", "renewer forget NAME"),
    "help": ("No such command 'help'", "renewer --help"),
    "show": ("No such command 'show'", "renewer account show", "renewer hooks show"),
    "qqqq": ("No such command 'qqqq'", "renewer --help"),
    "www": ("No such command 'www'", "'www' is a certificate", "renewer status www", "renewer run www"),
    "www.example.org": (
        "is a name of the certificate 'www'",
        "renewer run www",
        "renewer check www.example.org",
    ),
    "https://shop.example.net": ("No such command", "renewer check https://shop.example.net"),
    "run ww": ("there is no certificate 'ww'", "did you mean www?"),
    "run www.example.org": ("there is no certificate 'www.example.org'", "stands in www"),
    "challenge show example.org": ("there is no certificate 'example.org'", "stands in www"),
    "ack mial": ("there is no certificate 'mial'", "did you mean mail?"),
    "--look status": ("No such option '--look'", "it stands behind its command: renewer status --look"),
    "--force run www": ("No such option '--force'", "renewer run www --force"),
    "--only www plan": ("No such option '--only'", "renewer plan --only www"),
    "--since=7d log www": ("No such option '--since'", "renewer log www --since=7d"),
    "timer --print install": ("No such option '--print'", "renewer timer install --print"),
    "status --force": ("No such option '--force'", "--force goes with: renewer run"),
    "status --version": ("No such option '--version'", "it stands alone: renewer --version"),
    "run --onyl www": ("No such option '--onyl'", "did you mean: --only"),
    "run --dry-run": ("No such option '--dry-run'", "renewer plan", "renewer rehearse"),
    "run --force-renewal": ("No such option '--force-renewal'", "renewer run --force NAME"),
    "run -d example.org": ("No such option '-d'", "it stands in the configuration"),
    "run --only": ("'--only' requires an argument", "as renewer run --only NAME"),
    "config check other.toml": ("other.toml", "renewer --config other.toml config check"),
    "report www": ("unexpected extra argument (www)", "'www' is a certificate: renewer status www"),
    "versions www mail": ("unexpected extra argument (mail)", "one at a time: renewer versions mail"),
    "rollback": ("Missing argument 'NAME'", "renewer rollback www", "there are: www, mail"),
    "import": ("Missing argument", "renewer import certbot --dry-run"),
    "hooks lst": ("No such command 'lst'", "did you mean: renewer hooks list"),
    "hooks nginx": ("No such command 'nginx'", "renewer hooks test nginx"),
    "challenge www": ("No such command 'www'", "renewer challenge show www"),
    "account run": ("No such command 'run'", "did you mean: renewer run"),
}


@pytest.mark.parametrize("line", MISTAKES)
def test_mistakes_in_the_command_line(line: str, typed: Typed) -> None:
    """What is wrong, what to type instead, exit 2; and the same for programs."""
    code, out, err = typed(line)
    assert (code, out) == (2, "")
    for words in MISTAKES[line]:
        assert words in err
    first, second = err.splitlines()[0], err.splitlines()[-1]
    assert first.startswith("renewer: ")
    assert second.startswith("  → ")

    code, out, err = typed(f"{line} --json")
    assert (code, err) == (2, "")
    (fault,) = json.loads(out)["error"]["faults"]
    assert fault["hint"]


def test_suggestions_need_no_configuration(
    typed: Typed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where none can be read, the rest is told all the same."""
    monkeypatch.setenv("RENEWER_CONFIG", str(tmp_path / "none.toml"))
    assert "did you mean: renewer status" in typed("statsu")[2]
    assert "renewer rollback www" in typed("rollback")[2]
    assert "the commands: renewer --help" in typed("www")[2]


@pytest.mark.parametrize(
    "line",
    [
        "--config {} config check",
        "config --config {} check",
        "config check --config {}",
        "config check --config={}",
        "config check --json --config {}",
    ],
)
def test_the_configuration_is_named_anywhere(line: str, typed: Typed, tmp_path: Path, config: Path) -> None:
    """Before the command, between a family and its command, and behind."""
    other = tmp_path / "other.toml"
    other.write_text(
        config.read_text().replace("[certificate.mail]", "[certificate.post]") + '[hook.x]\nrn = "/x"\n'
    )
    code, out, err = typed(line.format(other))
    assert code == 2
    assert f"{other}" in out + err


def test_louder_behind_the_command_too(typed: Typed) -> None:
    """-v is taken where it is written."""
    assert "reason: " in typed("plan -v")[1]
    assert typed("plan -v") == typed("-v plan")


def test_names_are_completed_from_the_configuration_named_behind(tmp_path: Path, config: Path) -> None:
    """Also those of a configuration that stands behind the command."""
    other = tmp_path / "other.toml"
    other.write_text(config.read_text().replace("[certificate.mail]", "[certificate.mx]"))
    complete = ShellComplete(group, {}, "renewer", "_RENEWER_COMPLETE")

    def offered(*words: str) -> list[str]:
        return [one.value for one in complete.get_completions([*words], "m")]

    for command in ("run", "status", "deploy", "rollback", "versions", "log", "doctor", "rehearse", "ack"):
        assert offered(command) == ["mail"]
    assert offered("run", "--config", str(other)) == ["mx"]
    assert offered("challenge", "show") == ["mail"]
    assert offered("copies", "list") == ["mail"]


HOOKS = {
    'hooks = ["systemctl reload nginx"]': (
        "certificate.www.hooks[0]",
        "is a command, and hooks are named here",
        'hooks = ["nginx"]',
        'write [hook.reload-nginx] with run = ["/',
        'systemctl", "reload", "nginx"], and here hooks = ["reload-nginx"]',
    ),
    'hooks = ["/usr/local/sbin/put.sh"]': ('[hook.put] with run = ["/usr/local/sbin/put.sh"]',),
    'hooks = ["cat a b | nc mx 25"]': ('run = ["/bin/sh", "-c", "cat a b | nc mx 25"]',),
    'hooks = ["x"]\n[hook.x]\nrun = "systemctl reload nginx"': (
        "hook.x.run",
        "and each word stands by itself",
        'systemctl", "reload", "nginx"]',
    ),
    'hooks = ["x"]\n[hook.x]\nrun = "/bin/sh reload"': ('run = ["/bin/sh", "reload"]',),
    'hooks = ["x"]\n[hook.x]\nrun = ["systemctl reload nginx"]': ('systemctl", "reload", "nginx"]',),
    'hooks = ["x"]\n[hook.x]\nrun = ["service", "nginx", "reload"]': ('service", "nginx", "reload"]',),
}


@pytest.mark.parametrize("text", HOOKS)
def test_a_command_in_the_place_of_a_hook(text: str, typed: Typed, config: Path) -> None:
    """How it is written is told, with the program's path."""
    config.write_text(
        CONFIG.format(config.parent)
        .replace('hooks = ["nginx"]\n', "")
        .replace("[certificate.mail]", f"{text}\n[certificate.mail]")
    )
    code, _, err = typed("config check")
    assert code == 2
    for words in HOOKS[text]:
        assert words in err
