"""Faults of a config, gathered while it is read; where they stand is looked up only if there are any."""

import re

from renewer.errors import ConfigError, Fault

Path = tuple[str | int, ...]

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

    `tainted` are keys known to be wrong already: what merely follows from them is not told.
    """

    def __init__(self, main: str) -> None:
        self.main = main
        self.origins: dict[Path, Source] = {}
        self.tainted: set[Path] = set()
        self._found: list[tuple[Path, str, str, str, int | None]] = []
        self._seen: set[tuple[Path, str, str]] = set()

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, path: Path, text: str, hint: str = "", *, source: Source | None = None) -> None:
        """Something is wrong at a dotted path, and what was probably meant."""
        file = source.path if source else self._origin(path)
        if (path, text, file) in self._seen or (source is None and self.spoilt(path)):
            return
        self._seen.add((path, text, file))
        line = None
        if source:
            line = _line(source.text, path)
        self._found.append((path, text, hint, file, line))

    def add_file(self, file: str, text: str, hint: str = "", line: int | None = None) -> None:
        """A whole file is wrong, or cannot be read."""
        self._found.append(((), text, hint, file, line))

    def taint(self, path: Path) -> None:
        """Tell nothing more about this key: it was told already, and its value is unknown."""
        self.tainted.add(path)

    def spoilt(self, path: Path) -> bool:
        """Whether this key, or a table it is in, was told to be wrong already."""
        return bool(self.tainted) and any(path[:end] in self.tainted for end in range(1, len(path) + 1))

    def error(self) -> ConfigError:
        """All of them, by file and line."""
        told = []
        for path, text, hint, file, known in self._found:
            line = known
            if line is None and path:
                source = next((found for found in self.origins.values() if found.path == file), None)
                line = _line(source.text, path) if source else None
            told.append(Fault(path=dotted(path), text=text, hint=hint, file=file, line=line))
        told.sort(key=lambda fault: (fault.file != self.main, fault.file, fault.line or 0))
        return ConfigError(tuple(told))

    def _origin(self, path: Path) -> str:
        for end in (2, 1):
            if (source := self.origins.get(path[:end])) is not None:
                return source.path
        return self.main


def _line(text: str, path: Path) -> int | None:
    from renewer.config.lines import find

    return find(text, path)


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
