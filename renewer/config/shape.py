"""The tables of the config as `model.desired` says them: each kind of value reads what stands in the file.

A value that is wrong is told and left out, and all the rest is read all the same. What its keys
say of each other, and what becomes of a table, is its rule; one without a rule simply becomes its struct.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import UnionType
from typing import Any, ClassVar, NamedTuple, Union, get_args, get_origin

from msgspec import Struct

from renewer.config.faults import Path, did_you_mean, dotted
from renewer.config.given import BAD, Given, IncompleteError, Rule, Sorts, TableReader, what
from renewer.model.desired import Config, Secret, SecretSource
from renewer.model.keys import (
    ABS_PATH,
    Argv,
    Duration,
    Form,
    Here,
    Key,
    Mode,
    Number,
    Size,
    Variables,
    absolute,
)
from renewer.model.value import Value


class Text:
    """Text in quotes, read by a form."""

    sorts: Sorts = ((str, "text in quotes"),)

    def __init__(self, key: Key | None) -> None:
        self.form = key.form if key and isinstance(key.form, Form) else None
        self._blank = key is not None and key.blank

    def read(self, value: object, path: Path, reader: TableReader) -> object:
        """What its form makes of it."""
        if type(value) is not str:
            return reader.unfit(path, self.sorts, value, self._quoted(value))
        if self._blank and not value:
            return None
        if self.form is None:
            return value
        try:
            return self.form.read(value)
        except ValueError as error:
            return reader.refuse(path, error)

    def _quoted(self, value: object) -> str:
        """How a number is written that is a text here, since it has a unit."""
        if type(value) is not int:
            return ""
        if isinstance(self.form, Mode):
            return f'in quotes and octal: "{value:04}"'
        units = "smhd" if isinstance(self.form, Duration) else "KMG" if isinstance(self.form, Size) else ""
        ways = [f'"{value}{unit}"' for unit in units]
        return f"in quotes, with its unit: {', '.join(ways[:-1])} or {ways[-1]}" if ways else ""


class Flag:
    """True or false."""

    sorts: Sorts = ((bool, "true or false, without quotes"),)

    def read(self, value: object, path: Path, reader: TableReader) -> object:
        """The value itself."""
        if type(value) is bool:
            return value
        from renewer.config.slips import TRUTHS

        meant = TRUTHS.get(str(value).lower())
        return reader.unfit(path, self.sorts, value, f"{path[-1]} = {meant}" if meant else "")


class Whole:
    """A whole number, perhaps within bounds."""

    sorts: Sorts = ((int, "a whole number"),)

    def __init__(self, key: Key | None) -> None:
        self.form = key.form if key and isinstance(key.form, Number) else None

    def read(self, value: object, path: Path, reader: TableReader) -> object:
        """The number itself."""
        if type(value) is not int:
            return reader.unfit(path, self.sorts, value)
        try:
            return self.form.read(value) if self.form else value
        except ValueError as error:
            return reader.refuse(path, error)


class EnumWord:
    """One of the words of an enum."""

    sorts: Sorts = ((str, "text in quotes"),)

    def __init__(self, cls: type[StrEnum]) -> None:
        self.cls = cls
        self.words = {one.value: one for one in cls}
        self.hint = "one of: " + ", ".join(self.words)

    def read(self, value: object, path: Path, reader: TableReader) -> object:
        """The member."""
        if type(value) is not str:
            return reader.unfit(path, self.sorts, value, self.hint)
        if value in self.words:
            return self.words[value]
        return reader.tell(path, f"{_shown(value)} is not allowed here", did_you_mean(value, [*self.words]))


class Items:
    """A list; or a single item, where the key allows that."""

    def __init__(
        self, item: "Kind", made: type[tuple[object, ...]] | type[frozenset[object]], key: Key | None
    ) -> None:
        self.item = item
        self.single = key is not None and key.single
        self.sorts: Sorts = ((list, "a list"),)
        self._made = made
        self._some = key.some if key else None
        self._once = key is not None and key.once
        self._form = key.form if key and isinstance(key.form, Argv) else None
        self._unique = key is not None and self._form is None and isinstance(item, Text | Whole)

    def read(self, value: object, path: Path, reader: TableReader) -> object:
        """All items that are right; `BAD` if none was needed and none is there, or its form refuses it."""
        if type(value) is not list:
            return self._alone(value, path, reader)
        if not value and self._some is not None:
            return reader.tell(path, "is empty", self._some)
        found: list[object] = []
        places: list[int] = []
        for index, one in enumerate(value):
            read = self.item.read(one, (*path, index), reader)
            if read is BAD:
                reader.faults.part(path)
            elif self._unique and read in found:
                if self._once:
                    reader.tell((*path, index), f"'{read}' is there twice", "take one of them out")
            else:
                found.append(read)
                places.append(index)
        if len(found) < len(value):
            reader.faults.items[path] = tuple(places)
        try:
            return self._form.read(tuple(map(str, found))) if self._form else self._made(found)
        except ValueError as error:
            return reader.refuse(path, error)

    def _alone(self, value: object, path: Path, reader: TableReader) -> object:
        if not self.single:
            return reader.unfit(path, self.sorts, value, "write it in [ ]")
        if not isinstance(value, tuple(sort for sort, _ in self.item.sorts)):
            hint = self.item.hint if isinstance(self.item, EnumWord) else ""
            return reader.unfit(path, (*self.item.sorts, *self.sorts), value, hint)
        read = self.item.read(value, path, reader)
        if read is BAD:
            return BAD
        reader.faults.items[path] = ()
        return self._made(() if read is None else (read,))


class Entries:
    """A table whose keys are the operator's: as a dict, or as pairs."""

    sorts: Sorts = ((dict, "a table"),)

    def __init__(self, inner: "Kind", key: Key | None, *, pairs: bool) -> None:
        self.inner = inner
        self._pairs = pairs
        self._form = key.form if key and isinstance(key.form, Variables) else None

    def read(self, value: object, path: Path, reader: TableReader) -> object:
        """Those that are right."""
        if type(value) is not dict:
            return reader.unfit(path, self.sorts, value)
        found: dict[str, object] = {}
        for name, one in value.items():
            read = self.inner.read(one, (*path, name), reader)
            if self._form is not None and read is not BAD:
                try:
                    self._form.read(name, read)
                except ValueError as error:
                    read = reader.refuse((*path, name), error)
            if read is BAD:
                reader.faults.taint((*path, name))
            else:
                found[name] = read
        return tuple(found.items()) if self._pairs else found


