"""Every command line of the documentation is one: read by the program's own parser, by a shell, and run."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from renewer.cli.app import group
from renewer.errors import RenewerError
from tests import toml
from tests.servers.pebble import Pebble

CHECKOUT = Path(__file__).parents[1]
PAGES = sorted([CHECKOUT / "README.md", *CHECKOUT.glob("docs/**/*.md"), *CHECKOUT.glob("packaging/**/*.md")])
_FENCE = re.compile(r"^```(sh|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)

# Words that stand for what a reader puts there.
_STANDS = {
    "NAME": "www",
    "NAME…": "www",
    "OLD": "www",
    "X": "ops",
    "AUTHORITY": "pebble",
    "V": "1",
    "…": "www",
}


def _blocks() -> Iterator[tuple[str, str]]:
    """What is to be typed into a shell: the page, and a whole block, of a console what follows the prompt."""
    for page in PAGES:
        for kind, block in _FENCE.findall(page.read_text("utf-8")):
            lines = block.splitlines()
            if kind == "console":
                lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
            yield page.name, "\n".join(lines) + "\n"


def _typed() -> dict[tuple[str, ...], str]:
    """Every call of renewer in blocks and in the text, as words; the page that has it."""
    found: dict[tuple[str, ...], str] = {}
    for name, block in _blocks():
        for line in block.splitlines():
            if re.match(r"\s*renewer ", line):
                words = shlex.split(line, comments=True)
                found.setdefault(tuple(words[: words.index(">")] if ">" in words else words), name)
    for page in PAGES:
        text = _FENCE.sub("", page.read_text("utf-8"))
        text = text.replace("--reason …", "--reason keyCompromise")
        for line in re.findall(r"`(renewer [^`]*)`", text):
            found.setdefault(tuple(shlex.split(line.replace("[", " ").replace("]", " "))), page.name)
    return {tuple(_STANDS.get(word, word) for word in words): page for words, page in found.items()}


TYPED = sorted(_typed())


@pytest.mark.parametrize("words", TYPED, ids=" ".join)
def test_the_parser_takes_it(words: tuple[str, ...]) -> None:
    """There is such a command, with such options, and so many names."""
    command: click.Command = group
    context = click.Context(group, info_name="renewer")
    rest = list(words[1:])
    while rest and rest[0].startswith("-"):  # before the command: --config FILE, -v
        rest = rest[2:] if rest[0] == "--config" else rest[1:]
    while isinstance(command, click.Group) and rest:
        below = command.get_command(context, rest.pop(0))
        assert below is not None, words
        command = below
    if isinstance(command, click.Group):
        return  # a family is named, with nothing to be done
    needed = [param.name for param in command.params if isinstance(param, click.Argument) and param.required]
    if needed and not rest:
        return  # the text speaks of the command
    command.make_parser(click.Context(command)).parse_args(args=rest)


def test_a_shell_takes_every_block() -> None:
    """As `sh -n` reads it, with what is put for the reader's own."""
    for page, block in _blocks():
        done = subprocess.run(["/bin/bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (page, block, done.stderr)


# --- run --------------------------------------------------------------------------------------------------

# Run elsewhere, for they change the host (tests/moving, tests/cli, tests/package); or without an end.
_ELSEWHERE = {"timer", "import", "takeover", "init", "rename", "forget", "acme-dns"}
_ENDLESS = {"--watch", "--follow"}
_FOR_TESTS = ("account deactivate", "account rollover", "account recover", "hooks copy", "challenge snippet")


def _to_run() -> Iterator[tuple[str, ...]]:
    for words in TYPED:
        rest = words[1:]
        while rest and rest[0].startswith("-"):
            rest = rest[2:] if rest[0] == "--config" else rest[1:]
        if not rest or rest[0] in _ELSEWHERE or _ENDLESS & set(rest) or " ".join(rest[:2]) in _FOR_TESTS:
            continue
        yield rest


@pytest.fixture(scope="module")
def host(pebble: Pebble, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration that the documentation speaks of: its names, a hook, a channel, an authority."""
    place = tmp_path_factory.mktemp("docs")
    (place / "html").mkdir()
    hook = place / "nginx"
    hook.write_text("#!/bin/sh\nexit 0\n")
    hook.chmod(0o755)
    common: dict[str, object] = {
        "names": ["www.example.org"],
        "profile": "default",
        "hooks": ["nginx"],
        "endpoints": [],
    }
    reached = {"directory": pebble.directory, "ca_bundle": pebble.ca_bundle, "agree_terms": True}
    tables: dict[str, dict[str, object]] = {
        "agent": {"state": place / "state", "preflight": "off"},
        "authority.pebble": {**reached, "staging": pebble.directory, "contact": ["ops@example.org"]},
        "authority.letsencrypt": {
            "directory": pebble.directory,
            "ca_bundle": pebble.ca_bundle,
            "agree_terms": True,
        },
        "authority.letsencrypt-staging": {
            "directory": pebble.directory,
            "ca_bundle": pebble.ca_bundle,
            "agree_terms": True,
        },
        "defaults": {
            "authority": "pebble",
            "challenge": {"type": "http-01", "listen": f"127.0.0.1:{pebble.http_port}"},
        },
        "certificate.www": common,
        "hook.nginx": {"run": hook},
        "notify.ops": {"type": "command", "run": ["/bin/true"]},
    }
    config = place / "config.toml"
    config.write_text(toml.tables(tables))
    config.chmod(0o600)
    return config


def test_it_runs(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that is printed in the documentation is refused as usage, and none ends in a defect."""
    monkeypatch.chdir(host.parent)
    first = CliRunner().invoke(group, ["--config", str(host), "run"], standalone_mode=False)
    assert first.return_value == 0, first.output
    wrong = []
    for words in _to_run():
        done = CliRunner().invoke(group, ["--config", str(host), *words], standalone_mode=False, input="")
        if isinstance(done.exception, click.MissingParameter):
            continue  # the text speaks of the command
        told = done.exception is None or isinstance(done.exception, (RenewerError, click.ClickException))
        if not told or isinstance(done.exception, click.UsageError) or done.return_value == 2:
            wrong.append((" ".join(words), done.exception, done.output[-300:]))
    assert wrong == []
