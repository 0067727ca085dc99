"""What clients refuse does not take the place of what they accept."""

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from renewer import secrets
from renewer.model.decision import Reason, Step
from renewer.model.facts import Acceptance, EndpointState
from renewer.network.verify import in_memory, look
from renewer.network.verify.sight import Target
from renewer.store.contract import Material
from tests.serving.bed import Bed
from tests.serving.issuer import DAY, Signer

NAME = "www.example.org"
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")


def of_others(_: Signer, **more: Any) -> Material:
    """From an authority that nobody knows."""
    return Signer.root("somebody else").issue(NAME, **more)


def authority_as_leaf(root: Signer) -> Material:
    """A leaf that says that it is an authority."""
    return root.issue(NAME, ca=True)


def for_clients(root: Signer) -> Material:
    """A leaf that only clients may use."""
    return root.issue(NAME, eku=[ExtendedKeyUsageOID.CLIENT_AUTH])


def expired_above(root: Signer) -> Material:
    """Below an intermediate that has expired."""
    return root.intermediate(age=30 * DAY, lifetime=29 * DAY).issue(NAME)


def incomplete(root: Signer) -> Material:
    """Without the intermediate."""
    return root.intermediate().issue(NAME, chain=False)


def constrained(root: Signer) -> Material:
    """Below an intermediate that may only sign for other names."""
    names = x509.NameConstraints([x509.DNSName("example.net")], None)
    return root.intermediate(extensions=[(names, True)]).issue(NAME)


def critical(root: Signer) -> Material:
    """With a critical extension that nobody knows."""
    return root.issue(NAME, extensions=[(UNKNOWN, True)])


def weak(root: Signer) -> Material:
    """With an RSA key of 1024 bits."""
    return root.issue(NAME, key=rsa.generate_private_key(65537, 1024))  # noqa: S505  the point


REFUSED = [
    of_others,
    authority_as_leaf,
    for_clients,
    expired_above,
    incomplete,
    constrained,
    critical,
    weak,
]


def plain(root: Signer) -> Material:
    """As most are."""
    return root.intermediate().issue(NAME)


def no_usage(root: Signer) -> Material:
    """Without an extended key usage."""
    return root.issue(NAME, eku=None)


def edwards(root: Signer) -> Material:
    """Below an intermediate whose key is Ed25519."""
    return root.intermediate(key=ed25519.Ed25519PrivateKey.generate()).issue(NAME)


def with_its_root(root: Signer) -> Material:
    """With the root sent along."""
    one = root.intermediate()
    issued = one.issue(NAME)
    return Material(privkey=issued.privkey, cert=issued.cert, chain=issued.chain + root.issue_root())


ACCEPTED = [plain, no_usage, edwards, with_its_root]


def judged(bed: Bed, material: Material) -> bool | None:
    """What the handshake in memory says."""
    roots = str(bed.directory / "roots.pem")
    pair = material.privkey + material.fullchain
    return in_memory.judge(pair, NAME, roots, timely=False).accepted


@pytest.mark.parametrize("make", [*ACCEPTED, *REFUSED], ids=lambda one: str(one.__name__))
def test_as_a_port_would_be_seen(bed: Bed, make: Callable[[Signer], Material]) -> None:
    """Refused in memory is untrusted at the port, accepted is trusted: the same chain, really served."""
    material = make(bed.root)
    place = bed.directory / "served"
    place.mkdir()
    (place / "fullchain.pem").write_bytes(material.fullchain)
    (place / "privkey.pem").write_bytes(material.privkey)
    bed.certificate(endpoints=[bed.serving(place, weak=True)])
    roots = str(bed.directory / "roots.pem")
    with bed.context(write=False) as context:
        (endpoint,) = context.config.certificates["www"].endpoints

    (sight,) = look([Target(endpoint=endpoint, roots=roots)], reads=secrets.roots)

    assert sight.completed
    assert judged(bed, material) is sight.trusted
    assert sight.trusted is (make in ACCEPTED or make is authority_as_leaf)  # that one only browsers refuse


