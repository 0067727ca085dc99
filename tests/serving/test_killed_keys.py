"""Keys that a killed run left on the workbench or beside an order: gone with the next run."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from renewer import clock
from renewer.ledger.sqlite import SqliteLedger
from renewer.model.desired import KeyType
from renewer.model.facts import Order, OrderState
from renewer.model.names import Identifier
from tests.serving.bed import NOWHERE, Bed

KEY = "-----BEGIN PRIVATE KEY-----\nof a run that was killed\n-----END PRIVATE KEY-----\n"
PLACES = {
    "a draft of a version": "tmp/new-4194000-7/privkey.pem",
    "a file on its way": "tmp/new-4194000-8",
    "an order that nobody knows": "certificates/www/pending/20261101T000000Z-0a0b0c0d/privkey.pem",
}


def _nothing_due(bed: Bed) -> list[str]:
    bed.put(bed.root.issue("www.example.org"), live=True)
    return ["run"]


def _only_looking(bed: Bed) -> list[str]:
    bed.put(bed.root.issue("www.example.org"), live=True)
    return ["run", "--steps", "look"]


def _no_certificate(bed: Bed) -> list[str]:
    bed.put(bed.root.issue("www.example.org"), live=True)
    del bed.tables["certificate.www"]
    return ["run"]


def _another_only(bed: Bed) -> list[str]:
    bed.put(bed.root.issue("www.example.org"), live=True)
    bed.certificate("other")
    bed.put(bed.root.issue("other.example.org"), "other", live=True)
    return ["run", "--only", "other"]


def _cannot_order(_: Bed) -> list[str]:
    return ["run"]


WAYS: dict[str, Callable[[Bed], list[str]]] = {
    "nothing due": _nothing_due,
    "only looking": _only_looking,
    "no certificate": _no_certificate,
    "another one only": _another_only,
    "the authority is away": _cannot_order,
}


def _keys(state: Path) -> list[str]:
    return [
        str(path.relative_to(state))
        for path in state.rglob("*")
        if path.is_file() and not path.is_symlink() and b"of a run that was killed" in path.read_bytes()
    ]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("way", WAYS)
def test_it_is_gone_with_the_next_run(bed: Bed, way: str, place: str) -> None:
    """No private key outlives the run that was killed by more than one run."""
    bed.certificate()
    command = WAYS[way](bed)
    path = bed.state / PLACES[place]
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_text(KEY)
    path.chmod(0o600)
    assert _keys(bed.state) == [PLACES[place]]
    bed.cli(*command)
    assert _keys(bed.state) == []


def _order(bed: Bed) -> Order:
    """An order of `www` as a run keeps it, beside its key; in no ledger yet."""
    order = Order(
        certificate="www",
        pending="20261101T000000Z-0a0b0c0d",
        state=OrderState.INTENT,
        authority="ca",
        directory=NOWHERE,
        identifiers=(Identifier.parse("www.example.org"),),
        key_type=KeyType.ECDSA_P256,
        profile=None,
        at=clock.now(),
    )
    place = bed.state / "certificates" / "www" / "pending" / order.pending
    place.mkdir(parents=True, mode=0o700)
    (place / "privkey.pem").write_text(KEY)
    (place / "order.json").write_bytes(msgspec.json.encode(order))
    for path in place.iterdir():
        path.chmod(0o600)
    return order


@pytest.mark.parametrize("known", [True, False])
def test_of_a_certificate_that_is_not_configured(bed: Bed, *, known: bool) -> None:
    """Killed before the order was on record: gone. One that is on record goes on when the table is back."""
    bed.certificate()
    bed.put(bed.root.issue("www.example.org"), live=True)
    bed.run()
    order = _order(bed)
    if known:
        with bed.lock():
            ledger = SqliteLedger.open(str(bed.state / "ledger.db"))
            ledger.save(order)
            ledger.close()
    del bed.tables["certificate.www"]
    bed.cli("run")
    assert bool(_keys(bed.state)) is known
