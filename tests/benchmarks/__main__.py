"""`make bench`: measure, print the table, write docs/benchmarks.md, end with 1 if a goal was missed."""

import argparse
import os
import platform
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from renewer import __version__
from tests.benchmarks.contenders import CHECKOUT, PEERS, AcmeTiny, Bed, Certbot, Lego
from tests.benchmarks.dns import dns
from tests.benchmarks.host import host
from tests.benchmarks.measure import BenchmarkFailedError
from tests.benchmarks.scenarios import Result, Row, Turns, idle, many, rows_of, single, thousand
from tests.benchmarks.split import split
from tests.servers.nginx import Nginx
from tests.servers.pebble import Pebble
from tests.servers.programs import installed_pebble

SCENARIOS = {
    "single": single,
    "idle": idle,
    "thousand": thousand,
    "many": many,
    "dns": dns,
    "split": split,
    "host": host,
}
PAGE = CHECKOUT / "docs" / "benchmarks.md"
COLUMNS = ("measure", "ours", "peer", "ratio", "goal", "met?")


def main() -> int:
    """Run the scenarios that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("scenario", nargs="*", help=f"of {', '.join(SCENARIOS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="fewer turns, for a first look")
    options = parser.parse_args()
    if unknown := set(options.scenario) - set(SCENARIOS):
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}")
    turns = Turns(3, 5, 2, 2, 1) if options.quick else Turns()
    chosen = options.scenario or list(SCENARIOS)
    results: list[Result] = []
    versions: list[str] = []
    begun = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # with all that was started, and its files
    try:
        for name in chosen:
            print(f"measuring: {name} …", file=sys.stderr, flush=True)
            results.append(_in_a_fresh_bed(name, turns, versions))
    except BenchmarkFailedError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    rows = rows_of(results)
    notes = [note for result in results for note in result.notes]
    _print(rows, notes)
    print(f"\n{_machine()}\n{', '.join(versions)}\nmin / median / max; ratios of the least;", end=" ")
    print(f"took {time.monotonic() - begun:.0f} s")
    if not options.scenario and not options.quick:
        PAGE.write_text(_page(rows, notes, versions))
        print(f"written to {PAGE.relative_to(CHECKOUT)}")
    return 1 if any(row.met is False for row in rows) else 0


def _in_a_fresh_bed(name: str, turns: Turns, versions: list[str]) -> Result:
    """Each scenario has a new authority: Pebble keeps all it ever issued, and grows."""
    with tempfile.TemporaryDirectory(prefix="renewer-bench-") as directory, ExitStack() as servers:
        path = Path(directory)
        # No nonce is refused: how a client takes that is for the tests, not for the clock.
        pebble = Pebble(path / "pebble", profiles={"default": timedelta(days=90)}, nonce_reject=0)
        servers.enter_context(pebble)
        nginx = servers.enter_context(Nginx(path / "nginx", http_port=pebble.http_port))
        bed = Bed(path, pebble, nginx)
        versions[:] = _versions(bed)
        return SCENARIOS[name](bed, turns)


def _versions(bed: Bed) -> list[str]:
    lego = Lego(bed)
    return [
        f"renewer {__version__}",
        *([f"certbot {Certbot(bed, 'version').version}"] if PEERS.is_dir() else []),
        *([f"acme-tiny {AcmeTiny(bed).version}"] if PEERS.is_dir() else []),
        *([f"lego {lego.version}"] if lego.installed else []),
        f"Pebble {installed_pebble().version}",
        f"Python {platform.python_version()}",
    ]


def _machine() -> str:
    pretty = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = f"load average at the end {os.getloadavg()[2]:.1f}"  # of 15 minutes; a quiet machine has below 2
    return f"{pretty}, {os.cpu_count()} cores, {memory:.0f} GiB, {load}, {datetime.now(UTC):%Y-%m-%d}"


def _cells(row: Row) -> tuple[str, ...]:
    met = {True: "yes", False: "NO", None: ""}[row.met]
    return (row.measure, row.ours, row.peer, row.ratio, row.goal, met)


def _print(rows: list[Row], notes: list[str]) -> None:
    lines = [COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    for note in notes:
        print(f"note: {note}")


def _page(rows: list[Row], notes: list[str], versions: list[str]) -> str:
    table = "\n".join(
        [
            f"| {' | '.join(COLUMNS)} |",
            f"|{'---|' * len(COLUMNS)}",
            *(f"| {' | '.join(cell.strip() for cell in _cells(row))} |" for row in rows),
        ]
    )
    told = "".join(f"\nNote: {note}.\n" for note in notes)
    return _TEXT.format(machine=_machine(), versions=", ".join(versions), table=table, notes=told)


_TEXT = """# Benchmarks

Written by `make bench`, which measures all of it anew. {machine}. {versions}.

{table}
{notes}
Whole processes, from start to exit; min / median / max of the wall clock. Ratios and orders a second are of
the least, which other work on the machine disturbs least (a client that mostly sleeps is hardly disturbed at
all). All contenders use the same Pebble (which refuses no nonces here) and the same nginx, and take turns. A
run counts only if the authority issued exactly as many certificates as it should have.

- *one issuance*: `renewer run` and `certbot certonly --webroot`, the account existing.
- *nothing due*: `renewer run` and `certbot renew --no-random-sleep-on-renew`. The thousand are clones of one
  certificate with four names, on both sides. Peak memory is the highest resident set of any of its processes.
- *port looked at*: the same with a TLS handshake at every certificate's port; certbot has nothing like it.
- *modules imported*: by `python -X importtime`. Heavy are `acme`, `requests`, `dns`, `rich`, `jinja2`,
  `cryptography` and `ssl`.
- *50 due*: `renewer run --force --all` (one process), `certbot renew --force-renewal` (one process),
  `lego run` as `xargs -P50`, `acme-tiny` as `xargs -P8` with keys and CSRs made before and not counted.
"""

if __name__ == "__main__":
    sys.exit(main())