@pytest.mark.parametrize("make", REFUSED, ids=lambda one: str(one.__name__))
def test_what_clients_refuse_does_not_replace_what_they_accept(
    bed: Bed, make: Callable[[Signer], Material]
) -> None:
    """The good one stays live and tended, exit 3 in words that say why and what to do; nothing is ordered."""
    bed.hook("web", 'echo "$1" >>$calls')
    bed.certificate(hooks=["web"])
    old = bed.put(bed.root.issue(NAME, age=5 * DAY), live=True, made=bed.clock.now() - 5 * DAY)
    assert bed.run().exit == 0
    new = bed.put(make(bed.root))

    report = bed.run()

    assert report.exit == 3
    assert not report.outcomes
    assert bed.live().readlink().name == old.id
    row = bed.status()
    assert (row["exit"], row["healthy"]) == (3, False)
    assert new.id in row["why"]
    assert "renewer deploy www" in row["hint"]
    assert bed.calls == ["test", "deploy"]
    (found,) = [one for one in bed.situation().acceptances if one.version == new.id]
    assert found.accepted is False


@pytest.mark.parametrize("make", ACCEPTED, ids=lambda one: str(one.__name__))
def test_what_clients_accept_goes_live(bed: Bed, make: Callable[[Signer], Material]) -> None:
    """Nothing is held back that clients would take."""
    bed.certificate()
    bed.put(bed.root.issue(NAME, age=5 * DAY), live=True, made=bed.clock.now() - 5 * DAY)
    new = bed.put(make(bed.root))

    assert bed.run().exit == 0

    assert bed.live().readlink().name == new.id


def bad_renewal(bed: Bed, *, days: int = 80, **keys: Any) -> tuple[str, str]:
    """A good version that is live for `days` more, and a refused one beside it: their ids."""
    bed.certificate(**keys)
    old = bed.put(bed.root.issue(NAME, age=timedelta(days=90 - days)), live=True, made=bed.clock.now() - DAY)
    return old.id, bed.put(of_others(bed.root)).id


def test_in_the_last_two_wakes_it_is_served_after_all(bed: Bed) -> None:
    """Rather one that some clients refuse than one that all do."""
    old, new = bad_renewal(bed, days=5)
    bed.run()
    assert bed.live().readlink().name == old
    bed.clock.forward(5 * DAY - timedelta(minutes=100))

    bed.run()

    assert bed.live().readlink().name == new


def test_deploy_overrules(bed: Bed) -> None:
    """`renewer deploy NAME` serves it, and it stays served."""
    old, new = bad_renewal(bed)
    assert bed.run().exit == 3
    assert bed.live().readlink().name == old

    assert bed.cli("deploy", "www").code == 0

    assert bed.live().readlink().name == new
    assert bed.run().exit == 0
    assert bed.live().readlink().name == new


def test_once_its_roots_are_named_it_goes_live(bed: Bed) -> None:
    """Judged anew when the file of roots changes: what was refused is accepted."""
    bed.certificate()
    stranger = Signer.root("somebody else")
    bed.put(bed.root.issue(NAME, age=5 * DAY), live=True, made=bed.clock.now() - DAY)
    new = bed.put(stranger.issue(NAME))
    assert bed.run().exit == 3
    roots = bed.directory / "roots.pem"
    roots.write_bytes(roots.read_bytes() + stranger.write(bed.directory / "more.pem").read_bytes())

    with bed.fresh():
        assert bed.run().exit == 0

    assert bed.live().readlink().name == new.id


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_without_roots_nothing_is_judged(bed: Bed, content: bytes | None) -> None:
    """A file of roots that cannot be used refuses nobody: the new one goes live, and it is told."""
    old, new = bad_renewal(bed)
    roots = bed.directory / "roots.pem"
    roots.unlink()
    if content is not None:
        roots.write_bytes(content)

    with bed.fresh():
        report = bed.run()

    assert bed.live().readlink().name == new
    assert old != new
    assert any("the roots in" in text and "cannot be used" in text for text in report.findings)
    ended = bed.cli("config", "check")
    assert ended.code == 2
    assert "authority.ca.roots" in ended.err + ended.out


