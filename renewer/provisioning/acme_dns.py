"""The accounts at an acme-dns server, in one file: what is in it may change records, so it is ours alone.

The format is the one that lego, acme-dns-client and the certbot hook of acme-dns write, so that their files
can be used as they are: a JSON object, by domain, of `fulldomain`, `subdomain`, `username` and `password`.
"""

import contextlib
import os
import stat
from collections.abc import Mapping

import msgspec

from renewer import durable, ownership
from renewer.decoding import UndecodableError, decode
from renewer.errors import GiveUp, StateError
from renewer.model.dns_provider import AcmeDnsAccount

_LARGEST = 4 * 1024 * 1024
_HINT = "make the accounts: renewer acme-dns register"


def load(path: str) -> Mapping[str, AcmeDnsAccount]:
    """The accounts by domain; none if there is no file. Raises GiveUp if it cannot be used."""
    found = {}
    for domain, entry in _read(path).items():
        try:
            account = msgspec.convert(entry, AcmeDnsAccount)
        except msgspec.ValidationError as error:
            raise _unusable(path, f"the account of {domain}: {error}") from None
        found[domain.removeprefix("*.").rstrip(".").lower()] = account
    return found


def add(path: str, domain: str, account: AcmeDnsAccount, server: str) -> None:
    """Add an account; what else is in the file stays. Durable on return. Raises GiveUp or StateError."""
    entries = {**_read(path), domain: {**msgspec.structs.asdict(account), "server_url": server}}
    content = msgspec.json.format(msgspec.json.encode(entries)) + b"\n"
    try:
        with ownership.open_place(os.path.dirname(path)) as above, contextlib.suppress(FileExistsError):
            os.mkdir(above.name, 0o700, dir_fd=above.fd)
            durable.synced(above.fd)
        durable.replace(path, content, durable.with_mode(path), alone=False)
    except OSError as error:
        hint = "its directory must be there, belong to the agent's user, and have space"
        raise StateError(f"{path}: {error.strerror}", hint=hint, kind="state") from error


def _read(path: str) -> dict[str, object]:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from None
    with os.fdopen(handle, "rb") as file:
        entry = os.fstat(handle)
        if not stat.S_ISREG(entry.st_mode):
            raise _unusable(path, "it is not a file")
        if found := ownership.danger(path):
            raise _unusable(path, f"others could change it: {found.text}", found.hint)
        if entry.st_mode & stat.S_IROTH:
            raise _unusable(path, "it holds passwords, and everybody can read it", f"chmod 600 {path}")
        data = file.read(_LARGEST)
    try:
        entries = decode(data)
    except UndecodableError:
        entries = None
    if not isinstance(entries, dict):
        raise _unusable(path, "it is no JSON object", f"restore it, or move it away; then {_HINT}")
    return entries


def _unusable(path: str, why: str, hint: str = "mend it, or move it away") -> GiveUp:
    return GiveUp(f"the acme-dns accounts in {path} cannot be used: {why}", hint=hint, kind="config")
