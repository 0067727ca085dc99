"""What a ledger must do; small on purpose. The same tests run against every implementation."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import msgspec

from renewer import words
from renewer.errors import StateError
from renewer.model.facts import Record
from renewer.model.value import Value

R = TypeVar("R", bound=Record)

KEPT = timedelta(days=400)  # a line of history is kept that long: this month can be held against last year's
KEPT_LINES = 1000  # and of one certificate no more than so many: one that fails all the time fills no disk


UNWRITABLE = "ledger-unwritable"
"""The kind of a StateError: the ledger can perhaps be read, and nothing can be written to it."""


class Happening(Value):
    """A line of history: an event with its details, as it also stands in the renewal log."""

    at: datetime
    host: str
    run: str
    certificate: str
    event: str
    details: Mapping[str, object] = {}


class Ledger(Protocol):
    """Remembers what the disk cannot tell. Times come in as parameters; changes are durable on return.

    Safe to use from several threads. Any method raises StateError if the ledger cannot be read or written.
    `notes` are sentences about the ledger itself that a run should tell.
    """

    notes: list[str]
    forgets: StateError | None
    """Why nothing is remembered that is saved: set by `go_on_in_memory`."""

    def go_on_in_memory(self, error: StateError) -> None:
        """Keep what is known, and what is saved from now on, in this process only; never raises."""

    def load(self, kind: type[R], certificate: str | None = None) -> list[R]:
        """All records of a kind, or those of one certificate, ordered by certificate and key.

        Records that cannot be understood any more are left out: a ledger may be lost, never be fatal.
        """

    def save(self, *records: Record) -> None:
        """Write records in one transaction; each replaces the one with its kind, certificate and key."""

    def drop(self, *records: Record) -> None:
        """Remove records in one transaction; those that are not there are no error."""

    def forget(self, certificate: str) -> None:
        """Remove every record of a certificate, but not its history, nor what is to be done elsewhere.

        That is: what a challenge left behind (Debris), and hooks that are still to be called (Owed).
        """

    def rename(self, certificate: str, new: str) -> None:
        """Let the records and the history of a certificate be those of another name, in one transaction.

        Where both have a record of one kind and key, the renamed one stays. Done before is done.
        """

    def append(self, *happenings: Happening, saving: Sequence[Record] = ()) -> None:
        """Add lines to the history, and write records with them, in one transaction.

        What is older than KEPT, counted from the newest of these lines, goes; of their certificates all but
        the newest KEPT_LINES.
        """

    def history(self, certificate: str | None = None, since: datetime | None = None) -> list[Happening]:
        """The history, oldest first."""

    def close(self) -> None:
        """Let go of it; closing twice is no error."""


_encode = msgspec.json.Encoder(enc_hook=str).encode  # a detail of history may be anything: then its text


def encoded(value: object) -> bytes:
    """A value as JSON; text that is no Unicode (a hook's output, a file's name) gets question marks."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(_whole(msgspec.to_builtins(value, enc_hook=str)))


def _whole(value: object) -> object:
    if isinstance(value, str):
        return words.whole(value)
    if isinstance(value, dict):
        return {_whole(key): _whole(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(each) for each in value]
    return value