def test_a_private_authority_without_roots_goes_on(bed: Bed) -> None:
    """Where clients refuse what is live as well, what is new goes live: nothing good is lost by it."""
    bed.tables["authority.ca"] |= {"ca_bundle": bed.tables["authority.ca"].pop("roots")}
    bed.certificate()
    bed.put(bed.root.issue(NAME, age=40 * DAY), live=True, made=bed.clock.now() - 40 * DAY)
    new = bed.put(bed.root.issue(NAME))

    assert bed.run().exit == 0

    assert bed.live().readlink().name == new.id
    assert bed.status()["healthy"] is True


def test_the_roots_are_those_of_the_authority_that_issued_it(bed: Bed) -> None:
    """The first of the list leads elsewhere: what the second one issued is judged, and seen, by its own."""
    other = Signer.root("the first authority's")
    roots = str(other.write(bed.directory / "first.pem"))
    bed.tables["authority.first"] = {**bed.tables["authority.ca"], "roots": roots}
    bed.certificate(endpoints=[bed.serving(bed.live())])
    bed.tables["certificate.www"]["authorities"] = ["first", "ca"]
    del bed.tables["certificate.www"]["authority"]
    bed.put(bed.root.issue(NAME, age=5 * DAY), live=True, made=bed.clock.now() - DAY)
    new = bed.put(bed.root.issue(NAME))

    assert bed.run().exit == 0

    assert bed.live().readlink().name == new.id
    (seen,) = bed.situation().sightings
    assert seen.state is EndpointState.VERIFIED


@pytest.mark.parametrize("left", [14, 4])
def test_ordered_again_once_when_it_is_late_and_once_at_the_end(bed: Bed, left: int) -> None:
    """Not before the warning window, then once, and once more in an emergency."""
    bed.certificate()
    bed.put(bed.root.issue(NAME, age=10 * DAY), live=True, made=bed.clock.now() - DAY)
    bed.put(of_others(bed.root, lifetime=398 * DAY))
    bed.run()
    assert bed.plan().step is Step.KEEP
    bed.clock.forward(timedelta(days=80 - left))

    decision = bed.plan()

    assert (decision.step, decision.reason) == (Step.ISSUE, Reason.REFUSED)
    bed.put(of_others(bed.root, lifetime=398 * DAY))
    bed.run(steps=frozenset({Step.DEPLOY, Step.LOOK}))
    assert bed.plan().reason is not Reason.REFUSED


def test_a_run_with_nothing_to_do_judges_nothing(bed: Bed) -> None:
    """What was found is kept: the next run loads no ssl, as long as the roots are the same."""
    bad_renewal(bed)
    assert bed.cli("run").code == 3
    (before,) = [one for one in bed.records(Acceptance) if one.accepted]
    code = (
        "import sys; from renewer.cli.app import _run; _run(sys.argv[1:]);"
        "print([m for m in ('ssl', 'cryptography') if m in sys.modules])"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code, "--config", str(bed.write()), "run"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip

    assert "[]" in ended.stdout
    (after,) = [one for one in bed.records(Acceptance) if one.accepted]
    assert after.at == before.at


def test_a_first_certificate_is_served_whatever_clients_say(bed: Bed) -> None:
    """Nothing good is replaced by it; the port shows that it is untrusted."""
    bed.certificate(endpoints=[bed.serving(bed.live())])
    new = bed.put(of_others(bed.root))

    bed.run()

    assert bed.live().readlink().name == new.id
    (seen,) = bed.situation().sightings
    assert seen.state is EndpointState.UNTRUSTED
