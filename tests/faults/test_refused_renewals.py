"""An authority that signs what clients refuse: what they accept stays live."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.faults.conftest import HostFactory
from tests.faults.host import Clock, Host
from tests.servers.bendable import Bendable, BendableFactory
from tests.servers.ports import free_port
from tests.servers.signing import Signer

DAY = timedelta(days=1)


@pytest.fixture
def authority(bendable: BendableFactory, agents_clock: Clock) -> Bendable:
    """One by the agent's clock."""
    return bendable(clock=agents_clock.now)


@pytest.fixture
def host(make_host: HostFactory, authority: Bendable) -> Host:
    """A host that knows the authority's root, with a good certificate whose port shows it."""
    table = {
        "directory": authority.directory,
        "ca_bundle": str(authority.ca_bundle),
        "roots": str(authority.roots()),
    }
    host = make_host(free_port(), {"bendable": table})
    host.open_port("www").__enter__()
    assert host.run().exit == 0
    return host


def authorities(authority: Bendable) -> None:
    """It signs authorities."""
    authority.signer.shape.is_ca = True


def clients(authority: Bendable) -> None:
    """It signs for clients only."""
    authority.signer.shape.usages = (ExtendedKeyUsageOID.CLIENT_AUTH,)


def of_another_root(authority: Bendable) -> None:
    """It has another root from now on."""
    authority.signer = Signer()


@pytest.mark.parametrize("change", [authorities, clients, of_another_root])
def test_a_refused_renewal_leaves_the_good_one_live(
    host: Host, authority: Bendable, change: Callable[[Bendable], None]
) -> None:
    """In the very run that orders it; nothing more is ordered for it, and at the very end it is served."""
    good = host.live()
    change(authority)

    report = host.run(force=True)

    assert report.exit == 3
    assert host.live().id == good.id
    assert len(authority.issued) == 2
    assert "clients would refuse" in host.status()["why"]
    for _ in range(5):
        host.clock.forward(DAY)
        assert host.run().exit == 3
    assert host.live().id == good.id
    assert len(authority.issued) == 2

    host.clock.reach(good.leaf.not_after - timedelta(minutes=90))
    host.run()
    assert host.live().id != good.id


def test_the_next_good_one_goes_live(host: Host, authority: Bendable) -> None:
    """Once the authority signs well again, what it signs is served."""
    authority.signer.shape.is_ca = True
    assert host.run(force=True).exit == 3
    authority.signer.shape.is_ca = False

    assert host.run(force=True).exit == 0

    assert len(authority.issued) == 3
    assert host.live().leaf.serial == authority.issued[-1].serial
