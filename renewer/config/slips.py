"""What people write who mean TOML, and how it is written: words for lines that a parser only refuses. Pure.

No value is repeated that may be a secret: hints show keys, and words that can be none.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

_KEY = r"[\"']?([\w.-]+)[\"']?"
_STRINGS = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'")
_LONGEST = 500  # characters of a line that are looked at

_SPACES = {
    "\xa0": "a no-break space",
    "\u202f": "a narrow no-break space",
    "\u200b": "a space without width",
    "\u2060": "a joiner without width",
    "\ufeff": "a byte order mark",
    "\u3000": "an ideographic space",
    **{chr(number): "a typographic space" for number in range(0x2000, 0x200B)},
}
_QUOTES = (
    "\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u201b\u00ab\u00bb\u2039\u203a\u2033\u2032\uff02\uff40`\u00b4"
)
_OTHERS = {
    "\uff1d": "=",
    "\uff1a": "=",
    "\uff0c": ",",
    "\uff3b": "[",
    "\uff3d": "]",
    "\u2013": "-",
    "\u2014": "-",
    "\u2212": "-",
}
TRUTHS = {
    **dict.fromkeys(("yes", "on", "y", "1", "true"), "true"),
    **dict.fromkeys(("no", "off", "n", "0", "false"), "false"),
}
"""What people write for true and false."""
_NOTHING = ("null", "none", "nil", "~", "undefined")

_ELSEWHERE = {
    "certificate": "cert certs certificates site domain",
    "names": "domains domain hostnames sans san subjects server_name",
    "contact": "email emails mail account_email",
    "agree_terms": "agree_tos agree-tos tos_agreed terms_agreed agree",
    "authority": "server ca acme_server issuer acme",
    "directory": "server url acme_server",
    "key": "key_type keytype key_algorithm",
    "hooks": "deploy_hook renew_hook post_hook reload reload_cmd hook",
    "renew_before": "renew_before_expiry days renew_days",
    "chain": "preferred_chain preferred-chain",
    "challenge": "authenticator solver validation",
    "run": "command cmd exec script path",
    "notify": "notifications alerts",
    "wake": "interval schedule every",
    "key_mode": "mode",
}


def called_elsewhere(key: str, known: Iterable[str]) -> str:
    """The key of ours that other programs call so; "" if there is none here."""
    return next((ours for ours in known if key.lower() in _ELSEWHERE.get(ours, "").split()), "")


def hint(said: str, text: str, line: int) -> str:
    """How the line is written right that a parser refused with these words; "" if that is not clear."""
    lines = [shown[:_LONGEST] for shown in text.split("\n")]
    if text.startswith("\ufeff"):
        return "save it without a byte order mark"
    shown = lines[line - 1] if line <= len(lines) else ""
    if found := _marks(shown) or _strange(shown):
        return found
    if "twice" in said or "overwrite" in said or "uplicate" in said:
        return _twice(lines, line, said)
    if "nclosed array" in said:
        return _open(lines, line)
    if not shown.strip():
        return _open_quote(lines)
    return next(filter(None, (look(shown) for look in (_header, _colon, _statement, _value))), "")


def _bare(shown: str) -> str:
    """The line with its texts made of underscores."""
    return _STRINGS.sub(lambda match: "_" * len(match[0]), shown)


def _strange(shown: str) -> str:
    """A character that looks like one that TOML knows."""
    if match := re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", shown):
        return f"a control character stands in column {match.start() + 1}: take it out"
    for column, char in enumerate(_bare(shown), 1):
        if char in _SPACES:
            return f"{_SPACES[char]} (U+{ord(char):04X}) stands in column {column}: type that space anew"
        if char in _QUOTES and "#" not in shown[:column]:
            return f"{char} in column {column} is no quote of TOML: write \" or ' (straight quotes)"
        if char in _OTHERS and "#" not in shown[:column]:
            return f"{char} in column {column} only looks like {_OTHERS[char]}: type it anew"
    return ""


def _marks(shown: str) -> str:
    if re.match(r"<{7}|={7}|>{7}", shown):
        return "a merge left its marks: take one of the two texts, and the marks out"
    if re.match(r"\s*(?://|;|/\*|--|REM\b)", shown):
        return "a comment begins with #"
    return "take it out: it belongs to another format" if re.match(r"```|---|\?>|<\?|[{}]\s*$", shown) else ""


def _header(shown: str) -> str:
    match = re.match(r"\s*(\[\[?)([^\]#]*)(\]{0,2})", shown)
    if not match:
        return ""
    name, closing = match[2].strip(), "]" * len(match[1])
    if match[3] != closing:
        plain = re.fullmatch(r"[\w.\"'*-]+", name)
        return f"close it: {match[1]}{name}{closing}" if plain else f"close it with {closing}"
    kind, dot, rest = name.partition(".")
    rest = rest.strip("\"'")
    return (
        f'what is not only letters, digits, - and _ stands in quotes: {match[1]}{kind}."{rest}"{closing}'
        if dot
        else ""
    )


def _colon(shown: str) -> str:
    bare = _bare(shown)
    for form in (rf"\s*-?\s*{_KEY}\s*:(?!\w+:)", rf".*[{{,]\s*{_KEY}\s*:"):
        match = re.match(form, bare)
        if match and "=" not in bare[: match.end()].rpartition("{")[2]:
            key = shown[match.start(1) : match.end(1)].strip("\"'")
            return f"between a key and its value stands = : {key} = …"
    return ""


def _statement(shown: str) -> str:
    """A key without a value, or without =."""
    if match := re.match(rf"\s*{_KEY}\s*=\s*(?:#.*)?$", shown):
        return f'{match[1]} has no value: {match[1]} = "…", or take the line out'
    if match := re.match(rf"\s*{_KEY}\s*(?:#.*)?$", shown):
        return f'{match[1]} has no value: {match[1]} = "…", or take the line out'
    if match := re.match(r"\s*((?:[\w-]+[ \t]+)+[\w-]+)\s*=", shown):
        return f"a key is one word: {'_'.join(match[1].split())}, or in quotes"
    if match := re.match(rf"\s*{_KEY}\s+[\"'\[{{\w]", shown):
        return f"between a key and its value stands = : {match[1]} = …"
    return ""


def _value(shown: str) -> str:
    match = re.match(rf"\s*{_KEY}\s*=(=?)\s*(.*)", shown)
    if not match:
        return ""
    key, value = match[1], match[3].partition(" #")[0].strip()
    if match[2]:
        return f"one = is enough: {key} = …"
    word = value.lower()
    if word in TRUTHS and not word.isdigit():
        return f"yes and no are written true and false: {key} = {TRUTHS[word]}"
    if word in _NOTHING:
        return f"there is no such value: take the line out, then {key} is not set"
    for form, way in _FORMS:
        if re.match(form, value):
            return way(key)
    return ""


_FORMS: tuple[tuple[str, Callable[[str], str]], ...] = (
    (r"[0-9]+[A-Za-z]+$", lambda key: f'a number with a unit stands in quotes: {key} = "30d"'),
    (r"0[0-7]+$", lambda key: f'a mode stands in quotes: {key} = "0640"'),
    (r"\(", lambda key: f'a list stands in [ ]: {key} = ["…", "…"]'),
    (r"\[\s*[^\"'\[\]{\s\d]", lambda key: f'each text of a list stands in quotes: {key} = ["…", "…"]'),
    (r"\[.*[\"']\s+[\"']", lambda key: f'a comma is missing between two items: {key} = ["…", "…"]'),
    (r"\{.*,\s*\}", lambda _: "no comma stands before }"),
    (
        r"\{[^}]*$",
        lambda key: f"what stands in {{ }} stands on one line: {key} = {{ … }}, or write a table of its own "
        "with a key a line",
    ),
    (r"\{\s*[\w-]+\s*=\s*[^\"'\[{\s\dtf]", lambda _: 'text stands in quotes, also in { }: { key = "…" }'),
    (r"(\"[^\"]*\"|'[^']*')\s*,\s*[\"']", lambda key: f'several stand in [ ]: {key} = ["…", "…"]'),
    (
        r"(\"[^\"]*\"|'[^']*'|[\w.+-]+|\[.*\])\s*[,;]$",
        lambda _: "behind a value nothing stands: take the last character out",
    ),
    (r"\"[^\"]*\\", lambda key: f"in \"…\" a \\ is written twice; in '…' it stays: {key} = '…'"),
    (r"\"(?:[^\"\\]|\\.)*$|'[^']*$", lambda key: f'the quote is not closed: {key} = "…"'),
    (r"'[^']*'\w", lambda key: f"a ' ends the text: {key} = \"…'…\""),
    (r"[^\"'\[{\s]", lambda key: f'text stands in quotes: {key} = "value"'),
)  # fmt: skip


def _open(lines: list[str], line: int) -> str:
    """Where a list begins that is not closed."""
    for number in range(line, 0, -1):
        bare = _STRINGS.sub("_", lines[number - 1])
        below = [_STRINGS.sub("_", one).partition("#")[0] for one in lines[number - 1 : line]]
        parted = re.search(r"_\s+_", " ".join(below))
        closed = "".join(below).count("[") <= "".join(below).count("]") and not parted
        if (match := re.match(rf"\s*{_KEY}\s*=\s*\[", bare)) and not closed:
            if parted:
                return f"the list {match[1]} of line {number} lacks a comma between two items, or its ]"
            return f"the list {match[1]} of line {number} is not closed: it ends with ]"
    return ""


def _twice(lines: list[str], line: int, said: str) -> str:
    """Where the same stands already."""
    header, places = "", dict[tuple[str, str], int]()
    for number, shown in enumerate(lines[:line], 1):
        if match := re.match(r"\s*\[([^\[\]]+)\]", shown):
            header, key = match[1].strip(), ""
        elif match := re.match(rf"\s*{_KEY}\s*=", shown):
            key = match[1]
        else:
            continue
        first = places.setdefault((header, key), number)
        if number == line and first != line:
            what = key or f"[{header}]"
            return f"{what} stands in line {first} already: " + (
                "take one of them out" if key else "write all its keys there"
            )
    parent, _, last = header.rpartition(".")
    above, _, kind = parent.rpartition(".")
    for there in ((parent, last), (above, kind)):
        if there in places:
            first = places[there]
            return f"{there[1]} stands in line {first} already, as a value: take one of them out"
    match = re.search(r"key '([\w.-]+)'", said)
    return f"{match[1]} stands twice in the same {{ }}: take one of them out" if match else ""


def _open_quote(lines: list[str]) -> str:
    """Where a text begins that is not closed: its end was looked for to the end of the file."""
    for number, shown in enumerate(lines, 1):
        match = re.match(rf"\s*{_KEY}\s*=\s*(\"{{3}}|'{{3}}|')", shown)
        if match and shown.count(match[2]) == 1:
            return f"the text {match[1]} of line {number} is not closed: it ends with {match[2]}"
    return ""


def _near(key: str, known: frozenset[str]) -> bool:
    from difflib import get_close_matches

    return bool(get_close_matches(key, known, 1, 0.75))


def dotted(table: Mapping[str, object], known: frozenset[str]) -> Iterator[tuple[str, ...]]:
    """What is left of a name with dots where a table's name was written without quotes."""
    for key, value in table.items():
        if key in known or not isinstance(value, dict):
            continue
        deeper = list(dotted(value, known))
        if any(one in known for one in value) or (not deeper and not _near(key, known)):
            yield (key,)
        yield from ((key, *rest) for rest in deeper)
