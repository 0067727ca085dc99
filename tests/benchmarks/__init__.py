"""How fast it is, beside others, on the same machine, against the same authority, in the same run.

`make bench` runs all of it, interleaved, and ends with 1 if a goal was missed. Never part of `make test`:
what a clock says depends on who else uses the machine.
"""
