"""What a store of versions must do; `docs/state.md` is the spec of the one on disk."""

from contextlib import AbstractContextManager
from typing import Protocol

from renewer.model.facts import Version
from renewer.model.value import Value


class Material(Value):
    """The four files of a version, as PEM. `chain` is what follows the leaf and may be empty.

    So is `privkey` of a version whose key is elsewhere, which has three. Its repr says nothing of the key.
    """

    privkey: bytes
    cert: bytes
    chain: bytes

    @property
    def fullchain(self) -> bytes:
        """Leaf first, then the chain as the authority sent it (RFC 8446 §4.4.2)."""
        return self.cert + self.chain

    def __repr__(self) -> str:
        return "Material(…)"


class Pending(Value):
    """What lies in a pending directory: the wish, and the chain once it was downloaded.

    The key always, or the request for a key that is elsewhere.
    """

    id: str
    order: bytes
    has_key: bool
    has_chain: bool


class Found(Value):
    """A version directory as the disk shows it: its id and what tells whether it changed.

    `rights` are mode and group of the directory, then of its files (key, leaf, chain, both, its note); None
    for what is not there.
    """

    id: str
    stamp: tuple[int, ...]
    rights: tuple[tuple[int, int] | None, ...] = ()


class Shelf(Value):
    """All that the store has of one certificate; `blocked` says what stands in place of the link, if so."""

    live: str | None
    found: tuple[Found, ...]
    pending: tuple[str, ...]
    blocked: str | None = None


class Store(Protocol):
    """Versions and the link that says which is live. Every change is atomic and durable on return."""

    def names(self) -> list[str]:
        """Every certificate that has a directory, sorted."""

    def shelf(self, certificate: str) -> Shelf:
        """What lies there, cheaply: no file is opened. An unknown certificate gives an empty shelf."""

    def read(self, certificate: str, version: str) -> Material:
        """The files of a version, whole. Raises StateError if something is missing or unsafe."""

    def about(self, certificate: str, version: str) -> Version:
        """The facts of a version, by parsing it. Raises StateError if it is not complete and well-formed."""

    def scratch(self) -> AbstractContextManager[str]:
        """The path of a private directory, empty at first and gone afterwards, also after a kill."""

    def keep_refused(self, certificate: str, chain: bytes) -> str:
        """Keep a chain that could not be installed, the newest of a certificate; returns its path."""

    def demand_room(self, size: int) -> None:
        """Make sure that so many octets can be written. Raises StateError if the disk or a quota says no."""

    def sweep(self) -> None:
        """Remove what a killed run left half made."""

    def keep_former(self, path: str, content: bytes, link: str | None) -> str:
        """Keep what stood at a path elsewhere (of a link its text), the first only; where it is kept."""

    def former(self, path: str) -> str | None:
        """Where the former file of a path is kept; None if none is."""

    def put(self, certificate: str, version: Version, material: Material, *, key_mode: int) -> Version:
        """Write a version directory; an identical one that is there already is taken as done."""

    def repair(self, certificate: str, version: str, *, remembered: Version | None, key_mode: int) -> bool:
        """Put a damaged version again, from those of its files that are whole; whether that could be done."""

    def settle(self, certificate: str, version: str, *, key_mode: int) -> None:
        """Give a version's files the mode and group that they would be made with now."""

    def turn(self, certificate: str, version: str) -> None:
        """Point `live` at a version by one rename."""

    def remove(self, certificate: str, version: str) -> None:
        """Delete a version that is not live."""

    def rename(self, certificate: str, new: str) -> None:
        """Let a certificate have another name; the old path goes on leading there. Done before is done."""

    def alias(self, certificate: str) -> str | None:
        """The new name of a certificate that was renamed; None if it was not."""

    def forget(self, certificate: str) -> None:
        """Delete all that there is of a certificate, its keys too, or what a renaming left of its name."""

    def path(self, certificate: str, version: str | None = None) -> str:
        """The directory that hooks are told of: `live`, or a version's own."""

    def lineage(self, certificate: str, *, key: bool = True) -> str:
        """The directory that certbot's hooks are told of, made or put right; it ends in the name.

        Without a link to the key if that is elsewhere.
        """

    def prepare(
        self, certificate: str, pending: str, privkey: bytes, order: bytes, *, request: bytes = b""
    ) -> None:
        """Keep a new key (or a request for one that is elsewhere) and its wish, before the CSR leaves."""

    def pending(self, certificate: str, pending: str) -> Pending:
        """What lies in a pending directory."""

    def pending_key(self, certificate: str, pending: str) -> bytes:
        """The key of a pending order, as PEM."""

    def pending_request(self, certificate: str, pending: str) -> bytes:
        """The request of a pending order whose key is elsewhere, as DER."""

    def keep_chain(self, certificate: str, pending: str, fullchain: bytes) -> None:
        """Keep the downloaded chain beside its key."""

    def pending_chain(self, certificate: str, pending: str) -> bytes:
        """The downloaded chain of a pending order, as PEM."""

    def clear(self, certificate: str, pending: str) -> None:
        """Remove a pending directory; one that is gone already is no error."""
