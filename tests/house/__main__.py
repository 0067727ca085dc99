"""`python -m tests.house` prints the table of the house; with `-v` also what each measure counted."""

import sys

from tests.house.bounds import ROWS, STAND_ALONE
from tests.house.measures import longest_functions, longest_modules, small_and_single


def main() -> None:
    """Print it."""
    verbose = "-v" in sys.argv[1:]
    width = max(len(row.name) for row in ROWS)
    print(f"{'measure':{width}}  {'stood':>8}  {'today':>8}  {'at most':>8}  {'aim':>8}")
    for row in ROWS:
        today = row.today()
        missed = today > row.aim
        told = f"  {row.why or 'not yet'}" if missed else "  reached"
        print(f"{row.name:{width}}  {row.stood:8,}  {today:8,}  {row.at_most:8,}  {row.aim:8,}{told}")
        if verbose and missed:
            for one in row.found():
                print(f"{'':6}{one}")
    print("\nlongest modules:   " + ", ".join(f"{path} {lines}" for lines, path in longest_modules()))
    print("longest functions: " + ", ".join(f"{path} {lines}" for lines, path in longest_functions()))
    print("\nmodules under 80 lines with one importer, and why they stand alone:")
    for path, importer in sorted(small_and_single().items()):
        print(f"  {path}  for {importer}: {STAND_ALONE.get(path, '-')}")


if __name__ == "__main__":
    main()
