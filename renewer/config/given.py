"""What a table of the config says; and what reading it needs to know: file, faults and rules."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast

from msgspec import Struct

from renewer.config.faults import Faults, Path, Source

T = TypeVar("T")
Sorts = tuple[tuple[type, str], ...]

BAD = object()
"""What is read of a value that is wrong."""


class IncompleteError(Exception):
    """A table cannot become its struct, since a key that must be there is missing or wrong; that was told."""


class TableReader:
    """What reading needs to know: the file, where faults go, and the rules of tables."""

    def __init__(self, source: Source, faults: Faults, rules: "Mapping[type, Rule]") -> None:
        self.source = source
        self.faults = faults
        self.rules = rules

    def tell(self, path: Path, text: str, hint: str = "") -> object:
        """Something is wrong; returns `BAD`."""
        self.faults.add(path, text, hint, source=self.source)
        return BAD

    def refuse(self, path: Path, error: ValueError) -> object:
        """What a form said; returns `BAD`."""
        return self.tell(path, str(error), getattr(error, "hint", ""))

    def unfit(self, path: Path, sorts: Sorts, value: object, hint: str = "") -> object:
        """A value of another sort than those that can stand there; returns `BAD`."""
        words = " or ".join(dict.fromkeys(word for _, word in sorts))
        return self.tell(path, f"must be {words}, not {what(value)}", hint)


class Given(Generic[T]):
    """What a table says: its right values by key, and where each of them stands."""

    __slots__ = ("_cls", "_defaults", "_fields", "_own", "faults", "path", "source", "values", "whole")

    def __init__(
        self, cls: type[Struct], fields: Mapping[str, str], path: Path, reader: "TableReader"
    ) -> None:
        self._cls = cls
        self._fields = fields
        self._defaults: Given[Any] | None = None
        self._own: frozenset[str] = frozenset()
        self.path = path
        self.faults = reader.faults
        self.source = reader.source
        self.values: dict[str, Any] = {}
        self.whole = True

    def over(self, defaults: "Given[Any] | None") -> "Given[T]":
        """The same, completed by what [defaults] says."""
        if defaults is not None:
            self._defaults = defaults
            self._own = frozenset(self.values)
            known = defaults.values
            if self.faults:  # what is wrong here does not become what [defaults] says
                known = {key: one for key, one in known.items() if not self.spoilt(key)}
            self.values = {**known, **self.values}
        return self

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def get(self, key: str, otherwise: Any = None) -> Any:
        """The value of a key, in the form in which the file has it."""
        return self.values.get(key, otherwise)

    def inherited(self, key: str) -> bool:
        """Whether it is [defaults] that says this key."""
        return self._defaults is not None and key in self.values and key not in self._own

    def at(self, key: str) -> Path:
        """Where a key stands: here, or in [defaults]."""
        if self._defaults is not None and self.inherited(key):
            return (*self._defaults.path, key)
        return (*self.path, key) if key else self.path

    def wrong(self, key: str, text: str, hint: str = "") -> None:
        """Something is wrong with a key, or with the table itself (the key "")."""
        place = self._defaults if self._defaults is not None and self.inherited(key) else self
        self.faults.add(self.at(key), text, hint, source=place.source)

    def spoilt(self, *keys: str) -> bool:
        """Whether one of these keys was told to be wrong, here or in [defaults] if that completes it."""
        if not self.faults:
            return False
        return any(
            self.faults.spoilt((*place.path, key))
            for place in (self, self._defaults)
            for key in keys
            if place is not None
        )

    def make(self, **more: Any) -> T:
        """The struct, with what the file does not say, or says otherwise. Raises IncompleteError."""
        if not self.whole:
            raise IncompleteError
        fields = self._fields
        said = {fields[key]: value for key, value in self.values.items() if key in fields}
        return cast("T", self._cls(**{**said, **more}))


Rule = Callable[[Given[Any]], object]
"""Makes something of a table; None if there was a fault."""


def what(value: object) -> str:
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
