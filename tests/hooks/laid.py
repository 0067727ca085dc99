"""A shipped hook by itself, with a real server that reads copies outside of the state directory."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from renewer.hooks import HookResult
from renewer.model.desired import HookEvent
from tests.hooks.alone import Shelf
from tests.hooks.bed import shown
from tests.servers.foreground import Foreground

S = TypeVar("S", bound=Foreground)


class Laid(Generic[S]):
    """One certificate, one server of `kind`, and files between them that are `owner`'s."""

    def __init__(
        self, directory: Path, hook: str, kind: type[S], *, starttls: str | None, owner: str = "root"
    ) -> None:
        """Prepare them, with a first version laid down; `server.start` starts it."""
        self.hook = hook
        self.starttls = starttls
        self.owner = owner
        self.shelf = Shelf(directory)
        self.tls = directory / "tls"
        self.tls.mkdir()
        self.server = kind(directory / "server", self.tls / "fullchain.pem", self.tls / "privkey.pem")
        self.lay()

    def lay(self, *, mode: int = 0o600) -> str:
        """A new version, as copies have it, the key with `mode`; its serial."""
        live = self.shelf.put()
        self._write("fullchain.pem", (live / "fullchain.pem").read_bytes(), 0o644)
        self._write("privkey.pem", (live / "privkey.pem").read_bytes(), mode)
        return self.shelf.told("www").serial

    def break_it(self) -> None:
        """The key of another certificate."""
        self._write("privkey.pem", (self.shelf.put("other") / "privkey.pem").read_bytes(), 0o600)

    def call(self, event: HookEvent, **env: str) -> HookResult:
        """Run the hook; `env` goes over the server's."""
        return self.shelf.call(self.hook, event, **{**self.server.env, **env})

    @property
    def served(self) -> str:
        """The serial at the port."""
        return shown(self.server.port, self.starttls)

    def _write(self, name: str, content: bytes, mode: int) -> None:
        path = self.tls / name
        path.write_bytes(content)
        path.chmod(mode)
        shutil.chown(path, self.owner, self.owner)


@contextmanager
def laid(
    directory: Path,
    hook: str,
    kind: type[S],
    *,
    starttls: str | None = None,
    owner: str = "root",
) -> Iterator[Laid[S]]:
    """One whose server is ended, whoever started it."""
    one = Laid(directory, hook, kind, starttls=starttls, owner=owner)
    try:
        yield one
    finally:
        one.server.close()
