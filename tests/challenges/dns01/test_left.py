"""What was certainly never published is no debris; what is left ends: by itself, or by `challenge clean`."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from renewer import clock, refresh
from renewer.config.load import load
from renewer.context import Context
from renewer.errors import RenewerError
from renewer.issue import leftover
from renewer.ledger.sqlite import SqliteLedger
from renewer.model.facts import Debris
from renewer.policy.watchdog import left_behind
from renewer.store.lock import Lock
from tests import toml
from tests.challenges.dns01.bed import BIND, BIND_ZONE, KEYS, KNOT, KNOT_ZONE, Bed, tasks
from tests.command import renewer
from tests.servers.nameserver import Key, txt_at

CHECKOUT = Path(__file__).resolve().parents[3]
VALUE = "x" * 43


@pytest.mark.real
@pytest.mark.parametrize(
    ("server", "zone", "key"),
    [
        (BIND, BIND_ZONE, None),
        (KNOT, KNOT_ZONE, None),
        (BIND, BIND_ZONE, Key("nobody")),
        (KNOT, KNOT_ZONE, Key(KEYS[0].name)),
        (BIND, KNOT_ZONE, KEYS[0]),
        ("127.0.0.9", BIND_ZONE, KEYS[0]),
    ],
    ids=["REFUSED", "NOTAUTH", "BADKEY", "BADSIG", "another's zone", "nobody there"],
)
def test_what_was_refused_leaves_nothing(bed: Bed, server: str, zone: str, key: Key | None) -> None:
    """Where the server refused the update, or was not reached, nothing need be removed."""
    some = tasks(zone, f"*.{zone}")
    solver = bed.solver(server, key)
    with pytest.raises(RenewerError):
        solver.present_all(some)
    assert solver.clean_up_all(some) == []


@pytest.mark.real
def test_what_was_published_is_removed_though_another_zone_refused(bed: Bed) -> None:
    """Of two zones one server takes one: that record is removed again."""
    some = tasks(BIND_ZONE, KNOT_ZONE)
    solver = bed.solver(BIND)
    with pytest.raises(RenewerError):
        solver.present_all(some)
    assert solver.clean_up_all(some) == []
    ours = leftover.digest(some[0].key_authorization)
    assert ours not in txt_at(BIND, bed.port, f"_acme-challenge.{BIND_ZONE}")


def left(name: str = "www", *, at: datetime | None = None) -> Debris:
    """A record that an earlier run could not remove."""
    return Debris(
        certificate=name,
        what=leftover.DEBRIS,
        where=f"_acme-challenge.{name}.example.org TXT {VALUE}",
        at=at or datetime.now(UTC),
        detail="zone=example.org provider=rfc2136 asked=x: the server refused to change it (NOTAUTH)",
    )


class Home:
    """A configuration and a state directory."""

    def __init__(self, directory: Path, challenge: dict[str, Any]) -> None:
        """Write the configuration."""
        self.state, self.config = directory / "state", directory / "config.toml"
        tables: dict[str, dict[str, Any]] = {
            "agent": {"state": str(self.state)},
            "authority.ours": {"directory": "https://127.0.0.1:1/dir", "agree_terms": True},
            "certificate.www": {"names": ["www.example.org"], "authority": "ours", "challenge": challenge},
        }
        self.config.write_text(toml.tables(tables))
        self.config.chmod(0o600)

    def keep(self, *records: Debris) -> None:
        """On record from earlier runs."""
        with Lock(str(self.state)), Context(load(str(self.config)), write=True) as context:
            context.ledger.save(*records)

    def kept(self) -> list[Debris]:
        """What is on record now."""
        ledger = SqliteLedger.open(str(self.state / "ledger.db"))
        try:
            return list(ledger.load(Debris))
        finally:
            ledger.close()

    def begin_run(self) -> None:
        """What a run does with it first."""
        with Lock(str(self.state)), Context(load(str(self.config)), write=True) as context:
            refresh.debris(context, ())

    def say(self, *arguments: str) -> tuple[int, str]:
        """How a command ends and what it says, without a terminal."""
        ended = renewer("--config", self.config, *arguments)
        return ended.code, ended.said


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A host that has gone over to HTTP-01: nobody there can change the zone any more."""
    return Home(tmp_path, {"type": "http-01", "webroot": "/srv/www"})


