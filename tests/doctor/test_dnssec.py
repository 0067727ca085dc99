"""DNSSEC of real and of broken zones: signed by Knot, or by dnspython with the fault that the test wants."""

import base64
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dns.dnssec
import dns.message
import dns.name
import dns.query
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.DNSKEY
import dns.rdtypes.ANY.DS
import dns.zone
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from renewer.model.inspection import Severity
from tests.doctor.conftest import NS1, NS2, Bed
from tests.servers.process import Process
from tests.servers.scripted_dns import World, zone

NAME = dns.name.from_text("example.org")
ZONE = zone("example.org", "ns1.example.org 127.0.0.1")
WWW = "www.example.org A 127.0.0.1"
TEXT = """
@ 300 SOA ns1 hostmaster 1 3600 600 86400 300
@ NS ns1
ns1 A 127.0.0.1
www A 127.0.0.1
"""


class Signer:
    """Signs example.org; `ds` belongs to its key."""

    def __init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())
        self.key = dns.dnssec.make_dnskey(self._private.public_key(), "ECDSAP256SHA256", flags=257)
        self.ds = dns.dnssec.make_ds(NAME, self.key, "SHA256")

    def sign(self, *, begins: timedelta = timedelta(hours=-1), ends: timedelta = timedelta(days=14)) -> Any:
        """The zone with signatures of that time."""
        now = datetime.now(UTC)
        made = dns.zone.from_text(TEXT, NAME, relativize=False)
        dns.dnssec.sign_zone(
            made,
            keys=[(self._private, self.key)],
            inception=now + begins,
            expiration=now + ends,
            add_dnskey=True,
            dnskey_ttl=300,
        )
        return made


def signed_world(bed: Bed, made: Any, ds: Any, *, broken: bool) -> World:
    """The zone is served, its parent has the DS, and the resolver validates."""
    world = World()
    world.adopt(made)
    world.add(NAME, ds)
    bed.serve(world.serves("example.org"))
    bed.resolver(world.resolves(broken=["example.org"] if broken else []))
    return world


def test_a_signed_zone_in_order_is_no_finding(bed: Bed) -> None:
    """DS, keys and signatures fit."""
    signer = Signer()
    signed_world(bed, signer.sign(), signer.ds, broken=False)

    assert bed.findings("www.example.org") == {}


@pytest.mark.parametrize("validating", [True, False], ids=["validating resolver", "plain resolver"])
@pytest.mark.parametrize(
    ("times", "code", "words"),
    [
        ({"begins": timedelta(days=-20), "ends": timedelta(days=-3)}, "dnssec-expired", "expired on 20"),
        ({"begins": timedelta(days=2)}, "dnssec-not-yet", "valid only from"),
    ],
)
def test_signatures_of_another_time(
    bed: Bed, times: dict[str, timedelta], code: str, words: str, *, validating: bool
) -> None:
    """Expired, or from the future: found whether our resolver checks or not, with the moment and place."""
    signer = Signer()
    signed_world(bed, signer.sign(**times), signer.ds, broken=validating)

    finding = bed.findings("www.example.org")[code]

    assert finding.severity is Severity.ERROR
    assert words in finding.text
    assert "ns1.example.org (127.0.0.1" in finding.text


def test_a_ds_of_another_key(bed: Bed) -> None:
    """The classic after a change of signer: no key of the zone fits the parent's DS."""
    signed_world(bed, Signer().sign(), Signer().ds, broken=True)

    found = bed.findings("www.example.org")

    assert found["dnssec-ds-mismatch"].severity is Severity.ERROR
    assert "dnssec-refused" not in found  # said once, with its cause


def test_a_ds_and_no_keys(bed: Bed) -> None:
    """The zone moved to a provider that does not sign, and the DS stayed at the registrar."""
    world = World(*ZONE, WWW)
    world.add(NAME, Signer().ds)
    bed.serve(world.serves("example.org"))
    bed.resolver(world.resolves(broken=["example.org"]))

    assert "the zone has no DNSKEY" in bed.findings("www.example.org")["dnssec-no-keys"].text


