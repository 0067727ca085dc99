"""What follows from ports, persistent records and signatures that run out."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from renewer.model.inspection import Candidate, Hop, NameAsked, NameSeen, PortSeen, Said, Signed, Trail
from renewer.model.persist import hashes
from renewer.policy.name_checks import judge

NOW = datetime(2026, 11, 22, tzinfo=UTC)
URL = "https://a.example/1"


def codes(
    challenge: str = "http-01", *, listens: bool = False, public: bool = False, **seen: Any
) -> dict[str, str]:
    """The codes and severities of what is found."""
    authority = Candidate(name="ours", identities=("ca.example",), account=URL, public=public)
    asked = NameAsked(
        certificate="www",
        name="www.example.org",
        wildcard=False,
        challenge=challenge,
        authorities=(authority,),
        listens=listens,
    )
    return {
        one.code: one.severity.value for one in judge(NameSeen(name="www.example.org", **seen), asked, NOW)
    }


def port(**seen: Any) -> PortSeen:
    """A port at a public address of this host that answers 404, but for what the test says."""
    usual: dict[str, Any] = {"address": "1.1.1.1", "port": 80, "ours": True, "connected": True, "status": 404}
    return PortSeen(**(usual | seen))


CLOSED = {"connected": False, "status": 0, "error": "connection refused"}
SILENT = {"connected": False, "status": 0, "error": "no answer in time"}


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ([port()], {}),
        ([port(**CLOSED)], {"port-closed": "error"}),
        ([port(), port(address="2606:4700::1", **CLOSED)], {"port-closed": "warning"}),
        ([port(), port(address="2606:4700::1", no_route=True, **CLOSED)], {}),
        ([port(status=200)], {"http-catch-all": "warning"}),
        ([port(status=403)], {"http-refused": "warning"}),
        ([port(status=502)], {"http-refused": "warning"}),
        ([port(status=0, error="more than 10 redirects")], {"http-broken": "error"}),
        ([port(ours=False)], {"elsewhere": "info"}),
    ],
)
def test_port_80_with_a_web_server(ports: list[PortSeen], expected: dict[str, str]) -> None:
    """404 for a token that is not there is what a good server says."""
    assert codes(ports=tuple(ports)) == expected


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (port(**CLOSED), {}),
        (port(**SILENT), {"port-filtered": "warning"}),
        (port(), {"port-taken": "warning"}),
        (port(ours=False), {"elsewhere": "info"}),
    ],
)
def test_port_80_before_our_own_listener(one: PortSeen, expected: dict[str, str]) -> None:
    """Nobody listens yet: a refusal is right, silence is a firewall's, an answer somebody else's."""
    assert codes(listens=True, ports=(one,)) == expected


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (port(port=443), {}),
        (port(port=443, **SILENT), {"port-closed": "error"}),
        (port(port=443, **CLOSED), {}),
        (port(port=443, error="closed during the handshake"), {"no-tls": "info"}),
    ],
)
def test_port_443_for_tls_alpn_01(one: PortSeen, expected: dict[str, str]) -> None:
    """Our listener answers there when it is needed; until then a refusal or another server is right."""
    assert codes("tls-alpn-01", listens=True, ports=(one,)) == expected


def test_private_addresses_and_a_public_authority() -> None:
    """Nobody outside reaches 192.168.0.0/16; a private authority may."""
    ports = (port(address="192.168.1.2"),)

    assert codes(public=True, ports=ports) == {"private-address": "error"}
    assert codes(public=True, ports=(*ports, port())) == {"private-address": "warning"}
    assert codes(ports=ports) == {}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], {"persist-missing": "error"}),
        (["ca.example; accounturi=" + URL], {}),
        (["other.example; accounturi=" + URL, "CA.example; accounturi=" + URL], {}),
        (["ca.example; accounturi=https://a.example/2"], {"persist-missing": "error"}),
        (["other.example; accounturi=" + URL], {"persist-missing": "error"}),
    ],
)
def test_the_record_of_dns_persist_01(values: list[str], expected: dict[str, str]) -> None:
    """One value must name the authority and our account."""
    said = Said(server="ns1", texts=tuple(values))
    name = "_validation-persist.www.example.org"
    trail = Trail(asked=name, hops=(Hop(name=name, zone="example.org", said=(said,)),))

    assert codes("dns-persist-01", proof=trail) == expected


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (hashes("https://ca.example/h/", "www.example.org", "k" * 43, URL)[0], None),
        (hashes("https://ca.example/h/", "*", "k" * 43, URL)[0], None),
        (hashes("https://ca.example/h/", "example.org", "k" * 43, URL)[0], "of another name"),
        (URL, "takes a hash of it only"),
    ],
)
def test_a_hashed_account_is_told_from_its_url(uri: str, said: str | None) -> None:
    """Where the authority hashes accounts, doctor says that a record is of the earlier draft."""
    record = Said(server="ns1", texts=(f"ca.example; accounturi={uri}",))
    name = "_validation-persist.www.example.org"
    trail = Trail(asked=name, hops=(Hop(name=name, zone="example.org", said=(record,)),))
    authority = Candidate(
        name="ours",
        identities=("ca.example",),
        account=URL,
        hash_prefix="https://ca.example/h/",
        thumbprint="k" * 43,
    )
    asked = NameAsked(
        certificate="www",
        name="www.example.org",
        wildcard=False,
        challenge="dns-persist-01",
        authorities=(authority,),
    )
    found = judge(NameSeen(name="www.example.org", proof=trail), asked, NOW)
    texts = [one.text for one in found if one.code == "persist-missing"]
    assert bool(texts) == (said is not None)
    assert said is None or said in texts[0]


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        (Signed(zone="example.org"), {}),
        (Signed(zone="example.org", ds=1, keys=2, ends=NOW + timedelta(days=7)), {}),
        (
            Signed(zone="example.org", ds=1, keys=2, ends=NOW + timedelta(hours=3)),
            {"dnssec-expiring": "warning"},
        ),
        (Signed(zone="example.org", keys=2, ends=NOW + timedelta(hours=3)), {"dnssec-no-ds": "info"}),
        (Signed(zone="example.org", refused_from="org"), {"dnssec-refused": "error"}),
    ],
)
def test_signatures(zone: Signed, expected: dict[str, str]) -> None:
    """A zone that is not signed is no finding; one that stopped being signed is, before it breaks."""
    assert codes(signed=(zone,)) == expected
