"""What is said at the door about looks: `Look` and `Settle` are asked, `Sights` are the answers."""

from renewer.network.protocol import DoorMessage
from renewer.network.verify.sight import Sight, Target

TARGETS, SIGHTS = 200, 50
"""How many of them go into one message at most."""


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
