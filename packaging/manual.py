"""Writes what a system shows of us: man pages of every command and of the configuration, and completions.

    python packaging/manual.py OUT

Both are walked from what the program itself knows, the commands and the schema of the configuration, so none
can say anything else than `--help` and `config schema` do. Below OUT everything lies as it does below /usr.
"""

import inspect
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
_WIDTH = 60
EPOCH = 1764547200  # 2025-12-01: when nobody says when; any fixed moment does
COMPLETIONS = (
    ("bash", "share/bash-completion/completions/renewer"),
    ("zsh", "share/zsh/site-functions/_renewer"),
    ("fish", "share/fish/vendor_completions.d/renewer.fish"),
)
_EXITS = {
    "0": "all is well, or what was asked for is done",
    "1": "something is not well and will be retried, or did not succeed",
    "2": "usage or configuration is wrong; nothing was done",
    "3": "a person must act",
    "75": "another run holds the lock",
}
_FILES = {
    "/etc/renewer/config.toml": "The configuration; see renewer.toml(5).",
    "/var/lib/renewer": "The state: accounts, certificates, keys, the ledger, the log.",
}
_VARIABLES = {
    "RENEWER_CONFIG": "The configuration, as --config.",
    "NO_COLOR": "If set, nothing is coloured.",
}


def write(out: Path) -> list[Path]:
    """Write all of it; the paths relative to `out`."""
    files = {f"share/man/man{name.rpartition('.')[2]}/{name}": text for name, text in pages()}
    files |= {place: completion(shell) for shell, place in COMPLETIONS}
    for place, text in files.items():
        path = out / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return [Path(place) for place in files]


def pages() -> Iterator[tuple[str, str]]:
    """Every page: its file's name and text."""
    from renewer.cli.app import group
    from renewer.config.schema import json_schema

    commands = list(_commands(group, ("renewer",)))
    for path, command in commands:
        yield f"{'-'.join(path)}.1", _command_page(path, command, [other for other, _ in commands])
    yield "renewer.toml.5", _configuration_page(json_schema())


def completion(shell: str) -> str:
    """The script with which a shell asks `renewer` itself what may stand next: certificates' names, too."""
    from click.shell_completion import get_completion_class

    from renewer.cli.app import group

    kind = get_completion_class(shell)
    if kind is None:
        raise ValueError(shell)
    return kind(group, {}, "renewer", "_RENEWER_COMPLETE").source() + "\n"


# --- commands ---------------------------------------------------------------------------------------------


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    import click

    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path[-1])
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                yield from _commands(below, (*path, name))


def _command_page(path: tuple[str, ...], command: Any, others: Sequence[tuple[str, ...]]) -> str:
    import click

    context = click.Context(command, info_name=" ".join(path))
    says, *rest = _paragraphs(command.help)
    head = [
        _title("-".join(path), 1),
        ".SH NAME",
        f"{_plain('-'.join(path))} \\-",
        _sentence(says.rstrip(".")),
    ]
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [*head, ".SH SYNOPSIS", f"\\fB{_plain(' '.join(path))}\\fR {_plain(usage)}", ".SH DESCRIPTION"]
    lines += [*_block(says), *(line for one in rest for line in (".PP", *_block(one)))]
    if isinstance(command, click.Group):
        lines += _below(path, command, context)
    records = [param.get_help_record(context) for param in command.get_params(context)]
    if options := [record for record in records if record and record[1]]:
        lines += [".SH OPTIONS", *_rows(options)]
    if command.epilog:
        lines += [".SH EXAMPLES", *(line for one in _paragraphs(command.epilog)[:] for line in _block(one))]
    if path == ("renewer",):
        lines += [".SH ENVIRONMENT", *_rows(_VARIABLES.items()), ".SH FILES", *_rows(_FILES.items())]
    lines += [".SH EXIT STATUS", *_rows(_EXITS.items()), ".SH SEE ALSO", _see_also(path, others)]
    return "\n".join([*lines, ""])


def _below(path: tuple[str, ...], command: Any, context: Any) -> Iterator[str]:
    from renewer.cli.commands import GROUPS

    if path != ("renewer",):
        yield ".SH COMMANDS"
        yield from _rows(
            (name, command.get_command(context, name).get_short_help_str(200))
            for name in command.list_commands(context)
        )
        return
    for title, group in GROUPS.items():
        yield f".SH {_plain(title.upper())}"
        yield from _rows((name, one.says) for name, one in group.items())


def _see_also(path: tuple[str, ...], others: Sequence[tuple[str, ...]]) -> str:
    near = [other for other in others if other != path and (other[:-1] == path or other == path[:-1])]
    names = sorted("-".join(other) for other in near)
    return ",\n".join(
        f"\\fB{_plain(name)}\\fR({section})"
        for name, section in [*((name, 1) for name in names), ("renewer.toml", 5)]
    )


# --- the configuration ------------------------------------------------------------------------------------


