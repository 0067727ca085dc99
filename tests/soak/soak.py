"""The soak itself: storms and calms, a turn after the other, until its time is over or something is wrong."""

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.soak.oracle import Oracle, Sight, ViolationError
from tests.soak.runs import Ran
from tests.soak.schedule import How, Storm, Turn, storms
from tests.soak.troubles import FORGETFUL, Troubles
from tests.soak.world import World

HISTORY = 60  # lines that are told of a violation
RUN = 1.2  # seconds that a forked run takes that acts: within them it is killed
REAL_RUN = 2.5  # the same for a process of its own


@dataclass(slots=True)
class Figures:
    """What a soak was made of."""

    turns: int = 0
    runs: int = 0
    kills: int = 0
    storms: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0


@dataclass(slots=True)
class Soak:
    """One soak. `enough` says when no further storm begins; `tell` hears every event as it happens."""

    world: World
    seed: int
    enough: Callable[[], bool]
    tell: Callable[[str], None] = lambda _: None
    figures: Figures = field(default_factory=Figures)
    history: deque[str] = field(default_factory=lambda: deque(maxlen=HISTORY))
    oracle: Oracle = field(init=False)
    troubles: Troubles = field(init=False)
    last: Ran | None = None
    forgetful: bool = False
    """Whether the ledger was lost since all was well: then nobody knows what a killed run left behind."""
    sights: dict[str, Sight] = field(default_factory=dict)
    rows: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Nothing is wrong yet."""
        self.oracle = Oracle(self.world)
        self.troubles = Troubles(self.world)

    def run(self) -> None:
        """All of it. Raises ViolationError."""
        pace = self.world.pace
        short_life = int(pace.lives[0] / pace.wake)
        self._calm()  # the first issuance, in peace
        for storm in storms(self.seed, short_life=min(short_life, 60), injected=self.world.clock.injected):
            if self.enough():
                return
            self._storm(storm)
            self._calm()

    def _storm(self, storm: Storm) -> None:
        self.figures.storms += 1
        self._note(f"--- storm {self.figures.storms}: {storm.name}, {len(storm.turns)} turns")
        for turn in storm.turns:
            self._turn(turn)
            if self.enough():
                return

    def _calm(self) -> None:
        """All that was broken is mended; after some runs all is well, without anything left."""
        for over in self.troubles.end():
            self._note(f"mended: {over.text}")
        began, turns = self.world.clock.now(), 0
        self._note("--- calm")
        while True:
            self._turn(Turn(1.0, (), How.RUN, 0.0))
            turns += 1
            wrong = self._not_well()
            if not wrong:
                if self.forgetful:
                    self.world.tidy()
                self.forgetful = False
                self.oracle.debris()
                self._backup()
                return
            if self.world.clock.now() - began > self.world.pace.settled and turns > self.world.pace.runs:
                raise ViolationError(f"not well {turns} runs after all was mended: {wrong}")

    def _not_well(self) -> str:
        for name, sight in self.sights.items():
            row = self.rows.get(name)
            if sight.wrong or row is None or not row["healthy"]:
                return f"{name}: the port: {sight.text}; status: {row['state'] if row else '?'}: {_why(row)}"
            if odd := self.oracle.overdue(name, sight) or self.oracle.unfit(name):
                return f"{name}: {odd}"
        if self.last is None or self.last.code != 0:
            code, said = (self.last.code, self.last.out + self.last.err) if self.last else (None, "")
            return f"the run exits {code}:\n{said}"
        return ""

    def _backup(self) -> None:
        """Now and then, for a later trouble to put it back."""
        if self.figures.storms % 3 == 0:
            self.troubles.backup = self.world.directory / "backup"
            self.world.save(self.troubles.backup)

    # --- a turn -----------------------------------------------------------------------------------------

    def _turn(self, turn: Turn) -> None:
        world, number = self.world, self.figures.turns
        self.figures.turns += 1
        world.clock.forward(world.pace.wake * turn.wakes)
        for over in self.troubles.end(number):
            self._note(f"mended: {over.text}")
        self._person()
        for trouble in turn.begins:
            self.figures.troubles[trouble.kind] += 1
            self.forgetful |= trouble.kind in FORGETFUL
            begun = self.troubles.begin(trouble, number)
            self._note(f"trouble for {trouble.turns} turns: {begun.text}")
        self._hurt()
        self._judge(self._call(turn))

    def _person(self) -> None:
        """Somebody starts a web server that is down without a trouble's doing, once it can be started."""
        nginx = self.world.nginx
        down = any(one.trouble.kind == "server" for one in self.troubles.active)
        if not nginx.alive and not down and nginx.test().returncode == 0:
            nginx.start()
            self._note("somebody started the web server")

    def _hurt(self) -> None:
        away = {one.authority for one in self.troubles.active if one.authority}
        for one in self.troubles.active:
            helpless = {
                name
                for name in one.concerns
                if not one.authority or not set(self.world.wishes[name].authorities) - away
            }
            self.oracle.hurt(helpless, helpless=True, forgets=one.state)
            self.oracle.hurt(one.concerns - helpless, helpless=False, forgets=one.state)
        if not self.world.nginx.alive:
            self.oracle.hurt(set(self.world.wishes), helpless=True, forgets=False)

    def _call(self, turn: Turn) -> list[Ran]:
        """Let the agent run as the turn says."""
        kill = None
        if turn.how is How.KILLED:
            kill = 0.02 + turn.moment * (RUN if self.world.clock.injected else REAL_RUN)
        calls = [(("run",), kill)] * (2 if turn.how is How.TWICE else 1)
        ran = self.world.run_together(calls)
        for one in ran:
            self.figures.runs += 1
            self.figures.kills += one.killed
            self.figures.codes[one.code] += 1
            self.figures.slowest = max(self.figures.slowest, one.took)
            words = "killed" if one.killed else f"exit {one.code}"
            self._note(f"run: {words} after {one.took:.2f} s: {_first(one)}")
        return ran

    def _judge(self, ran: list[Ran]) -> None:
        oracle = self.oracle
        broken = self.world.config_text is not None
        oracle.runs(ran, broken_config=broken)
        oracle.files()
        oracle.orders()
        ended = [one for one in ran if not one.killed and one.code not in (2, 75)]
        if ended and not broken:
            oracle.completed()
        self._hurt()  # what a trouble does lasts until the run is over
        if not ended or broken:
            return
        self.last = max(ended, key=lambda one: one.code)
        status = self.world.run_once("status", "--json")
        oracle.runs([status], broken_config=broken)
        rows = (status.document or {}).get("certificates", [])
        self.rows = {row["name"]: row for row in rows}
        for name in self.world.wishes:
            sight = self.sights[name] = oracle.look(name)
            if self.world.skew:
                continue
            oracle.green(name, sight, self.rows.get(name), self.last.code)
            oracle.neighbours(name, sight)
            oracle.expired(name, sight)
            memory, unfit = oracle.memory[name], oracle.unfit(name)
            if unfit and memory.well:
                raise ViolationError(f"{name}: was well, nothing concerned it, and now {unfit}")
            memory.well = not sight.wrong and not unfit and memory.runs > 0

    def _note(self, text: str) -> None:
        line = f"{self.world.clock.now():%Y-%m-%d %H:%M:%S} #{self.figures.turns} {text}"
        self.history.append(line)
        self.tell(line)