def test_one_server_without_signatures(bed: Bed) -> None:
    """A secondary that serves an old, unsigned copy: named, and the good one is not."""
    signer = Signer()
    world = World()
    made = signer.sign()
    world.adopt(made)
    for line in ("example.org NS ns2.example.org.", "ns2.example.org A 127.0.0.2"):
        name, kind, rest = line.split(maxsplit=2)
        record = dns.rdata.from_text("IN", kind, rest, dns.name.root, relativize=False)
        world.add(dns.name.from_text(name), record)
    world.add(NAME, signer.ds)
    bed.serve(world.serves("example.org"))
    bed.serve(World(*ZONE, WWW).serves("example.org"), NS2)
    bed.resolver(world.resolves())

    text = bed.findings("www.example.org")["dnssec-no-keys"].text
    assert "127.0.0.2" in text
    assert "(127.0.0.1" not in text


def test_a_break_above_is_told_with_its_place(bed: Bed) -> None:
    """Our zone is in order, but the resolver refuses everything below its parent."""
    world = World(*ZONE, *zone("org", "ns1.example.org"), WWW)
    bed.serve(world.serves("example.org", "org"))
    bed.resolver(world.resolves(broken=["org"]))

    finding = bed.findings("www.example.org")["dnssec-refused"]

    assert "answers for org only when told not to check" in finding.text
    assert finding.severity is Severity.ERROR


def test_signed_without_a_ds(bed: Bed) -> None:
    """Nobody checks such a zone: good to know, no more."""
    world = World()
    world.adopt(Signer().sign())
    bed.serve(world.serves("example.org"))
    bed.resolver(world.resolves())

    assert bed.findings("www.example.org")["dnssec-no-ds"].severity is Severity.INFO


def test_keys_to_keep_us_busy(bed: Bed) -> None:
    """Hundreds of keys with one tag (CVE-2023-50387) cost no time."""
    signer = Signer()
    made = signer.sign(begins=timedelta(days=-9), ends=timedelta(days=-1))
    world = signed_world(bed, made, signer.ds, broken=False)
    for number in range(200):
        key = base64.b64encode(number.to_bytes(2, "big") * 32).decode()
        record = dns.rdata.from_text("IN", "DNSKEY", f"257 3 13 {key}")
        world.add(NAME, record)

    assert any(one.code.startswith("dnssec-") for one in bed.findings("www.example.org").values())


# --- real servers -------------------------------------------------------------------------------------------


def _knotd() -> str:
    program = shutil.which("knotd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("Knot is not set up; run: tests/setup.sh test")
    return program


@pytest.fixture
def knot(bed: Bed, tmp_path: Path) -> Path:
    """A real Knot that signs example.org by itself; returns its directory."""
    (tmp_path / "example.org.zone").write_text("$ORIGIN example.org.\n$TTL 300\n" + TEXT)
    (tmp_path / "knot.conf").write_text(
        f"""
server:
    listen: {NS1}@{bed.dns_port}
    rundir: {tmp_path}
    tcp-workers: 1
    udp-workers: 1
    background-workers: 1
log:
  - target: stdout
    any: info
database:
    storage: {tmp_path}
policy:
  - id: plain
    algorithm: ECDSAP256SHA256
    single-type-signing: on
zone:
  - domain: example.org
    storage: {tmp_path}
    file: example.org.zone
    dnssec-signing: on
    dnssec-policy: plain
"""
    )
    server = Process([_knotd(), "-c", tmp_path / "knot.conf"], log=tmp_path / "knotd.log")
    bed.servers.callback(server.stop)
    server.wait_for_port(bed.dns_port)
    return tmp_path


def _key_of_knot(bed: Bed) -> Any:
    query = dns.message.make_query(NAME, "DNSKEY")
    (answer,) = dns.query.udp(query, NS1, port=bed.dns_port, timeout=30).answer
    return answer[0]


@pytest.mark.usefixtures("knot")
def test_a_zone_signed_by_a_real_knot(bed: Bed) -> None:
    """Fine with its own DS, broken with that of another key."""
    world = World(*ZONE, WWW)
    world.add(NAME, dns.dnssec.make_ds(NAME, _key_of_knot(bed), "SHA256"))
    resolver = bed.resolver(world.resolves())
    assert bed.findings("www.example.org") == {}

    wrong = World(*ZONE, WWW)
    wrong.add(NAME, Signer().ds)
    resolver.handler = wrong.resolves(broken=["example.org"])
    assert set(bed.findings("www.example.org")) == {"dnssec-ds-mismatch"}
