"""Certificate signing requests of the operator's, read and checked whenever the configuration is."""

import os
import stat
from collections.abc import Sequence

from msgspec import UNSET

from renewer import ownership
from renewer.config import scalars
from renewer.config.agent import checked
from renewer.config.faults import Faults, Path
from renewer.config.schema import CertificateTable
from renewer.model.desired import GivenRequest, KeyType
from renewer.model.names import Identifier

LARGEST = 64 * 1024  # octets; one with a hundred names has 4 KiB
_FORBIDDEN = {
    "key": "the key is that of the request",
    "reuse_key": "the key is that of the request, for as long as the request is",
    "placeholder": "nobody here has a key to serve one with",
    "key_mode": "there is no key here",
}


class Found:
    """A request that can be ordered with."""

    def __init__(
        self, given: GivenRequest, names: tuple[Identifier, ...], key: KeyType, at: Path, faults: Faults
    ) -> None:
        self.given = given
        self.names = names
        self.key = key
        self._at = at
        self._faults = faults

    def compare(self, names: Sequence[Identifier]) -> None:
        """Is it for these names, and for no others?"""
        if set(names) == set(self.names):
            return
        more = ", ".join(str(one) for one in self.names if one not in names)
        less = ", ".join(str(one) for one in names if one not in self.names)
        why = " and ".join(filter(None, (more and f"is also for {more}", less and f"is not for {less}")))
        hint = "leave `names` out to take those of the request, or make another request"
        self._faults.add(self._at, f"{self.given.path} {why}", hint)


class GivenRequests:
    """The request of one certificate."""

    def __init__(self, name: str, own: CertificateTable, faults: Faults) -> None:
        self._own = own
        self._table: Path = ("certificate", name)
        self._at: Path = ("certificate", name, "csr")
        self._faults = faults

    def resolve(self) -> Found | None:
        """What the table says; None without one, or if that was a fault."""
        if self._own.csr is UNSET:
            return None
        for key, why in _FORBIDDEN.items():
            value = getattr(self._own, key)
            if value is not UNSET and value is not False:
                self._faults.add((*self._table, key), f"does not go with csr: {why}", "take it out")
        path = checked(self._faults, self._at, self._own.csr, scalars.absolute)
        if path is None:
            return None
        try:
            return self._read(path)
        except ValueError as error:
            hint = "make one where the key is, for the names of the certificate: openssl req -new …"
            self._faults.add(self._at, f"{path} {error}", hint)
        except OSError as error:
            hint = "put the request there, or correct the path"
            self._faults.add(self._at, f"{path} cannot be read: {error.strerror}", hint)
        return None

    def _read(self, path: str) -> Found:
        from renewer import x509  # 75 ms, for those who have one

        data = _content(path)
        if found := ownership.danger(path):
            raise ValueError(f"is not used, since others could change it: {found.text}; {found.hint}")
        request = x509.read_request(data)
        if not request.names:
            raise ValueError("is for no name: a subjectAltName is missing")
        given = GivenRequest(path=path, der=request.der, spki=request.spki)
        return Found(given, request.names, request.key, self._at, self._faults)


def _content(path: str) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("is not a file")
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"is larger than {LARGEST >> 10} KiB: is it the right file?")
    return data