def _first(ran: Ran) -> str:
    lines = [line for line in (ran.out + ran.err).splitlines() if line.strip()]
    return " | ".join(lines)[:700]


def _why(row: Any) -> str:
    return "" if row is None else f"{row.get('why')} [{row.get('waits_because')}]"


@dataclass(slots=True)
class Until:
    """Whether it is enough: after so many seconds, or when the world's clock is so far."""

    seconds: float
    clock: Callable[[], datetime]
    span: timedelta | None
    began: float = field(default_factory=time.monotonic)
    origin: datetime = field(init=False)

    def __post_init__(self) -> None:
        """Begin now."""
        self.origin = self.clock()

    def __call__(self) -> bool:
        """Whether it is."""
        if self.span is not None and self.clock() - self.origin >= self.span:
            return True
        return time.monotonic() - self.began >= self.seconds


def summary(soak: Soak, until: Until, directory: Path) -> str:
    """The figures, for people."""
    figures, world = soak.figures, soak.world
    orders = {name: len(server.orders) for name, server in world.authorities.items()}
    issued = {name: len(server.issued) for name, server in world.authorities.items()}
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(figures.troubles.items()))
    took, passed = time.monotonic() - until.began, _rounded(world.clock.now() - until.origin)
    codes = ", ".join(f"{code}: {count}" for code, count in sorted(figures.codes.items()))
    return "\n".join(
        [
            f"seed {soak.seed}: {took:.0f} s of ours, {passed} of the world's",
            f"storms {figures.storms}, turns {figures.turns}, slowest run {figures.slowest:.1f} s",
            f"runs {figures.runs} (exit codes {codes}), kills {figures.kills}",
            f"troubles {figures.troubles.total()}: {kinds}",
            f"orders {sum(orders.values())} {orders}, certificates issued {sum(issued.values())} {issued}",
            *([] if world.mounted else ["no file system could be mounted here: the disk was never full"]),
            f"in {directory}",
        ]
    )


def _rounded(span: timedelta) -> timedelta:
    return timedelta(seconds=round(span.total_seconds()))
