"""Runs the command with its clock standing still: `python frozen.py MOMENT ARGUMENTS…`."""

import runpy
import sys
from datetime import datetime, timedelta

from renewer import clock, wakers


def main() -> None:
    """Stop it, and be the command."""
    moment = datetime.fromisoformat(sys.argv[1])
    clock.now = lambda: moment
    clock.ahead = lambda other: timedelta(0)  # noqa: ARG005  called as the real one
    wakers.ROOT = "/nonexistent"  # what calls the next run on this host is nothing of the state's
    sys.argv[:] = ["renewer", *sys.argv[2:]]
    runpy.run_module("renewer", run_name="__main__")


if __name__ == "__main__":
    main()
