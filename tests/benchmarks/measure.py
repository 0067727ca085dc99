"""One child process measured: wall clock, CPU and peak memory, descendants included."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

_CHILD = Path(__file__).with_name("child.py")


class BenchmarkFailedError(RuntimeError):
    """A contender did not do what was to be measured; its time would mean nothing."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run cost: seconds of wall clock and of CPU, and megabytes (10^6 bytes) at the peak."""

    wall: float
    cpu: float
    memory: float


@dataclass(frozen=True, slots=True)
class Series:
    """Several samples of one contender."""

    samples: tuple[Sample, ...]

    @property
    def wall(self) -> float:
        """The median of the wall clock."""
        return median(sample.wall for sample in self.samples)

    @property
    def best(self) -> float:
        """The least of the wall clock: what the machine can do when nobody else uses it."""
        return min(sample.wall for sample in self.samples)

    @property
    def cpu(self) -> float:
        """The median of the CPU time."""
        return median(sample.cpu for sample in self.samples)

    @property
    def memory(self) -> float:
        """The highest peak."""
        return max(sample.memory for sample in self.samples)

    def __str__(self) -> str:
        walls = [sample.wall for sample in self.samples]
        return f"{seconds(min(walls))} / {seconds(self.wall)} / {seconds(max(walls))}"


def seconds(value: float) -> str:
    """A duration with three figures."""
    return f"{value:.3g} s" if value >= 1 else f"{value * 1000:.0f} ms"


def measure(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes = b"",
    timeout: float = 600,
) -> Sample:
    """Run a program to its end. Raises BenchmarkFailedError unless it exits with 0."""
    words = [str(word) for word in argv]
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(_CHILD), *words],
        input=stdin,
        stdout=subprocess.PIPE,
        cwd=cwd,
        env={**clean_environment(), **(env or {})},
        timeout=timeout,
        check=True,
    )
    told = json.loads(done.stdout)
    if told.pop("exit") != 0:
        raise BenchmarkFailedError(f"{' '.join(words)} failed after {told['wall']:.1f} s")
    return Sample(**told)


def clean_environment() -> dict[str, str]:
    """The environment without what would favour or hinder one of the contenders."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RENEWER_"))}


def interleave(
    contenders: Mapping[str, Callable[[int], Sample]], times: int, *, notes: list[str] | None = None
) -> dict[str, Series]:
    """Let every contender run in turn, so that a busy moment of the machine hits all alike.

    With `notes`, one that fails is out of the race and noted there, unless it is ours.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    for turn in range(times):
        for name in list(samples):
            try:
                samples[name].append(contenders[name](turn))
            except BenchmarkFailedError as error:
                if notes is None or name == "ours":
                    raise
                notes.append(f"{name} is not compared: {error}")
                del samples[name]
    return {name: Series(tuple(found)) for name, found in samples.items()}
