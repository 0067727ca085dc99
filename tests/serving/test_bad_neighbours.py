"""Requests, copies in place and kinds of keys that cannot be: told clearly, and nothing is changed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.command import Ended
from tests.config.test_requests import REQUESTS
from tests.servers.nginx import Nginx
from tests.serving.bed import Bed
from tests.serving.issuer import Signer

NAME = "www.example.org"
COMMANDS = (("config", "check"), ("run",), ("run", "www"), ("deploy", "www"), ("plan",))


def _files(bed: Bed) -> dict[str, object]:
    """All that lies in the state but for what a reader may touch, and where the links lead."""
    kept = (path for path in sorted(bed.state.rglob("*")) if path.name not in ("lock", "ledger.db-shm"))
    return {
        str(path): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in kept
        if path.is_symlink() or path.is_file()
    }


@pytest.fixture
def served(bed: Bed) -> Bed:
    """One certificate that is live, with a hook that would be called."""
    bed.hook("web", 'echo "$1" >>"$calls"')
    bed.certificate(hooks=["web"])
    bed.put(bed.root.issue(NAME), live=True)
    bed.run()
    return bed


def refused(bed: Bed, *words: str) -> None:
    """Every command that would act refuses alike, with these words; nothing is called or changed."""
    before, called = _files(bed), bed.calls
    for command in COMMANDS:
        ended: Ended = bed.cli(*command)
        said = " ".join((ended.out + ended.err).split())
        assert ended.code == 2, (command, said)
        assert not [word for word in words if word not in said], (command, said)
        assert "→" in said or "hint" in said, said
    assert (_files(bed), bed.calls) == (before, called)


@pytest.mark.parametrize("case", REQUESTS)
def test_a_request_that_nobody_could_order_with(served: Bed, case: str) -> None:
    """Missing, for other names, with a weak key, above 64 KiB: the file and the fault are named."""
    make, said = REQUESTS[case]
    path = served.directory / "www.csr"
    make(path)
    served.tables["certificate.www"]["csr"] = str(path)
    refused(served, "certificate.www.csr", str(path), " ".join(said.split()))


def _open(place: Path) -> None:
    place.chmod(0o777)


def _of_a_group(place: Path) -> None:
    place.chmod(0o775)


def _as_tmp(place: Path) -> None:
    place.chmod(0o1777)


def _below_an_open_one(place: Path) -> None:
    place.parent.chmod(0o777)


@pytest.mark.parametrize("part", ["key", "combined"])
@pytest.mark.parametrize("way", [_open, _of_a_group, _as_tmp, _below_an_open_one])
def test_a_key_in_place_where_others_may_write(served: Bed, way: Callable[[Path], None], part: str) -> None:
    """Whoever may put another file there would get the key: said before anything is written."""
    place = served.directory / "others" / "tls"
    place.mkdir(parents=True)
    target = place / "site.pem"
    target.write_text("as it was")
    way(place)
    served.tables["certificate.www"]["copies"] = [{part: str(target), "in_place": True}]
    refused(served, "in_place", str(target), "others could replace")
    assert target.read_text() == "as it was"


def test_two_kinds_of_keys_that_no_server_has(bed: Bed) -> None:
    """The port has a certificate of a third kind: both are told, with what to do; nothing is turned."""
    other = Signer.root("somebody").issue(NAME, key=ed25519.Ed25519PrivateKey.generate())
    (bed.directory / "f.pem").write_bytes(other.fullchain)
    (bed.directory / "k.pem").write_bytes(other.privkey)
    pair = (bed.directory / "f.pem", bed.directory / "k.pem")
    bed.hook("web", 'echo "$1" >>"$calls"')
    with Nginx(bed.directory / "nginx", {NAME: pair}) as nginx:
        endpoint = {"host": "127.0.0.1", "port": nginx.port, "server_name": NAME}
        keys = {
            "www": ("ecdsa-p256", ec.generate_private_key(ec.SECP256R1())),
            "www-rsa": ("rsa-2048", rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        }
        for name, (kind, key) in keys.items():
            bed.certificate(name, names=[NAME], key=kind, endpoints=[endpoint])
            bed.put(bed.root.issue(NAME, key=key), name, live=True)
        live = {name: bed.live(name).resolve() for name in keys}
        report = bed.run()
    assert report.exit == 1  # looked at again by each run, and a notice after an hour
    told = {one.certificate: one for one in report.outcomes if one.result == "failed"}
    assert told.keys() == keys.keys()
    for name, word in (("www", "ECDSA"), ("www-rsa", "RSA")):
        assert f"{nginx.port}" in told[name].detail
        assert f"has no certificate with an {word} key" in told[name].detail
        assert "second pair" in told[name].hint
    assert {name: bed.live(name).resolve() for name in keys} == live
    assert bed.calls == []
