"""What a system shows of us: man pages, completions and the shipped documentation."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from renewer.cli import docs
from renewer.cli.app import group
from renewer.config.schema import json_schema
from renewer.errors import UsageError
from tests.package.debian import CHECKOUT, script


@pytest.fixture(scope="module")
def usr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What lies below /usr."""
    place = tmp_path_factory.mktemp("usr")
    script("manual").write(place)
    return place


def _commands(command: click.Command, path: str = "renewer") -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _commands(below, f"{path}-{name}")


def test_every_command_has_a_page_that_says_all_of_it(usr: Path) -> None:
    """Each option of each command stands in the page of its name; there is no other page."""
    commands = dict(_commands(group))
    pages = {path.name.removesuffix(".1"): path for path in (usr / "share/man/man1").iterdir()}

    assert set(pages) == set(commands)
    for name, command in commands.items():
        text = pages[name].read_text()
        assert (
            f"renewer\\-{name.removeprefix('renewer-').replace('-', chr(92) + '-')}" in text
            or name == "renewer"
        )
        for option in (one for param in command.params for one in param.opts if one.startswith("--")):
            assert option.replace("-", "\\-") in text, (name, option)


def test_the_page_on_the_configuration_has_every_key(usr: Path) -> None:
    """Of every table of the schema, with what it is for."""
    text = (usr / "share/man/man5/renewer.toml.5").read_text()
    for table in json_schema()["$defs"].values():  # type: ignore[attr-defined]
        for key in table.get("properties", {}):
            assert f"\\fB{key}\\fR (" in text or f".SH {key}" in text or f".SH [{key}" in text, key


def test_mandoc_has_nothing_to_say(usr: Path) -> None:
    """Neither an error nor a warning, nor a question of style."""
    pages = sorted(map(str, (usr / "share/man").rglob("*.[15]")))
    done = subprocess.run(["mandoc", "-Tlint", *pages], capture_output=True, text=True, check=False)

    assert done.stdout + done.stderr == ""


@pytest.fixture
def shop(tmp_path: Path) -> dict[str, str]:
    """An environment in which `renewer` is ours, and a configuration with two certificates."""
    config = tmp_path / "config.toml"
    config.write_text(
        '[defaults]\nauthority = "letsencrypt"\ncontact = ["a@example.org"]\nagree_terms = true\n'
        'challenge = { type = "http-01", webroot = "/tmp" }\n'
        '[certificate.shop]\nnames = ["shop.example.org"]\n[certificate.shed]\nnames = ["shed.example.org"]\n'
    )
    path = f"{CHECKOUT / '.venv' / 'bin'}:/usr/bin:/bin"
    return {"PATH": path, "RENEWER_CONFIG": str(config), "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}


ASKED = {
    "bash": 'source "$0"\nCOMP_WORDS=(renewer run sh)\nCOMP_CWORD=2\n'
    '_renewer_completion renewer\necho "${COMPREPLY[@]}"',
    "zsh": "compdef() { :; }; compadd() { print -l -- $completions; }; _describe() { print -l -- ${(P)3}; }\n"
    'words=(renewer run sh); CURRENT=3; source "$0"; _renewer_completion',
    "fish": 'source $argv[1]; complete -C "renewer run sh"',
}


@pytest.mark.parametrize("shell", ASKED)
def test_each_shell_completes_the_names_of_certificates(usr: Path, shop: dict[str, str], shell: str) -> None:
    """The script as it is shipped, in the real shell: commands, and what the configuration names."""
    place = dict(script("manual").COMPLETIONS)[shell]
    done = subprocess.run(
        [shell, *(("--no-config",) if shell == "fish" else ()), "-c", ASKED[shell], str(usr / place)],
        env=shop,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert {"shop", "shed"} <= set(done.stdout.split()), done.stdout + done.stderr


# --- renewer docs -----------------------------------------------------------------------------------------


def test_the_documentation_is_at_hand() -> None:
    """Every page is listed with its title, and printed as it is where nobody looks at a terminal."""
    listed = CliRunner().invoke(group, ["docs"]).stdout
    topics = dict(line.split("\t", 1) for line in listed.splitlines())

    written = {str(path.relative_to(CHECKOUT / "docs"))[:-3] for path in (CHECKOUT / "docs").rglob("*.md")}
    assert written | {"readme", "changelog", "config.example"} == set(topics)
    assert topics["hooks"] == "Hooks"
    page = CliRunner().invoke(group, ["docs", "Operations"]).stdout
    assert page.rstrip("\n") == (CHECKOUT / "docs/operations.md").read_text("utf-8").rstrip("\n")
    where = CliRunner().invoke(group, ["docs", "--where", "hooks"]).stdout.strip()
    assert Path(where) == CHECKOUT / "docs" / "hooks.md"


def test_what_is_no_topic_is_looked_for() -> None:
    """In headings; what nobody has heard of ends with what to type."""
    found = CliRunner().invoke(group, ["docs", "backup"])
    assert "operations\tBackup" in found.stdout
    lost = CliRunner().invoke(group, ["docs", "operatons"], standalone_mode=False)
    assert isinstance(lost.exception, UsageError)
    assert lost.exception.hint == "renewer docs operations"


def test_an_installed_one_reads_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was shipped beside the package is what is shown."""
    shipped = tmp_path / "shipped_docs"
    shipped.mkdir()
    (shipped / "only.md").write_text("# Only this\n")
    monkeypatch.setattr(docs, "_PACKAGE", str(tmp_path))

    assert CliRunner().invoke(group, ["docs"]).stdout == "only\tOnly this\n"
    assert os.listdir(shipped) == ["only.md"]
