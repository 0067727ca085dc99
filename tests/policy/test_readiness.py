"""Whether certificates survive lifetimes of 64, 47 and 6 days: pure, by who renews them and how."""

from datetime import UTC, datetime, timedelta

import pytest

from renewer.model.facts import Leaf
from renewer.model.inspection import Finding, Severity
from renewer.model.installed import CertificateUse, HostCertificate, RenewedBy
from renewer.model.names import Identifier
from renewer.policy.readiness import assess

NOW = datetime(2026, 11, 28, tzinfo=UTC)


def certificate(keeper: RenewedBy | None, *findings: Finding, left: int = 60) -> HostCertificate:
    """One that is on disk for a.example.org."""
    leaf = Leaf(
        serial="01",
        fingerprint=f"{left:064x}",
        not_before=NOW - timedelta(days=30),
        not_after=NOW + timedelta(days=left),
        names=(Identifier.parse("a.example.org"),),
        key=None,
        issuer="R3",
    )
    return HostCertificate(leaf=leaf, keeper=keeper, findings=findings)


def by(client: str, **settings: str) -> RenewedBy:
    """Who renews it."""
    return RenewedBy(client=client, how="/somewhere", config="/somewhere", settings=settings)


@pytest.mark.parametrize(
    ("keeper", "ready"),
    [
        (None, (False, False, False)),
        (by("renewer"), (True, True, True)),
        (by("caddy"), (True, True, True)),
        (by("certbot", version="2.1.0"), (True, True, False)),
        (by("certbot", version="5.8.0"), (True, True, True)),
        (by("certbot", version="5.8.0", renew_before_expiry="30 days"), (True, True, False)),
        (by("certbot", version="5.8.0", renew_before_expiry="60 days"), (False, False, False)),
        (by("certbot", version="5.8.0", renew_before_expiry="7 weeks"), (True, False, False)),
        (by("acme.sh"), (False, False, False)),
        (by("acme.sh", Le_RenewalDays="30"), (True, True, False)),
        (by("acme.sh", Le_RenewalDays="4"), (True, True, True)),
        (by("dehydrated"), (True, True, False)),
        (by("traefik"), (True, True, False)),
    ],
)
def test_fixed_days_break_as_lifetimes_shrink(keeper: RenewedBy | None, ready: tuple[bool, ...]) -> None:
    """Each client's rule, held against each lifetime; who is not ready says why and what to do."""
    host = assess([certificate(keeper)], NOW)
    (one,) = host.certificates
    assert tuple(one.ready[label] for label in ("64d", "47d", "6d")) == ready
    assert bool(one.reasons) == bool(one.todo) == (not all(ready))
    assert host.percent == (100 if ready[1] else 0)


def test_a_port_that_was_not_reloaded_is_not_ready() -> None:
    """Renewed by itself and never loaded is as good as not renewed."""
    stale = Finding(
        severity=Severity.ERROR, code="port-differs", text="nginx shows another", hint="reload it"
    )
    host = assess([certificate(by("renewer"), stale)], NOW)
    assert not any(host.certificates[0].ready.values())
    assert host.first == ("a.example.org: reload it",)


def test_three_things_first_and_what_nobody_uses_any_more() -> None:
    """What mends most comes first; an expired file that nobody reads counts nothing."""
    gone = certificate(None, left=-5)
    use = CertificateUse(server="nginx", config="/etc/nginx.conf", line=1, certificate="/a.pem")
    read = HostCertificate(leaf=gone.leaf, uses=(use,))
    host = assess([gone, certificate(by("acme.sh")), certificate(None), certificate(None), read], NOW)
    assert len(host.certificates) == 4
    assert host.percent == 0
    assert host.first[0] == "let renewer renew what nobody does: renewer discover --toml (3 certificates)"
    assert assess([], NOW).percent == 100
