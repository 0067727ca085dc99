"""A clock that was wrong for a while: nothing is ordered twice for it, then or later."""

from datetime import timedelta

from tests.faults.conftest import HostFactory
from tests.faults.host import authority
from tests.servers.pebble import Pebble

DAY = timedelta(days=1)


def test_certificate_made_while_the_clock_was_ahead(make_host: HostFactory, pebble: Pebble) -> None:
    """What is ordered when it is right again is newer all the same: it is served, and not ordered again."""
    host = make_host(pebble.http_port, {"pebble": authority(pebble)})
    host.clock.ahead = 2 * DAY
    assert host.run().exit == 0
    first = host.live()
    host.clock.ahead = timedelta(0)

    assert host.run(force=True).exit == 0
    mark = pebble.mark()
    assert host.run().exit == 0

    assert host.live().leaf.serial != first.leaf.serial
    assert host.situation().versions[0].id == host.live().id
    assert pebble.orders_created(mark) == 0


def test_certificate_that_is_not_valid_yet(make_host: HostFactory, pebble: Pebble) -> None:
    """With a clock that is behind it is kept, told, and installed once that is right: not ordered again."""
    host = make_host(pebble.http_port, {"pebble": authority(pebble)})
    mark = pebble.mark()
    host.clock.ahead = timedelta(hours=-7)
    first, second = host.run(), host.run()
    assert (first.exit, second.exit) == (1, 1)
    assert "is this host's clock right" in second.outcomes[-1].detail
    host.clock.ahead = timedelta(0)

    assert host.run().exit == 0
    assert pebble.orders_created(mark) == 1
