"""What DNS says of a name, through small servers that obey, lag, lie or keep silent."""

import time
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import pytest

from renewer.model.inspection import Severity
from renewer.network.dns.zones import NOBODY
from tests.doctor.conftest import HTTP01, NS1, NS2, NS6, Bed
from tests.servers.scripted_dns import World, zone

ZONE = zone("example.org", "ns1.example.org 127.0.0.1")
TWO = zone("example.org", "ns1.example.org 127.0.0.1", "ns2.example.org 127.0.0.2")
WWW = "www.example.org A 127.0.0.1"


def test_a_name_in_order_has_no_findings(bed: Bed) -> None:
    """A zone with an IPv4 and an IPv6 server that agree, and a name in it."""
    bed.world(*zone("example.org", "ns1.example.org 127.0.0.1 ::1"), WWW, serving=(NS1, NS6))

    assert bed.findings("www.example.org") == {}


def test_no_resolver_hears_of_the_challenges_name(bed: Bed) -> None:
    """Who asks a resolver too early makes it remember that nothing is there (RFC 2308 §5)."""
    world = World(*ZONE, WWW, *zone("example.net", "ns1.example.org"))
    world.add(*_record("_acme-challenge.www.example.org CNAME x.example.net."))
    bed.serve(world.serves("example.org", "example.net"))
    resolver = bed.resolver(world.resolves())

    found = bed.findings("www.example.org")

    assert set(found) == {"challenge-alias"}
    assert found["challenge-alias"].severity is Severity.INFO
    assert [one for one in resolver.asked if one.startswith(("_acme", "x.example.net"))] == []


def _record(line: str) -> Any:
    ((name, _), records), *_ = World(line)._sets.items()
    return name, records[0]


@pytest.mark.slow
def test_a_silent_server_is_named(bed: Bed) -> None:
    """One of two servers says nothing: a warning with its name and address."""
    bed.world(*TWO, WWW)
    bed.serve(lambda _: None, NS2)

    finding = bed.findings("www.example.org")["server-silent"]

    assert finding.severity is Severity.WARNING
    assert f"ns2.example.org (127.0.0.2:{bed.dns_port})" in finding.text


def test_a_lame_server_is_named(bed: Bed) -> None:
    """A server in the zone's NS records that does not serve it (RFC 8499: lame delegation)."""
    bed.world(*TWO, WWW)
    bed.serve(World().serves("example.com"), NS2)

    finding = bed.findings("www.example.org")["server-lame"]

    assert "does not serve the zone: it says REFUSED" in finding.text
    assert "127.0.0.2" in finding.text


def test_a_server_without_an_address(bed: Bed) -> None:
    """An NS record that names a host without A and AAAA."""
    bed.world(*ZONE, "example.org NS gone.example.org.", WWW)

    assert "gone.example.org" in bed.findings("www.example.org")["server-without-address"].text


def test_a_dead_zone_stops_everything(bed: Bed) -> None:
    """No server answers: an error that says what each did."""
    world = World(*ZONE, WWW)
    bed.resolver(world.resolves())
    bed.serve(World().serves("example.com"))

    finding = bed.findings("www.example.org")["zone-dead"]

    assert finding.severity is Severity.ERROR
    assert "ns1.example.org" in finding.text


@pytest.mark.slow
def test_a_zone_whose_servers_all_fail_is_found_through_its_parent(bed: Bed) -> None:
    """The resolver fails for the whole zone; the parent's servers still say whose it is."""
    parent = zone("org", "a.nic.org 127.0.0.1")
    world = World(*parent, *zone("example.org", "ns1.nic.org 127.0.0.2"), WWW)
    bed.serve(world.serves("org"))
    bed.serve(lambda _: None, NS2)
    bed.resolver(world.resolves(failing=["example.org"]))

    found = bed.findings("www.example.org", HTTP01)

    assert "ns1.nic.org (127.0.0.2" in found["zone-dead"].text
    assert found["caa-failed"].severity is Severity.ERROR


def test_servers_that_differ(bed: Bed) -> None:
    """A secondary with an old zone: both answers, with the serials."""
    bed.world(*TWO, WWW)
    old = World(*zone("example.org", "ns1.example.org 127.0.0.1", serial=7), "www.example.org A 127.0.0.9")
    bed.serve(old.serves("example.org"), NS2)

    text = bed.findings("www.example.org")["answers-differ"].text

    assert "127.0.0.1 " not in text.split("do not agree")[0]
    assert "(serial 1): 127.0.0.1" in text
    assert "(serial 7): 127.0.0.9" in text


