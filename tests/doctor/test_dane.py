"""TLSA records (DANE) at the ports of a certificate: told before a renewal breaks them."""

import json
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509 as crypto
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from renewer import certs, inventory
from renewer.context import Context
from renewer.doctor import preflight
from renewer.doctor.examination import Doors, examine
from renewer.doctor.preflight import FirstOrders
from renewer.model.desired import Config, Endpoint, Hook, HookEvent
from renewer.model.facts import Version
from renewer.model.inspection import Finding, Pinned, Severity, Tlsa
from renewer.policy.name_checks.records import compare, judge_tlsa
from renewer.store.contract import Material
from renewer.store.disk import DiskStore, version_id
from renewer.store.lock import Lock
from tests.doctor.conftest import Bed
from tests.servers.scripted_dns import zone
from tests.serving.issuer import Signer

NAME = "mail.example.org"
ZONE = (*zone("example.org", "ns1.example.org 127.0.0.1"), f"{NAME} A 127.0.0.1")
HASH = "ab" * 32


def config(bed: Bed, **keys: Any) -> Config:
    """A certificate of a mail server: ports 25 and 443 are its endpoints."""
    made = bed.config(NAME)
    endpoints = tuple(Endpoint(server_name=NAME, port=port, host="127.0.0.1") for port in (25, 443))
    wish = msgspec.structs.replace(made.certificates["www"], endpoints=endpoints, **keys)
    return msgspec.structs.replace(made, certificates={"www": wish})


def findings(bed: Bed, **keys: Any) -> list[Finding]:
    """What doctor says of them."""
    made = config(bed, **keys)
    doors = Doors(dns=bed.dns_port)
    (checkup,) = examine(made, made.certificates.values(), state=made.agent.state, limit=10, doors=doors)
    return [one for one in checkup.findings if one.code.startswith("tlsa")]


def test_a_key_that_is_named_there(bed: Bed) -> None:
    """Each renewal brings another one: a warning that says where, what, and reuse_key."""
    bed.world(*ZONE, f"_25._tcp.{NAME} TLSA 3 1 1 {HASH}")
    (found,) = findings(bed)
    assert (found.severity, found.code) == (Severity.WARNING, "tlsa")
    assert f"_25._tcp.{NAME}" in found.text
    assert "3 1 1" in found.text
    assert "reuse_key = true in [certificate.www]" in found.hint


def test_a_key_that_is_kept(bed: Bed) -> None:
    """With reuse_key renewals leave the record right: good to know, no more."""
    bed.world(*ZONE, f"_25._tcp.{NAME} TLSA 3 1 1 {HASH}")
    assert [(one.severity, one.code) for one in findings(bed, reuse_key=True)] == [
        (Severity.INFO, "tlsa-kept")
    ]


def test_none_and_elsewhere(bed: Bed) -> None:
    """Records of ports that are no endpoints say nothing."""
    bed.world(*ZONE, f"_993._tcp.{NAME} TLSA 3 1 1 {HASH}")
    assert findings(bed) == []


