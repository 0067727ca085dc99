"""nginx's language: the same directives as crossplane finds, on generated and hostile configurations."""

import time
from pathlib import Path

import crossplane
import pytest
from hypothesis import given
from hypothesis import strategies as st

from renewer.servers.nginx_lexer import UnreadableTextError, directives

Seen = tuple[int, str, tuple[str, ...]]

_PLAIN = st.from_regex(r"[a-zA-Z0-9_/.~^*@:=+|$-][a-zA-Z0-9_/.~^*@:=+|#'\"-]{0,8}", fullmatch=True)
_QUOTED = st.text("ab \t\n;{}#é$'", max_size=8).map(lambda text: f'"{text}"')
_SINGLE = st.text('ab \t\n;{}#é$"', max_size=8).map(lambda text: f"'{text}'")
# (a blank right after a variable becomes a part of the word in crossplane, not in nginx)
_VARIABLE = st.from_regex(r"[a-z]{0,3}\$\{[a-z]{1,5}\}[a-z]", fullmatch=True)
_WORD = st.one_of(_PLAIN, _QUOTED, _SINGLE, _VARIABLE)
_NAME = st.from_regex(r"x_[a-z_]{1,8}", fullmatch=True)
_GAP = st.sampled_from([" ", "\n", "\t", "  ", " # a comment; {\n", "\r\n"])
_LUA = st.sampled_from(
    [
        'content_by_lua_block { local a = "}" }',
        "access_by_lua_block {\n if x then y = { 1, { 2 } } end -- a comment\n}",
    ]
)


@st.composite
def _directive(draw: st.DrawFn, inside: st.SearchStrategy[str]) -> str:
    words = [draw(_NAME), *draw(st.lists(_WORD, max_size=3))]
    text = draw(_GAP).join(words)
    if draw(st.booleans()):
        return f"{text} ;"
    return f"{text} {{{draw(_GAP)}{draw(inside)}{draw(_GAP)}}}"


def _joined(one: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(one, max_size=4).map("\n".join)


CONFIGURATIONS = _joined(
    st.recursive(
        st.one_of(st.just("x_a b;"), _LUA.map(lambda lua: f"x_l {{ {lua} }}")),
        lambda inside: _directive(_joined(inside)),
        max_leaves=12,
    )
)


def _ours(text: str) -> list[Seen]:
    every = (one for one in directives(text) if one.words and not one.words[0].endswith("_by_lua_block"))
    return [(one.line, one.words[0], one.words[1:]) for one in every]


def _theirs(path: Path) -> list[Seen]:
    parsed = crossplane.parse(str(path), single=True, check_ctx=False, check_args=False, comments=False)
    assert parsed["status"] == "ok", parsed["errors"]
    found: list[Seen] = []

    def walk(block: list[dict[str, object]]) -> None:
        for one in block:
            arguments = one["args"]
            assert isinstance(arguments, list)
            if one["directive"] != "#" and not str(one["directive"]).endswith("_by_lua_block"):
                found.append((int(str(one["line"])), str(one["directive"]), tuple(arguments)))
            inside = one.get("block")
            if isinstance(inside, list):
                walk(inside)

    walk(parsed["config"][0]["parsed"])
    return found


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file for one configuration after the other."""
    return tmp_path_factory.mktemp("lexer") / "nginx.conf"


@given(text=CONFIGURATIONS)
def test_the_same_directives_as_crossplane(text: str, configuration: Path) -> None:
    """Names, arguments and lines of every directive, with quotes, comments, variables and blocks."""
    configuration.write_text(text, "utf-8", newline="")
    assert _ours(text) == _theirs(configuration)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (r'a "b\"c\\d\n";', ("a", 'b"c\\d\n')),
        (r"a b\ c\;d;", ("a", r"b\ c\;d")),
        ("a ${b}c${d};", ("a", "${b}c${d}")),
        ("a b#c 'd;e';", ("a", "b#c", "d;e")),
        ("a b}c;", ("a", "b}c")),
        ("a \u00a0b;", ("a", "\u00a0b")),
    ],
)
def test_words_as_nginx_reads_them(text: str, words: tuple[str, ...]) -> None:
    """Escapes, variables and odd blanks as ngx_conf_read_token has them."""
    assert [one.words for one in directives(text)] == [words]


@pytest.mark.parametrize(
    ("lua", "after"),
    [
        ('local s = "}" -- }\n', True),
        ("local s = [[ } ]] local t = [==[ }]] ]==]", True),
        ("--[[ } \n } ]] local x = {}", True),
        ("local s = 'it\\'s }'", True),
        ("local s = [[ never closed }", False),
        ('local s = "never closed', False),
    ],
)
def test_braces_in_lua_strings_and_comments_do_not_count(lua: str, *, after: bool) -> None:
    """A block of Lua ends where its braces do; where that is not found it is said, with the line."""
    text = f"content_by_lua_block {{ {lua} }}\nssl_certificate /a.pem;"
    if after:
        assert [one.words[0] for one in directives(text)] == ["content_by_lua_block", "ssl_certificate"]
    else:
        with pytest.raises(UnreadableTextError, match="Lua"):
            list(directives(text))


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        '"' + "a" * 1_000_000,
        "'" + "\\'" * 500_000,
        "a " + "\\" * 1_000_001 + "\n;",
        "{" * 1_000_000,
        "a;" * 500_000,
        "x " + "$" * 1_000_000 + ";",
        "x_by_lua_block {" + "[[" * 500_000,
        "x_by_lua_block {" + "[=" * 500_000,
        "x_by_lua_block {" + "--[" * 300_000,
        "#" * 1_000_000,
    ],
    ids=map(str, range(10)),
)
def test_no_text_takes_longer_than_its_length(text: str) -> None:
    """A mebibyte made to be slow is read, or refused, in seconds."""
    begun = time.monotonic()
    try:
        for _ in directives(text):
            pass
    except UnreadableTextError:
        pass
    assert time.monotonic() - begun < 15


@given(text=st.text())
def test_any_text_ends_in_directives_or_in_words(text: str) -> None:
    """Nothing else is ever raised."""
    try:
        found = list(directives(text))
    except UnreadableTextError:
        return
    assert all(one.line >= 1 for one in found)
