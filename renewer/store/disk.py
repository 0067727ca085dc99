"""The store on disk; `docs/state.md` is its spec. Every change is made in `tmp/` and renamed into place.

Changes are made under the lock (`store/lock.py`) by one process, there by any number of threads; reading
needs no lock.
"""

import itertools
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

import msgspec

from renewer.errors import StateError
from renewer.model.facts import Version
from renewer.model.names import CERTIFICATE_NAME
from renewer.model.value import Value
from renewer.store import layout, safe
from renewer.store.contract import Material, Pending, Shelf
from renewer.store.group import group_number
from renewer.store.layout import version_id
from renewer.store.shelves import look, well_named

__all__ = ["DiskStore", "version_id"]

_OURS = re.compile(r"new-\d+-\d+")
_numbers = itertools.count()
_in_use: set[str] = set()
_guard = threading.Lock()


class _About(Value):
    """What a version knows of itself beside its files, so that a lost ledger costs nothing."""

    id: str
    made_at: datetime
    placeholder: bool = False
    authority: str | None = None
    account: str | None = None
    profile: str | None = None


class DiskStore:
    """Versions below `<state>/certificates`; members of `group` may read the live ones."""

    def __init__(self, state: str, *, group: str | None = None) -> None:
        self._state = state
        self._group_name = group
        self._swept = False
        self._sweeping = threading.Lock()

    # reading ---------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """Every certificate that has a directory, sorted."""
        with self._reading() as certificates:
            if certificates is None:
                return []
            return [name for name in certificates.names() if well_named(name)]

    def shelf(self, certificate: str) -> Shelf:
        """What lies there: one look at three directories, no file is opened.

        A version's stamp is inode, size and mtime in ns of `cert.pem` and of `privkey.pem`, zeros for a file
        that is missing; such a version is listed, and `about` says what is wrong with it.
        """
        _demand(CERTIFICATE_NAME, certificate, "certificate")
        return look(f"{self._state}/{layout.CERTIFICATES}/{certificate}")

    def read(self, certificate: str, version: str) -> Material:
        """The files of a version, whole. Raises StateError if something is missing or unsafe."""
        with self._home(certificate) as home, home.open(layout.VERSIONS) as versions:
            _demand(layout.VERSION_ID, version, "version")
            with versions.open(version) as directory:
                return _material(directory)

    def about(self, certificate: str, version: str) -> Version:
        """The facts of a version, by parsing it. Raises StateError if it is not complete and well-formed."""
        from renewer import x509  # slow to import, and remembered facts spare it

        with self._home(certificate) as home, home.open(layout.VERSIONS) as versions:
            _demand(layout.VERSION_ID, version, "version")
            with versions.open(version) as directory:
                material, about, path = _material(directory), _about(directory, version), directory.path
        try:
            leaf = x509.leaf(material.cert)
            if material.chain:
                x509.split_chain(material.chain)
            fits = x509.matches(material.privkey, material.cert)
        except ValueError as error:
            raise _damaged(path, str(error)) from None
        if not fits:
            raise _damaged(path, "its key does not belong to its certificate")
        return Version(
            id=version,
            made_at=about.made_at,
            leaf=leaf,
            placeholder=about.placeholder,
            authority=about.authority,
            account=about.account,
            profile=about.profile,
        )

    def path(self, certificate: str, version: str | None = None) -> str:
        """The directory that hooks are told of: `live`, or a version's own."""
        home = f"{self._state}/{layout.CERTIFICATES}/{certificate}"
        return f"{home}/{layout.LIVE}" if version is None else f"{home}/{layout.VERSIONS}/{version}"

    # versions --------------------------------------------------------------------------------------------

    def put(self, certificate: str, version: Version, material: Material, *, key_mode: int) -> Version:
        """Write a version directory; an identical one that is there already is taken as done.

        `key_mode` is the mode of `privkey.pem`, 0640 at most. Raises StateError if another, complete version
        of that name is there; one that is not complete is replaced.
        """
        _demand(layout.VERSION_ID, version.id, "version")
        if key_mode & ~0o640:
            raise StateError(
                f"a key's mode {key_mode:04o} is too wide", hint="use 0600 or 0640", kind="key-mode"
            )
        open_mode = 0o600 if self._group is None else 0o640
        files = (
            (layout.PRIVKEY, material.privkey, key_mode),
            (layout.CERT, material.cert, open_mode),
            (layout.CHAIN, material.chain, open_mode),
            (layout.FULLCHAIN, material.fullchain, open_mode),
            (layout.ABOUT, _describe(version), open_mode),
        )
        with (
            self._writing(certificate) as (home, tmp),
            home.ensure(layout.VERSIONS, self._mode, self._group) as versions,
        ):
            there = _compare(versions, version.id, material)
            if there is None or not there:
                with _fresh(tmp) as name:
                    self._fill(tmp, name, files)
                    if there is not None:
                        self._discard(versions, version.id, tmp)
                    tmp.move(name, versions, version.id)
            else:
                versions.sync()  # the one who wrote it may have died before it did
        return version

    def turn(self, certificate: str, version: str) -> None:
        """Point `live` at a version by one rename. Raises StateError if that version is not there."""
        _demand(layout.VERSION_ID, version, "version")
        target = f"{layout.VERSIONS}/{version}"
        with self._writing(certificate) as (home, tmp):
            with home.open(layout.VERSIONS) as versions, versions.open(version) as directory:
                for name in (layout.PRIVKEY, layout.CERT, layout.CHAIN, layout.FULLCHAIN):
                    if directory.mode(name) is None:
                        raise _damaged(directory.path, f"{name} is missing")
            if home.link(layout.LIVE) == target:
                home.sync()
                return
            with _fresh(tmp) as name:
                tmp.symlink(name, target)
                tmp.move(name, home, layout.LIVE)

    def remove(self, certificate: str, version: str) -> None:
        """Delete a version whole or not at all; gone already is no error. Raises StateError if it is live."""
        _demand(layout.VERSION_ID, version, "version")
        with self._writing(certificate) as (home, tmp):
            if home.link(layout.LIVE) == f"{layout.VERSIONS}/{version}":
                raise StateError(
                    f"{certificate}: version {version} is live and cannot be removed", kind="live"
                )
            with home.ensure(layout.VERSIONS, self._mode, self._group) as versions:
                self._discard(versions, version, tmp)

    # pending orders --------------------------------------------------------------------------------------

    def prepare(self, certificate: str, pending: str, privkey: bytes, order: bytes) -> None:
        """Keep a new key and the wish it belongs to, before the CSR leaves; doing it again is done.

        Raises StateError if another key is kept under that name.
        """
        _demand(layout.PENDING_ID, pending, "pending order")
        files = ((layout.PRIVKEY, privkey, 0o600), (layout.ORDER, order, 0o600))
        with self._writing(certificate) as (home, tmp), home.ensure(layout.PENDING, 0o700) as shelf:
            if shelf.mode(pending) is not None:
                with shelf.open(pending) as there:
                    if there.read(layout.PRIVKEY) != privkey or there.read(layout.ORDER) != order:
                        raise StateError(f"{there.path} holds another order already", kind="exists")
                shelf.sync()
                return
            with _fresh(tmp) as name:
                self._fill(tmp, name, files, shared=False)
                tmp.move(name, shelf, pending)

    def pending(self, certificate: str, pending: str) -> Pending:
        """What lies in a pending directory; nothing at all if it is not there."""
        with self._pending(certificate, pending) as directory:
            if directory is None:
                return Pending(id=pending, order=b"", has_key=False, has_chain=False)
            names = directory.names()
            return Pending(
                id=pending,
                order=directory.read(layout.ORDER) if layout.ORDER in names else b"",
                has_key=layout.PRIVKEY in names,
                has_chain=layout.FULLCHAIN in names,
            )

    def pending_key(self, certificate: str, pending: str) -> bytes:
        """The key of a pending order, as PEM. Raises StateError if it is not there."""
        return self._pending_file(certificate, pending, layout.PRIVKEY)

    def keep_chain(self, certificate: str, pending: str, fullchain: bytes) -> None:
        """Keep the downloaded chain beside its key. Raises StateError if the order is not there."""
        _demand(layout.PENDING_ID, pending, "pending order")
        with (
            self._writing(certificate) as (home, tmp),
            home.open(layout.PENDING) as shelf,
            shelf.open(pending) as directory,
            _fresh(tmp) as name,
        ):
            tmp.write(name, fullchain, 0o600)
            tmp.move(name, directory, layout.FULLCHAIN)

    def pending_chain(self, certificate: str, pending: str) -> bytes:
        """The downloaded chain of a pending order, as PEM. Raises StateError if it is not there."""
        return self._pending_file(certificate, pending, layout.FULLCHAIN)

    def clear(self, certificate: str, pending: str) -> None:
        """Remove a pending directory; one that is gone already is no error."""
        _demand(layout.PENDING_ID, pending, "pending order")
        with self._writing(certificate) as (home, tmp):
            with home.ensure(layout.PENDING, 0o700) as shelf:
                self._discard(shelf, pending, tmp)
            home.discard_empty(layout.PENDING)  # one directory less to look into, at every run

    # the inside ------------------------------------------------------------------------------------------

    @property
    def _group(self) -> int | None:
        return group_number(self._group_name)

    @property
    def _mode(self) -> int:
        return 0o700 if self._group_name is None else 0o750

    @contextmanager
    def _reading(self) -> Iterator[safe.Directory | None]:
        root = safe.find_root(self._state)
        if root is None:
            yield None
            return
        with root:
            certificates = root.find(layout.CERTIFICATES)
            if certificates is None:
                yield None
                return
            with certificates:
                yield certificates

    @contextmanager
    def _home(self, certificate: str) -> Iterator[safe.Directory]:
        _demand(CERTIFICATE_NAME, certificate, "certificate")
        with self._reading() as certificates:
            if certificates is None:
                raise StateError(f"{self._state} holds no certificates yet", kind="missing")
            with certificates.open(certificate) as home:
                yield home

    @contextmanager
    def _pending(self, certificate: str, pending: str) -> Iterator[safe.Directory | None]:
        _demand(CERTIFICATE_NAME, certificate, "certificate")
        _demand(layout.PENDING_ID, pending, "pending order")
        with self._reading() as certificates:
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

    def _pending_file(self, certificate: str, pending: str, name: str) -> bytes:
        with self._pending(certificate, pending) as directory:
            if directory is None:
                raise StateError(f"{certificate}: there is no pending order {pending}", kind="missing")
            return directory.read(name)

    @contextmanager
    def _writing(self, certificate: str) -> Iterator[tuple[safe.Directory, safe.Directory]]:
        """The certificate's directory and `tmp`, made if need be."""
        _demand(CERTIFICATE_NAME, certificate, "certificate")
        group, mode = self._group, self._mode
        with (
            safe.ensure_root(self._state, mode, group) as root,
            root.ensure(layout.TMP, 0o700) as tmp,
            root.ensure(layout.CERTIFICATES, mode, group) as certificates,
            certificates.ensure(certificate, mode, group) as home,
        ):
            self._sweep(tmp)
            yield home, tmp

    def _sweep(self, tmp: safe.Directory) -> None:
        """Once: remove what a run that was killed left in `tmp`, and nothing that is not ours."""
        with self._sweeping:
            if self._swept:
                return
            for name in tmp.names():
                with _guard:
                    ours = _OURS.fullmatch(name) is not None and name not in _in_use
                if ours:
                    tmp.discard(name)
            self._swept = True

    def _fill(
        self,
        tmp: safe.Directory,
        name: str,
        files: tuple[tuple[str, bytes, int], ...],
        *,
        shared: bool = True,
    ) -> None:
        group = self._group if shared else None
        with tmp.ensure(name, self._mode if shared else 0o700, group) as directory:
            for filename, content, mode in files:
                directory.write(filename, content, mode, group)
            directory.sync()

    def _discard(self, parent: safe.Directory, name: str, tmp: safe.Directory) -> None:
        """Out of sight by one rename, then file by file."""
        if parent.mode(name) is None:
            return
        with _fresh(tmp) as gone:
            parent.move(name, tmp, gone)
            parent.sync()
            tmp.discard(gone)


