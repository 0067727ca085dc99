"""A file system that is really full."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from renewer.errors import StateError
from renewer.ledger.sqlite import SqliteLedger
from renewer.model.facts import Hold
from renewer.store.disk import DiskStore
from tests.store.looking import live_pair
from tests.store.pairs import NOW, pair


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    mounting = ["/usr/bin/mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "renewer-test", str(place)]
    try:
        done = subprocess.run(mounting, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode != 0:
        pytest.skip("file systems can only be mounted by root")
    yield place
    subprocess.run(["/usr/bin/umount", str(place)], check=True)


def _stuff(place: Path) -> Path:
    """Fill it to the last byte."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 512)
        except OSError:
            return filler


def test_full_disk(small: Path) -> None:
    """Without room nothing is lost and everything is told; with room again, the same works."""
    state = small / "state"
    store = DiskStore(str(state))
    store.put("www", *pair(1), key_mode=0o600)
    store.turn("www", pair(1)[0].id)
    with closing(SqliteLedger.open(f"{state}/ledger.db")) as ledger:
        ledger.save(Hold(certificate="www", version="1", at=NOW, by="b", why="w"))
        filler = _stuff(small)
        with pytest.raises(StateError, match="No space left") as caught:
            store.put("www", *pair(2), key_mode=0o600)
        assert "df -h" in caught.value.hint
        with pytest.raises(StateError, match="ledger") as caught:
            ledger.save(Hold(certificate="www", version="2", at=NOW, by="b", why="w" * 20_000))
        assert "df -h" in caught.value.hint
        assert live_pair(state)[0] == pair(1)[1].privkey
        assert os.listdir(state / "tmp") == []
        filler.unlink()
        store.put("www", *pair(2), key_mode=0o600)
        store.turn("www", pair(2)[0].id)
        assert live_pair(state)[0] == pair(2)[1].privkey
        ledger.save(Hold(certificate="www", version="2", at=NOW, by="b", why="w" * 20_000))
        assert [one.version for one in ledger.load(Hold)] == ["1", "2"]