class Reference:
    """A reference to a secret: a table with exactly one key."""

    sorts: Sorts = ((dict, "a table"),)

    def read(self, value: object, path: Path, reader: TableReader) -> object:
        """The reference; the secret itself is read when it is needed."""
        if type(value) is not dict:
            hint = 'refer: { file = "/path" }, { env = "NAME" }, { credential = "…" } or { command = […] }'
            return reader.tell(path, "a secret must not stand in the configuration itself", hint)
        known = [source.value for source in SecretSource]
        for key in value:
            if key not in known:
                _unknown(key, known, path, reader)
        given = [source for source in SecretSource if source in value]
        if len(given) != 1:
            if not any(reader.faults.spoilt((*path, key)) for key in known):
                reader.tell(path, "needs exactly one of file, env, credential and command")
            return BAD
        return self._one(given[0], value[given[0]], (*path, given[0].value), reader)

    def _one(self, source: SecretSource, value: object, path: Path, reader: TableReader) -> object:
        kind: Items | Text = _ARGV if source is SecretSource.COMMAND else _TEXT
        read = kind.read(value, path, reader)
        if read is BAD or reader.faults.spoilt(path):
            return BAD
        argument = read if isinstance(read, tuple) else (read,)
        try:
            if source in (SecretSource.FILE, SecretSource.COMMAND):
                argument = (absolute(argument[0] if argument else ""), *argument[1:])
            elif not argument[0] or "/" in argument[0] or "=" in argument[0] or not argument[0].isprintable():
                raise ValueError("is not a name")  # noqa: TRY301  told like the others
            if any("\0" in part for part in argument):
                raise ValueError("holds a NUL character")  # noqa: TRY301
        except ValueError as error:
            return reader.refuse(path, error)
        return Secret(source=source, argument=argument)


class Field(NamedTuple):
    """A key of a table: the field that holds it, what can stand there, and what is said of it."""

    name: str
    kind: "Kind"
    key: Key


