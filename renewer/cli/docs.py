"""`renewer docs` and `renewer extras`: what came with the program, and what may be added to it."""

import importlib.util
import os
import re
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from typing import NamedTuple

import click

from renewer import words
from renewer.cli import screen
from renewer.errors import UsageError
from renewer.model.value import Value

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_FIRST = ("readme", "operations", "configuration", "hooks", "changelog")


def pages() -> Mapping[str, str]:
    """Topics and their files: inside an installed package, or beside the package in the source tree."""
    installed = os.path.join(_PACKAGE, "shipped_docs")
    if os.path.isdir(installed):
        places = [installed]
    else:
        places = [os.path.join(os.path.dirname(_PACKAGE), "docs"), os.path.dirname(_PACKAGE)]
    found: dict[str, str] = {}
    for place in places:
        for root, directories, files in os.walk(place):
            # of a source tree only what an installation has, too
            directories[:] = sorted(directories) if place == places[0] else []
            for file in sorted(files):
                name, extension = os.path.splitext(os.path.relpath(os.path.join(root, file), place))
                if extension == ".md" or file == "config.example.toml":
                    found.setdefault(name.lower(), os.path.join(root, file))
    return {topic: found[topic] for topic in (*(one for one in _FIRST if one in found), *sorted(found))}


def _complete(context: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001  click's signature
    return [topic for topic in pages() if topic.startswith(incomplete.lower())]


@click.command("docs")
@click.argument("topic", required=False, shell_complete=_complete)
@click.option("--where", is_flag=True, help="Print the path of the file, or of all of them.")
def command(topic: str | None, *, where: bool) -> int:
    """Read the documentation that came with this version; without TOPIC, list what there is.

    What is no topic is looked for in the headings of all pages.
    """
    found = pages()
    if topic is None:
        for name, path in found.items():
            screen.out(path if where else f"{name}\t{_title(path)}")
        return screen.OK
    page = topic.lower().removesuffix(".md").removeprefix("docs/")
    if page not in found:
        return _look_for(topic, found)
    path = found[page]
    if where:
        screen.out(path)
        return screen.OK
    text = _read(path)
    if screen.is_terminal() and path.endswith(".md"):
        from rich.console import Console
        from rich.markdown import Markdown

        Console(highlight=False).print(Markdown(text))
    else:
        screen.out(text.rstrip("\n"))
    return screen.OK


def _look_for(topic: str, found: Mapping[str, str]) -> int:
    """Name the headings that hold these words."""
    hits = [
        f"{name}\t{line.lstrip('# ').strip()}"
        for name, path in found.items()
        for line in _read(path).splitlines()
        if re.match(r"#{1,4} ", line) and topic.lower() in line.lower()
    ]
    if not hits:
        near = get_close_matches(topic.lower(), list(found), n=1)
        raise UsageError(
            f"there is no page on {words.line(topic)}, and no heading has it",
            hint=f"renewer docs {near[0]}" if near else "what there is: renewer docs",
        )
    for hit in hits:
        screen.out(hit)
    screen.say("no page has that name; these have such a heading: renewer docs PAGE")
    return screen.OK


def _title(path: str) -> str:
    first = next((line for line in _read(path).splitlines() if line.strip()), "")
    return first.lstrip("# ").strip()


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


# --- extras -----------------------------------------------------------------------------------------------

PACKAGED = "/usr/lib/renewer"
"""Where the Debian package keeps its modules."""
ADDED = "/usr/local/lib/renewer"
"""Where that package looks for others, a directory for each Python."""


class Extra(NamedTuple):
    """A part that may be added: the module that shows it is there, what to ask the index for, its use."""

    module: str
    requirement: str
    says: str


class Offered(Value):
    """An extra as it stands here: whether it is there, what for, and the command that adds it."""

    name: str
    installed: bool
    purpose: str
    command: str


EXTRAS = {
    "apprise": Extra("apprise", "apprise>=1.9", "notices to chat, push and pager services"),
    "fleet": Extra("psycopg", "psycopg[binary]>=3.2", "a ledger shared by several hosts, in PostgreSQL"),
    "lexicon": Extra("lexicon", "dns-lexicon>=3.20", "about ninety DNS providers"),
}


def how(requirement: str) -> str:
    """The command that adds it to the Python that runs this."""
    if sys.prefix == PACKAGED or os.path.realpath(sys.prefix) == PACKAGED:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        return f"python3 -m pip install --upgrade --target {ADDED}/python{version} '{requirement}'"
    if os.sep + os.path.join("pipx", "venvs") + os.sep in sys.prefix + os.sep:
        return f"pipx inject renewer '{requirement}'"
    return f"{sys.executable} -m pip install '{requirement}'"


@click.command("extras")
@screen.json_option
def extras(*, as_json: bool) -> int:
    """List the parts that are not always installed, and the command that adds each to this installation.

    Nothing is installed by this command. The Debian package needs python3-pip for it, and the command again
    after an upgrade of the system that brings another Python.
    """
    rows = [
        Offered(
            name=name, installed=_is_there(extra.module), purpose=extra.says, command=how(extra.requirement)
        )
        for name, extra in EXTRAS.items()
    ]
    if as_json:
        screen.emit({"schema": screen.SCHEMA, "extras": rows})
        return screen.OK
    for row in rows:
        screen.out(f"{row.name}: {'installed' if row.installed else 'not installed'} ({row.purpose})")
        if not row.installed:
            screen.out(f"    → {row.command}")
    return screen.OK


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
