"""A preferred chain is a preference: it costs no certificate, is told where missed, and asked for again."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from renewer import x509
from tests.faults.conftest import HostFactory
from tests.faults.host import Clock, Host, failed
from tests.servers.bendable import Bendable, BendableFactory, Seen
from tests.servers.bends import Answer, Call, cut, error, hang, html, problem, say
from tests.servers.ports import free_port
from tests.servers.signing import Signer, pem

WANTED = "Bendable Root 2"


@pytest.fixture
def authority(bendable: BendableFactory, agents_clock: Clock) -> Bendable:
    """One with three chains: to Bendable Root 1, 2 and 3."""
    return bendable(clock=agents_clock.now, signer=Signer(alternates=2))


@pytest.fixture
def host(make_host: HostFactory, authority: Bendable) -> Host:
    """A host that prefers the second of them."""
    table = {"directory": authority.directory, "ca_bundle": str(authority.ca_bundle), "chain": WANTED}
    return make_host(free_port(), {"bendable": table})


def leads_to(host: Host, root: str) -> bool:
    """Whether what is live leads to this root."""
    live = host.state / "certificates/www/live/fullchain.pem"
    return x509.leads_to(live.read_bytes(), root)


def prefer(host: Host, name: str) -> None:
    """Another root in the config."""
    host.authorities["bendable"]["chain"] = name
    host.write_config()


def another_leaf(seen: Seen) -> Answer:
    """A chain to the right root for somebody else's certificate."""
    signer = seen.authority.signer
    other = Signer()
    stranger = other.chain(other.roots[0], 1)
    return replace(seen.usual(), body=stranger + pem(signer.intermediates[1]))


def thin(seen: Seen) -> Answer:
    """The intermediate alone."""
    return replace(seen.usual(), body=pem(seen.authority.signer.intermediates[1]))


BROKEN: dict[str, Callable[[Seen], Answer]] = {
    "500": error(500),
    "404": problem("malformed", 404),
    "page": html(),
    "hang": hang,
    "cut": cut(30),
    "rubbish": say(Answer(200, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")),
    "another leaf": another_leaf,
    "thin": thin,
}


def test_the_preferred_one(host: Host) -> None:
    """Offered and had: nothing to tell."""
    report = host.run()
    assert (report.exit, report.findings) == (0, ())
    assert leads_to(host, WANTED)


@pytest.mark.parametrize("how", BROKEN)
def test_an_alternate_that_cannot_be_had(host: Host, authority: Bendable, how: str) -> None:
    """The default chain, in hand, is installed by the same run; one order, exit 0, a line that says so."""
    authority.bend(Call.ALTERNATE, BROKEN[how])
    report = host.run()
    assert (report.exit, failed(report)) == (0, [])
    assert leads_to(host, "Bendable Root 1")
    assert any(WANTED in one and "default one" in one for one in report.findings), report.findings
    assert len(authority.orders) == 1
    again = host.run()
    assert again.exit == 0
    assert any(WANTED in one for one in again.findings)


def test_one_that_is_not_offered(host: Host, authority: Bendable) -> None:
    """Silent until now: told by every run, and nothing asked again."""
    prefer(host, "Nobody's Root")
    report = host.run()
    assert report.exit == 0
    assert any("offers no chain to Nobody's Root" in one for one in report.findings)
    asked = authority.count(Call.ALTERNATE)
    host.clock.forward(timedelta(hours=1))
    assert host.run().exit == 0
    assert (authority.count(Call.ALTERNATE), len(authority.orders)) == (asked, 1)
    prefer(host, "Bendable Root 1")
    assert host.run().findings == ()


def test_had_within_the_day(host: Host, authority: Bendable) -> None:
    """The alternate comes back hours later: installed and live without an order, and the line goes."""
    authority.bend(Call.ALTERNATE, error(500))
    host.run()
    first = host.live()
    for _ in range(3):
        host.clock.forward(timedelta(hours=1))
        assert host.run().exit == 0
    authority.mend()
    host.clock.forward(timedelta(hours=1))
    report = host.run()
    assert (report.exit, report.findings) == (0, ())
    assert leads_to(host, WANTED)
    assert host.live().leaf == first.leaf
    assert (len(authority.orders), len(authority.issued)) == (1, 1)
    assert not list(host.state.glob("certificates/www/pending/*"))
    asked = authority.count(Call.ALTERNATE)
    host.run()
    assert authority.count(Call.ALTERNATE) == asked


def test_given_up_after_a_day(host: Host, authority: Bendable) -> None:
    """Longer than a day nobody asks; the next certificate has the chain again."""
    authority.bend(Call.ALTERNATE, error(500))
    host.run()
    host.clock.forward(timedelta(hours=25))
    asked = authority.count(Call.ALTERNATE)
    assert any(WANTED in one for one in host.run().findings)
    assert authority.count(Call.ALTERNATE) == asked
    authority.mend()
    assert host.run(force=True).findings == ()
    assert leads_to(host, WANTED)


def test_the_second_of_several_alternates_fits(host: Host, authority: Bendable) -> None:
    """One that is broken does not hide the one behind it."""
    prefer(host, "Bendable Root 3")
    authority.bend(Call.ALTERNATE, error(500), when=lambda seen: seen.path.endswith("/1"))
    report = host.run()
    assert (report.exit, report.findings) == (0, ())
    assert leads_to(host, "Bendable Root 3")


def test_alternates_that_lead_in_a_circle(host: Host, authority: Bendable) -> None:
    """The alternate is the chain itself: fetched once, the default is installed."""

    def itself(seen: Seen) -> Answer:
        links = ", ".join([f'<{authority.base}{seen.path}>;rel="alternate"'] * 30)
        return seen.usual().with_headers(link=links)

    authority.bend(Call.CERTIFICATE, itself)
    assert host.run().exit == 0
    assert leads_to(host, "Bendable Root 1")
    assert authority.count(Call.CERTIFICATE) <= 12
