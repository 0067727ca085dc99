"""What it costs that those who talk to strangers are processes of their own, beside all in one process."""

import sys

from tests.benchmarks.contenders import Bed, Renewer
from tests.benchmarks.measure import BenchmarkFailedError, Sample, interleave
from tests.benchmarks.scenarios import Result, Row, Turns

ALONE = "from renewer.cli import app; app.opener = None; app.main()"
LATER = 0.03
"""Seconds that one issuance may take longer."""


class InOneProcess(Renewer):
    """Ours, its workers called where their answers are awaited."""

    def __init__(self, bed: Bed, name: str) -> None:
        super().__init__(bed, name)
        self.words = [sys.executable, "-c", ALONE]


def split(bed: Bed, turns: Turns) -> Result:
    """One issuance by webroot; then fifty at once."""
    ours, alone = Renewer(bed, "split"), InOneProcess(bed, "alone")
    ours.words = [sys.executable, "-c", "from renewer.cli import app; app.main()"]
    result = Result()
    for count in (1, 50):

        def issue(one: Renewer, turn: int, count: int = count) -> Sample:
            one.configure([f"s{count}-{turn}-{number}" for number in range(count)])
            mark = bed.pebble.mark()
            sample = one.run()
            if bed.issued(mark) != count:
                raise BenchmarkFailedError("another number of certificates was issued")
            return sample

        contenders = {
            "split": lambda turn: issue(ours, turn),
            "alone": lambda turn: issue(alone, turn),
        }
        for contender in (ours, alone):  # compiled, registered, and not counted
            issue(contender, -1)
        found = interleave(contenders, 2 * turns.single if count == 1 else turns.many)
        mine, one = found["split"], found["alone"]
        result.rows.append(
            Row(
                f"{count} issued, in processes of their own",
                f"{mine}; CPU {mine.cpu * 1000:.0f} ms",
                f"in one: {one}; CPU {one.cpu * 1000:.0f} ms",
                f"{(mine.best - one.best) * 1000:+.0f} ms, medians {(mine.wall - one.wall) * 1000:+.0f} ms",
                f"≤ +{LATER * 1000:.0f} ms" if count == 1 else "",
                mine.best - one.best <= LATER if count == 1 else None,
            )
        )
    return result
