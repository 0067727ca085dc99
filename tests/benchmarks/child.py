"""Starts one program and tells on stdout, as JSON, what it cost. Run as a small process of its own.

On Linux a program's highest resident set begins with that of the process it was forked from: measured from a
process with the test bed in its memory, everything would seem to need as much as that.
"""

import json
import os
import sys
import time


def main() -> None:
    """Run the program given as arguments to its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    redirect = [(os.POSIX_SPAWN_DUP2, nowhere, 1), (os.POSIX_SPAWN_DUP2, nowhere, 2)]
    begun = time.perf_counter()
    pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=redirect)
    # wait4 tells what this very child used, with all those it waited for.
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - begun
    told = {
        "exit": os.waitstatus_to_exitcode(status),
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss * 1024 / 1e6,
    }
    sys.stdout.write(json.dumps(told))


main()
