"""What is installed on a host, as its files and sockets say: who names which certificate, and who listens."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from renewer.model.facts import Leaf, Record
from renewer.model.inspection import Finding
from renewer.model.served import Starttls
from renewer.model.value import Value

EVERYWHERE = frozenset(("0.0.0.0", "::", "*", ""))  # noqa: S104  nothing is bound here
"""How configurations and the kernel write every address."""


class Opening(Value):
    """A port where a server shows certificates, as its configuration says.

    `address` is "" for every address, and `starttls` what precedes TLS there.
    """

    address: str
    port: int
    starttls: Starttls | None = None
    proxy_protocol: bool = False


class CertificateUse(Value):
    """A place in a server's configuration that names a certificate.

    `certificate` and `key` are absolute paths; the first is "" where the server chooses the file as a client
    comes. `names` are what it is shown for, none if the certificate itself says so.
    """

    server: str
    config: str
    line: int
    certificate: str
    key: str | None = None
    names: tuple[str, ...] = ()
    openings: tuple[Opening, ...] = ()

    @property
    def place(self) -> str:
        """Where it stands, for people."""
        return f"{self.config}:{self.line}"


class WebSite(Value):
    """What a web server answers for names, in the clear or by TLS, as its configuration says.

    `names` are none where it answers for those that no other site has. `root` is where it serves what lies
    below /.well-known/acme-challenge/, "" if that is not told. `settings` are what a hook must be told of a
    server that is not the usual one.
    """

    server: str
    config: str
    line: int
    names: tuple[str, ...] = ()
    root: str = ""
    in_clear: tuple[int, ...] = ()
    by_tls: tuple[int, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def place(self) -> str:
        """Where it stands, for people."""
        return f"{self.config}:{self.line}"


class Unread(Value):
    """Something that was not read, and why."""

    place: str
    text: str


class ListeningSocket(Value):
    """A TCP port where somebody listens; `process` is "" where we may not know whose it is."""

    address: str
    port: int
    process: str = ""
    pid: int = 0


class PortShows(Value):
    """What one port of this host showed for one name; `file` is what its server's configuration names for it.

    `matches_disk` is None where no file is named for it, or it cannot be read.
    """

    address: str
    port: int
    server_name: str
    starttls: Starttls | None = None
    fingerprint: str | None = None
    error: str | None = None
    server: str = ""
    file: str = ""
    matches_disk: bool | None = None
    how: str = ""


class OnDisk(Value):
    """A file that begins with a certificate; `key` is the file of its key, and who else may read that."""

    path: str
    leaf: Leaf
    how: str
    key: str | None = None
    key_readable_by: str = ""


class RenewedBy(Value):
    """Who renews a certificate: the client's name, where that is written, and what it is called there."""

    client: str
    how: str
    config: str = ""
    name: str = ""
    settings: Mapping[str, str] = {}


class HostCertificate(Value):
    """A certificate on this host, joined by its fingerprint from files, configurations and ports."""

    leaf: Leaf
    files: tuple[OnDisk, ...] = ()
    uses: tuple[CertificateUse, ...] = ()
    ports: tuple[PortShows, ...] = ()
    keeper: RenewedBy | None = None
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def how(self) -> tuple[str, ...]:
        """How it was found: each place once."""
        seen = (*(use.place for use in self.uses), *(f.how for f in self.files), *(p.how for p in self.ports))
        return tuple(dict.fromkeys(one for one in seen if one))


class Discovery(Value):
    """All that was found on a host, at a moment."""

    at: datetime
    host: str
    certificates: tuple[HostCertificate, ...] = ()
    sockets: tuple[ListeningSocket, ...] = ()
    unread: tuple[Unread, ...] = ()
    findings: tuple[Finding, ...] = ()
    remembered: bool = False


class Discovered(Record):
    """A certificate that `discover` saw on this host: when first and when last."""

    kind: ClassVar[str] = "discovered"
    host: str
    fingerprint: str
    first_seen: datetime
    last_seen: datetime

    @property
    def key(self) -> str:
        """One record a host and certificate."""
        return f"{self.host} {self.fingerprint}"
