"""Hosts, answerers and clocks of other tests, for those of the door."""

from tests.acme.conftest import answerer_at
from tests.faults.conftest import agents_clock, make_host

__all__ = ["agents_clock", "answerer_at", "make_host"]
