"""The accounts at an acme-dns server, in one file: what is in it may change records, so it is ours alone.

A server keeps the last two values of an account: which orders in flight have its places is known here.

The format is the one that lego, acme-dns-client and the certbot hook of acme-dns write, so that their files
can be used as they are: a JSON object, by domain, of `fulldomain`, `subdomain`, `username` and `password`.
"""

import contextlib
import os
import stat
import threading
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from renewer import durable, ownership
from renewer.decoding import UndecodableError, decode
from renewer.errors import GiveUp, RetryLater, StateError
from renewer.model.dns_provider import AcmeDnsAccount, TxtRecord

_LARGEST = 4 * 1024 * 1024
_HINT = "make the accounts: renewer acme-dns register"
SLOTS = 2  # values that acme-dns keeps for an account

_in_use: dict[tuple[str, str], list[str]] = {}  # by server and subdomain: the values of orders in flight
_guard = threading.Lock()


def missing(name: str, path: str) -> GiveUp:
    """There is no account for a name."""
    return GiveUp(
        f"there is no acme-dns account for {name} in {path}",
        hint="make one, and publish the CNAME that this prints: renewer acme-dns register",
        kind="config",
    )


def chosen(known: Mapping[str, AcmeDnsAccount], zone: str, record: TxtRecord, path: str) -> AcmeDnsAccount:
    """The account where the record's aliases end; if they cannot be followed here, that of its domain."""
    for account in known.values():
        if account.fulldomain.rstrip(".").lower() == record.name:
            return account
    own = known.get(record.domain)
    if own is None:
        raise missing(record.domain, path)
    if not zone:
        return own
    seen = "is no CNAME" if record.name == record.asked else f"leads to {record.name}"
    raise GiveUp(
        f"{record.asked} {seen}, and its acme-dns account is another place",
        hint=f"publish: {record.asked}. CNAME {own.fulldomain.rstrip('.')}.",
        kind="config",
    )


def reserve(server: str, accounts: Sequence[AcmeDnsAccount], records: Sequence[TxtRecord]) -> None:
    """Take a place for each value; a third one would push out one that an authority still looks for."""
    for account in dict.fromkeys(accounts):
        mine = [record for one, record in zip(accounts, records, strict=True) if one == account]
        values = list(dict.fromkeys(record.value for record in mine))
        names = ", ".join(dict.fromkeys(record.asked for record in mine))
        if len(values) > SLOTS:
            raise GiveUp(
                f"{len(values)} values are needed at once at {account.fulldomain} ({names}), and acme-dns "
                f"keeps {SLOTS} an account: enough for a name and its wildcard, for no more",
                hint="give each name an account and a CNAME of its own: renewer acme-dns register",
                kind="config",
            )
        with _guard:
            used = _in_use.setdefault((server, account.subdomain), [])
            new = [value for value in values if value not in used]
            if len(used) + len(new) > SLOTS:
                text = f"another order is using both places of {account.fulldomain} ({names}) just now"
                hint = "names that share an account take turns; accounts of their own need not"
                raise RetryLater(text, hint=hint, kind="busy")
            used += new


def free(server: str, records: Iterable[TxtRecord]) -> None:
    """Their places may be taken by the next ones: acme-dns itself overwrites them."""
    gone = {record.value for record in records}
    with _guard:
        for place, values in list(_in_use.items()):
            if place[0] == server:
                _in_use[place] = [value for value in values if value not in gone]


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
