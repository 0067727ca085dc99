"""The slow and thorough look at a document that does not fit the schema: every fault, in words for people.

Only used when the quick conversion failed. What is wrong is cut out, so that the rest can be judged too.
"""

from enum import EnumMeta

import msgspec.inspect as shape

from renewer.config.faults import Faults, Path, Source, did_you_mean
from renewer.config.schema import CertificateTable, Document
from renewer.config.tables import SecretTable

_BAD = object()


def prune(source: Source, faults: Faults) -> dict[str, object]:
    """Gather every fault of form; the document without them, which then fits the schema."""
    found = _check(source.data, shape.type_info(Document), (), _Teller(source, faults))
    return found if isinstance(found, dict) else {}


class _Teller:
    """Adds faults of one file, and remembers their keys as spoilt."""

    def __init__(self, source: Source, faults: Faults) -> None:
        self._source = source
        self.faults = faults

    def tell(self, path: Path, text: str, hint: str = "") -> object:
        self.faults.add(path, text, hint, source=self._source)
        self.faults.taint(path)
        return _BAD


def _check(value: object, kind: shape.Type, path: Path, teller: _Teller) -> object:  # noqa: PLR0911  one a kind
    """The value without what is wrong in it, or `_BAD`."""
    match kind:
        case shape.Metadata(type=inner):
            return _check(value, inner, path, teller)
        case shape.UnionType(types=types):
            return _union(value, types, path, teller)
        case shape.StructType():
            return _struct(value, kind, path, teller)
        case shape.DictType(value_type=inner):
            return _dict(value, inner, path, teller)
        case shape.ListType(item_type=inner):
            return _list(value, inner, path, teller)
        case shape.EnumType(cls=cls):
            return _enum(value, cls, path, teller)
        case _:
            return _scalar(value, kind, path, teller)


def _union(value: object, types: tuple[shape.Type, ...], path: Path, teller: _Teller) -> object:
    tagged = [kind for kind in types if isinstance(kind, shape.StructType) and kind.tag_field is not None]
    if tagged and isinstance(value, dict):
        return _tagged(value, tagged, path, teller)
    for kind in types:
        if isinstance(value, _SORTS.get(type(kind), (str, "text in quotes"))[0]):
            return _check(value, kind, path, teller)
    sorts = dict.fromkeys(_SORTS.get(type(kind), (str, "text in quotes"))[1] for kind in types)
    words = [str(one.value) for kind in types if isinstance(kind, shape.EnumType) for one in kind.cls]
    hint = "one of: " + ", ".join(words) if words else ""
    return teller.tell(path, f"must be {' or '.join(sorts)}, not {_what(value)}", hint)


_SORTS: dict[type[shape.Type], tuple[type, str]] = {
    shape.StructType: (dict, "a table"),
    shape.ListType: (list, "a list"),
}


def _tagged(value: dict[str, object], kinds: list[shape.StructType], path: Path, teller: _Teller) -> object:
    """One of several tables, told apart by a key: challenges and channels by their type."""
    field = kinds[0].tag_field or ""
    known = [str(kind.tag) for kind in kinds]
    given = value.get(field, _BAD)
    for kind in kinds:
        if kind.tag == given:
            rest = {key: one for key, one in value.items() if key != field}
            checked = _check(rest, kind, path, teller)
            return {field: given, **checked} if isinstance(checked, dict) else checked
    if given is _BAD:
        teller.tell(
            (*path, field), "is missing", f"write {field} = " + " or ".join(f'"{one}"' for one in known)
        )
    else:
        hint = did_you_mean(given, known) if isinstance(given, str) else ""
        what = "channel" if path[0] == "notify" else "challenge"
        text = f"{_shown(given)} is not a type of {what}"
        teller.tell((*path, field), text, hint or "known so far: " + ", ".join(known))
    teller.faults.taint(path)
    return _BAD


def _dict(value: object, inner: shape.Type, path: Path, teller: _Teller) -> object:
    if not isinstance(value, dict):
        return teller.tell(path, f"must be a table, not {_what(value)}")
    checked = {key: _check(one, inner, (*path, key), teller) for key, one in value.items()}
    return {key: one for key, one in checked.items() if one is not _BAD}