def _configuration_page(schema: Mapping[str, Any]) -> str:
    known: Mapping[str, Any] = schema["$defs"]
    lines = [
        _title("renewer.toml", 5),
        ".SH NAME",
        "renewer.toml \\- the configuration of renewer",
        ".SH DESCRIPTION",
        "A file in TOML, by default",
        "\\fI/etc/renewer/config.toml\\fR,",
        "and what its key \\fBinclude\\fR names.",
        "\\fBrenewer config check\\fR tells every fault at once, with its line.",
        "Spans are written as \\(dq90s\\(dq, \\(dq10m\\(dq, \\(dq6h\\(dq or \\(dq30d\\(dq.",
    ]
    shown: list[str] = []
    for name, part in known["Document"]["properties"].items():
        inner = part.get("additionalProperties")
        tables = [one for one in _named(part if inner is None else inner) if "properties" in known[one]]
        title = f"[{name}]" if inner is None else f"[{name}.NAME]"
        lines += [f".SH {_plain(title if tables else name)}", _sentence(part.get("description", ""))]
        for table in tables:
            if len(tables) > 1:
                lines += [f".SS {_plain(_nice(known, table))}"]
            lines += _keys(known, table)
        shown += tables
    lines += [".SH TABLES WITHIN TABLES"]
    for name, part in known.items():
        if name not in shown and name != "Document" and "properties" in part:
            lines += [
                f".SS {_plain(_nice(known, name))}",
                _sentence(part["description"]),
                *_keys(known, name),
            ]
    return "\n".join([*lines, ".SH SEE ALSO", "\\fBrenewer\\fR(1),", "\\fBrenewer\\-config\\fR(1)", ""])


def _keys(known: Mapping[str, Any], table: str) -> Iterator[str]:
    needed = known[table].get("required", ())
    for key, part in known[table]["properties"].items():
        must = ", required" if key in needed else ""
        kind = " or ".join(dict.fromkeys(_kinds(known, part)))
        yield from (
            ".TP",
            f"\\fB{_plain(key)}\\fR ({_plain(kind)}{must})",
            _sentence(part.get("description", "")),
        )


def _kinds(known: Mapping[str, Any], part: Mapping[str, Any]) -> Iterator[str]:
    """What may stand there, in words."""
    if "anyOf" in part:
        for one in part["anyOf"]:
            yield from _kinds(known, one)
    elif "$ref" in part:
        (name,) = _named(part)
        found = known[name]
        yield _choice(found["enum"]) if "enum" in found else f"a table: {_nice(known, name)}"
    elif "enum" in part:
        yield _choice(part["enum"])
    elif part.get("type") == "array":
        yield "a list"
    elif part.get("type") == "object":
        yield "a table"
    else:
        yield {"string": "text", "integer": "a number", "boolean": "true or false"}[part["type"]]


def _choice(words: Sequence[object]) -> str:
    return " or ".join(f'"{word}"' for word in words)


def _named(part: Mapping[str, Any]) -> list[str]:
    """The definitions that it refers to."""
    if "$ref" in part:
        return [str(part["$ref"]).rpartition("/")[2]]
    return [name for one in part.get("anyOf", ()) for name in _named(one)]


def _nice(known: Mapping[str, Any], name: str) -> str:
    tag = known[name]["properties"].get("type", {}).get("enum")
    return f'type = "{tag[0]}"' if tag else name.removesuffix("Table").lower()


# --- roff -------------------------------------------------------------------------------------------------


def _title(name: str, section: int) -> str:
    from renewer import __version__

    moment = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH") or EPOCH), UTC)
    return f'.TH {_plain(name.upper())} {section} {moment:%Y-%m-%d} "renewer {__version__}" "renewer"'


def _paragraphs(text: str | None) -> list[str]:
    whole = inspect.cleandoc(text or "").partition("\f")[0]
    return [one for one in re.split(r"\n\s*\n", whole) if one.strip()] or [""]


def _block(paragraph: str) -> Iterator[str]:
    """A paragraph; one that click leaves as it is stays so here."""
    lines = paragraph.splitlines()
    if lines and lines[0].strip() == "\b":
        yield from (".nf", *map(_words, lines[1:]), ".fi")
    else:
        yield _sentence(paragraph)


def _rows(rows: Any) -> Iterator[str]:
    for name, says in rows:
        yield from (".TP", f"\\fB{_plain(name)}\\fR", _sentence(says) or "\\&")


def _sentence(text: str) -> str:
    """Filled text, each sentence on a line of its own, as roff wants it; none that is long."""
    sentences = re.split(r"(?<=[.?!]) (?=[A-Z`\[])", " ".join(text.split()))
    lines = [line for one in sentences for line in _wrapped(one)]
    return "\n".join(map(_words, lines))


def _wrapped(sentence: str) -> Iterator[str]:
    """Broken at spaces, but not inside of what is to be typed."""
    line = ""
    for part in re.findall(r"(?:`[^`]*`|[^ `])+", sentence):
        if line and len(line) + len(part) > _WIDTH:
            yield line
            line = ""
        line = f"{line} {part}" if line else part
    if line:
        yield line


def _words(text: str) -> str:
    """Text in which `this` is to be typed."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return _plain(text)
    return "".join(
        f"\\fB{_plain(part)}\\fR" if number % 2 else _plain(part, first=not number)
        for number, part in enumerate(parts)
    )


_SIGNS = {"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti", '"': "\\(dq"}


def _plain(text: str, *, first: bool = True) -> str:
    """Text that says nothing to roff; `first`: it may begin a line."""
    plain = "".join(_SIGNS.get(sign, sign) for sign in text)
    return f"\\&{plain}" if first and plain.startswith(".") else plain


if __name__ == "__main__":
    for one in write(Path(sys.argv[1])):
        print(one)
