"""Certificates of kinds that nobody here can read: carried, and reported as such, never a defect."""

import base64
import re
from typing import Any

import pytest
from cryptography import x509 as pyca
from cryptography.hazmat.primitives.serialization import Encoding

from renewer import certs, x509
from renewer.model.facts import EndpointState
from renewer.store.contract import Material
from tests.faults.conftest import make_host
from tests.faults.host import Host, authority, failed
from tests.servers.bendable import BendableFactory
from tests.servers.bends import Answer, Call
from tests.servers.ports import free_port
from tests.serving.bed import Bed
from tests.serving.issuer import Signer

__all__ = ["make_host"]
NAME = "www.example.org"
KNOWN, STRANGE = bytes.fromhex("06082A8648CE3D040302"), bytes.fromhex("06082A8648CE3D04037F")
"""ecdsa-with-SHA256, and a neighbour that nobody uses, as OIDs in DER."""


def strange(cert: bytes) -> bytes:
    """The same certificate, signed by an algorithm that is not known here."""
    der = pyca.load_pem_x509_certificate(cert).public_bytes(Encoding.DER)
    assert der.count(KNOWN) == 2
    body = base64.encodebytes(der.replace(KNOWN, STRANGE))
    return b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n"


def strange_material(signer: Signer) -> Material:
    """Key and chain of such a leaf."""
    usual = signer.issue(NAME)
    return Material(privkey=usual.privkey, cert=strange(usual.cert), chain=usual.chain)


def test_it_is_read_as_far_as_can_be() -> None:
    """Names, dates and key are there; the chain is in order by its names; the kind has a name."""
    signer = Signer.root().intermediate()
    material = strange_material(signer)
    assert [str(name) for name in certs.leaf(material.cert).names] == [NAME]
    key = x509.key_fingerprint(material.privkey)
    assert len(certs.put_in_order(key, material.fullchain)) == 2
    assert "1.2.840.10045.4.3.127" in (certs.unfamiliar(material.fullchain) or "")
    assert certs.unfamiliar(signer.issue(NAME).fullchain) is None
    other = Signer.root("another").issue(NAME)
    with pytest.raises(ValueError, match="not in order"):
        certs.put_in_order(key, material.cert + other.cert)


def test_it_goes_live_and_is_seen(bed: Bed) -> None:
    """In place of a good one: it is what was ordered; nobody here can judge it, and that is said."""
    bed.certificate(endpoints=[bed.serving(bed.live(), weak=True)])
    old = bed.put(bed.root.issue(NAME), live=True)
    assert bed.run().exit == 0
    new = bed.put(strange_material(bed.root.intermediate()))
    report = bed.run()
    assert (bed.situation().live, report.exit) == (new.id, 0)
    assert new.id != old.id
    (seen,) = bed.situation().sightings
    assert seen.state is EndpointState.VERIFIED
    ended = bed.cli("status")
    assert "cannot read" in ended.out + ended.err
    assert "defect" not in ended.out + ended.err


def test_it_is_installed_as_issued(make_host: Any, bendable: BendableFactory, agents_clock: Any) -> None:
    """An authority that signs so: one order, installed, exit 0."""
    bent = bendable(clock=agents_clock.now)
    host: Host = make_host(free_port(), {"bent": authority(bent)})

    def signed_so(request: Any) -> Answer:
        usual = request.usual()
        blocks = re.findall(b"-----BEGIN.*?-----END CERTIFICATE-----\n", usual.body, re.DOTALL)
        return Answer(usual.status, strange(blocks[0]) + b"".join(blocks[1:]), usual.headers)

    bent.bend(Call.CERTIFICATE, signed_so)
    report = host.run()
    assert (report.exit, failed(report), bent.count(Call.NEW_ORDER)) == (0, [], 1)
    assert STRANGE in base64.b64decode(
        b"".join((host.state / "certificates/www/live/cert.pem").read_bytes().splitlines()[1:-1])
    )


def test_one_that_others_serve_is_told_by_its_kind(bed: Bed) -> None:
    """`renewer check` looks at anybody's port: a warning, and exit 0."""
    place = bed.directory / "theirs"
    place.mkdir()
    material = strange_material(bed.root)
    (place / "fullchain.pem").write_bytes(material.fullchain)
    (place / "privkey.pem").write_bytes(material.privkey)
    endpoint = bed.serving(place, weak=True)
    bed.certificate(endpoints=[endpoint])
    ended = bed.cli("check", f"127.0.0.1:{endpoint['port']}", "--server-name", NAME, "--json")
    assert ended.code == 0, ended.out
    (target,) = ended.document["targets"]
    assert [one["code"] for one in target["findings"]] == ["unreadable"]
