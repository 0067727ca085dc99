"""What ports are checked against, as it crosses: certificates in PEM, once, and in targets a key for them."""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from renewer.errors import GiveUp, OurFault, RenewerError
from renewer.network.protocol import GIVEN, SHARE
from renewer.network.verify.sight import ANY, SYSTEM, PortTrouble, Sight, Target

if TYPE_CHECKING:
    from renewer.network.verify.messages import TellTrust

Reads = Callable[[str], str]
"""The certificates in a PEM file. Raises GiveUp if there are none."""


def no_file(path: str) -> str:
    """Reads none: for targets that name none."""
    raise OurFault(f"a defect of this program: nobody reads {path}", kind="defect")


class Crossing:
    """Roots on main's side, where they are names of files."""

    def __init__(self, roots: Iterable[str], reads: Reads) -> None:
        self._paths: dict[str, str] = {}
        self._pem: dict[str, str] = {}
        self._unusable: dict[str, str] = {}
        for path in dict.fromkeys(roots):
            if path in (SYSTEM, ANY):
                continue
            try:
                pem = reads(path)
            except GiveUp as error:
                key, self._unusable[path] = _key(path), error.text
            else:
                key = _key(pem)
                self._pem[key] = pem
            self._paths[key] = path
        self._keys = {path: key for key, path in self._paths.items()}

    def key(self, path: str) -> str:
        """How the worker knows them."""
        return self._keys.get(path, path)

    def out(self, target: Target) -> Target:
        """A target as it crosses."""
        unusable = self._unusable.get(target.roots, "")
        return msgspec.structs.replace(target, roots=self.key(target.roots), unusable=unusable)

    def told(self) -> "Iterator[TellTrust]":
        """What the worker must hear before it is asked about them."""
        from renewer.network.verify.messages import TellTrust

        for key, pem in self._pem.items():
            for at in range(0, len(pem), SHARE):
                yield TellTrust(key=key, at=at, of=len(pem), pem=pem[at : at + SHARE])

    def back(self, sights: Iterable[Sight]) -> Iterator[Sight]:
        """Sights with the names that were asked about."""
        for one in sights:
            path, error = self._paths.get(one.roots, one.roots), one.error
            if error and one.trouble is PortTrouble.ROOTS:
                error = error.replace(GIVEN, path)
            yield msgspec.structs.replace(one, roots=path, error=error)

    def named(self, error: RenewerError, path: str) -> RenewerError:
        """What a worker told of these."""
        error.text = error.text.replace(GIVEN, path)
        return error


_known: dict[str, str] = {}
_parts: dict[str, dict[int, str]] = {}
_guard = threading.Lock()


def learn(told: "TellTrust") -> None:
    """Know them from now on, once all was told; on the worker's side, as what follows."""
    with _guard:
        if told.key in _known:
            return
        parts = _parts.setdefault(told.key, {})
        parts[told.at] = told.pem
        if sum(map(len, parts.values())) >= told.of:
            _known[told.key] = "".join(parts[at] for at in sorted(_parts.pop(told.key)))


def known(roots: str) -> str:
    """`system`, or the certificates in PEM that a target means."""
    if roots == SYSTEM:
        return SYSTEM
    pem = _known.get(roots, "")
    if not pem:
        raise OurFault("a defect of this program: roots that were not told", kind="defect")
    return pem


def _key(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()
