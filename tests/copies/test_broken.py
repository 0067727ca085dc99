"""Copies when the machine fails: killed between two files, turned back after a kill, a disk that is full."""

import subprocess
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from renewer import copies
from renewer.errors import RetryLater
from renewer.model.desired import CopyPart
from renewer.model.facts import CopyFact
from tests.copies.host import Host
from tests.copies.pairs import content, copy_of, pair
from tests.e2e.runner import Ran, Runner, Task

PARTS = ("key", "fullchain", "pkcs12")


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    """A process that runs the command, and kills it where a test says."""
    with Runner() as started:
        yield started


def run(runner: Runner, host: Host, at: int = 0) -> Ran:
    """A run, killed at the n-th change of its copies or of the ledger if there are so many."""
    arguments = ["--config", str(host.directory / "config.toml"), "run"]
    fault = "kill" if at else ""
    return runner.run(
        Task(arguments=arguments, places=[str(host.place)], state=str(host.state), fault=fault, at=at)
    )


@pytest.mark.parametrize(("parts", "step"), [(("key", "fullchain"), 1), (("key", "pkcs12"), 5)], ids=str)
def test_killed_at_every_change(host: Host, runner: Runner, parts: tuple[str, str], step: int) -> None:
    """Killed anywhere: no half file, and nothing beside.

    A hook that fails in the next run turns all of it back, though what was replaced died with the first one;
    and once it works all is new.
    """
    host.copies(*parts)
    hook = host.hook("exit 0")
    host.json("run")
    number, days = 1, 91
    turned_back = 0
    while True:
        host.give(days)
        old = content(host.place)
        if not run(runner, host, number).killed:
            break
        assert content(host.place)["key"] in (old["key"], pair(days).privkey), number
        hook.write_text(f"#!/bin/sh\nexit 1 # {number}\n")

        code = run(runner, host).code  # unless it was killed when all was done, the hook is called again

        demand_whole(host, parts, days - code, f"killed at {number}, then the hook failed ({code})")
        turned_back += code
        hook.write_text(f"#!/bin/sh\nexit 0 # {number}\n")
        assert run(runner, host).code == 0
        demand_whole(host, parts, days, f"killed at {number}, in the end")
        number, days = number + step, days + 1
    assert (
        turned_back * step > 2 * 5
    )  # of each file at least: made, given its mode, written, renamed; the ledger


def demand_whole(host: Host, parts: Sequence[str], days: int, what: str) -> None:
    """All copies are of that version, and nothing is beside them."""
    assert sorted(content(host.place)) == sorted(parts), what
    wish = copy_of(host.place, *map(CopyPart, parts), secrets=host.directory / "password")
    assert [one.unchanged for one in copies.put(wish, pair(days), {})] == [True] * len(parts), what


def test_taken_back_by_halves(host: Host) -> None:
    """Taken back and forth while the culprit of a failing test is looked for: nothing is kept beside."""
    host.copies(*PARTS)
    other = {**host.tables["certificate.www"], "copies": [{"key": host.place / "other"}]}
    host.tables["certificate.other"] = other
    hook = host.hook("exit 0")
    host.tables["hook.mine"] |= {"events": ["test", "deploy"], "convention": "renewer"}
    host.tables["certificate.other"]["hooks"] = ["mine"]
    host.give(92, "other")
    host.json("run")
    days = {"www": 93, "other": 94}
    for name, number in days.items():
        host.give(number, name)
    # the test fails as long as the new key of `other` is there
    wrong = host.directory / "wrong"
    wrong.write_bytes(pair(94).privkey)
    hook.write_text(f'#!/bin/sh\n[ "$1" != test ] || ! cmp -s {wrong} {host.place}/other\n')

    document = host.json("run", code=1)

    assert {one["certificate"]: one["result"] for one in document["outcomes"]} == {
        "www": "done",
        "other": "failed",
    }
    found = content(host.place)
    assert sorted(found) == sorted((*PARTS, "other"))
    assert (found["key"], found["other"]) == (pair(93).privkey, pair(92).privkey)


def test_killed_while_keytool_works(host: Host) -> None:
    """What keytool was given in the state directory is swept by the next run."""
    host.copies("jks")
    left = host.state / "tmp" / "new-1-1"
    left.mkdir(mode=0o700)
    (left / "given").write_bytes(b"a sealed keystore")
    host.json("run")
    assert list((host.state / "tmp").iterdir()) == []
    assert list(content(host.place)) == ["jks"]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    mounting = ["/usr/bin/mount", "-t", "tmpfs", "-o", "size=64k,mode=0755", "renewer-test", str(place)]
    subprocess.run(mounting, capture_output=True, check=True)
    yield place
    subprocess.run(["/usr/bin/umount", str(place)], check=True)


def _fill(place: Path, *, leaving: int) -> Path:
    """Fill it up, but for some pages."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            file.truncate(file.tell() - leaving * 4096)
    return filler


@pytest.mark.parametrize(("there", "room"), [(PARTS, 0), (("key",), 1), ((), 0), ((), 1), ((), 2)], ids=str)
def test_full_disk(small: Path, place: Path, there: tuple[str, ...], room: int) -> None:
    """With room for so many more files than were there: none changes, and it is told; later it works."""
    secrets = place.parent / "password"
    wish = copy_of(small, *map(CopyPart, PARTS), secrets=secrets)
    first = copies.put(copy_of(small, *map(CopyPart, there), secrets=secrets), pair(), {}) if there else []
    known = {one.path: one.sha256 for one in first}
    before = content(small)
    filler = _fill(small, leaving=room)

    with pytest.raises(RetryLater, match="No space left") as caught:
        copies.put(wish, pair(91), known)

    assert caught.value.hint == "make room there"
    filler.unlink()
    assert content(small) == before
    copies.put(wish, pair(91), known)
    assert content(small)["key"] == pair(91).privkey
    assert sorted(content(small)) == sorted(PARTS)


def test_records_survive_what_was_written(host: Host) -> None:
    """The record of a file is of the very bytes that lie there."""
    host.copies(*PARTS)
    host.json("run")
    for fact in host.remembered(CopyFact):
        assert fact.sha256 == sha256(Path(fact.path).read_bytes()).hexdigest()