def test_split_dns(bed: Bed) -> None:
    """The resolver here says something else than the zone's servers: told, no more."""
    world = World(*ZONE, WWW)
    bed.serve(world.serves("example.org"))
    bed.resolver(World(*ZONE, "www.example.org A 127.0.0.5").resolves())

    assert bed.findings("www.example.org")["split-dns"].severity is Severity.INFO


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ([], "no-such-name"),
        (["www.example.org TXT x"], "no-address"),
        (["www.example.org CNAME gone.example.net."], "dangling-alias"),
        (["www.example.org CNAME a.example.org.", "a.example.org CNAME www.example.org."], "alias-loop"),
        (["www.example.org CNAME x.gone.test."], "dns-failed"),
    ],
)
def test_a_name_that_leads_nowhere(bed: Bed, records: list[str], code: str) -> None:
    """An error for http-01, which needs an address; only good to know for dns-01."""
    bed.world(*ZONE, *zone("example.net", "ns1.example.org"), *records)

    assert bed.findings("www.example.org", HTTP01)[code].severity is Severity.ERROR
    assert bed.findings("www.example.org")[code].severity is Severity.INFO


def test_a_loop_of_the_challenges_aliases(bed: Bed) -> None:
    """`_acme-challenge` goes round in a circle: the whole circle is shown."""
    bed.world(
        *ZONE,
        WWW,
        "_acme-challenge.www.example.org CNAME a.example.org.",
        "a.example.org CNAME _acme-challenge.www.example.org.",
    )

    finding = bed.findings("www.example.org")["challenge-loop"]

    assert finding.severity is Severity.ERROR
    assert "a.example.org → _acme-challenge.www.example.org" in finding.text


def test_a_challenge_into_an_unregistered_domain(bed: Bed) -> None:
    """The target's domain does not exist at the registry."""
    bed.world(
        *ZONE,
        *zone("org", "a.nic.org 127.0.0.1"),
        WWW,
        "_acme-challenge.www.example.org CNAME x.gone.org.",
    )

    finding = bed.findings("www.example.org")["challenge-dangling"]

    assert finding.severity is Severity.ERROR
    assert "whoever registers that domain" in finding.hint


@pytest.mark.slow
def test_a_challenge_into_a_zone_that_nobody_serves(bed: Bed) -> None:
    """The target's zone is delegated, but its servers do not answer."""
    world = World(
        *ZONE,
        *zone("example.net", "ns1.example.net 127.0.0.2"),
        WWW,
        "_acme-challenge.www.example.org CNAME x.example.net.",
    )
    bed.serve(world.serves("example.org"))
    bed.resolver(world.resolves())
    bed.serve(lambda _: None, NS2)

    assert "zone example.net" in bed.findings("www.example.org")["zone-dead"].text


def test_a_challenge_delegated_by_a_zone_of_its_own(bed: Bed) -> None:
    """`_acme-challenge` is a zone below: its own servers are asked, by the parent's referral."""
    world = World(*ZONE, WWW)
    below = World(*zone("_acme-challenge.www.example.org", "ns2.example.org 127.0.0.2"))
    for line in zone("_acme-challenge.www.example.org", "ns2.example.org 127.0.0.2"):
        world.add(*_record(line))
    bed.serve(world.serves("example.org"))
    bed.resolver(world.resolves())
    server = bed.serve(below.serves("_acme-challenge.www.example.org"), NS2)

    assert bed.findings("www.example.org") == {}
    assert "_acme-challenge.www.example.org TXT" in server.asked


def test_an_alias_by_a_wildcard_is_told(bed: Bed) -> None:
    """`*` as CNAME makes `_acme-challenge` an alias that nobody meant."""
    wild = [f"{label}.www.example.org CNAME x.example.net." for label in ("_acme-challenge", NOBODY)]
    bed.world(*ZONE, *zone("example.net", "ns1.example.org"), WWW, *wild)

    assert bed.findings("www.example.org")["wildcard-alias"].severity is Severity.WARNING


