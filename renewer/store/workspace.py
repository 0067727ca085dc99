"""The workbench: everything is made in `<state>/tmp` and renamed into place, or removed by one rename."""

import itertools
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from renewer import statedir
from renewer.errors import StateError
from renewer.model.names import CERTIFICATE_NAME
from renewer.store import layout
from renewer.store.layout import group_number

_OURS = re.compile(r"new-\d+-\d+")
_numbers = itertools.count()
_in_use: set[str] = set()
_guard = threading.Lock()


class Bench:
    """A state directory, opened anew for each piece of work; made by the first that writes."""

    def __init__(self, state: str, group: str | None) -> None:
        self.state = state
        self._group_name = group
        self._swept = False
        self._sweeping = threading.Lock()
        self._measuring = threading.Lock()  # one at a time: many at once would need many times as much

    @property
    def group(self) -> int | None:
        """The group that may read versions. Raises StateError if the system does not know it."""
        return group_number(self._group_name)

    @property
    def mode(self) -> int:
        """The mode of directories on the way to a version."""
        return 0o700 if self._group_name is None else 0o750

    @contextmanager
    def certificates(self) -> Iterator[statedir.StateDirectory | None]:
        """The directory of all certificates, to read; None if there is none yet."""
        root = statedir.find_root(self.state)
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
    def home(self, certificate: str) -> Iterator[statedir.StateDirectory]:
        """A certificate's directory, to read. Raises StateError if there is none."""
        demand(CERTIFICATE_NAME, certificate, "certificate")
        with self.certificates() as certificates:
            if certificates is None:
                raise StateError(f"{self.state} holds no certificates yet", kind="missing")
            with certificates.open(certificate) as home:
                yield home

    @contextmanager
    def shelves(self) -> Iterator[tuple[statedir.StateDirectory, statedir.StateDirectory]]:
        """The directory of all certificates and `tmp`, made if need be; what a killed run left is swept."""
        group, mode = self.group, self.mode
        with (
            statedir.ensure_root(self.state, mode, group) as root,
            root.ensure(layout.TMP, 0o700) as tmp,
            root.ensure(layout.CERTIFICATES, mode, group) as certificates,
        ):
            self._sweep(tmp)
            yield certificates, tmp

    @contextmanager
    def shelf_of(self, name: str) -> Iterator[tuple[statedir.StateDirectory, statedir.StateDirectory]]:
        """A directory below `<state>` that is ours alone, made if need be, and `tmp`."""
        with (
            statedir.ensure_root(self.state, self.mode, self.group) as root,
            root.ensure(layout.TMP, 0o700) as tmp,
            root.ensure(name, 0o700) as shelf,
        ):
            self._sweep(tmp)
            yield shelf, tmp

    @contextmanager
    def writing(self, certificate: str) -> Iterator[tuple[statedir.StateDirectory, statedir.StateDirectory]]:
        """A certificate's directory, made if need be, and `tmp`."""
        demand(CERTIFICATE_NAME, certificate, "certificate")
        with (
            self.shelves() as (certificates, tmp),
            certificates.ensure(certificate, self.mode, self.group) as home,
        ):
            yield home, tmp

    def fill(
        self,
        tmp: statedir.StateDirectory,
        name: str,
        files: tuple[tuple[str, bytes, int], ...],
        *,
        shared: bool = True,
    ) -> None:
        """Make a directory in `tmp` with these files (name, content, mode), durably; for the group or not."""
        group = self.group if shared else None
        with tmp.ensure(name, self.mode if shared else 0o700, group) as directory:
            for filename, content, mode in files:
                directory.write(filename, content, mode, group)
            directory.sync()

    @contextmanager
    def scratch(self) -> Iterator[str]:
        """A directory of our own in `tmp`, gone afterwards; what a killed run left in it is swept."""
        with (
            statedir.ensure_root(self.state, self.mode, self.group) as root,
            root.ensure(layout.TMP, 0o700) as tmp,
        ):
            self._sweep(tmp)
            with fresh(tmp) as name:
                with tmp.ensure(name, 0o700):
                    yield f"{self.state}/{layout.TMP}/{name}"
                tmp.discard(name)

    def keep_refused(self, name: str, content: bytes) -> str:
        """A file for people in `<state>/refused`, in the place of the one before; returns its path."""
        with (
            statedir.ensure_root(self.state, self.mode, self.group) as root,
            root.ensure(layout.TMP, 0o700) as tmp,
            root.ensure(layout.REFUSED, 0o700) as kept,
            fresh(tmp) as made,
        ):
            tmp.write(made, content, 0o600)
            tmp.move(made, kept, name)
        return f"{self.state}/{layout.REFUSED}/{name}"

    def demand_room(self, size: int) -> None:
        """Make sure that so many octets can be written below `<state>`, and give them back."""
        with (
            statedir.ensure_root(self.state, self.mode, self.group) as root,
            root.ensure(layout.TMP, 0o700) as tmp,
            self._measuring,
            fresh(tmp) as name,
        ):
            tmp.write(name, bytes(size), 0o600)
            tmp.discard(name)

    def sweep(self) -> None:
        """Remove what a killed run left in `tmp`, if there is one."""
        root = statedir.find_root(self.state)
        if root is None:
            return
        with root:
            tmp = root.find(layout.TMP)
            if tmp is not None:
                with tmp:
                    self._sweep(tmp)

    def _sweep(self, tmp: statedir.StateDirectory) -> None:
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


@contextmanager
def fresh(tmp: statedir.StateDirectory) -> Iterator[str]:
    """A name in `tmp` for something that will be renamed away; if it was not, it is removed."""
    name = f"new-{os.getpid()}-{next(_numbers)}"
    with _guard:
        _in_use.add(name)
    try:
        yield name
    except BaseException:
        with suppress(StateError):  # what failed is to be told, not this; the next run sweeps
            tmp.discard(name)
        raise
    finally:
        with _guard:
            _in_use.discard(name)


def discard(parent: statedir.StateDirectory, name: str, tmp: statedir.StateDirectory) -> None:
    """Remove a directory: out of sight by one rename, then file by file. Gone already is no error."""
    if parent.mode(name) is None:
        return
    with fresh(tmp) as gone:
        parent.move(name, tmp, gone)
        parent.sync()
        tmp.discard(gone)


def demand(pattern: re.Pattern[str], name: str, what: str) -> None:
    """Raise StateError if a name is not of this form: nothing else reaches the system."""
    if not pattern.fullmatch(name):
        raise StateError(f"'{name}' cannot be the name of a {what}", kind="name")
