"""What `doctor` saw of a name: facts that `policy.names` judges. Names are without the final dot."""

from datetime import datetime
from enum import StrEnum

from renewer.model.value import Value


class Severity(StrEnum):
    """How bad a finding is: `error` stops the issuance, `warning` may, `info` is good to know."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Finding(Value):
    """Something about a name: `text` says what is so and what breaks, `hint` what to do; `code` is stable.

    Of a host, `about` is whom it concerns, and `why` why it matters.
    """

    severity: Severity
    code: str
    text: str
    hint: str = ""
    about: str = ""
    why: str = ""


class Said(Value):
    """What one server said of a name; `server` is for people.

    Without a usable answer `trouble` says why, and `no_route` whether this host has no way there at all.
    `exists` is false for NXDOMAIN. `refused` are the types of records that it gave no usable answer to.
    """

    server: str
    trouble: str = ""
    no_route: bool = False
    exists: bool = True
    alias: str = ""
    addresses: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    serial: int = 0


class Stop(StrEnum):
    """Why a name could not be followed to an end."""

    CIRCLE = "circle"  # its aliases come back to one of them
    ENDLESS = "endless"  # there are too many aliases
    NO_NAME = "no-name"  # an alias of nothing that could have a record, or too long for DNS
    NO_ZONE = "no-zone"  # nobody says which zone it lies in
    TOO_DEEP = "too-deep"  # one zone refers to the next one below, and so on


class Hop(Value):
    """One name of a chain of aliases: the zone it lies in, and what servers of that zone said.

    `wildcard` is the alias that only a wildcard record makes up: it goes once the name has a record.
    """

    name: str
    zone: str = ""
    said: tuple[Said, ...] = ()
    without_address: tuple[str, ...] = ()  # name servers of the zone that have none
    wildcard: str = ""


class Trail(Value):
    """A name followed to the end of its aliases, at the zones' own servers.

    `stop` is why there is no end, and `trouble` says it of what is not plain from the chain.
    """

    asked: str
    hops: tuple[Hop, ...]
    stop: Stop | None = None
    trouble: str = ""

    @property
    def chain(self) -> tuple[str, ...]:
        """The names, from the first to the last that was found."""
        return tuple(hop.name for hop in self.hops)

    @property
    def end(self) -> Hop:
        """The last name."""
        return self.hops[-1]


class Resolved(Value):
    """What the resolver of this host says of a name's addresses; `trouble` if it gives no usable answer."""

    addresses: tuple[str, ...] = ()
    exists: bool = True
    trouble: str = ""


class CaaRecord(Value):
    """One CAA record (RFC 8659 §4.1)."""

    flags: int
    tag: str
    value: str

    @property
    def critical(self) -> bool:
        """Whether an authority that does not know the tag must not issue (§4.1: bit 0 is the highest)."""
        return bool(self.flags & 0x80)


class Caa(Value):
    """The relevant CAA records of a name (RFC 8659 §3): where they were found; `trouble` if nobody knows."""

    owner: str = ""
    records: tuple[CaaRecord, ...] = ()
    trouble: str = ""


class Tlsa(Value):
    """One TLSA record (RFC 6698 §2.1); `place` is where it lies, `data` what is compared, in hex."""

    place: str
    usage: int
    selector: int
    matching: int
    data: str = ""

    @property
    def text(self) -> str:
        """As zone files have it."""
        return f"{self.usage} {self.selector} {self.matching}"


class Pinned(Value):
    """What TLSA records are compared with: all that they could say of a leaf, and of those above it.

    Each as (selector, matching type, data in hex). `live` is whether it is what servers have, `what` is for
    people.
    """

    what: str
    live: bool
    leaf: frozenset[tuple[int, int, str]]
    above: frozenset[tuple[int, int, str]] = frozenset()
    spki_sha256: str = ""


class SignatureFault(Value):
    """What is wrong with a zone's DNSSEC: a stable word and a sentence."""

    code: str
    text: str


class Signed(Value):
    """The DNSSEC of one zone.

    `ds` and `keys` count records at the parent and in the zone, `refused_from` is the highest zone that the
    resolver answers only when told not to check. `ends` is when the first of the signatures seen runs out.
    """

    zone: str
    ds: int = 0
    keys: int = 0
    refused_from: str = ""
    faults: tuple[SignatureFault, ...] = ()
    ends: datetime | None = None


class PortSeen(Value):
    """One address and port as seen from here.

    Without a connection or an answer `error` says why; `way` tells every URL that was fetched, `status` is
    that of the last one. `ours` is whether the address is this host's, `no_route` whether there is no way to
    such addresses from here at all.
    """

    address: str
    port: int
    ours: bool = False
    no_route: bool = False
    connected: bool = False
    error: str = ""
    way: str = ""
    status: int = 0


class NameSeen(Value):
    """All that was seen of one name; what was not looked at is None, what took too long is in `unfinished`.

    `proof` follows the name below which the challenge's record lies.
    """

    name: str
    resolved: Resolved | None = None
    host: Trail | None = None
    proof: Trail | None = None
    caa: Caa | None = None
    signed: tuple[Signed, ...] = ()
    ports: tuple[PortSeen, ...] = ()
    unfinished: tuple[str, ...] = ()

    @property
    def authoritative(self) -> tuple[str, ...]:
        """The addresses that its own servers say."""
        if self.host is None:
            return ()
        return tuple(dict.fromkeys(address for one in self.host.end.said for address in one.addresses))

    @property
    def addresses_known(self) -> tuple[str, ...]:
        """Its addresses by whoever says some: its own servers, else the resolver."""
        return self.authoritative or (self.resolved.addresses if self.resolved else ())


class Candidate(Value):
    """An authority that may be asked for a name, as far as it is known.

    `identities` are its own in CAA records, empty if nobody knows them; `account` is the URL of ours, "" if
    there is none yet. `hash_prefix` and `thumbprint` are what a hashed account is made of, where a record
    of dns-persist-01 must have one. `public` is whether it looks from the internet at large.
    """

    name: str
    identities: tuple[str, ...] = ()
    account: str = ""
    hash_prefix: str | None = None
    thumbprint: str = ""
    public: bool = True


class NameAsked(Value):
    """What is wanted of a name: by a certificate, through a challenge, from the first of the authorities.

    `listens` is whether the challenge is answered by a listener of ours, which is not there yet; `address`
    whether the name is an IP address.
    """

    certificate: str
    name: str
    wildcard: bool
    challenge: str
    authorities: tuple[Candidate, ...]
    listens: bool = False
    address: bool = False


class Checkup(Value):
    """What was found about a name of a certificate, the worst first."""

    name: str
    certificate: str
    findings: tuple[Finding, ...] = ()
