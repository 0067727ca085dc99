"""Whatever happens at whatever mutation: the pair at live matches, and doing it again finishes the job."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from renewer.errors import StateError
from renewer.store.disk import DiskStore
from tests.store.looking import live_pair, widest
from tests.store.mutations import KilledError, failing, killed, watched
from tests.store.pairs import pair

_Act = Callable[[DiskStore], None]


def _renew(store: DiskStore) -> None:
    version, material = pair(2)
    store.prepare("www", "order", material.privkey, b"{}")
    store.keep_chain("www", "order", material.fullchain)
    store.put("www", version, material, key_mode=0o600)
    store.turn("www", version.id)
    store.clear("www", "order")
    store.remove("www", pair(1)[0].id)


def _start(state: Path) -> DiskStore:
    store = DiskStore(str(state))
    version, material = pair(1)
    store.put("www", version, material, key_mode=0o600)
    store.turn("www", version.id)
    return DiskStore(str(state))


def _try(act: _Act, state: Path, fault: Callable[[int], None]) -> None:
    """Act until the fault; whatever is told of it says what to do."""
    with suppress(KilledError), watched(fault):
        try:
            act(DiskStore(str(state)))
        except StateError as error:
            if not error.hint:
                raise


def _length(state: Path) -> int:
    store = _start(state)
    counts: list[int] = []
    with watched(counts.append):
        _renew(store)
    return len(counts)


def test_pair_matches_before_every_mutation(tmp_path: Path) -> None:
    """Before each single mutation of a renewal the pair at live is whole, and only we can read it."""
    state = tmp_path / "state"
    store = _start(state)
    seen: set[bytes] = set()

    def look(_: int) -> None:
        seen.add(live_pair(state)[1])
        assert widest(state) == 0

    with watched(look):
        _renew(store)
    look(0)
    assert {pair(1)[1].fullchain, pair(2)[1].fullchain} == seen


@pytest.mark.parametrize("fault", [failing, killed])
def test_fault_at_every_mutation(tmp_path: Path, fault: Callable[[int], Callable[[int], None]]) -> None:
    """With a full disk or a kill at the n-th mutation, for every n: live matches, the next run converges."""
    length = _length(tmp_path / "0")
    assert length > 40
    for number in range(1, length + 1):
        state = tmp_path / str(number)
        _start(state)
        _try(_renew, state, fault(number))
        assert live_pair(state)[1] in (pair(1)[1].fullchain, pair(2)[1].fullchain)
        _renew(DiskStore(str(state)))
        after = DiskStore(str(state))
        shelf = after.shelf("www")
        assert (shelf.live, [found.id for found in shelf.found]) == (pair(2)[0].id, [pair(2)[0].id]), number
        assert after.about("www", pair(2)[0].id) == pair(2)[0]
        assert shelf.pending == ()
        assert list((state / "tmp").iterdir()) == [], number


@pytest.mark.parametrize("fault", [failing, killed])
def test_fault_at_every_first_mutation(tmp_path: Path, fault: Callable[[int], Callable[[int], None]]) -> None:
    """The same from nothing at all: whatever the first put left, the second finishes."""
    version, material = pair(1)

    def first(store: DiskStore) -> None:
        store.put("www", version, material, key_mode=0o600)
        store.turn("www", version.id)

    counts: list[int] = []
    with watched(counts.append):
        first(DiskStore(str(tmp_path / "0")))
    for number in counts:
        state = tmp_path / f"{number}"
        _try(first, state, fault(number))
        first(DiskStore(str(state)))
        assert live_pair(state) == (material.privkey, material.fullchain)
        assert list((state / "tmp").iterdir()) == []