@pytest.fixture
def by_dns(tmp_path: Path) -> Home:
    """A host whose name server is not reached."""
    rule = {"resolvers": ["127.0.0.1:9"]}
    return Home(
        tmp_path, {"type": "dns-01", "provider": "rfc2136", "server": "127.0.0.1:1", "propagation": rule}
    )


def test_after_another_challenge_it_ends_within_a_day(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can remove it any more: told for a day, then once more for good."""
    home.keep(left())
    home.begin_run()
    assert len(home.kept()) == 1
    later = datetime.now(UTC) + timedelta(days=1, minutes=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    home.begin_run()
    assert home.kept() == []
    log = (home.state / "renewal.log").read_text()
    assert "is tried no more: remove it by hand" in log


def test_what_cannot_be_removed_is_not_tried_for_ever(by_dns: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried for a month, and each note says so and what ends it."""
    by_dns.keep(left())
    for days, kept in ((20, 1), (29, 1), (31, 0)):
        later = datetime.now(UTC) + timedelta(days=days)
        monkeypatch.setattr(clock, "now", lambda later=later: later)
        by_dns.begin_run()
        assert len(by_dns.kept()) == kept
    note, end = left_behind([left(at=datetime(2026, 11, 1, tzinfo=UTC))])
    assert note.endswith("; each run tries again to remove it")
    assert "until 2026-12-01" in end
    assert end.endswith("renewer challenge clean")
    assert left_behind([]) == []


def test_a_record_from_a_wrong_clock_ends_as_well(home: Home) -> None:
    """What was written a year ahead does not stay for a year."""
    home.keep(left(at=datetime.now(UTC) + timedelta(days=365)))
    home.begin_run()
    (one,) = home.kept()
    assert one.at <= datetime.now(UTC)


@pytest.mark.parametrize("kind", ["home", "by_dns"])
def test_clean_ends_them(request: pytest.FixtureRequest, kind: str) -> None:
    """Without --yes nothing is forgotten and exit 1 says so; with it each is named, and gone for good."""
    home: Home = request.getfixturevalue(kind)
    home.keep(left(), left("old"))
    code, said = home.say("challenge", "clean")
    assert code == 1
    assert "→ to forget it: renewer challenge clean --yes" in said
    assert len(home.kept()) == 2
    code, said = home.say("challenge", "clean", "old", "--yes")
    assert (code, len(home.kept())) == (0, 1)
    assert "forgotten _acme-challenge.old.example.org" in said
    assert "remove it by hand" in said
    code, said = home.say("challenge", "clean", "--yes", "--json")
    document = json.loads(said)
    assert code == 0
    assert [one["certificate"] for one in document["forgotten"]] == ["www"]
    assert (document["removed"], document["left"]) == ([], [])
    assert "NOTAUTH" in document["forgotten"][0]["why"]
    assert home.kept() == []
    assert home.say("challenge", "clean") == (0, "nothing is left over\n")


def test_clean_removes_what_can_be_removed(home: Home, tmp_path: Path) -> None:
    """A file of ours in a webroot is removed at once, without a question."""
    token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
    place = tmp_path / "www" / ".well-known" / "acme-challenge"
    place.mkdir(parents=True)
    (place / token).write_text(f"{token}.thumbprintthumbprintthumbprintthumbprintthu")
    home.keep(Debris(certificate="www", what="http-01 file", where=f"{place}/{token}", at=datetime.now(UTC)))
    code, said = home.say("challenge", "clean", "--json")
    assert (code, len(json.loads(said)["removed"])) == (0, 1)
    assert not (place / token).exists()


def test_an_unknown_name_is_refused(home: Home) -> None:
    """Nothing is done for a certificate that nobody knows."""
    home.keep(left())
    code, said = home.say("challenge", "clean", "wwww", "--yes")
    assert (code, "there is no certificate 'wwww'" in said, len(home.kept())) == (2, True, 1)
