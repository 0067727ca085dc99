"""TLSA records (DANE) at the ports of a certificate: told before a renewal breaks them."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from renewer import inventory
from renewer.context import Context
from renewer.doctor import preflight
from renewer.doctor.examination import Doors, examine
from renewer.doctor.preflight import Preflight
from renewer.model.desired import Config, Endpoint
from renewer.model.inspection import Finding, Severity, Tlsa
from renewer.policy.dane import judge
from renewer.store.lock import Lock
from tests.doctor.conftest import Bed
from tests.servers.scripted_dns import zone

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
        Preflight(context, doors=Doors(dns=bed.dns_port)).look(situation)
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
    (found,) = judge("www", made, reuse_key=reuse_key)
    assert found.code == code
    assert all(record in found.text for record in records)
    assert judge("www", [], reuse_key=reuse_key) == ()
