"""Faults of a config, gathered while it is read; where they stand is looked up only if there are any."""

import re

from renewer.errors import ConfigError, Fault
from renewer.model.value import KeyPath

Path = KeyPath

_BARE = re.compile(r"[A-Za-z0-9_-]+")


class Source:
    """A file that was read: its path and its text, and what it said."""

    __slots__ = ("data", "path", "text")

    def __init__(self, path: str, text: str, data: dict[str, object]) -> None:
        self.path = path
        self.text = text
        self.data = data


class Faults:
    """Takes faults in any order. `main` is the file that was asked for.

    `origins` says which file a table stands in, `notes` are no faults and should be known. What merely
    follows from a fault that was told already is not told: see `taint` and `part`. `items` says of a list
    which of the items that stand there were taken, and () of an item without brackets.
    """

    def __init__(self, main: str) -> None:
        self.main = main
        self.origins: dict[Path, Source] = {}
        self.notes: list[str] = []
        self.items: dict[Path, tuple[int, ...]] = {}
        self._tainted: set[Path] = set()
        self._parts: set[Path] = set()
        self._found: dict[tuple[str, Path, str], tuple[str, Source | None]] = {}
        self._files: list[Fault] = []

    def __bool__(self) -> bool:
        return bool(self._found or self._files)

    def add(self, path: Path, text: str, hint: str = "", *, source: Source | None = None) -> None:
        """Something is wrong at a path, and what was probably meant; kept back if that merely follows.

        Without a `source` the file is looked up by the table.
        """
        path = self._place(path)
        if self.spoilt(path):
            return
        source = source or self._origin(path)
        self._found.setdefault((source.path if source else self.main, path, text), (hint, source))

    def add_file(self, file: str, text: str, hint: str = "", line: int | None = None) -> None:
        """A whole file is wrong, or cannot be read."""
        self._files.append(Fault(path="", text=text, hint=hint, file=file, line=line))

    def taint(self, path: Path) -> None:
        """Tell nothing more about this key: it was told already, and its value is unknown."""
        self._tainted.add(path)

    def part(self, path: Path) -> None:
        """Tell nothing more about this list as a whole, since some item of it is wrong; of the others, do."""
        self._parts.add(path)

    def spoilt(self, path: Path) -> bool:
        """Whether this key, or a table it is in, was told to be wrong already."""
        if path in self._parts:
            return True
        return bool(self._tainted) and any(path[:end] in self._tainted for end in range(1, len(path) + 1))

    def _place(self, path: Path) -> Path:
        """Where an item of a list that was read stands in the list that was written."""
        for end in range(1, len(path) if self.items else 0):
            index, taken = path[end], self.items.get(path[:end])
            if taken is not None and isinstance(index, int):
                return path[:end] + (taken[index : index + 1] if taken else ()) + path[end + 1 :]
        return path

    def error(self) -> ConfigError:
        """All of them, by file and line."""
        from renewer.config.lines import Lines

        scanned: dict[str, Lines] = {}
        told = list(self._files)
        for (file, path, text), (hint, source) in self._found.items():
            line = None
            if source:
                if file not in scanned:
                    scanned[file] = Lines(source.text)
                line = scanned[file].find(path)
            told.append(Fault(path=dotted(path), text=text, hint=hint, file=file, line=line))
        told.sort(key=lambda fault: (fault.file != self.main, fault.file, fault.line or 0))
        return ConfigError(tuple(told))

    def _origin(self, path: Path) -> Source | None:
        return self.origins.get(path[:2]) or self.origins.get(path[:1]) or self.origins.get(("include",))


def dotted(path: Path) -> str:
    """A path for people, as `certificate.www.names[1]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _BARE.fullmatch(part) else '"' + part.replace('"', '\\"') + '"'
            text += f".{name}" if text else name
    return text


def did_you_mean(word: str, known: list[str]) -> str:
    """A hint for a word that nobody knows: the nearest known one, or all of them."""
    import difflib

    if near := difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.6):
        return f"did you mean '{near[0]}'?"
    if not known:
        return ""
    return "known here: " + ", ".join(known)
