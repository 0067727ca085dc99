"""Orders under way: the key and the wish from before anything is asked, then the chain, beside each other."""

from collections.abc import Iterator
from contextlib import contextmanager

from renewer import statedir
from renewer.errors import StateError
from renewer.model.names import CERTIFICATE_NAME
from renewer.store import layout
from renewer.store.contract import Pending
from renewer.store.workspace import Bench, demand, discard, fresh


def prepare(bench: Bench, certificate: str, pending: str, secret: tuple[str, bytes], order: bytes) -> None:
    """Keep a new key (or request: its file's name and content) and its wish; doing it again is done.

    Raises StateError if another key is kept under that name.
    """
    demand(layout.PENDING_ID, pending, "pending order")
    files = ((*secret, 0o600), (layout.ORDER, order, 0o600))
    with bench.writing(certificate) as (home, tmp), home.ensure(layout.PENDING, 0o700) as shelf:
        if shelf.mode(pending) is not None:
            with shelf.open(pending) as there:
                if there.read(secret[0]) != secret[1] or there.read(layout.ORDER) != order:
                    raise StateError(f"{there.path} holds another order already", kind="exists")
            shelf.sync()
            return
        with fresh(tmp) as name:
            bench.fill(tmp, name, files, shared=False)
            tmp.move(name, shelf, pending)


def look(bench: Bench, certificate: str, pending: str) -> Pending:
    """What lies in a pending directory; nothing at all if it is not there."""
    with _opened(bench, certificate, pending) as directory:
        if directory is None:
            return Pending(id=pending, order=b"", has_key=False, has_chain=False)
        names = directory.names()
        return Pending(
            id=pending,
            order=directory.read(layout.ORDER) if layout.ORDER in names else b"",
            has_key=layout.PRIVKEY in names or layout.REQUEST in names,
            has_chain=layout.FULLCHAIN in names,
        )


def read(bench: Bench, certificate: str, pending: str, name: str) -> bytes:
    """One of its files. Raises StateError if it is not there."""
    with _opened(bench, certificate, pending) as directory:
        if directory is None:
            raise StateError(f"{certificate}: there is no pending order {pending}", kind="missing")
        return directory.read(name)


def keep_chain(bench: Bench, certificate: str, pending: str, fullchain: bytes) -> None:
    """Keep the downloaded chain beside its key. Raises StateError if the order is not there."""
    demand(layout.PENDING_ID, pending, "pending order")
    with (
        bench.writing(certificate) as (home, tmp),
        home.open(layout.PENDING) as shelf,
        shelf.open(pending) as directory,
        fresh(tmp) as name,
    ):
        tmp.write(name, fullchain, 0o600)
        tmp.move(name, directory, layout.FULLCHAIN)


def clear(bench: Bench, certificate: str, pending: str) -> None:
    """Remove a pending directory; one that is gone already is no error."""
    demand(layout.PENDING_ID, pending, "pending order")
    with bench.writing(certificate) as (home, tmp):
        with home.ensure(layout.PENDING, 0o700) as shelf:
            discard(shelf, pending, tmp)
        home.discard_empty(layout.PENDING)  # one directory less to look into, at every run


@contextmanager
def _opened(bench: Bench, certificate: str, pending: str) -> Iterator[statedir.StateDirectory | None]:
    demand(CERTIFICATE_NAME, certificate, "certificate")
    demand(layout.PENDING_ID, pending, "pending order")
    with bench.certificates() as certificates:
        home = certificates.find(certificate) if certificates else None
        if home is None:
            yield None
            return
        with home:
            shelf = home.find(layout.PENDING)
            if shelf is None:
                yield None
                return
            with shelf:
                directory = shelf.find(pending)
                if directory is None:
                    yield None
                    return
                with directory:
                    yield directory
