"""Exit codes (design: Contracts). When several apply: 2, 75, then 3 over 1."""

OK = 0  # all well
FAILED = 1  # something failed and will be retried, also while it only waits for its moment
USAGE = 2  # bad usage or configuration, nothing was done
PERSON = 3  # a person must act
BUSY = 75  # another run holds the lock (EX_TEMPFAIL)
INTERRUPTED = 130  # Ctrl-C
