"""The one door from octets to values: whatever they are, a value or one exception."""

import contextlib
from datetime import datetime

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from renewer.decoding import UndecodableError, decode
from renewer.model.facts import Failure, Hold, Version, VersionFacts
from tests.builders import NOW

HOLD = msgspec.json.encode(Hold(certificate="www", version="1", at=NOW, by="somebody", why="w"))


@given(st.binary(max_size=60))
@example(b"\xe0")
@example(b'{"why": "\xe0"}')
@example(b"[" * 200_000)
@example(b'{"a":' * 100_000)
@example(b'"\\ud800"')
@example(b"1e999999999")
@example(b"\x00" * 40)
@example(b"")
def test_any_octets(data: bytes) -> None:
    """Nothing but that exception comes out, whatever is asked for."""
    for kind in (None, Hold, dict[str, int]):
        with contextlib.suppress(UndecodableError):
            decode(data) if kind is None else decode(data, kind)


@given(st.integers(0, len(HOLD) - 1), st.integers(0, 255))
def test_one_bad_byte(place: int, byte: int) -> None:
    """A record with one byte changed is a record or an exception."""
    bent = HOLD[:place] + bytes((byte,)) + HOLD[place + 1 :]
    try:
        found = decode(bent, Hold)
    except UndecodableError:
        return
    assert found.at.tzinfo is not None


@pytest.mark.parametrize("given_", [None, 3, 1.5, [1]], ids=repr)
def test_no_octets(given_: object) -> None:
    """What a table of SQLite may hold in the place of a body."""
    with pytest.raises(UndecodableError):
        decode(given_, Hold)


@pytest.mark.parametrize(
    "moment",
    [
        "2026-11-22T09:33:00",
        "0001-01-01T00:00:00Z",
        "1066-10-14T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "2026-02-30T00:00:00Z",
    ],
)
def test_moments_nobody_can_reckon_with(moment: str) -> None:
    """A moment without a zone, or at an end of the calendar, is none."""
    with pytest.raises(UndecodableError):
        decode(
            msgspec.json.encode({"certificate": "w", "version": "1", "at": moment, "by": "", "why": ""}), Hold
        )


def test_certificates_without_end(version: Version) -> None:
    """RFC 5280 has a date for them, and it may stand there, in structs within structs too."""
    never = datetime.fromisoformat("9999-12-31T23:59:59Z")
    forever = msgspec.structs.replace(version, leaf=msgspec.structs.replace(version.leaf, not_after=never))
    facts = VersionFacts(certificate="www", version=forever, stamp=(1, 2, 3))
    assert decode(msgspec.json.encode(facts), VersionFacts) == facts
    begins = msgspec.structs.replace(version, leaf=msgspec.structs.replace(version.leaf, not_before=never))
    with pytest.raises(UndecodableError, match="not_before"):
        decode(msgspec.json.encode(msgspec.structs.replace(facts, version=begins)), VersionFacts)


@pytest.fixture
def version() -> Version:
    """A version."""
    from tests.builders import version as made

    return made()


def test_wrong_types() -> None:
    """A member of another type is told with its place."""
    with pytest.raises(UndecodableError, match="count"):
        decode(b'{"certificate":"w","authority":"a","wish":"","count":"3"}', Failure)
