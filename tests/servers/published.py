"""TXT records as a provider's server keeps them: value by value, and all that happened remembered."""

import threading
from dataclasses import dataclass, field

from .challtestsrv import ChallTestSrv


@dataclass(slots=True)
class Published:
    """`added` and `removed` are (name, value) in order, `now` what is there; names without the final dot.

    With `dns` they are also in challtestsrv.
    """

    dns: ChallTestSrv | None = None
    added: list[tuple[str, str]] = field(default_factory=list)
    removed: list[tuple[str, str]] = field(default_factory=list)
    now: dict[str, list[str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, value: str) -> None:
        """Add a value to those of a name."""
        with self._lock:
            name = name.rstrip(".")
            self.added.append((name, value))
            if value not in self.now.setdefault(name, []):
                self.now[name].append(value)
                if self.dns is not None:
                    self.dns.set_txt(name, value)

    def remove(self, name: str, value: str) -> None:
        """Take one value away; the others of the name stay."""
        with self._lock:
            name = name.rstrip(".")
            self.removed.append((name, value))
            self._keep(name, [one for one in self.now.get(name, []) if one != value])

    def keep(self, name: str, values: list[str]) -> None:
        """Let a name have these values and no other."""
        with self._lock:
            self._keep(name.rstrip("."), values)

    def _keep(self, name: str, values: list[str]) -> None:
        if self.dns is not None:
            self.dns.clear_txt(name)
            for value in values:
                self.dns.set_txt(name, value)
        if values:
            self.now[name] = values
        else:
            self.now.pop(name, None)