class Keyed:
    """A table whose keys are those of a struct; its keys are looked up when one is read."""

    sorts: Sorts = ((dict, "a table"),)

    def __init__(self, cls: type[Struct]) -> None:
        self.cls = cls
        self._keys: dict[str, Field] = {}
        self.kept: dict[str, str] = {}
        self._needed: list[tuple[str, str]] = []

    @property
    def tag(self) -> tuple[str, str] | None:
        """The key and the word that tell it apart from others."""
        config = self.cls.__struct_config__
        return (str(config.tag_field), str(config.tag)) if config.tag is not None else None

    def keys(self) -> dict[str, Field]:
        """Every key, with what can stand there."""
        if not self._keys:
            self._keys = dict(_fields(self.cls))
            names = self.cls.__struct_fields__
            self.kept = {key: field.name for key, field in self._keys.items() if field.name in names}
            self._needed = [
                (key, field.key.missing) for key, field in self._keys.items() if field.key.missing is not None
            ]
        return self._keys

    def needed(self) -> list[tuple[str, str]]:
        """The keys that must be there, each with what to do if it is not."""
        self.keys()
        return self._needed

    def read(self, value: object, path: Path, reader: TableReader) -> object:
        """What its rule makes of it, else its struct."""
        if type(value) is not dict:
            return reader.unfit(path, self.sorts, value)
        faults, keys = reader.faults, self.keys()
        given: Given[Any] = Given(self.cls, self.kept, path, reader)
        strange = []
        for key, one in value.items():
            field = keys.get(key)
            if field is None:
                strange.append(key)
                continue
            read = field.kind.read(one, (*path, key), reader)
            if read is BAD:
                faults.taint((*path, key))
            else:
                given.values[key] = read
        for key in strange:
            if not (self.tag and key == self.tag[0]):
                _unknown(key, [*keys], path, reader)
        for key, hint in self._needed:
            if key not in value:
                reader.tell((*path, key), "is missing", hint)
                faults.taint((*path, key))
            given.whole = given.whole and key in given
        rule = reader.rules.get(self.cls)
        if any(key not in value for key, _ in self._needed):
            rule = None  # what else is wrong with it is seen when that is there
        return self._made(given, rule)

    def _made(self, given: Given[Any], rule: Rule | None) -> object:
        try:
            made = rule(given) if rule else given.make()
        except IncompleteError:
            made = None
        if made is None:
            given.faults.taint(given.path)
            return BAD
        return made


class Tagged:
    """One of several tables, told apart by a key: challenges and channels by their type."""

    sorts: Sorts = ((dict, "a table"),)

    def __init__(self, classes: tuple[type[Struct], ...]) -> None:
        self.tables = [_table(cls) for cls in classes]
        self._by_tag = {table.tag: table for table in self.tables}
        self.field, _ = self.tables[0].tag or ("", "")

    def read(self, value: object, path: Path, reader: TableReader) -> object:
        """What the one of that type makes of it."""
        if type(value) is not dict:
            return reader.unfit(path, self.sorts, value)
        given = value.get(self.field, BAD)
        if isinstance(given, str) and (table := self._by_tag.get((self.field, given))):
            return table.read(value, path, reader)
        known = [tag for _, tag in filter(None, self._by_tag)]
        at = (*path, self.field)
        if given is BAD:
            hint = f"write {self.field} = " + " or ".join(f'"{one}"' for one in known)
            reader.tell(at, "is missing", hint)
        else:
            hint = did_you_mean(given, known) if isinstance(given, str) else ""
            what = "channel" if path[0] == "notify" else "challenge"
            hint = hint or "known so far: " + ", ".join(known)
            reader.tell(at, f"{_shown(given)} is not a type of {what}", hint)
        reader.faults.taint(path)
        return BAD


class Either:
    """One of several kinds, told apart by their sort."""

    def __init__(self, kinds: list["Kind"]) -> None:
        self.kinds = kinds
        self.sorts: Sorts = tuple(sort for kind in kinds for sort in kind.sorts)

    def read(self, value: object, path: Path, reader: TableReader) -> object:
        """What the kind of that sort makes of it."""
        for kind in self.kinds:
            if isinstance(value, kind.sorts[0][0]):
                return kind.read(value, path, reader)
        return reader.unfit(path, self.sorts, value)


Kind = Text | Flag | Whole | EnumWord | Items | Entries | Reference | Keyed | Tagged | Either
_TEXT = Text(None)
_ARGV = Items(_TEXT, tuple, None)
_tables: dict[type[Struct], Keyed] = {}


def document() -> Keyed:
    """The whole file."""
    return _table(Config)


def _table(cls: type[Struct]) -> Keyed:
    if cls not in _tables:
        _tables[cls] = Keyed(cls)
    return _tables[cls]


