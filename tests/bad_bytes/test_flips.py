"""One bad byte anywhere in a state directory: one certificate's trouble at most, told, and it heals."""

import json
import random
import time

import pytest

from renewer import clock
from tests.bad_bytes.place import COMMANDS, WELL, Place, place, spoilt

__all__ = ["place"]
_WORDS = ("defect", "Traceback", "please report")


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The authority does not answer: nobody waits between questions."""
    monkeypatch.setattr(clock, "sleep", lambda _: time.sleep(0.001))


def _said(capsys: pytest.CaptureFixture[str]) -> str:
    found = capsys.readouterr()
    return found.out + found.err


def _nothing_dies(place: Place, capsys: pytest.CaptureFixture[str], what: str) -> None:
    """Every command answers in words, before and after the run that meets it."""
    for words in (*COMMANDS, ("run",), *COMMANDS):
        code = place.command(*words)
        said = _said(capsys)
        assert not [word for word in _WORDS if word in said], f"{what}: {words}: {said}"
        assert code in (0, 1, 2, 3), f"{what}: {words}: {said}"
    log = place.state / "renewal.log"
    told = log.read_bytes() if log.is_file() else b""
    assert b'"trace"' not in told, f"{what}: {told[-3000:]!r}"


def _others_are_well(place: Place, capsys: pytest.CaptureFixture[str], touched: str, what: str) -> None:
    """Whoever else has nothing to do still has nothing to do, and no certificate was ordered for it."""
    place.command("status", "--json")
    document = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in document["certificates"]}
    ill = {name: rows[name]["why"] for name in WELL if not rows[name]["healthy"]}
    assert set(ill) <= {touched}, f"{what}: {ill}"
    assert document["unread"] == [], f"{what}: what was damaged is set aside by now"


@pytest.mark.parametrize("seed", range(4))
def test_rows(place: Place, capsys: pytest.CaptureFixture[str], seed: int) -> None:
    """Rows of the ledger, each kind of them over the seeds."""
    chance = random.Random(seed)  # noqa: S311  the same each time
    for table, row in place.rows()[seed::4]:
        place.restore()
        what = place.spoil_row(table, row, chance)
        _nothing_dies(place, capsys, what)
        owner = row.split("\n")[1] if table == "record" else ""
        _others_are_well(place, capsys, owner, what)


@pytest.mark.parametrize("seed", range(4))
def test_files(place: Place, capsys: pytest.CaptureFixture[str], seed: int) -> None:
    """Files of the state directory, each of them over the seeds."""
    chance = random.Random(100 + seed)  # noqa: S311
    for name in place.files()[seed::4]:
        place.restore()
        path = place.state / name
        how, bent = spoilt(path.read_bytes(), chance)
        path.write_bytes(bent)
        what = f"{name}: {how}: {bent[:200]!r}"
        _nothing_dies(place, capsys, what)
        owner = name.split("/")[1] if name.startswith("certificates/") else ""
        _others_are_well(place, capsys, owner, what)
