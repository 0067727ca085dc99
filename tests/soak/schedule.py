"""What happens when: made from the seed alone, so that a seed tells the same story again.

A soak is a row of *storms*, each followed by a calm in which all that was broken is mended and all must
become well. A storm is a row of turns: time passes, troubles begin, the agent runs (or is killed, or runs
twice at once). What a trouble does stands in `troubles.py`.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

CERTIFICATES = ("www", "api", "shop", "dns")
CALLS = (
    "directory",
    "nonce",
    "newAccount",
    "newOrder",
    "order",
    "order poll",
    "authorization",
    "deactivation",
    "challenge",
    "finalize",
    "certificate",
    "renewalInfo",
)
WAYS = (
    "foreign type",
    "404 problem",
    "404 page",
    "500",
    "page",
    "thin",
    "cut",
    "lost",
    "dropped",
    "429",
    "503",
    "unauthorized",
    "hang",
)
# how often each kind is drawn, beside the others
KINDS = {
    "answer": 14,  # one call of an authority is answered wrongly
    "away": 3,  # an authority is not there at all
    "stuck": 3,  # its orders stay processing
    "forgets": 1,  # it has lost its accounts
    "window": 2,  # its renewal windows are nonsense
    "chain": 2,  # its chains have doubles, text, another order
    "webroot": 2,  # the webroot is missing, or leads elsewhere
    "dns": 2,  # resolvers are silent or fail, the record's provider fails
    "hook": 3,  # a hook fails or hangs
    "server": 2,  # the web server is down, or its configuration broken
    "disk full": 3,
    "ledger": 3,  # damaged, emptied, lost
    "emptied": 3,  # a file of a version is empty
    "byte": 3,  # one byte of a file of the state directory is another
    "copy": 2,  # a copy is removed, emptied
    "restored": 2,  # an older backup of everything, of the ledger alone, of the certificates alone
    "link": 2,  # somebody turns or removes the link to the live version, or puts a directory there
    "names": 2,  # a name more, a name less
    "key": 1,  # another key type
    "switched": 1,  # another authority comes first
    "unhooked": 1,  # a hook is taken out
    "config": 1,  # the configuration is broken or empty
    "clock": 2,  # the agent's clock is wrong
}


class How(StrEnum):
    """How the agent is called."""

    RUN = "run"
    KILLED = "killed"
    TWICE = "twice at once"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that goes wrong, for so many turns; `dice` decides what its kind leaves open."""

    kind: str
    turns: int
    dice: tuple[float, ...]

    def pick(self, number: int, choices: tuple[str, ...]) -> str:
        """One of several, by one of the dice."""
        return choices[int(self.dice[number] * len(choices))]


@dataclass(frozen=True, slots=True)
class Turn:
    """So many wakes pass, troubles begin, the agent is called; `moment` (0 to 1) is when it is killed."""

    wakes: float
    begins: tuple[Trouble, ...]
    how: How
    moment: float


@dataclass(frozen=True, slots=True)
class Storm:
    """A row of turns."""

    name: str
    turns: tuple[Turn, ...]


def storms(seed: int, *, short_life: int, injected: bool) -> Iterator[Storm]:
    """Without end. `short_life` is the shortest lifetime in wakes; clocks go wrong only if `injected`."""
    dice = random.Random(seed)  # noqa: S311  reproducible on purpose
    weights = {kind: weight for kind, weight in KINDS.items() if injected or kind != "clock"}
    while True:
        what = dice.random()
        if what < 0.1:
            yield _outage(dice, "one authority is away for long", short_life, ("away",))
        elif what < 0.15:
            yield _outage(dice, "nothing works until certificates expire", short_life, ("away", "away"))
        else:
            yield _mixed(dice, weights, min(4 + dice.randrange(12), short_life // 2))


def _mixed(dice: random.Random, weights: dict[str, int], length: int) -> Storm:
    turns = []
    for _ in range(length):
        begins = tuple(
            _trouble(dice, dice.choices(list(weights), list(weights.values()))[0])
            for _ in range(dice.choices((0, 1, 2, 3), (3, 6, 4, 1))[0])
        )
        turns.append(_turn(dice, begins))
    return Storm("mixed", tuple(turns))


def _outage(dice: random.Random, name: str, short_life: int, kinds: tuple[str, ...]) -> Storm:
    length = int(short_life * (0.8 + dice.random() * 0.5))
    both = len(kinds) > 1
    side = dice.random()
    begins = tuple(
        Trouble(kind, length, (number / 2 if both else side, dice.random(), dice.random(), dice.random()))
        for number, kind in enumerate(kinds)
    )
    first = Turn(1.0, begins, How.RUN, 0.0)
    return Storm(name, (first, *(_turn(dice, ()) for _ in range(length - 1))))


def _trouble(dice: random.Random, kind: str) -> Trouble:
    return Trouble(kind, 1 + dice.randrange(5), tuple(dice.random() for _ in range(6)))


def _turn(dice: random.Random, begins: tuple[Trouble, ...]) -> Turn:
    how = dice.choices((How.RUN, How.KILLED, How.TWICE), (10, 6, 2))[0]
    # mostly on time, sometimes the host was off for a while
    wakes = dice.uniform(0.9, 1.1) if dice.random() < 0.95 else dice.uniform(2, 3)
    return Turn(wakes, begins, how, dice.random())