def _fields(cls: type) -> list[tuple[str, Field]]:
    """The keys of a struct, those of the structs that it is made from first."""
    found: list[tuple[str, Field]] = []
    for base in reversed(cls.__mro__):
        if not issubclass(base, Value):
            continue
        for name, said in vars(base).get("__annotations__", {}).items():
            annotation = get_args(said)[0] if get_origin(said) is ClassVar else said
            for mark in getattr(annotation, "__metadata__", ()):
                if isinstance(mark, Key):
                    what = mark.of or get_args(annotation)[0]
                    found.append((mark.key or name, Field(name, kind_of(what, mark), mark)))
                elif isinstance(mark, Here):
                    found += _inner(mark)
    return found


def _inner(mark: Here) -> list[tuple[str, Field]]:
    """The keys of a field that stand in the table itself."""
    if issubclass(mark.cls, Struct):
        return [(key, field) for key, field in _fields(mark.cls) if key not in mark.without]
    keys = {word: Key(word.says, ABS_PATH) for word in mark.cls}
    return [(word.value, Field(word.value, Text(key), key)) for word, key in keys.items()]


def kind_of(annotation: Any, key: Key | None) -> Kind:  # noqa: PLR0911  one a kind
    """How a value of that type stands in the file."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return _one_of([part for part in parts if part is not type(None)], key)
    if origin is Mapping:
        return Entries(kind_of(parts[1], key), key, pairs=False)
    if origin in (tuple, frozenset):
        if get_origin(parts[0]) is tuple:
            return Entries(kind_of(get_args(parts[0])[1], None), key, pairs=True)
        return Items(kind_of(parts[0], key), origin, key)
    if annotation is Secret:
        return Reference()
    if key is not None and isinstance(key.form, Form):
        return Text(key)
    if issubclass(annotation, Struct):
        return _table(annotation)
    if issubclass(annotation, StrEnum):
        return EnumWord(annotation)
    if annotation is bool:
        return Flag()
    return Whole(key) if annotation is int else Text(key)


def _one_of(parts: list[Any], key: Key | None) -> Kind:
    tagged = tuple(part for part in parts if getattr(part, "__struct_config__", None) and _table(part).tag)
    kinds: list[Kind] = []
    for part in parts:
        if part not in tagged:
            kinds.append(kind_of(part, key))
        elif part is tagged[0]:
            kinds.append(Tagged(tagged))
    return kinds[0] if len(kinds) == 1 else Either(kinds)


_TOP = ("include",)


def _unknown(key: str, known: list[str], path: Path, reader: TableReader) -> None:
    from renewer.config.slips import called_elsewhere

    if key in _TOP and path:
        text = f"is a key of the whole file, and here stands in [{dotted(path)}]"
        reader.tell((*path, key), text, f"move {key} to the top of the file, above the first [table]")
        return reader.faults.taint((*path, key))
    if theirs := called_elsewhere(key, known):
        hint = f"did you mean '{theirs}'?"
    else:
        hint = did_you_mean(key, known)
        places = (
            [] if hint.startswith("did") or (path and path[0] in ("challenge", "notify")) else _homes(key)
        )
        hint = f"it belongs to {' or '.join(places)}" if places else hint
    reader.tell((*path, key), "is not a known key", hint)
    reader.faults.taint((*path, key))
    if hint.startswith("did you mean '"):
        reader.faults.taint((*path, hint.split("'")[1]))
    return None


def _homes(key: str) -> list[str]:
    """The tables of the file that have such a key."""
    found = []
    for name, field in document().keys().items():
        kind, title = field.kind, f"[{name}]"
        if isinstance(kind, Entries):
            kind, title = kind.inner, f"[{name}.NAME]"
        if isinstance(kind, Keyed | Tagged) and key in keys_of(name):
            found.append(title)
    return found


def keys_of(table: str) -> frozenset[str]:
    """All keys that a table of that kind may have, as `certificate`."""
    kind = document().keys()[table].kind
    inner = kind.inner if isinstance(kind, Entries) else kind
    tables = inner.tables if isinstance(inner, Tagged) else [inner] if isinstance(inner, Keyed) else []
    return frozenset(key for one in tables for key in (*one.keys(), *filter(None, one.tag or ())))


def _shown(value: object) -> str:
    """A short value in quotes; anything that may hold a secret only by its sort."""
    if isinstance(value, str) and len(value) <= 40 and "@" not in value and value.isprintable():
        return f"'{value}'"
    return what(value)
