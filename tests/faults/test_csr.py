"""A key that is elsewhere: certificates for a request of the operator's, and no key of ours anywhere."""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from renewer.model.decision import Result, Step
from renewer.rehearse import rehearse
from renewer.revoke import COMPROMISE, revoke
from tests.faults.host import Host, failed
from tests.servers import jws
from tests.servers.bendable import Bendable
from tests.servers.bends import Call, problem
from tests.servers.signing import Signer

ASKED: dict[str, Any] = {"asked": True, "only": frozenset({"www"})}
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def request(
    path: Path,
    *names: str,
    key: Key | None = None,
    common: str = "",
    encoding: Encoding = Encoding.PEM,
) -> Key:
    """Write a request as an appliance hands it out; returns the key, which stays there."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)] if common else [])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        wanted = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(wanted, critical=False)
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(encoding))
    path.chmod(0o644)
    return key


@pytest.fixture
def csr(bent_host: Host) -> Path:
    """Where the request of `www` lies; its names are those of the configuration."""
    path = bent_host.directory / "www.csr"
    request(path, "www.example.org")
    bent_host.certificates["www"] = {"names": ["www.example.org"], "csr": str(path)}
    bent_host.write_config()
    return path


def live(host: Host) -> Path:
    """The live directory of `www`."""
    return host.state / "certificates" / "www" / "live"


def leaf(host: Host) -> x509.Certificate:
    """What is live."""
    return x509.load_pem_x509_certificate((live(host) / "cert.pem").read_bytes())


def keys(host: Host) -> list[str]:
    """Private keys below the state directory but for the account's."""
    return [str(one) for one in (host.state / "certificates").rglob("*privkey*")]


def test_issued_deployed_and_renewed_without_a_key(bent_host: Host, csr: Path) -> None:
    """The request goes as it is, again at the renewal; copies, hooks and certbot's path have no key."""
    key = request(csr, "www.example.org", encoding=Encoding.DER)
    copy, told = bent_host.directory / "www.pem", bent_host.directory / "told"
    for name, text in (("mine", f"cat >{told}"), ("old", f'ls "$RENEWED_LINEAGE" >{told}.ls')):
        hook = bent_host.directory / name
        hook.write_text(f"#!/bin/sh\n{text}\n")
        hook.chmod(0o755)
        bent_host.hooks[name] = {"run": str(hook)}
    bent_host.hooks["old"]["convention"] = "certbot"
    table = {"hooks": ["mine", "old"], "endpoints": [], "copies": [{"fullchain": str(copy)}]}
    bent_host.certificates["www"] |= table
    bent_host.write_config()
    assert bent_host.run().exit == 0
    assert leaf(bent_host).public_key() == key.public_key()
    assert sorted(os.listdir(live(bent_host))) == ["cert.pem", "chain.pem", "fullchain.pem", "version.json"]
    assert copy.read_bytes() == (live(bent_host) / "fullchain.pem").read_bytes()
    assert json.loads(told.read_text())["certificates"][0]["privkey"] is None
    assert Path(f"{told}.ls").read_text().split() == ["cert.pem", "chain.pem", "fullchain.pem"]
    assert keys(bent_host) == []
    assert bent_host.decision().step is Step.KEEP

    first = leaf(bent_host).serial_number
    bent_host.clock.reach(leaf(bent_host).not_valid_after_utc - timedelta(days=8))
    assert bent_host.run().exit == 0
    assert leaf(bent_host).serial_number != first
    assert leaf(bent_host).public_key() == key.public_key()
    assert keys(bent_host) == []


def test_the_names_may_be_those_of_the_request(bent_host: Host, csr: Path) -> None:
    """`names` left out: subjectAltName and common name, as authorities read it."""
    request(csr, "www.example.org", "b.example.org", common="c.example.org")
    bent_host.certificates["www"].pop("names")
    bent_host.write_config()
    config = bent_host.directory / "config.toml"
    text = config.read_text()
    config.write_text("\n".join(line for line in text.splitlines() if not line.startswith("names")))
    names = [str(name) for name in bent_host.situation().wish.names]
    assert sorted(names) == ["b.example.org", "c.example.org", "www.example.org"]


def test_another_request_another_certificate(bent_host: Host, csr: Path) -> None:
    """A new key in the appliance: its request is ordered with at once, and the old version does not fit."""
    bent_host.run()
    key = request(csr, "www.example.org")
    assert bent_host.decision().step is Step.ISSUE
    assert bent_host.run().exit == 0
    assert leaf(bent_host).public_key() == key.public_key()


