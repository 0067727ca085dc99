"""The servers of tests/servers/foreground.py, as the walk takes them."""

import shutil

from tests.hooks.bed import Bed, Server
from tests.servers.foreground import Foreground


class Standing(Server):
    """One that reads from `live`, or from copies of `owner`'s where it must not be root to read them."""

    notices = True
    owner: str | None = None
    mode = "0640"

    def __init__(self, bed: Bed, kind: type[Foreground]) -> None:
        """Prepare it; the bed starts it."""
        self._live = bed.live
        directory = bed.directory / "server"
        cert, key = bed.live / "fullchain.pem", bed.live / "privkey.pem"
        if self.owner:
            cert, key = directory / "tls" / "fullchain.pem", directory / "tls" / "privkey.pem"
            self.copies = ({"fullchain": cert, "key": key, "owner": self.owner, "mode": self.mode},)
        self.server = kind(directory, cert, key)
        self.port = self.server.port
        self.env = self.server.env

    def start(self) -> None:
        """Start it; copies that are missing yet are the placeholder."""
        if self.owner and not self.server.cert.exists():
            self.server.cert.parent.mkdir(parents=True)
            for path in (self.server.cert, self.server.key):
                shutil.copy(self._live / path.name, path)
                shutil.chown(path, self.owner)
        self.server.start()

    def stop(self) -> None:
        """End it."""
        self.server.stop()
