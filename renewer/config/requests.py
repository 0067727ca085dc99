"""Certificate signing requests of the operator's, read and checked whenever the configuration is."""

import os
import stat
from collections.abc import Sequence
from typing import NamedTuple

from renewer import ownership
from renewer.config.given import Given
from renewer.model.desired import Certificate, GivenRequest, KeyType
from renewer.model.names import Identifier

LARGEST = 64 * 1024  # octets; one with a hundred names has 4 KiB
_FORBIDDEN = {
    "key": "the key is that of the request",
    "reuse_key": "the key is that of the request, for as long as the request is",
    "placeholder": "nobody here has a key to serve one with",
    "key_mode": "there is no key here",
}


class OwnRequest(NamedTuple):
    """A request that can be ordered with, and the table that names it."""

    given: GivenRequest
    names: tuple[Identifier, ...]
    key: KeyType
    table: Given[Certificate]

    def compare(self, names: Sequence[Identifier]) -> None:
        """Is it for these names, and for no others?"""
        if set(names) == set(self.names):
            return
        more = ", ".join(str(one) for one in self.names if one not in names)
        less = ", ".join(str(one) for one in names if one not in self.names)
        why = " and ".join(filter(None, (more and f"is also for {more}", less and f"is not for {less}")))
        hint = "leave `names` out to take those of the request, or make another request"
        self.table.wrong("csr", f"{self.given.path} {why}", hint)


def read(table: Given[Certificate]) -> OwnRequest | None:
    """The request that a certificate's own table names; None if that was a fault."""
    for key, why in _FORBIDDEN.items():
        if table.get(key, False) is not False:
            table.wrong(key, f"does not go with csr: {why}", "take it out")
    path: str = table.get("csr")
    try:
        return _read(path, table)
    except ValueError as error:
        hint = "make one where the key is, for the names of the certificate: openssl req -new …"
        table.wrong("csr", f"{path} {error}", hint)
    except OSError as error:
        hint = "put the request there, or correct the path"
        table.wrong("csr", f"{path} cannot be read: {error.strerror}", hint)
    return None


def _read(path: str, table: Given[Certificate]) -> OwnRequest:
    from renewer import x509  # 75 ms

    data = _content(path)
    if found := ownership.danger(path):
        raise ValueError(f"is not used, since others could change it: {found.text}; {found.hint}")
    request = x509.read_request(data)
    if not request.names:
        raise ValueError("is for no name: a subjectAltName is missing")
    given = GivenRequest(path=path, der=request.der, spki=request.spki)
    return OwnRequest(given, request.names, request.key, table)


def _content(path: str) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("is not a file")
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"is larger than {LARGEST >> 10} KiB: is it the right file?")
    return data