def test_values_of_others_are_told(bed: Bed) -> None:
    """TXT values at the challenge's name are not ours to remove, but good to know of."""
    bed.world(*ZONE, WWW, '_acme-challenge.www.example.org TXT "left behind"')

    assert "has 1 TXT value already" in bed.findings("www.example.org")["values-there"].text


def test_a_server_that_swallows_caa(bed: Bed) -> None:
    """It answers for addresses, and not for CAA: authorities must refuse (RFC 8659 §6.3)."""
    world = World(*ZONE, WWW)
    plain = world.serves("example.org")

    def deaf(query: dns.message.Message) -> dns.message.Message:
        answer = plain(query)
        assert isinstance(answer, dns.message.Message)
        if query.question[0].rdtype == 257:
            answer.set_rcode(dns.rcode.NOTIMP)
        return answer

    bed.serve(deaf)
    bed.resolver(world.resolves())

    assert bed.findings("www.example.org")["caa-unanswered"].severity is Severity.WARNING


def test_without_a_resolver_there_is_one_finding(bed: Bed) -> None:
    """Nobody answers here at all: that is said once, within seconds, and not for each question."""
    begun = time.monotonic()

    assert set(bed.findings("www.example.org", HTTP01)) == {"resolver-failed"}
    assert time.monotonic() - begun < 30


# --- hostile ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_servers_that_never_answer_cost_the_limit_and_no_more(bed: Bed) -> None:
    """The resolver works, nobody else does: the answer comes in time and says who is silent."""
    hosts = [f"ns{number}.example.org 127.0.0.{number}" for number in range(2, 9)]
    world = World(*zone("example.org", *hosts), WWW)
    bed.resolver(world.resolves())
    for number in range(2, 9):
        bed.serve(lambda _: None, f"127.0.0.{number}")
    bed.limit = 5

    begun = time.monotonic()
    found = bed.findings("www.example.org")

    assert time.monotonic() - begun < 20
    assert "zone-dead" in found


@pytest.mark.slow
def test_a_resolver_that_stops_answering_costs_the_limit_and_no_more(bed: Bed) -> None:
    """It answers the first question and then nothing: what was not seen is said."""
    world = World(*ZONE, WWW)
    plain = world.resolves()
    bed.resolver(lambda query: plain(query) if query.question[0].name == dns.name.root else None)
    bed.limit = 4

    begun = time.monotonic()
    found = bed.findings("www.example.org", HTTP01)

    assert time.monotonic() - begun < 20
    assert any(one.severity is Severity.ERROR for one in found.values()) or "unfinished" in found


@pytest.mark.slow
@pytest.mark.parametrize("nonsense", [b"", b"\0", b"\xff" * 600, b"\x00" * 12])
def test_nonsense_is_no_answer(bed: Bed, nonsense: bytes) -> None:
    """Bytes that are no DNS message count as silence."""
    world = World(*TWO, WWW)
    bed.serve(world.serves("example.org"))
    bed.serve(lambda _: nonsense, NS2)
    bed.resolver(world.resolves())

    found = bed.findings("www.example.org")
    assert set(found) == {"server-silent"}


def test_huge_answers_are_cut_down(bed: Bed) -> None:
    """Thousands of values come over TCP and end in one short sentence."""
    many = [f'_acme-challenge.www.example.org TXT "{"x" * 200}{number}"' for number in range(250)]
    bed.world(*ZONE, WWW, *many)

    finding = bed.findings("www.example.org")["values-there"]
    assert len(finding.text) < 400


def test_control_characters_do_not_reach_the_screen(bed: Bed) -> None:
    """A zone is a stranger's text: no escape sequence of it is passed on."""
    bed.world(*TWO, WWW, "_acme-challenge.www.example.org TXT \\027[31mred")
    other = World(*TWO, WWW, "_acme-challenge.www.example.org TXT \\027]0;title\\007")
    bed.serve(other.serves("example.org"), NS2)

    assert "\x1b" not in bed.findings("www.example.org")["answers-differ"].text


@pytest.mark.slow
def test_many_names_are_looked_at_together(bed: Bed) -> None:
    """Forty names of a zone, two servers: about as quick as one."""
    names = [f"n{number}.example.org" for number in range(40)]
    bed.world(*TWO, *(f"{name} A 127.0.0.1" for name in names), serving=(NS1, NS2))

    begun = time.monotonic()
    checkups = bed.checkups(*names)

    assert [one.findings for one in checkups] == [()] * 40
    assert time.monotonic() - begun < 60
