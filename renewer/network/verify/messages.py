"""What is said at the door about looks: at TLS (`Look`, `Settle`), and as an authority (`Fetch`, `Visit`)."""

from renewer import words
from renewer.model.inspection import PortSeen
from renewer.model.value import Value
from renewer.network.protocol import DoorMessage
from renewer.network.verify.sight import Sight, Target

TARGETS, SIGHTS = 200, 50
"""How many of them go into one message at most."""
_EXCERPT = 120  # characters


class TellTrust(DoorMessage):
    """A share of what targets may be checked against: from `at` on, of so many characters of PEM."""

    key: str
    at: int
    of: int
    pem: str


class TryRoots(DoorMessage):
    """Whether these can be used, which were told before."""

    key: str


class Look(DoorMessage):
    """See every address of these targets once; `timeout` as for `verify.look`.

    `again` says by endpoint how many more handshakes a look takes.
    """

    targets: tuple[Target, ...]
    timeout: float | None = None
    workers: int = 16
    again: tuple[tuple[str, int], ...] = ()


class Settle(DoorMessage):
    """Watch the targets until each shows its leaf (a fingerprint) for good, as for `verify.settle_all`."""

    wanted: tuple[tuple[Target, str], ...]
    within: float
    times: int
    over: float
    workers: int
    once: tuple[tuple[str, str], ...] = ()


class Sights(DoorMessage):
    """What was seen, in the order of what was asked; an answer has as many of these as it takes."""

    sights: tuple[Sight, ...]


class Fetched(Value):
    """What a GET found. `trace` tells the way: every URL with the address that answered.

    Either `error` says why there is no answer, or `status`, `phrase` and `body` (its beginning) are set.
    `elsewhere` is whether another host than the one that was asked gave it: that is for nobody to be shown.
    """

    trace: str
    error: str = ""
    status: int = 0
    phrase: str = ""
    body: bytes = b""
    elsewhere: bool = False

    @property
    def excerpt(self) -> str:
        """The body's beginning on one line, safe to print; nothing of another host's."""
        if self.elsewhere:
            return ""
        text = " ".join(words.output(self.body[: 4 * _EXCERPT]).split())
        return text[:_EXCERPT] + ("…" if len(text) > _EXCERPT else "")


class Fetch(DoorMessage):
    """GET these URLs as an authority would, all at once; `within` is in seconds, for all."""

    urls: tuple[str, ...]
    within: float


class UrlFetched(DoorMessage):
    """What the URL of this number brought, if it came in time."""

    number: int
    found: Fetched


class Doorstep(Value):
    """A port at one address of a name, where HTTP is spoken, or TLS."""

    name: str
    address: str
    port: int
    tls: bool


class Visit(DoorMessage):
    """Connect to each, and let it say something; `within` is in seconds, for all."""

    doorsteps: tuple[Doorstep, ...]
    within: float


class Visited(DoorMessage):
    """What was seen at the doorstep of this number, if it was in time."""

    number: int
    seen: PortSeen
