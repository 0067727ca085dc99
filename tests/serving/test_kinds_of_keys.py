"""Certificates with RSA and with ECDSA keys for one name, at one port: each is looked for by its own kind."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from renewer.model.facts import EndpointState
from tests.servers.nginx import Nginx
from tests.serving.bed import Bed
from tests.serving.issuer import Signer

NAME = "www.example.org"
KINDS = {"www": "ecdsa-p256", "www-rsa": "rsa-2048"}


def a_key(name: str) -> Any:
    """A key as a certificate's table asks for it."""
    if name == "www":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@contextmanager
def both_at(bed: Bed, *served: str, protocols: str = "TLSv1.2 TLSv1.3") -> Iterator[Nginx]:
    """A real nginx whose one site has the pairs of these certificates, the endpoint of both."""
    nginx = Nginx(bed.directory / "nginx", {NAME: (bed.live() / "fullchain.pem", bed.live() / "privkey.pem")})
    pairs = "".join(
        f"ssl_certificate {bed.live(one)}/fullchain.pem; ssl_certificate_key {bed.live(one)}/privkey.pem; "
        for one in served
    )
    site = f"listen 127.0.0.1:{nginx.port} ssl default_server; server_name x.invalid; {pairs}"
    nginx.extra = (f"server {{ {site} ssl_protocols {protocols}; }}",)
    nginx.sites = {"other.invalid": (bed.live() / "fullchain.pem", bed.live() / "privkey.pem")}
    endpoint = {"host": "127.0.0.1", "port": nginx.port, "server_name": NAME}
    for name, key in KINDS.items():
        bed.certificate(name, names=[NAME], key=key, endpoints=[endpoint])
        bed.put(bed.root.issue(NAME, key=a_key(name)), name, live=True)
    with nginx:
        yield nginx


@pytest.mark.parametrize("protocols", ["TLSv1.2", "TLSv1.3", "TLSv1.2 TLSv1.3"])
def test_both_are_verified(bed: Bed, protocols: str) -> None:
    """Each port is asked for the kind of each certificate that names it, and judged against that one."""
    with both_at(bed, *KINDS, protocols=protocols):
        report = bed.run()
        assert [outcome.detail for outcome in report.outcomes if outcome.result == "failed"] == []
        for name in KINDS:
            assert bed.status(name)["state"] == "verified"
            (seen,) = bed.situation(name).sightings
            assert (seen.state, seen.serial) == (
                EndpointState.VERIFIED,
                bed.situation(name).live_version.leaf.serial,  # type: ignore[union-attr]
            )
        assert report.exit == 0


def test_both_are_deployed_together_and_apart(bed: Bed) -> None:
    """A renewed RSA certificate is waited for as such, though the port shows the other to most clients."""
    with both_at(bed, *KINDS) as nginx:
        bed.run()
        bed.hook("web", f"kill -HUP $(cat {nginx.pid_file})")
        for name in KINDS:
            bed.tables[f"certificate.{name}"]["hooks"] = ["web"]
        new = bed.put(bed.root.issue(NAME, key=a_key("www-rsa")), "www-rsa")
        assert bed.run().exit == 0
        assert bed.situation("www-rsa").live == new.id
        assert [bed.status(name)["state"] for name in KINDS] == ["verified", "verified"]

        newer = [bed.put(bed.root.issue(NAME, key=a_key(name)), name).id for name in KINDS]
        report = bed.run()
        assert (report.exit, [bed.situation(name).live for name in KINDS]) == (0, newer)
        assert [bed.status(name)["state"] for name in KINDS] == ["verified", "verified"]


def test_a_stale_one_is_stale_though_the_other_is_fresh(bed: Bed) -> None:
    """Clients that take RSA only see the old one: not hidden by what the rest is shown."""
    with both_at(bed, *KINDS):
        bed.run()
        bed.put(bed.root.issue(NAME, key=a_key("www-rsa")), "www-rsa")
        bed.run()  # no hook: nobody tells nginx
        assert bed.status("www")["state"] == "verified"
        (seen,) = bed.situation("www-rsa").sightings
        assert seen.state is EndpointState.STALE


@pytest.mark.parametrize("missing", KINDS)
def test_a_kind_that_the_server_does_not_have_is_named(bed: Bed, missing: str) -> None:
    """The server was given one pair only: what it lacks is told by kind, with what to do."""
    with both_at(bed, *(name for name in KINDS if name != missing)):
        report = bed.run()
        kind = "RSA" if missing == "www-rsa" else "ECDSA"
        (bad,) = [outcome for outcome in report.outcomes if outcome.result == "failed"]
        assert bad.certificate == missing
        assert f"has no certificate with an {kind} key" in bad.detail
        assert "second pair" in bad.hint
        (seen,) = bed.situation(missing).sightings
        assert seen.state is EndpointState.FOREIGN
        other = next(name for name in KINDS if name != missing)
        assert bed.status(other)["state"] == "verified"


def test_an_expired_one_is_seen_beside_a_good_one(bed: Bed) -> None:
    """Trust is judged for the kind that was asked for."""
    stranger = Signer.root("somebody else")
    with both_at(bed, *KINDS) as nginx:
        bed.run()
        material = stranger.issue(NAME, key=a_key("www-rsa"), age=timedelta(days=2))
        place: Path = bed.live("www-rsa").resolve()
        for file, content in (("fullchain.pem", material.fullchain), ("privkey.pem", material.privkey)):
            copy = bed.directory / file
            copy.write_bytes(content)
        nginx.extra = tuple(one.replace(str(bed.live("www-rsa")), str(bed.directory)) for one in nginx.extra)
        nginx.write_config()
        nginx.reload()
        assert place.exists()
        bed.clock.forward(timedelta(hours=2))
        bed.run()
        (seen,) = bed.situation("www-rsa").sightings
        assert seen.state is EndpointState.FOREIGN
        assert not seen.lacks
        assert bed.status("www")["state"] == "verified"
