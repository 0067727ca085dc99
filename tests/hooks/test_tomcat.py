"""The hook tomcat and a real Tomcat."""

import subprocess

from tests.hooks.bed import Bed, Server
from tests.hooks.walk import Note, walk
from tests.servers.tomcat import Tomcat


class Served(Server):
    """A Tomcat that reads a PKCS#12 copy."""

    hook = "tomcat"

    def __init__(self, bed: Bed) -> None:
        """Prepare it; the bed starts it."""
        self.live = bed.live
        directory = bed.directory / "server"
        directory.mkdir()
        self.server = Tomcat(directory, directory / "tls.p12")
        self.port = self.server.port
        self.env = self.server.env
        self.copies = (
            {
                "pkcs12": self.server.keystore,
                "password": {"file": self.server.keystore_secret},
                "mode": "0600",
            },
        )

    def start(self) -> None:
        """Start it; a keystore that is missing yet holds the placeholder."""
        if not self.server.keystore.exists():
            seal(self.server, self.live)
        self.server.start()

    def stop(self) -> None:
        """End it."""
        self.server.stop()


def seal(server: Tomcat, live: object) -> None:
    """Write the keystore as an administrator would."""
    subprocess.run(
        [
            *(
                "openssl",
                "pkcs12",
                "-export",
                "-in",
                f"{live}/fullchain.pem",
                "-inkey",
                f"{live}/privkey.pem",
            ),
            *("-out", server.keystore, "-passout", f"file:{server.keystore_secret}"),
        ],
        check=True,
        timeout=20,
    )


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running Tomcat takes every step of the table."""
    bed.serve(Served(bed))
    walk(bed, record_property)
