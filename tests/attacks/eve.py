"""What another user does: swaps one thing in a tight loop until told to stop, and reads whatever can be read.

She is a fork of the test that has become another user, for not everybody may enter a checkout of root's.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

Act = Callable[[], object]


class Eve:
    """Her ways, by name; each is done again and again, and fails as often as it likes.

    `target` is the file that the agent writes, `own` her directory in which all lies, `system` one of root's.
    """

    def __init__(self, target: Path, own: Path, system: Path) -> None:
        self._target = target
        self.own = own
        self.system = system
        self.way = own / target.relative_to(own).parts[0]
        self.aside = own / "aside"
        self.number = 0

    @property
    def target(self) -> Path:
        """The file; of a directory, whatever the agent has there at this moment."""
        if not self._target.is_dir():
            return self._target
        names = (name for name in os.listdir(self._target) if name not in ("hers", "second"))
        return self._target / next(names, "nothing")

    def link_at_the_name(self) -> None:
        """A link to a file of root's where the agent's file stands."""
        target = self.target
        with contextlib.suppress(OSError):
            target.unlink()
        self.number += 1
        os.symlink(self.system / ("precious" if self.number % 2 else "made"), target)

    def link_on_the_way(self) -> None:
        """A link to a directory of root's in the place of her own."""
        self._exchange(lambda: os.symlink(self.system, self.way), self.way.unlink)

    def directory_of_roots(self) -> None:
        """A private directory of root's that lies in hers, in the place of her own."""
        private = self.own / "private"
        self._exchange(lambda: private.rename(self.way), lambda: self.way.rename(private))

    def file_first(self) -> None:
        """A file of her own that anybody may read, before the agent's."""
        target = self.target
        draft = target.with_name("hers")
        draft.write_text("hers")
        draft.chmod(0o666)
        draft.rename(target)

    def file_of_roots(self) -> None:
        """A private file of root's that lies in her directory, renamed to the agent's."""
        private, target = self.own / "letter", self.target
        with contextlib.suppress(OSError):
            private.rename(target)
        target.rename(private)

    def draft(self) -> None:
        """Whatever the agent has not yet renamed into its place: a link instead."""
        place = self._target if self._target.is_dir() else self._target.parent
        for name in os.listdir(place):
            if name.startswith("."):
                (place / name).unlink()
                os.symlink(self.system / "precious", place / name)
                return
        raise FileNotFoundError

    def hard_link(self) -> None:
        """A second name for the agent's file, and the agent's name for a file of root's."""
        second, target = self.own / "second", self.target
        with contextlib.suppress(OSError):
            second.unlink()
        with contextlib.suppress(OSError):
            os.link(target, second)
        target.unlink()
        os.link(self.system / "precious", target)

    def _exchange(self, put: Act, take: Act) -> None:
        self.way.rename(self.aside)
        try:
            put()
            with contextlib.suppress(OSError):
                take()
        finally:
            with contextlib.suppress(OSError):
                self.aside.rename(self.way)

    def spied(self) -> bool:
        """Whether any file that she can reach holds a private key that she can read."""
        for directory, _, names in os.walk(self.own):
            for name in names:
                with contextlib.suppress(OSError):
                    path = os.path.join(directory, name)
                    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
                    try:
                        if b"PRIVATE KEY" in os.read(file, 1 << 16):
                            return True
                    finally:
                        os.close(file)
        return False


def attack(step: str, ready: int, stop: int, eves: Sequence[Eve]) -> str:
    """Swap until the descriptor `stop` says so; how often, and what could be read. `ready` is told first."""
    acts: list[Act] = [getattr(eve, step) for eve in eves]
    swaps, spied = 0, False
    os.write(ready, b"!")
    os.set_blocking(stop, False)
    while not _told(stop):
        for _ in range(20):
            for act in acts:
                swaps += 1
                with contextlib.suppress(OSError):
                    act()
        spied = spied or eves[0].spied()
    return f"{swaps} {'read a key' if spied else ''}"


def _told(stop: int) -> bool:
    try:
        return os.read(stop, 1) == b""
    except BlockingIOError:
        return False


@contextlib.contextmanager
def at_work(user: int, step: str, *eves: Eve) -> Iterator[list[str]]:
    """A process of that user that swaps as long as this lasts; afterwards the list holds what it says."""
    said: list[str] = []
    from_her, hers = os.pipe()
    stop, stopping = os.pipe()
    process = os.fork()
    if not process:
        os.close(stopping)
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            os.write(hers, attack(step, hers, stop, eves).encode())
        finally:
            os._exit(0)
    os.close(hers)
    os.close(stop)
    try:
        os.read(from_her, 1)
        yield said
    finally:
        os.close(stopping)
        said.append(os.read(from_her, 1000).decode())
        os.close(from_her)
        os.waitpid(process, 0)
