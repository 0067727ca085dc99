"""What is said at the door to who asks resolvers and name servers; it has no secret of anybody's.

`within` is in seconds.
"""

from renewer.model.challenges import Propagation, PropagationCheck
from renewer.model.inspection import NameSeen, Tlsa
from renewer.model.persist import Claim
from renewer.model.value import Value
from renewer.network.protocol import DoorMessage, Failed

NAMES = 200
"""How many of them go into one message at most."""
VALUES, VALUE = 16, 2048
"""How many values of a record are told, and of how many characters: longer ones are nobody's claim."""


PORT = 53
"""Where name servers listen; elsewhere in tests only."""
GRACE = 4.0
"""Seconds without a usable answer after which a server counts as unreachable."""


class Servers(Value):
    """Who is asked: `resolvers` ("ADDRESS:PORT"; none: the system's), and name servers at their `port`."""

    resolvers: tuple[str, ...]
    port: int


class RecordPlace(Value):
    """Where the record that is asked for as `asked` has to lie; names without the final dot."""

    asked: str
    name: str
    zone: str


class FindPlaces(DoorMessage):
    """Where records belong: the end of each name's aliases, and the zone there."""

    names: tuple[str, ...]
    at: Servers


class Placed(DoorMessage):
    """Of one name: its place, or why it has none."""

    asked: str
    place: RecordPlace | None = None
    why: Failed | None = None


class Propagated(DoorMessage):
    """Wait until these values can be seen as the rule says."""

    wanted: tuple[tuple[RecordPlace, tuple[str, ...]], ...]
    rule: Propagation
    at: Servers
    grace: float


class FindClaims(DoorMessage):
    """Look for records that prove these claims (DNS-PERSIST-01), at the names that are asked for."""

    claims: tuple[tuple[str, Claim], ...]
    check: PropagationCheck
    at: Servers


class ClaimSeen(DoorMessage):
    """Of the claim of this number: where its record belongs, and the values there; or why nobody knows.

    They are those up to the first that proves it, and that one comes first.
    """

    number: int
    place: RecordPlace | None = None
    values: tuple[str, ...] = ()
    why: Failed | None = None


class Examine(DoorMessage):
    """All that is said of names, each with the label of its challenge's record, "" if it needs none."""

    names: tuple[tuple[str, str], ...]
    within: float
    at: Servers


class Examined(DoorMessage):
    """What was seen of one of them, as far as there was time."""

    seen: NameSeen


class LookUpTlsa(DoorMessage):
    """The TLSA records of places as `_25._tcp.mail.example.org`."""

    places: tuple[str, ...]
    within: float
    at: Servers


class TlsaShown(DoorMessage):
    """Those of one of them."""

    place: str
    records: tuple[Tlsa, ...]


class FindSilence(DoorMessage):
    """Whether any resolver says anything within that time."""

    within: float
    at: Servers


class SilenceFound(DoorMessage):
    """All resolvers, if none of them does; nobody, if one does."""

    resolvers: tuple[str, ...] = ()


OfRecords = FindPlaces | Propagated | FindClaims
OfNames = Examine | LookUpTlsa | FindSilence
