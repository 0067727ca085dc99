"""What it costs that those who talk to strangers are processes of their own, beside all in one process."""

import subprocess
import sys
from pathlib import Path

from tests.benchmarks.contenders import CHECKOUT, Bed, Renewer
from tests.benchmarks.measure import BenchmarkFailedError, Sample, clean_environment, interleave
from tests.benchmarks.scenarios import Result, Row, Turns

APART = "from renewer.cli import app; app.main()"
ALONE = "from renewer.cli import app; app.opener = None; app.main()"
MEMORY, DOOR = 1.5 * 45, 0.005
"""Megabytes: 1.5 times what one process took before there were more; seconds of door an order."""
# Around a command: at its end, the memory of all its processes by their shares (Pss, proc_pid_smaps(5)), and
# the time that main spent on frames: making them, reading them, and waking who waits for them.
WATCHED = """
import os, sys, time
from renewer.cli import app
from renewer.network import channel, door, line, protocol
from tests.network.processes import below
spent = [0.0]
def timed(module, name):
    usual = getattr(module, name)
    def call(*given, **named):
        began = time.thread_time()
        try:
            return usual(*given, **named)
        finally:
            spent[0] += time.thread_time() - began
    setattr(module, name, call)
timed(door, "frame"), timed(door, "message"), timed(line, "message"), timed(line, "frame")
timed(line.WorkerLine, "_say"), timed(line.WorkerLine, "_hand_out")
path, alone = sys.argv[1:3]
del sys.argv[1:3]
if alone == "True":
    app.opener = None
usual = app._run
def run(argv):
    code = usual(argv)
    pss = 0
    for pid in (os.getpid(), *below(os.getpid())):
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            pss += next(int(one.split()[1]) for one in file if one.startswith("Pss:"))
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{pss} {spent[0]}")
    return code
app._run = run
app.main()
"""


class Contender(Renewer):
    """Ours, in processes of their own or in one."""

    def __init__(self, bed: Bed, name: str, *, alone: bool) -> None:
        super().__init__(bed, name)
        self.alone = alone
        self.words = [sys.executable, "-c", ALONE if alone else APART]

    def issue(self, turn: str, count: int) -> Sample:
        """So many certificates."""
        self.configure([f"{turn}-{number}" for number in range(count)])
        mark = self.bed.pebble.mark()
        sample = self.run()
        if self.bed.issued(mark) != count:
            raise BenchmarkFailedError("another number of certificates was issued")
        return sample

    def watched(self, turn: str, count: int) -> tuple[float, float]:
        """Megabytes of all processes at the end, and seconds of door, for so many certificates."""
        self.configure([f"{turn}-{number}" for number in range(count)])
        told = Path(self.directory / "told")
        argv = [
            sys.executable,
            "-c",
            WATCHED,
            str(told),
            str(self.alone),
            "--config",
            str(self.config),
            "run",
        ]
        done = subprocess.run(
            argv, cwd=CHECKOUT, env=clean_environment(), check=False, capture_output=True, timeout=600
        )
        if done.returncode:
            raise BenchmarkFailedError(f"the run ended with {done.returncode}")
        pss, spent = told.read_text("ascii").split()
        return int(pss) * 1024 / 1e6, float(spent)


def split(bed: Bed, turns: Turns) -> Result:
    """One issuance by webroot; fifty at once; memory and the door's share."""
    apart, alone = Contender(bed, "apart", alone=False), Contender(bed, "alone", alone=True)
    result = Result()
    for count in (1, 50):
        for one in (apart, alone):  # compiled, registered, and not counted
            one.issue(f"w{count}", count)
        found = interleave(
            {
                "apart": lambda turn, count=count: apart.issue(f"s{count}-{turn}", count),  # type: ignore[misc]
                "alone": lambda turn, count=count: alone.issue(f"s{count}-{turn}", count),  # type: ignore[misc]
            },
            2 * turns.single if count == 1 else turns.many,
        )
        mine, other = found["apart"], found["alone"]
        later = mine.best - other.best
        result.rows.append(
            Row(
                f"{count} issued, strangers in processes of their own",
                f"{mine}; CPU {mine.cpu * 1000:.0f} ms",
                f"all in one: {other}; CPU {other.cpu * 1000:.0f} ms",
                f"{later * 1000:+.0f} ms",
            )
        )
    result.rows += _watched(apart, alone)
    return result


def _watched(apart: Contender, alone: Contender) -> list[Row]:
    (pss, spent), (pss_alone, _) = apart.watched("memory", 10), alone.watched("memory", 10)
    each = spent / 10
    return [
        Row(
            "memory of all processes (Pss), 10 issued",
            f"{pss:.0f} MB",
            f"all in one: {pss_alone:.0f} MB",
            f"{pss / pss_alone:.2f}",
            f"≤ {MEMORY:.0f} MB",
            pss <= MEMORY,
        ),
        Row("the door, an order", f"{each * 1000:.1f} ms", "", "", f"≤ {DOOR * 1000:.0f} ms", each <= DOOR),
    ]
