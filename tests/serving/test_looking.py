"""How often ports are looked at, what a look is worth, and who hears of it."""

from datetime import timedelta
from pathlib import Path

import pytest

from renewer.model.decision import Step
from renewer.model.facts import EndpointState
from renewer.network.verify import Target, look, settle
from renewer.policy.trouble import of
from renewer.store.lock import Lock
from tests.servers.tls_peer import Peer
from tests.serving.bed import Bed
from tests.serving.issuer import DAY, Signer

NAME = "www.example.org"
MINUTE = timedelta(minutes=1)


def two_places(bed: Bed) -> tuple[Path, Path]:
    """Directories with the files of an old and of a new certificate."""
    places = bed.directory / "old", bed.directory / "new"
    for place in places:
        place.mkdir()
        material = bed.root.issue(NAME)
        (place / "fullchain.pem").write_bytes(material.fullchain)
        (place / "privkey.pem").write_bytes(material.privkey)
    return places


@pytest.mark.parametrize("olds", [1, 4])
def test_a_port_that_alternates_after_a_reload_is_not_verified(bed: Bed, olds: int) -> None:
    """One process of several still has the old one: stale, in words that say so, and not exit 0."""
    bed.hook("web", "exit 0")
    bed.certificate(hooks=["web"])
    old = bed.put(bed.root.issue(NAME, age=5 * DAY), live=True, made=bed.clock.now() - 5 * DAY)
    bed.run()
    former = bed.live().resolve()
    shares = [bed.live()] * (5 - olds) + [former] * olds
    bed.tables["certificate.www"]["endpoints"] = [bed.serving(*shares)]
    new = bed.put(bed.root.issue(NAME))

    report = bed.run()

    assert report.exit != 0
    assert bed.live().readlink().name == new.id  # told, and no reason to go back
    (seen,) = bed.situation().sightings
    assert seen.state is EndpointState.STALE
    assert bed.status()["state"] != "verified"
    assert old.id != new.id


def test_a_port_that_alternates_is_found_out_by_the_regular_look(bed: Bed) -> None:
    """Verified an hour ago, one of five handshakes shows another one now."""
    shares = [bed.live()]
    places = two_places(bed)
    bed.certificate(endpoints=[bed.serving_any(shares)])
    bed.put(bed.root.issue(NAME), live=True)
    assert bed.run().exit == 0
    shares[:] = [bed.live()] * 4 + [places[0]]
    bed.clock.forward(timedelta(hours=2))

    assert bed.run().exit != 0

    (seen,) = bed.situation().sightings
    assert seen.state is EndpointState.FOREIGN
    assert "in turn" in (seen.error or "")


def test_how_many_fitted_is_part_of_what_is_seen(bed: Bed) -> None:
    """Whoever waits for a reload sees how many in a row fitted, and what was shown beside it."""
    old, new = two_places(bed)
    bed.certificate(endpoints=[bed.serving(new, old)])
    with bed.context(write=False) as context:
        (endpoint,) = context.config.certificates["www"].endpoints
    target = Target(endpoint=endpoint, roots="any")
    first, second = (look([target])[0].fingerprint for _ in range(2))

    (sight,) = settle(target, first or "", within=0.5)

    assert sight.fitted < sight.expected
    assert set(sight.others) <= {second}


def stranger(bed: Bed) -> list[Path]:
    """A certificate that is live, and a port that shows somebody else's; the list is what is served."""
    place = bed.directory / "stranger"
    place.mkdir()
    material = Signer.root("somebody else").issue(NAME)
    (place / "fullchain.pem").write_bytes(material.fullchain)
    (place / "privkey.pem").write_bytes(material.privkey)
    served = [place]
    bed.certificate(endpoints=[bed.serving_any(served)])
    bed.put(bed.root.issue(NAME), live=True)
    bed.run()
    return served


def state(bed: Bed) -> EndpointState:
    """What was seen last."""
    (seen,) = bed.situation().sightings
    return seen.state


def test_what_is_not_well_is_looked_at_by_every_run(bed: Bed) -> None:
    """At most every five minutes, for a day; then at the usual pace."""
    served = stranger(bed)
    assert state(bed) is EndpointState.FOREIGN
    at = bed.situation().sightings[0].at
    bed.clock.forward(2 * MINUTE)
    bed.run()
    assert bed.situation().sightings[0].at == at
    bed.clock.forward(4 * MINUTE)
    bed.run()
    assert bed.situation().sightings[0].at > at
    bed.clock.forward(timedelta(hours=25))
    bed.run()
    late = bed.situation().sightings[0].at
    bed.clock.forward(10 * MINUTE)
    bed.run()
    assert bed.situation().sightings[0].at == late

    served[:] = [bed.live()]
    bed.clock.forward(timedelta(hours=1))
    assert bed.run().exit == 0


def test_a_server_that_is_mended_is_seen_by_the_next_run(bed: Bed) -> None:
    """Six minutes later, not an hour."""
    served = stranger(bed)
    served[:] = [bed.live()]
    bed.clock.forward(6 * MINUTE)

    assert bed.run().exit == 0


def test_told_after_two_bad_looks_and_an_hour(bed: Bed) -> None:
    """A few looks within minutes are no reason to wake anybody, and the log tells news only."""
    stranger(bed)
    for _ in range(3):
        bed.clock.forward(6 * MINUTE)
        bed.run()
    assert bed.situation().sightings[0].failures >= 3
    assert not [one for one in of(bed.situation(), bed.clock.now()) if one.subject.startswith("port")]
    told = [one for one in bed.events() if one["event"] == "failed"]
    assert len(told) == 1

    bed.clock.forward(timedelta(hours=1))
    bed.run()

    assert [one for one in of(bed.situation(), bed.clock.now()) if one.subject.startswith("port")]


def test_status_looks_now(bed: Bed) -> None:
    """The mended server is seen at once, and the state knows it afterwards."""
    served = stranger(bed)
    assert bed.cli("status").code != 0
    served[:] = [bed.live()]
    assert bed.cli("status").code != 0

    assert bed.cli("status", "--look").code == 0

    assert state(bed) is EndpointState.VERIFIED
    assert bed.cli("status", "www", "--look", "--json").document["certificates"][0]["healthy"] is True


def test_status_looks_beside_a_run_and_changes_nothing(bed: Bed) -> None:
    """While somebody holds the lock what is seen is shown and not kept."""
    served = stranger(bed)
    served[:] = [bed.live()]

    with Lock(str(bed.state)).acquire():
        assert bed.cli("status", "--look").code == 0

    assert state(bed) is EndpointState.FOREIGN


def test_an_endpoint_that_is_taken_out_says_nothing_more(bed: Bed) -> None:
    """What was seen there counts no longer."""
    stranger(bed)
    bed.tables["certificate.www"]["endpoints"] = []

    assert bed.run().exit == 0


def test_a_port_that_takes_connections_and_completes_no_handshake(bed: Bed) -> None:
    """Nobody is told to start a server that runs: the hint names what else a port may want first."""
    with Peer(lambda _: None) as peer:
        bed.certificate(endpoints=[{"host": "127.0.0.1", "port": peer.port, "server_name": NAME}])
        bed.put(bed.root.issue(NAME), live=True)

        report = bed.run()

    (looked,) = [one for one in report.outcomes if one.step is Step.LOOK]
    assert "proxy_protocol = true" in looked.hint
    assert "start the server" not in looked.hint
