"""Keys, names and chains of issued certificates, end to end against a real Pebble."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtensionOID, NameOID

from renewer import x509 as ours
from renewer.model.desired import KeyType
from renewer.model.names import Identifier
from tests.agent import Agent, at_pebble
from tests.servers.pebble import Pebble, PebbleFactory

SIZES = {
    "ecdsa-p256": ("secp256r1", 256),
    "ecdsa-p384": ("secp384r1", 384),
    "rsa-2048": ("rsa", 2048),
    "rsa-3072": ("rsa", 3072),
    "rsa-4096": ("rsa", 4096),
}


def kind(key: object) -> tuple[str, int]:
    """Curve or "rsa", and bits, by none of the package's code."""
    if isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey):
        return key.curve.name, key.curve.key_size
    assert isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey)
    return "rsa", key.key_size


def alternative_names(agent: Agent) -> x509.SubjectAlternativeName:
    """What the live certificate vouches for."""
    return agent.chain()[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value


@pytest.mark.parametrize("key", list(KeyType))
def test_every_type_of_key(tmp_path: Path, pebble: Pebble, key: KeyType) -> None:
    """Key and certificate are of the type that the config says, and fit each other."""
    agent = at_pebble(tmp_path, pebble, key=key.value)
    assert agent.json("run")["exit"] == 0
    private = load_pem_private_key(agent.key(), None)
    public = agent.chain()[0].public_key()
    assert kind(private) == kind(public) == SIZES[key.value]
    assert private.public_key() == public
    assert agent.json("status")["certificates"][0]["key"] == key.value


def test_a_fresh_key_each_time(tmp_path: Path, pebble: Pebble) -> None:
    """By default no key is used twice."""
    agent = at_pebble(tmp_path, pebble)
    agent.json("run")
    first = agent.key()
    agent.json("run", "--force")
    assert agent.key() != first


def test_the_key_is_reused_if_asked_for(tmp_path: Path, pebble: Pebble) -> None:
    """reuse_key keeps the key over renewals, until its type is changed."""
    agent = at_pebble(tmp_path, pebble, reuse_key=True)
    agent.json("run")
    first, serial = agent.key(), agent.serial()
    agent.json("run", "--force")
    assert agent.key() == first
    assert agent.serial() != serial
    agent.tables["certificate.www"]["key"] = "rsa-2048"
    document = agent.json("run")
    assert document["steps"][0]["reason"] == "wish-changed"
    assert kind(load_pem_private_key(agent.key(), None)) == ("rsa", 2048)


def test_addresses(tmp_path: Path, pebble: Pebble) -> None:
    """RFC 8738: an address is an iPAddress in the certificate, beside a name, proven by http-01."""
    agent = at_pebble(tmp_path, pebble, names=["127.0.0.1", "www.example.org"])
    assert agent.json("run")["exit"] == 0
    names = alternative_names(agent)
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert names.get_values_for_type(x509.DNSName) == ["www.example.org"]
    assert agent.json("run")["outcomes"] == []


def test_an_address_alone(tmp_path: Path, pebble: Pebble) -> None:
    """A certificate for nothing but an address, IPv6 in its short form."""
    agent = at_pebble(
        tmp_path,
        pebble,
        names=["0:0:0:0:0:0:0:1"],
        challenge={"type": "http-01", "listen": f"[::1]:{pebble.http_port}", "preflight": "off"},
    )
    assert agent.json("run")["exit"] == 0
    assert [str(one) for one in alternative_names(agent).get_values_for_type(x509.IPAddress)] == ["::1"]


def test_many_names_with_an_international_one(tmp_path: Path, pebble: Pebble) -> None:
    """Twenty-five names in one order, one of them in A-labels."""
    names = ["bücher.example.org", *(f"n{number}.example.org" for number in range(24))]
    agent = at_pebble(tmp_path, pebble, names=names)
    assert agent.json("run")["exit"] == 0
    found = alternative_names(agent).get_values_for_type(x509.DNSName)
    assert set(found) == {"xn--bcher-kva.example.org", *names[1:]}


@pytest.mark.parametrize("key", list(KeyType))
def test_requests_say_names_and_nothing_else(key: KeyType) -> None:
    """No common name, no extended key usage: newer profiles and some authorities refuse them."""
    names = [Identifier.parse("www.example.org"), Identifier.parse("192.0.2.7")]
    request = x509.load_der_x509_csr(ours.csr(ours.new_key(key), names))
    assert request.is_signature_valid
    assert request.subject.get_attributes_for_oid(NameOID.COMMON_NAME) == []
    assert list(request.subject) == []
    assert [extension.oid for extension in request.extensions] == [ExtensionOID.SUBJECT_ALTERNATIVE_NAME]


def common_name(pem: str) -> str:
    """Of a root."""
    subject = x509.load_pem_x509_certificate(pem.encode()).subject
    return str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_the_preferred_chain(tmp_path: Path, pebble_factory: PebbleFactory, number: int) -> None:
    """Of all alternates (every Link header) the one that leads to the root of `chain` is taken."""
    pebble = pebble_factory(alternate_roots=3, chain_length=2)
    root = x509.load_pem_x509_certificate(pebble.root_pem(number).encode())
    agent = at_pebble(tmp_path, pebble)
    agent.tables["authority.pebble"]["chain"] = common_name(pebble.root_pem(number))
    assert agent.json("run")["exit"] == 0
    chain = agent.chain()
    assert len(chain) == 3
    chain[-1].verify_directly_issued_by(root)


def test_a_chain_that_nobody_offers(tmp_path: Path, pebble_factory: PebbleFactory) -> None:
    """A preference is no demand: the authority's own choice is taken if none leads there."""
    pebble = pebble_factory(alternate_roots=1)
    agent = at_pebble(tmp_path, pebble)
    agent.tables["authority.pebble"]["chain"] = "No Such Root"
    assert agent.json("run")["exit"] == 0
    root = x509.load_pem_x509_certificate(pebble.root_pem(0).encode())
    agent.chain()[-1].verify_directly_issued_by(root)


def test_another_account_key(tmp_path: Path, pebble: Pebble) -> None:
    """account_key rules the account's key alone, not the certificate's."""
    agent = at_pebble(tmp_path, pebble)
    agent.tables["authority.pebble"]["account_key"] = "rsa-2048"
    assert agent.json("run")["exit"] == 0
    (path,) = agent.state.glob("authorities/*/pebble/key.pem")
    assert kind(load_pem_private_key(path.read_bytes(), None)) == ("rsa", 2048)
    assert kind(agent.chain()[0].public_key()) == ("secp256r1", 256)


def test_a_hook_and_a_name_added_at_once(tmp_path: Path, pebble: Pebble) -> None:
    """The live one is deployed by the new hook and no version fits the wish: neither holds the other up."""
    agent = at_pebble(tmp_path, pebble, endpoints=[])
    agent.json("run")
    script = tmp_path / "hook"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    agent.tables["hook.mine"] = {"run": str(script)}
    agent.tables["certificate.www"] |= {"hooks": ["mine"], "names": ["www.example.org", "b.example.org"]}
    document = agent.json("run")
    assert [one["step"] for one in document["outcomes"]] == ["deploy", "issue", "install", "deploy"]
    assert agent.json("run")["outcomes"] == []


def test_two_kinds_on_one_table(tmp_path: Path, pebble: Pebble) -> None:
    """Two certificates for the same names, each renewed on its own, the second named after its family."""
    agent = at_pebble(tmp_path, pebble, key=["ecdsa-p256", "rsa-2048"])
    assert agent.json("run")["exit"] == 0
    assert [(one["name"], one["key"]) for one in agent.json("status")["certificates"]] == [
        ("www", "ecdsa-p256"),
        ("www-rsa", "rsa-2048"),
    ]
    for name, (sort, _) in (("www", SIZES["ecdsa-p256"]), ("www-rsa", SIZES["rsa-2048"])):
        assert kind(load_pem_private_key(agent.key(name), None))[0] == sort
    serial = agent.serial("www")
    agent.json("run", "--force", "www-rsa")
    assert agent.serial("www") == serial