def _list(value: object, inner: shape.Type, path: Path, teller: _Teller) -> object:
    if not isinstance(value, list):
        return teller.tell(path, f"must be a list, not {_what(value)}", "write it in [ ]")
    items = [_check(one, inner, (*path, index), teller) for index, one in enumerate(value)]
    if any(one is _BAD for one in items):
        teller.faults.taint(path)
        return _BAD
    return items


def _struct(value: object, kind: shape.StructType, path: Path, teller: _Teller) -> object:
    if not isinstance(value, dict):
        if kind.cls is SecretTable:
            return teller.tell(
                path,
                "a secret must not stand in the configuration itself",
                'refer: { file = "/path" }, { env = "NAME" }, { credential = "…" } or { command = […] }',
            )
        return teller.tell(path, f"must be a table, not {_what(value)}")
    known = {field.encode_name: field for field in kind.fields}
    checked: dict[str, object] = {}
    for key, one in value.items():
        if key in known:
            checked[key] = _check(one, known[key].type, (*path, key), teller)
        else:
            _unknown(key, [*known], path, teller)
    required = [key for key, field in known.items() if field.required]
    if _missing(required, value, path, teller) or any(checked[key] is _BAD for key in required):
        if kind.cls is not CertificateTable:
            teller.faults.taint(path)
            return _BAD
        teller.faults.taint((*path, "names"))  # the rest of the certificate is judged all the same
        checked["names"] = []
    return {key: one for key, one in checked.items() if one is not _BAD}


def _missing(required: list[str], value: dict[str, object], path: Path, teller: _Teller) -> bool:
    missing = [key for key in required if key not in value]
    for key in missing:
        if not teller.faults.spoilt((*path, key)):
            teller.tell((*path, key), "is missing", _MISSING.get(key, ""))
    return bool(missing)


_MISSING = {
    "names": 'say which names it is for: names = ["example.org"]',
    "listen": 'say where to listen: listen = "0.0.0.0:443"',
    "provider": 'say who publishes the record: provider = "rfc2136"',
    "kid": "the authority's site hands out both, kid and hmac",
    "to": 'say who is told: to = ["ops@example.org"]',
    "from": 'say who the mail comes from: from = "renewer@web-1.example.org"',
    "url": 'refer to it: url = { file = "/path" }; it may hold a token',
    "urls": 'refer to them: urls = [{ file = "/path" }]; they hold passwords',
    "hmac": 'the authority\'s site hands it out; keep it in a file: hmac = { file = "/path" }',
}


def _unknown(key: str, known: list[str], path: Path, teller: _Teller) -> None:
    hint = did_you_mean(key, known)
    teller.tell((*path, key), "is not a known key", hint)
    if hint.startswith("did you mean '"):
        teller.faults.taint((*path, hint.split("'")[1]))


def _enum(value: object, cls: EnumMeta, path: Path, teller: _Teller) -> object:
    known = [str(one.value) for one in cls]  # type: ignore[var-annotated]
    if isinstance(value, str) and value in known:
        return value
    if not isinstance(value, str):
        return teller.tell(path, f"must be text in quotes, not {_what(value)}", "one of: " + ", ".join(known))
    return teller.tell(path, f"{_shown(value)} is not allowed here", did_you_mean(value, known))


def _scalar(value: object, kind: shape.Type, path: Path, teller: _Teller) -> object:
    fits: dict[type[shape.Type], tuple[type, str]] = {
        shape.StrType: (str, "text in quotes"),
        shape.BoolType: (bool, "true or false, without quotes"),
        shape.IntType: (int, "a whole number"),
    }
    wanted, words = fits[type(kind)]
    if type(value) is wanted:
        return value
    return teller.tell(path, f"must be {words}, not {_what(value)}")


def _what(value: object) -> str:
    """The sort of a TOML value, for people; never the value, which may be a secret."""
    names: dict[type, str] = {
        bool: "true or false",
        int: "a number",
        float: "a number with a fraction",
        str: "text",
        list: "a list",
        dict: "a table",
    }
    return names.get(type(value), "a date or time")


def _shown(value: object) -> str:
    """A short value in quotes; anything that may hold a secret only by its sort."""
    if isinstance(value, str) and len(value) <= 40 and "@" not in value and value.isprintable():
        return f"'{value}'"
    return _what(value)
