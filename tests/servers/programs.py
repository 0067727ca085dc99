"""Where `tests/setup.sh` has put Pebble, and which one it is."""

import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .process import ServerFailedError

# The first that the tests are written against; earlier ones lack renewal information and profiles.
WANTED = (2, 10)


@dataclass(frozen=True, slots=True)
class PebblePrograms:
    """Pebble and its DNS, of one package."""

    pebble: Path
    challtestsrv: Path
    version: str
    recent: bool


@cache
def installed_pebble() -> PebblePrograms:
    """Find the Pebble of this checkout and its package's version (`-version` only prints "dev")."""
    checkout = Path(__file__).resolve().parents[2]
    # A virtual environment elsewhere than in the checkout may carry one, too.
    for home in (checkout / ".venv", Path(sys.prefix)):
        directory = home / "pebble"
        if (directory / "VERSION").is_file() and (directory / "pebble").is_file():
            version = (directory / "VERSION").read_text().strip()
            numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
            return PebblePrograms(
                pebble=directory / "pebble",
                challtestsrv=directory / "pebble-challtestsrv",
                version=version,
                recent=numbers >= WANTED,
            )
    raise ServerFailedError("Pebble is not set up; run: tests/setup.sh test")
