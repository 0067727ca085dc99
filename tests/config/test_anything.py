"""Whatever stands in a config, there is a config or a ConfigError, never another error."""

import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from renewer.config.lines import Lines
from renewer.config.load import load
from renewer.config.schema import json_schema
from renewer.errors import ConfigError

_definitions: dict[str, Any] = dict(json_schema())["$defs"]  # type: ignore[assignment]
_keys = sorted({key for table in _definitions.values() for key in table.get("properties", {})})
_words = [
    "http-01",
    "dns-01",
    "rfc2136",
    "letsencrypt",
    "nginx",
    "www",
    "0640",
    "1h",
    "/x",
    "example.org",
    "*.example.org",
]
_words += ["[::1]:443", "0.0.0.0:80", "certbot", "deploy", "ops@example.org", "system", "rsa-2048", "./x"]

_names = st.one_of(st.sampled_from(_keys), st.sampled_from(_words), st.text(max_size=4))
_text = st.one_of(st.sampled_from(_words), st.text(max_size=8))
_leaves = st.one_of(_text, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats())
_values = st.recursive(
    _leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_names, inner, max_size=4)),
    max_leaves=12,
)


def _shaped(table: str) -> st.SearchStrategy[dict[str, object]]:
    """A table with mostly known keys."""
    known = sorted(_definitions[table]["properties"])
    return st.dictionaries(st.one_of(st.sampled_from(known), _names), _values, max_size=6)


_documents = st.one_of(
    st.dictionaries(_names, _values, max_size=5),
    st.fixed_dictionaries(
        {},
        optional={
            "agent": _shaped("AgentTable"),
            "defaults": _shaped("DefaultsTable"),
            "authority": st.dictionaries(_names, _shaped("AuthorityTable"), max_size=2),
            "challenge": st.dictionaries(
                _names, st.one_of(_shaped("Http01Table"), _shaped("Dns01Table")), max_size=2
            ),
            "certificate": st.dictionaries(_names, _shaped("CertificateTable"), max_size=3),
            "hook": st.dictionaries(_names, _shaped("HookTable"), max_size=2),
        },
    ),
)


def _toml(value: object) -> str:
    """A value as TOML; tables in place."""
    match value:
        case dict():
            return "{" + ", ".join(f"{_quoted(key)} = {_toml(one)}" for key, one in value.items()) + "}"
        case list():
            return "[" + ", ".join(_toml(one) for one in value) + "]"
        case str():
            return _quoted(value)
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _try(text: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "config.toml")
        path.write_bytes(text)
        path.chmod(0o600)
        with contextlib.suppress(ConfigError):
            load(str(path))


@settings(deadline=None)
@given(_documents)
def test_any_document(document: dict[str, object]) -> None:
    """Tables of any shape, known keys with values of any sort."""
    _try(
        "".join(f"{_quoted(key)} = {_toml(one)}\n" for key, one in document.items()).encode(errors="replace")
    )


@settings(deadline=None)
@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_any_bytes(text: bytes) -> None:
    """Bytes of any sort."""
    _try(text)


@given(
    st.text(alphabet="ab.[]{}=\"' \n#,1", max_size=60),
    st.lists(st.one_of(st.sampled_from("ab"), st.integers(0, 3))),
)
def test_lines_of_any_text(text: str, path: list[str | int]) -> None:
    """The scan for lines gives a line of the text, or none, whatever the text."""
    line = Lines(text).find(tuple(path))
    assert line is None or 1 <= line <= text.count("\n") + 1
