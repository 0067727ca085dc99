"""A state directory of an older release is read and continued, and what is printed of it stays what it was.

How the state and the golden files were made is in `make.py`; the golden files are not made again: what is
meant to differ from them is listed here, with its reason. The one that was is `page.html`: the page got
groups by what is needed, one line for what is well, and each cause once, so hardly a line of it is the old.
"""

import json
from typing import Any, NamedTuple

import pytest

from renewer.model.facts import Hold, Order
from tests.state_of_old.golden import COMMANDS, GOLDEN, MOMENT, WRITTEN, told
from tests.state_of_old.place import OldPlace
from tests.store.looking import live_pair


class Difference(NamedTuple):
    """In this golden file one text stands where another stood, for a reason."""

    file: str
    was: str
    now: str
    reason: str


DIFFERENCES: tuple[Difference, ...] = ()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> OldPlace:
    """The old state."""
    return OldPlace(tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="module")
def documents(place: OldPlace) -> dict[str, str]:
    """What is printed and written of it, one command after another."""
    return told(place)


@pytest.mark.parametrize("name", [*(name for name, *_ in COMMANDS), *WRITTEN])
def test_its_documents_are_what_they_were(documents: dict[str, str], name: str) -> None:
    """Byte for byte, but for the listed differences."""
    expected = (GOLDEN / name).read_text("utf-8")
    for one in DIFFERENCES:
        if one.file == name:
            assert one.was in expected, f"{one} is no difference"
            expected = expected.replace(one.was, one.now)
    assert documents[name] == expected


def test_it_is_continued_without_an_order(place: OldPlace, documents: dict[str, str]) -> None:
    """The deployment that had failed is done; nothing is issued, no order was begun, and then all is well."""
    first, second = (json.loads(documents[name]) for name in ("run.json", "run-after.json"))
    assert [(one["certificate"], one["step"], one["result"]) for one in first["outcomes"]] == [
        ("www", "deploy", "done")
    ]
    assert (first["exit"], second["exit"], second["outcomes"]) == (0, 0, [])
    log = [json.loads(line) for line in (place.root / "state/renewal.log").read_text().splitlines()]
    since = [one for one in log if one["at"] >= MOMENT.isoformat()[:19]]
    assert {one["event"] for one in since} >= {"run-started", "deployed", "run-finished"}
    assert {one["event"] for one in since} & {"ordered", "issued", "failed"} == set()
    assert (place.remembered(Order), len(list((place.root / "state").rglob("pending/*")))) == ([], 0)


def test_what_a_person_decided_still_holds(place: OldPlace, documents: dict[str, str]) -> None:
    """The older version that somebody went back to is served, and the newer one is held, with the reason."""
    (hold,) = place.remembered(Hold)
    assert (hold.certificate, hold.why) == ("shop", "the new one broke checkout")
    (shop,) = (one for one in json.loads(documents["status-after.json"])["certificates"] if one["held"])
    assert shop["live"] < hold.version
    assert (shop["state"], shop["healthy"]) == ("deployed", True)
    live_pair(place.root / "state", "shop")


def test_its_history_is_told(place: OldPlace, documents: dict[str, str]) -> None:
    """The log of the older release is read, its failure among it."""
    assert documents
    ended = place.cli(MOMENT, "log", "www", "--json")
    told: list[dict[str, Any]] = [json.loads(line) for line in ended.out.splitlines()]
    assert ended.code == 0
    assert {"issued", "installed", "failed", "rolled-back"} <= {one["event"] for one in told}
    assert any("the line is dead" in json.dumps(one) for one in told)
