"""The store on disk; `docs/state.md` is its spec. Every change is made in `tmp/` and renamed into place.

Changes are made under the lock (`store/lock.py`) by one process, there by any number of threads; reading
needs no lock.
"""

import os
import stat
from contextlib import AbstractContextManager
from datetime import datetime

import msgspec

from renewer import statedir
from renewer.decoding import UndecodableError, decode
from renewer.errors import StateError
from renewer.model.facts import Version
from renewer.model.names import CERTIFICATE_NAME
from renewer.model.value import Value
from renewer.store import layout, mending, pendings, scan
from renewer.store.contract import Material, Pending, Shelf
from renewer.store.layout import version_id
from renewer.store.scan import look, well_named
from renewer.store.workspace import Bench, demand, discard, fresh

__all__ = ["DiskStore", "version_id"]


class _About(Value):
    """What a version knows of itself beside its files, so that a lost ledger costs nothing."""

    id: str
    made_at: datetime
    placeholder: bool = False
    degraded: bool = False
    authority: str | None = None
    directory: str | None = None
    account: str | None = None
    profile: str | None = None
    csr: str | None = None


class DiskStore:
    """Versions below `<state>/certificates`; members of `group` may read the live ones."""

    def __init__(self, state: str, *, group: str | None = None) -> None:
        self._bench = Bench(state, group)

    # reading ---------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """Every certificate that has a directory, sorted."""
        with self._bench.certificates() as certificates:
            if certificates is None:
                return []
            return [name for name in certificates.directories() if well_named(name)]

    def shelf(self, certificate: str) -> Shelf:
        """What lies there: one look at three directories, no file is opened.

        A version's stamp is inode, size and mtime in ns of each of its files, zeros for one that is missing;
        such a version is listed, and `about` says what is wrong with it.
        """
        demand(CERTIFICATE_NAME, certificate, "certificate")
        return look(f"{self._bench.state}/{layout.CERTIFICATES}/{certificate}")

    def read(self, certificate: str, version: str) -> Material:
        """The files of a version, whole. Raises StateError if something is missing or unsafe."""
        with self._bench.home(certificate) as home, home.open(layout.VERSIONS) as versions:
            demand(layout.VERSION_ID, version, "version")
            with versions.open(version) as directory:
                return _material(directory)

    def about(self, certificate: str, version: str) -> Version:
        """The facts of a version, by parsing it. Raises StateError if it is not complete and well-formed."""
        from renewer import certs, x509  # slow to import, and remembered facts spare it

        with self._bench.home(certificate) as home, home.open(layout.VERSIONS) as versions:
            demand(layout.VERSION_ID, version, "version")
            with versions.open(version) as directory:
                material, about, path = _material(directory), _about(directory, version), directory.path
        try:
            leaf = certs.leaf(material.cert)
            if material.chain:
                certs.split_chain(material.chain)
            if material.privkey:
                fits = x509.matches(material.privkey, material.cert)
            else:
                fits = certs.spki(material.cert) == about.csr
        except ValueError as error:
            raise _damaged(path, str(error)) from None
        if not fits:
            raise _damaged(path, "its key does not belong to its certificate")
        return Version(
            id=version,
            made_at=about.made_at,
            leaf=leaf,
            placeholder=about.placeholder,
            degraded=about.degraded,
            authority=about.authority,
            directory=about.directory,
            account=about.account,
            profile=about.profile,
            csr=None if material.privkey else about.csr,
        )

    def path(self, certificate: str, version: str | None = None) -> str:
        """The directory that hooks are told of: `live`, or a version's own."""
        home = f"{self._bench.state}/{layout.CERTIFICATES}/{certificate}"
        return f"{home}/{layout.LIVE}" if version is None else f"{home}/{layout.VERSIONS}/{version}"

    def lineage(self, certificate: str, *, key: bool = True) -> str:
        """The directory that certbot's hooks are told of, made or put right; it ends in the name."""
        return scan.ensure(self._bench, certificate, key=key)

    # versions --------------------------------------------------------------------------------------------

    def scratch(self) -> AbstractContextManager[str]:
        """A private directory for a moment, below `<state>/tmp`, for programs that need real paths."""
        return self._bench.scratch()

    def keep_refused(self, certificate: str, chain: bytes) -> str:
        """Keep a chain that could not be installed, the newest of a certificate; returns its path."""
        demand(CERTIFICATE_NAME, certificate, "certificate")
        return self._bench.keep_refused(f"{certificate}.pem", chain)

    def demand_room(self, size: int) -> None:
        """Make sure that so many octets can be written. Raises StateError if the disk or a quota says no."""
        self._bench.demand_room(size)

    def sweep(self) -> None:
        """Remove what a killed run left on the workbench."""
        self._bench.sweep()

    def keep_former(self, path: str, content: bytes, link: str | None) -> str:
        """Keep what stood elsewhere before us; see `formers.keep`."""
        return keep(self._bench, path, content, link)

    def former(self, path: str) -> str | None:
        """Where that is kept; None if nothing is."""
        return where(self._bench.state, path)

    def put(self, certificate: str, version: Version, material: Material, *, key_mode: int) -> Version:
        """Write a version directory; an identical one that is there already is taken as done.

        `key_mode` is the mode of `privkey.pem`, 0640 at most. Raises StateError if another, complete version
        of that name is there; a damaged one is replaced.
        """
        demand(layout.VERSION_ID, version.id, "version")
        if key_mode & ~0o640:
            raise StateError(
                f"a key's mode {key_mode:04o} is too wide", hint="use 0600 or 0640", kind="key-mode"
            )
        open_mode = 0o600 if self._bench.group is None else 0o640
        files = (
            *(((layout.PRIVKEY, material.privkey, key_mode),) if material.privkey else ()),
            (layout.CERT, material.cert, open_mode),
            (layout.CHAIN, material.chain, open_mode),
            (layout.FULLCHAIN, material.fullchain, open_mode),
            (layout.ABOUT, _describe(version), open_mode),
        )
        with (
            self._bench.writing(certificate) as (home, tmp),
            home.ensure(layout.VERSIONS, self._bench.mode, self._bench.group) as versions,
        ):
            if self._same(certificate, version.id, material):
                versions.sync()  # the one who wrote it may have died before it did
                return version
            with fresh(tmp) as name:
                self._bench.fill(tmp, name, files)
                discard(versions, version.id, tmp)
                tmp.move(name, versions, version.id)
        return version

    def _same(self, certificate: str, version: str, material: Material) -> bool:
        """Whether this very version is there already; False if nothing is, or what is there is damaged.

        Raises StateError if it is another one, or not safe to look at.
        """
        try:
            same = self.read(certificate, version) == material
            self.about(certificate, version)  # also what stands beside the four files is whole
            if same:
                return True
        except StateError as error:
            if error.kind in ("missing", "damaged"):
                return False
            raise
        raise StateError(
            f"{self.path(certificate, version)} holds another version already",
            hint="look at it and move it away",
            kind="exists",
        )

    def repair(self, certificate: str, version: str, *, remembered: Version | None, key_mode: int) -> bool:
        """Put a damaged version again, from those of its files that are whole; whether that could be done.

        `remembered` are its facts, if anybody knows them: then nothing but that very leaf is put.
        """
        from renewer import certs

        demand(layout.VERSION_ID, version, "version")
        material = mending.whole(self._bench, certificate, version, remembered)
        if material is None:
            return False
        leaf, made = certs.leaf(material.cert), layout.made_at(version)
        elsewhere = None if material.privkey else certs.spki(material.cert)
        about = remembered or Version(id=version, made_at=made, leaf=leaf, csr=elsewhere)
        self.put(certificate, about, material, key_mode=key_mode)
        return True

    def settle(self, certificate: str, version: str, *, key_mode: int) -> None:
        """Give a version's directory and files the mode and group that they would be made with now."""
        demand(layout.VERSION_ID, version, "version")
        mending.settle(self._bench, certificate, version, key_mode)

    def turn(self, certificate: str, version: str) -> None:
        """Point `live` at a version by one rename. Raises StateError if that version is not there."""
        demand(layout.VERSION_ID, version, "version")
        target = f"{layout.VERSIONS}/{version}"
        with self._bench.writing(certificate) as (home, tmp):
            with home.open(layout.VERSIONS) as versions, versions.open(version) as directory:
                for name in (layout.PRIVKEY, layout.CERT, layout.CHAIN, layout.FULLCHAIN):
                    elsewhere = name == layout.PRIVKEY and mending.keyless(directory)
                    if directory.mode(name) is None and not elsewhere:
                        raise _damaged(directory.path, f"{name} is missing")
            if home.link(layout.LIVE) == target:
                home.sync()
                return
            with fresh(tmp) as name:
                tmp.symlink(name, target)
                tmp.move(name, home, layout.LIVE)

    def remove(self, certificate: str, version: str) -> None:
        """Delete a version whole or not at all; gone already is no error. Raises StateError if it is live."""
        demand(layout.VERSION_ID, version, "version")
        with self._bench.writing(certificate) as (home, tmp):
            if home.link(layout.LIVE) == f"{layout.VERSIONS}/{version}":
                raise StateError(
                    f"{certificate}: version {version} is live and cannot be removed", kind="live"
                )
            with home.ensure(layout.VERSIONS, self._bench.mode, self._bench.group) as versions:
                discard(versions, version, tmp)

    # certificates as a whole -----------------------------------------------------------------------------

    def rename(self, certificate: str, new: str) -> None:
        """Let a certificate have another name; the old path goes on leading there.

        Raises StateError if it is not there, or if the other name has more than a placeholder already.
        """
        if alias(self._bench, certificate) != new and not self._bare(new):
            raise StateError(
                f"{new} has versions of its own already", hint=f"look at them: renewer versions {new}"
            )
        rename(self._bench, certificate, new)
        if scan.there(self._bench, certificate):  # the old one leads there all the same
            scan.ensure(self._bench, new)

    def alias(self, certificate: str) -> str | None:
        """The new name of a certificate that was renamed; None if it was not."""
        return alias(self._bench, certificate)

    def forget(self, certificate: str) -> None:
        """Delete all that there is of a certificate, its keys too, or what a renaming left of its name."""
        forget(self._bench, certificate)
        scan.forget(self._bench, certificate)

    def _bare(self, certificate: str) -> bool:
        """Whether nothing is lost if what lies under that name goes."""
        if alias(self._bench, certificate) is not None:
            return True  # of a renaming: one that was killed, or the other way round
        shelf = self.shelf(certificate)
        return not shelf.pending and all(self.about(certificate, v.id).placeholder for v in shelf.found)

    # pending orders --------------------------------------------------------------------------------------

    def prepare(
        self, certificate: str, pending: str, privkey: bytes, order: bytes, *, request: bytes = b""
    ) -> None:
        """Keep a new key (or a request for one that is elsewhere) and its wish, before the CSR leaves.

        Doing it again is done. Raises StateError if another key is kept under that name.
        """
        secret = (layout.REQUEST, request) if request else (layout.PRIVKEY, privkey)
        pendings.prepare(self._bench, certificate, pending, secret, order)

    def pending(self, certificate: str, pending: str) -> Pending:
        """What lies in a pending directory; nothing at all if it is not there."""
        return pendings.look(self._bench, certificate, pending)

    def pending_key(self, certificate: str, pending: str) -> bytes:
        """The key of a pending order, as PEM. Raises StateError if it is not there."""
        return pendings.read(self._bench, certificate, pending, layout.PRIVKEY)

    def pending_request(self, certificate: str, pending: str) -> bytes:
        """The request of a pending order whose key is elsewhere. Raises StateError if it is not there."""
        return pendings.read(self._bench, certificate, pending, layout.REQUEST)

    def keep_chain(self, certificate: str, pending: str, fullchain: bytes) -> None:
        """Keep the downloaded chain beside its key. Raises StateError if the order is not there."""
        pendings.keep_chain(self._bench, certificate, pending, fullchain)

    def pending_chain(self, certificate: str, pending: str) -> bytes:
        """The downloaded chain of a pending order, as PEM. Raises StateError if it is not there."""
        return pendings.read(self._bench, certificate, pending, layout.FULLCHAIN)

    def clear(self, certificate: str, pending: str) -> None:
        """Remove a pending directory; one that is gone already is no error."""
        pendings.clear(self._bench, certificate, pending)