def test_from_a_key_of_ours_to_one_elsewhere_and_back(bent_host: Host, csr: Path) -> None:
    """Each is ordered anew; what was issued for the other key is not served for it."""
    bent_host.certificates["www"].pop("csr")
    bent_host.write_config()
    bent_host.run()
    assert (live(bent_host) / "privkey.pem").exists()
    bent_host.certificates["www"]["csr"] = str(csr)
    bent_host.write_config()
    assert bent_host.run().exit == 0
    assert not (live(bent_host) / "privkey.pem").exists()
    bent_host.certificates["www"].pop("csr")
    bent_host.write_config()
    assert bent_host.run().exit == 0
    assert (live(bent_host) / "privkey.pem").exists()


@pytest.mark.usefixtures("csr")
def test_an_order_that_was_interrupted_goes_on(bent_host: Host, bent: Bendable) -> None:
    """The request is kept beside the order: one order, though the answer to it was lost."""
    bent.bend(Call.FINALIZE, problem("serverInternal", 500), times=8)
    assert bent_host.run().exit == 1
    bent.mend()
    bent_host.run_when_due()
    assert (live(bent_host) / "cert.pem").exists()
    assert len(bent.orders) == 1


@pytest.mark.parametrize("kind", ["badPublicKey", "badCSR"])
def test_a_refused_request_is_not_sent_again(bent_host: Host, bent: Bendable, csr: Path, kind: str) -> None:
    """Told with what to do, and no order is made with it any more, until another one lies there."""
    bent.bend(Call.FINALIZE, problem(kind, 400))
    bent_host.run()
    orders = len(bent.orders)
    for _ in range(3):
        report = bent_host.run(asked=True, only=frozenset({"www"}))
        assert report.exit in (1, 3)
        (text,) = failed(report)
        assert f"{csr} is not sent again" in text
    assert len(bent.orders) == orders
    bent.mend()
    request(csr, "www.example.org")
    assert bent_host.run().exit == 0


@pytest.mark.usefixtures("csr")
def test_a_damaged_version_is_put_again(bent_host: Host) -> None:
    """Leaf and chain stand twice on disk, and no key is missed."""
    bent_host.run()
    whole = (live(bent_host) / "fullchain.pem").read_bytes()
    for file in ("cert.pem", "fullchain.pem", "version.json"):
        path = live(bent_host).resolve() / file
        path.write_bytes(path.read_bytes()[:40])
        assert bent_host.run().exit == 0
        assert (live(bent_host) / "fullchain.pem").read_bytes() == whole
    assert keys(bent_host) == []


@pytest.mark.usefixtures("csr")
def test_without_a_key_it_is_judged_all_the_same(bent_host: Host, bent: Bendable) -> None:
    """One that leads to no root that clients know does not replace a good one."""
    bent_host.authorities["bent"]["roots"] = str(bent.roots())
    bent_host.write_config()
    assert bent_host.run().exit == 0
    good = leaf(bent_host).serial_number
    bent.signer = Signer()
    report = bent_host.run(force=True, asked=True, only=frozenset({"www"}))
    assert report.exit == 3
    assert leaf(bent_host).serial_number == good


def test_a_key_elsewhere_that_is_compromised(bent_host: Host, bent: Bendable, csr: Path) -> None:
    """Revoked by the account, for there is no key to prove it with; its request is not sent again."""
    bent_host.run()
    with bent_host.context() as context:
        done = revoke(
            context, bent_host.situation(), bent_host.situation().versions[0], COMPROMISE, with_key=True
        )
    assert [one.by for one in done] == ["account"]
    orders = len(bent.orders)
    (text,) = failed(bent_host.run(**ASKED))
    assert text == f"{csr} is not sent again: its key is compromised"
    assert len(bent.orders) == orders
    key = request(csr, "www.example.org")
    assert bent_host.run().exit == 0
    assert leaf(bent_host).public_key() == key.public_key()


def test_rehearsed_with_the_same_request(bent_host: Host, bent: Bendable, csr: Path) -> None:
    """At the authority for tests the request goes as it is, and nothing of it stays."""
    bent_host.authorities["bent"]["staging"] = bent.directory
    bent_host.write_config()
    with bent_host.context() as context:
        steps = rehearse(context, ["www"])
    assert not [step for step in steps if step.result is Result.FAILED], steps
    sent = x509.load_der_x509_csr(jws.decoded(bent.requests(Call.FINALIZE)[0].payload["csr"]))
    assert sent.public_key() == x509.load_pem_x509_csr(csr.read_bytes()).public_key()