@contextmanager
def _fresh(tmp: safe.Directory) -> Iterator[str]:
    """A name in `tmp` for something that will be renamed away; if it was not, it is removed."""
    name = f"new-{os.getpid()}-{next(_numbers)}"
    with _guard:
        _in_use.add(name)
    try:
        yield name
    except BaseException:
        with suppress(
            StateError
        ):  # the next run's sweep takes it; the fault that brought us here is the one to tell
            tmp.discard(name)
        raise
    finally:
        with _guard:
            _in_use.discard(name)


def _demand(pattern: re.Pattern[str], name: str, what: str) -> None:
    if not pattern.fullmatch(name):
        raise StateError(f"'{name}' cannot be the name of a {what}", kind="name")


def _material(directory: safe.Directory) -> Material:
    material = Material(
        privkey=directory.read(layout.PRIVKEY),
        cert=directory.read(layout.CERT),
        chain=directory.read(layout.CHAIN),
    )
    if directory.read(layout.FULLCHAIN) != material.fullchain:
        raise _damaged(directory.path, f"{layout.FULLCHAIN} is not {layout.CERT} and {layout.CHAIN}")
    return material


def _compare(versions: safe.Directory, version: str, material: Material) -> bool | None:
    """Whether the version there is this very one: None if nothing is there, False if it is not complete.

    Raises StateError if it is another, complete one.
    """
    directory = versions.find(version)
    if directory is None:
        return None
    with directory:
        if any(
            directory.mode(name) is None
            for name in (layout.PRIVKEY, layout.CERT, layout.CHAIN, layout.FULLCHAIN)
        ):
            return False
        if _material(directory) != material:
            raise StateError(
                f"{directory.path} holds another version already",
                hint="look at it and move it away",
                kind="exists",
            )
    return True


def _describe(version: Version) -> bytes:
    about = _About(
        id=version.id,
        made_at=version.made_at,
        placeholder=version.placeholder,
        authority=version.authority,
        account=version.account,
        profile=version.profile,
    )
    return msgspec.json.encode(about) + b"\n"


def _about(directory: safe.Directory, version: str) -> _About:
    """What the version's own note says; without one, only what its name does."""
    if directory.mode(layout.ABOUT) is not None:
        try:
            found = msgspec.json.decode(directory.read(layout.ABOUT), type=_About)
        except msgspec.MsgspecError:
            raise _damaged(directory.path, f"{layout.ABOUT} cannot be read") from None
        if found.id == version:
            return found
    try:
        return _About(id=version, made_at=layout.made_at(version))
    except ValueError:
        raise _damaged(directory.path, "its name tells no moment") from None


def _damaged(path: str, why: str) -> StateError:
    return StateError(
        f"{path} is not a complete version: {why}",
        hint="it is not used; move it away once another one is live",
        kind="damaged",
    )