def _material(directory: statedir.StateDirectory) -> Material:
    material = Material(
        privkey=b"" if mending.keyless(directory) else directory.read(layout.PRIVKEY),
        cert=directory.read(layout.CERT),
        chain=directory.read(layout.CHAIN),
    )
    if directory.read(layout.FULLCHAIN) != material.fullchain:
        raise _damaged(directory.path, f"{layout.FULLCHAIN} is not {layout.CERT} and {layout.CHAIN}")
    return material


def _describe(version: Version) -> bytes:
    about = _About(
        id=version.id,
        made_at=version.made_at,
        placeholder=version.placeholder,
        degraded=version.degraded,
        authority=version.authority,
        directory=version.directory,
        account=version.account,
        profile=version.profile,
        csr=version.csr,
    )
    return msgspec.json.encode(about) + b"\n"


def _about(directory: statedir.StateDirectory, version: str) -> _About:
    """What the version's own note says; without one, only what its name does."""
    if directory.mode(layout.ABOUT) is not None:
        try:
            found: _About = decode(directory.read(layout.ABOUT), _About)
        except UndecodableError:
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


_LONGEST = 180  # characters of a name; a file name ends at 255


def name_of(path: str) -> str:
    """The name under which a path's former file is kept: the path itself, with its slashes encoded."""
    from urllib.parse import quote  # it and hashlib only where something is kept, not in idle runs

    name = quote(os.fsencode(path), safe="")
    if len(name) <= _LONGEST:
        return name
    import hashlib

    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return f"{name[-_LONGEST:].lstrip('%')}-{digest}"


