"""`python -m tests.soak`: let the agent live through storms, and look whether everything that must hold does.

A seed tells the same story of troubles each time. Without `--months` the clock is the real one, lifetimes
are minutes and each run is a process of its own; with it months pass in steps of hours.
"""

import argparse
import secrets
import shutil
import signal
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from tests.soak.oracle import ViolationError
from tests.soak.soak import Soak, Until, summary
from tests.soak.times import InjectedClock, RealClock
from tests.soak.world import MONTHS, REAL, World, apart


def main() -> int:
    """Run one soak; 1 if something was wrong, and its directory stays then."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seed", type=int, help="of the story; default: a new one, which is printed")
    parser.add_argument("--minutes", type=float, default=10.0, help="of our time, at most (10)")
    parser.add_argument("--months", type=float, help="of the world's time: by an injected clock")
    parser.add_argument("--verbose", "-v", action="store_true", help="print every event as it happens")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # with all that was started, and its files
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    apart()
    directory = Path(tempfile.mkdtemp(prefix=f"renewer-soak-{seed}-"))
    directory.chmod(0o755)
    kept = False
    try:
        kept = not _soak(directory, seed, options)
    finally:
        if not kept:
            shutil.rmtree(directory, ignore_errors=True)
    return int(kept)


def _soak(directory: Path, seed: int, options: argparse.Namespace) -> bool:
    """Whether all went well."""
    injected = options.months is not None
    clock = InjectedClock() if injected else RealClock()
    with World(directory / "world", clock, MONTHS if injected else REAL) as world:
        span = timedelta(days=30 * options.months) if injected else None
        until = Until(60 * options.minutes, clock.now, span)
        soak = Soak(world, seed, until)
        if options.verbose:
            soak.tell = lambda line: print(line, flush=True)
        elif sys.stderr.isatty():
            soak.tell = lambda _: _progress(soak)
        try:
            soak.run()
        except ViolationError as violation:
            world.keep()
            if not options.verbose:
                print("\n".join(soak.history))
            print(f"\nVIOLATION, seed {seed}, turn {soak.figures.turns}, {clock.now():%Y-%m-%d %H:%M:%S}:")
            print(f"{violation}\n\n{summary(soak, until, world.directory)}, violations 1")
            return False
        print(f"{summary(soak, until, world.directory)}\nviolations 0")
        return True


def _progress(soak: Soak) -> None:
    figures = soak.figures
    print(
        f"\r{soak.world.clock.now():%Y-%m-%d %H:%M} storm {figures.storms}, run {figures.runs}, "
        f"{figures.kills} kills, {figures.troubles.total()} troubles ",
        end="",
        file=sys.stderr,
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
