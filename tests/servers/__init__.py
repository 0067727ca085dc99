"""The real servers that the tests run against, started and stopped by the test that wants them.

Nothing here fakes anything: each module starts a program as an operator would, on loopback and free ports,
in a directory of the test's own. The exceptions are `faultproxy`, which takes a network's place and breaks
it, and `bendable`, an authority that misbehaves as it is told.

Needs the standard library, requests and cryptography only, so that `make demo` can use it as well.
"""
