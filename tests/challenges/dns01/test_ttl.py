"""Another's TXT record at the name of a challenge: its TTL is the same before, during and after."""

from collections.abc import Sequence

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update
import pytest

from renewer.network.providers.rfc2136 import TTL
from tests.challenges.dns01.bed import BIND, BIND_ZONE, KEYS, KNOT, KNOT_ZONE, Bed, tasks

pytestmark = pytest.mark.real
SERVERS = [pytest.param(BIND, BIND_ZONE, id="bind"), pytest.param(KNOT, KNOT_ZONE, id="knot")]
THEIRS = "google-site-verification=theirs"


def put(bed: Bed, server: str, zone: str, host: str, *values: str, ttl: int = 600) -> None:
    """What somebody else writes there; nothing takes it away."""
    key = dns.tsig.Key(KEYS[0].name, KEYS[0].secret, KEYS[0].algorithm)
    update = dns.update.UpdateMessage(zone, keyring=key)
    update.delete(host, "TXT")
    for value in values:
        update.add(host, ttl, "TXT", f'"{value}"')
    assert dns.query.tcp(update, server, port=bed.port, timeout=30).rcode() == dns.rcode.NOERROR


def at(bed: Bed, server: str, name: str) -> tuple[int, set[str]]:
    """TTL and values, from the server itself."""
    query = dns.message.make_query(name, "TXT")
    query.flags &= ~dns.flags.RD
    reply = dns.query.tcp(query, server, port=bed.port, timeout=30)
    found = reply.get_rrset(reply.answer, dns.name.from_text(name), dns.rdataclass.IN, dns.rdatatype.TXT)
    if found is None:
        return 0, set()
    return found.ttl, {b"".join(one.strings).decode() for one in found}


def proven(bed: Bed, server: str, *names: str) -> list[tuple[int, set[str]]]:
    """What stands at the first name's record while challenges for the names are answered there."""
    solver, asked = bed.solver(server), tasks(*names)
    seen = []
    try:
        for one in asked:
            solver.present(one)
            seen.append(at(bed, server, f"_acme-challenge.{names[0].removeprefix('*.')}"))
    finally:
        for one in asked:
            solver.clean_up(one)
    return seen


@pytest.mark.parametrize(("server", "zone"), SERVERS)
@pytest.mark.parametrize("ttl", [600, 86400, 2, 0])
def test_it_keeps_its_ttl(bed: Bed, server: str, zone: str, ttl: int) -> None:
    """Ours is added with the TTL that stands there, for name and wildcard, and leaves it when it goes."""
    name = f"shared.{zone}"
    put(bed, server, zone, "_acme-challenge.shared", THEIRS, ttl=ttl)
    try:
        during = proven(bed, server, name, f"*.{name}")
        assert [(one, len(values), THEIRS in values) for one, values in during] == [
            (ttl, 2, True),
            (ttl, 3, True),
        ]
        assert at(bed, server, f"_acme-challenge.{name}") == (ttl, {THEIRS})
    finally:
        put(bed, server, zone, "_acme-challenge.shared")


@pytest.mark.parametrize(("server", "zone"), SERVERS)
def test_alone_it_is_short(bed: Bed, server: str, zone: str) -> None:
    """Where nobody else has anything, no cache holds our value for long, and nothing stays."""
    name = f"alone.{zone}"
    ((ttl, values),) = proven(bed, server, name)
    assert (ttl, len(values)) == (TTL, 1)
    assert at(bed, server, f"_acme-challenge.{name}") == (0, set())


@pytest.mark.parametrize("others", [("one",), ("one", "two")])
def test_where_the_name_is_a_link_to(bed: Bed, others: Sequence[str]) -> None:
    """The record that a CNAME leads to, at another server, is looked at where it stands."""
    put(bed, KNOT, KNOT_ZONE, "via.acme", *others, ttl=900)
    try:
        solver, (one,) = bed.solver(KNOT), tasks(f"via.{BIND_ZONE}")
        solver.present(one)
        ttl, values = at(bed, KNOT, f"via.acme.{KNOT_ZONE}")
        assert (ttl, values > set(others)) == (900, True)
        solver.clean_up(one)
        assert at(bed, KNOT, f"via.acme.{KNOT_ZONE}") == (900, set(others))
    finally:
        put(bed, KNOT, KNOT_ZONE, "via.acme")