def where(state: str, path: str) -> str | None:
    """Where the former file of a path is kept; None if none is."""
    kept = f"{state}/{layout.REPLACED}/{name_of(path)}"
    return kept if os.path.lexists(kept) else None


def keep(bench: Bench, path: str, content: bytes, link: str | None) -> str:
    """Keep what stood at a path, for the agent alone (0600), a link as a link; the first one only.

    Returns where it is kept. Raises StateError.
    """
    name = name_of(path)
    with bench.shelf_of(layout.REPLACED) as (shelf, tmp):
        if shelf.mode(name) is None:
            with fresh(tmp) as draft:
                if link is None:
                    tmp.write(draft, content, 0o600)
                else:
                    tmp.symlink(draft, link)
                tmp.move(draft, shelf, name)
        return f"{shelf.path}/{name}"


def rename(bench: Bench, certificate: str, new: str) -> None:
    """Let a directory have another name; by the same step the old one becomes a link to it.

    So servers whose config names the old path find it at every instant. Done before is done; what lies under
    the new name goes, be it a placeholder or the link of an earlier renaming, which is undone so. Raises
    StateError if there is no such certificate.
    """
    for name in (certificate, new):
        demand(CERTIFICATE_NAME, name, "certificate")
    with bench.shelves() as (certificates, tmp):
        if _link(certificates, certificate) == new:
            return
        with certificates.open(certificate):
            pass  # it is there, and ours
        if _link(certificates, new) is None:
            discard(certificates, new, tmp)
        with fresh(tmp) as link:  # to itself, until both have changed places; perhaps over an earlier one
            tmp.symlink(link, new)
            tmp.move(link, certificates, new)
        certificates.exchange(certificate, new)


def alias(bench: Bench, certificate: str) -> str | None:
    """The new name of a certificate that was renamed; None if it was not."""
    demand(CERTIFICATE_NAME, certificate, "certificate")
    with bench.certificates() as certificates:
        return _link(certificates, certificate) if certificates else None


def forget(bench: Bench, certificate: str) -> None:
    """Delete all that there is of a certificate, or the link that a renaming left; gone already is no error.

    Out of sight by one rename, and then taken apart.
    """
    demand(CERTIFICATE_NAME, certificate, "certificate")
    with bench.shelves() as (certificates, tmp):
        discard(certificates, certificate, tmp)


def _link(certificates: statedir.StateDirectory, name: str) -> str | None:
    """Where a link of that name points; None if it is none."""
    return certificates.link(name) if stat.S_ISLNK(certificates.mode(name) or 0) else None
