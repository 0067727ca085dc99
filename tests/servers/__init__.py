"""The real servers that the tests run against, started and stopped by the test that wants them.

Nothing here fakes anything: each module starts a program as an operator would, on loopback and free ports,
in a directory of the test's own. The one exception is `faultproxy`: it takes a network's place and breaks it.

Needs the standard library, requests and cryptography only, so that `make demo` can use it as well.
"""
