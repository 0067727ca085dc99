"""Renewal windows of many certificates at an authority that answers few a second: each gets its turn."""

from typing import Any

from renewer.model.facts import Window
from tests.faults.conftest import HostFactory
from tests.servers.bendable import BendableFactory
from tests.servers.bends import Answer, Call, error

NUMBER = 12


def test_each_gets_its_window(make_host: HostFactory, bendable: BendableFactory, agents_clock: Any) -> None:
    """503 for what comes at the same time: it is asked one at a time from then on, nobody is left out."""
    authority = bendable(clock=agents_clock.now)
    table = {"directory": authority.directory, "ca_bundle": authority.ca_bundle, "roots": authority.roots()}
    names: dict[str, dict[str, Any]] = {f"c{number}": {} for number in range(NUMBER)}
    host = make_host(0, {"f": table}, certificates=names)
    authority.bend(Call.RENEWAL_INFO, error(500))
    assert host.run().exit == 0
    authority.mend()

    asked = 0

    def limited(request: Any) -> Answer:
        nonlocal asked
        asked += 1
        refused = asked in (2, 3, 4, 5, 8, 11, 15)
        return error(503, retry_after="1")(request) if refused else request.usual()

    authority.bend(Call.RENEWAL_INFO, limited)
    host.clock.reach(host.clock.now().replace(microsecond=0))
    host.run(ask=True)

    with host.context(write=False) as context:
        known = {one.certificate for one in context.ledger.load(Window) if one.start is not None}
    assert known == set(names)


def test_who_was_never_asked_comes_first(
    make_host: HostFactory, bendable: BendableFactory, agents_clock: Any
) -> None:
    """An authority that soon has enough leaves nobody without a window for good."""
    authority = bendable(clock=agents_clock.now)
    table = {"directory": authority.directory, "ca_bundle": authority.ca_bundle, "roots": authority.roots()}
    names: dict[str, dict[str, Any]] = {f"c{number}": {} for number in range(NUMBER)}
    host = make_host(0, {"f": table}, certificates=names)
    authority.bend(Call.RENEWAL_INFO, error(500))
    host.run()
    authority.mend()
    for _ in range(NUMBER // 4):
        authority.mend()
        authority.bend(Call.RENEWAL_INFO, error(503, retry_after="3600"), skip=4)
        host.run(ask=True)

    with host.context(write=False) as context:
        known = {one.certificate for one in context.ledger.load(Window) if one.start is not None}
    assert known == set(names)