def test_before_the_first_order(bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new certificate takes the place of another client's: the renewal log has it before the order."""
    monkeypatch.setattr(preflight, "LIMIT", 15.0)
    bed.world(*ZONE, f"_25._tcp.{NAME} TLSA 3 1 1 {HASH}")
    made = config(bed)
    agent = msgspec.structs.replace(made.agent, state=str(tmp_path / "state"), host="web-1")
    made = msgspec.structs.replace(made, agent=agent)
    with Lock(agent.state), Context(made, write=True) as context:
        (situation,) = inventory.take(context, None).values()
        FirstOrders(context, doors=Doors(dns=bed.dns_port)).look(situation)
    events = [json.loads(line) for line in Path(agent.log_path).read_text().splitlines()]
    assert [one["code"] for one in events if one.get("code", "").startswith("tlsa")] == ["tlsa"]


@pytest.mark.parametrize(
    ("records", "reuse_key", "code"),
    [
        (["3 1 1"], False, "tlsa"),
        (["1 1 2"], False, "tlsa"),
        (["3 1 1"], True, "tlsa-kept"),
        (["3 0 1"], True, "tlsa"),  # the whole certificate changes whatever the key
        (["3 0 1", "3 1 1"], True, "tlsa-kept"),
        (["3 0 1", "3 1 1"], False, "tlsa"),
        (["2 1 1"], False, "tlsa-kept"),
        (["0 0 1"], False, "tlsa-kept"),
        (["3 1 1", "2 1 1"], False, "tlsa-kept"),  # one that fits is enough
    ],
)
def test_what_renewals_break(records: list[str], *, reuse_key: bool, code: str) -> None:
    """By usage and selector (RFC 6698 §2.1)."""
    made = [Tlsa(place="p", usage=int(r[0]), selector=int(r[2]), matching=int(r[4])) for r in records]
    (found,) = judge_tlsa("www", made, reuse_key=reuse_key)
    assert found.code == code
    assert all(record in found.text for record in records)
    assert judge_tlsa("www", [], reuse_key=reuse_key) == ()


# which record matches which key --------------------------------------------------------------------------


def data(pem: bytes, selector: int, matching: int) -> str:
    """What a record says of a certificate, worked out by cryptography alone (RFC 6698 §2.1)."""
    certificate = crypto.load_pem_x509_certificate(pem)
    encoded = certificate.public_bytes(Encoding.DER)
    if selector == 1:
        encoded = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return [encoded.hex(), sha256(encoded).hexdigest(), sha512(encoded).hexdigest()][matching]


def pinned(material: Material, *, what: str = "what is live", live: bool = True) -> Pinned:
    """A version of ours."""
    leaf, *above = certs.split_chain(material.fullchain)
    return Pinned(
        what=what,
        live=live,
        leaf=certs.tlsa(leaf),
        above=frozenset().union(*(certs.tlsa(one) for one in above)),
        spki_sha256=certs.spki(leaf),
    )


@pytest.mark.parametrize("usage", [0, 1, 2, 3])
@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_every_kind_of_record(usage: int, selector: int, matching: int) -> None:
    """Leaf by usages 1 and 3, an authority of its chain by 0 and 2; never the one as the other."""
    material = Signer.root().intermediate().issue(NAME)
    leaf, above = certs.split_chain(material.fullchain)
    right, wrong = (leaf, above) if usage in (1, 3) else (above, leaf)
    for pem, matches in ((right, True), (wrong, False)):
        record = Tlsa(
            place="p", usage=usage, selector=selector, matching=matching, data=data(pem, selector, matching)
        )
        (found,) = compare([record], [pinned(material)])
        assert ("of what is live" in found.text) is matches
        assert f"{usage} {selector} {matching}" in found.text
        told = "tlsa-match" if matches or usage in (0, 2) else "tlsa-mismatch"  # roots are not sent
        assert found.code == told


def test_which_record_is_whose() -> None:
    """The old key's, that of the one to come, and somebody's: each is told apart."""
    old, new = Signer.root().issue(NAME), Signer.root().issue(NAME)
    names = [pinned(old), pinned(new, what="version X, which is not live yet", live=False)]
    keys = [data(old.cert, 1, 1), data(new.cert, 1, 1), HASH]
    records = [Tlsa(place="p", usage=3, selector=1, matching=1, data=key) for key in keys]
    (found,) = compare(records, names)
    assert found.severity is Severity.INFO
    said = found.text.split("; ")
    assert "is the key of what is live" in said[0]
    assert "is the key of version X" in said[1]
    assert "matches nothing here" in said[2]
    (found,) = compare(records[1:], names)
    assert (found.severity, found.code) == (Severity.WARNING, "tlsa-mismatch")
    assert data(old.cert, 1, 1) in found.hint
    assert compare(records, names[1:]) == ()  # nothing is live: nothing to compare


def test_doctor_compares_with_what_is_live(bed: Bed, tmp_path: Path) -> None:
    """Read from the state directory, asked of a resolver: the record of the live key, and one of another."""
    live, other = Signer.root().issue(NAME), Signer.root().issue(NAME)
    state = tmp_path / "state"
    leaf = certs.leaf(live.cert)
    version = Version(id=version_id(leaf.not_before, leaf.serial), made_at=leaf.not_before, leaf=leaf)
    with Lock(str(state)):
        store = DiskStore(str(state))
        store.put("www", version, live, key_mode=0o600)
        store.turn("www", version.id)
    records = (
        f"_25._tcp.{NAME} TLSA 3 1 1 {data(live.cert, 1, 1)}",
        f"_443._tcp.{NAME} TLSA 3 1 1 {data(other.cert, 1, 1)}",
    )
    bed.world(*ZONE, *records)
    made = config(bed)
    (checkup,) = examine(
        made, made.certificates.values(), state=str(state), limit=10, doors=Doors(dns=bed.dns_port)
    )
    found = {one.code: one for one in checkup.findings}
    assert f"_25._tcp.{NAME}" in found["tlsa-match"].text
    assert "is the key of what is live" in found["tlsa-match"].text
    assert f"_443._tcp.{NAME}" in found["tlsa-mismatch"].text


def test_a_hook_that_publishes(bed: Bed) -> None:
    """Then renewals break nothing, whatever is named."""
    bed.world(*ZONE, f"_25._tcp.{NAME} TLSA 3 0 1 {HASH}")
    made = config(bed, hooks=("pin",))
    made = msgspec.structs.replace(
        made, hooks={"pin": Hook(name="pin", run="/bin/true", shipped=False, events=(HookEvent.PUBLISH,))}
    )
    doors = Doors(dns=bed.dns_port)
    (checkup,) = examine(made, made.certificates.values(), state=made.agent.state, limit=10, doors=doors)
    (found,) = [one for one in checkup.findings if one.code.startswith("tlsa")]
    assert found.code == "tlsa-kept"
    assert "hook pin publishes" in found.text
