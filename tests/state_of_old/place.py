"""Where the old state is unpacked, and the command over it at a moment of the test's choosing."""

import os
import subprocess
import sys
import tarfile
from datetime import datetime
from pathlib import Path
from typing import Any

from renewer.ledger.sqlite import SqliteLedger
from renewer.model.facts import Record
from tests.command import Ended

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
PACKED = HERE / "state.tar.gz"
LIMIT = 90  # seconds for one command
HOOK = "#!/bin/sh\nexit 0\n"
_WITHOUT = ("RENEWER_CONFIG", "NO_COLOR", "FORCE_COLOR", "COLUMNS")


class OldPlace:
    """The state and its config below `root`; every hook of it succeeds."""

    def __init__(self, root: Path, checkout: Path = CHECKOUT) -> None:
        """Unpack it."""
        self.root = root
        self.config = root / "config.toml"
        self._checkout = checkout
        with tarfile.open(PACKED) as packed:
            packed.extraction_filter = lambda member, _: (
                member
            )  # ours, with its modes; before 3.11.4 the usual
            packed.extractall(root)  # noqa: S202  made by make.py
        write_config(root)
        for name in ("reload", "phone"):
            write_hook(root / name, HOOK)

    def cli(self, at: datetime, *arguments: str) -> Ended:
        """The command, when it was `at`; every path below the root is told as @ROOT@."""
        ended = command(self._checkout, self.config, at, *arguments)
        return Ended(ended.code, self.without_root(ended.out), self.without_root(ended.err))

    def remembered(self, kind: type[Record]) -> list[Any]:
        """The ledger's records of a kind."""
        ledger = SqliteLedger.look(str(self.root / "state/ledger.db"))
        try:
            return list(ledger.load(kind))
        finally:
            ledger.close()

    def without_root(self, text: str) -> str:
        """The text as it would be anywhere."""
        return text.replace(str(self.root), "@ROOT@")


def write_config(root: Path, more: str = "") -> None:
    """The config of this place, and `more` of it."""
    config = root / "config.toml"
    config.write_text((HERE / "config.toml").read_text().replace("@ROOT@", str(root)) + more)
    config.chmod(0o600)


def write_hook(path: Path, text: str) -> None:
    """An executable."""
    path.write_text(text)
    path.chmod(0o755)


def command(checkout: Path, config: Path, at: datetime | None, *arguments: str) -> Ended:
    """The real command of a checkout, by the real clock or at a moment at which its clock stands still."""
    env = {key: value for key, value in os.environ.items() if key not in _WITHOUT}
    program = ["-m", "renewer"] if at is None else [str(HERE / "frozen.py"), at.isoformat()]
    ended = subprocess.run(
        [sys.executable, *program, "--config", str(config), *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
        cwd=checkout,
        stdin=subprocess.DEVNULL,
        env=env | {"PYTHONPATH": str(checkout), "TZ": "UTC"},
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)
