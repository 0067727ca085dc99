"""What every ledger must do, whatever keeps it."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from renewer.ledger.contract import KEPT_LINES, Happening, Ledger
from renewer.ledger.sqlite import SqliteLedger
from renewer.model.desired import KeyType
from renewer.model.facts import (
    CopyFact,
    Debris,
    Deployment,
    DeploymentState,
    EndpointState,
    Failure,
    Hold,
    Leaf,
    Order,
    OrderState,
    Owed,
    Record,
    RunRecord,
    Sighting,
    Version,
    VersionFacts,
    Window,
)
from renewer.model.names import Identifier, IdentifierType

NOW = datetime(2026, 11, 22, 9, 33, 0, 123456, tzinfo=UTC)


def _in_memory(_: Path) -> Ledger:
    return SqliteLedger.in_memory()


def _in_file(directory: Path) -> Ledger:
    return SqliteLedger.open(str(directory / "ledger.db"))


_MAKERS: dict[str, Callable[[Path], Ledger]] = {"memory": _in_memory, "sqlite": _in_file}


@pytest.fixture(params=_MAKERS)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger of each kind."""
    made = _MAKERS[request.param](tmp_path)
    yield made
    made.close()


def hold(certificate: str, version: str, why: str = "") -> Hold:
    """A small record."""
    return Hold(certificate=certificate, version=version, at=NOW, by="somebody", why=why)


def happening(event: str, certificate: str = "www", minutes: int = 0) -> Happening:
    """A line of history."""
    return Happening(
        at=NOW + timedelta(minutes=minutes), host="web-1", run="r1", certificate=certificate, event=event
    )


_text = st.text(max_size=20)
_times = st.datetimes(  # with a day more or less they still are dates
    datetime(1900, 1, 2),  # noqa: DTZ001  hypothesis wants them naive
    datetime(9998, 12, 30),  # noqa: DTZ001
    timezones=st.just(UTC),
)
_maybe_times = st.none() | _times
_numbers = st.integers(0, 2**53)
_stamps = st.tuples(_numbers, _numbers, st.integers(0, 2**63 - 1))
_identifiers = st.builds(Identifier, type=st.sampled_from(IdentifierType), value=_text)
_leaves = st.builds(
    Leaf,
    serial=_text,
    fingerprint=_text,
    not_before=_times,
    not_after=_times,
    names=st.lists(_identifiers, max_size=3).map(tuple),
    key=st.none() | st.sampled_from(KeyType),
    issuer=_text,
    ari_id=st.none() | _text,
)
_versions = st.builds(Version, id=_text, made_at=_times, leaf=_leaves, placeholder=st.booleans())
_records: st.SearchStrategy[Record] = st.one_of(
    st.builds(VersionFacts, certificate=_text, version=_versions, stamp=_stamps),
    st.builds(
        Order,
        certificate=_text,
        pending=_text,
        state=st.sampled_from(OrderState),
        authority=_text,
        directory=_text,
        identifiers=st.lists(_identifiers, max_size=3).map(tuple),
        key_type=st.sampled_from(KeyType),
        profile=st.none() | _text,
        at=_times,
        expires=_maybe_times,
    ),
    st.builds(
        Failure,
        certificate=_text,
        authority=_text,
        wish=_text,
        count=_numbers,
        since=_times,
        at=_times,
        text=_text,
        not_before=_maybe_times,
        identifiers=st.lists(st.tuples(_text, _text), max_size=3).map(tuple),
    ),
    st.builds(Window, certificate=_text, serial=_text, ask_again=_times, asked_at=_times, start=_maybe_times),
    st.builds(
        Deployment,
        certificate=_text,
        host=_text,
        hook=_text,
        version=_text,
        state=st.sampled_from(DeploymentState),
        at=_times,
        error=st.none() | _text,
    ),
    st.builds(
        CopyFact,
        certificate=_text,
        host=_text,
        path=_text,
        version=_text,
        sha256=_text,
        stamp=_stamps,
        at=_times,
    ),
    st.builds(
        Sighting,
        certificate=_text,
        host=_text,
        endpoint=_text,
        address=_text,
        version=_text,
        state=st.sampled_from(EndpointState),
        at=_times,
        local=st.booleans(),
        since=_maybe_times,
    ),
    st.builds(Debris, certificate=_text, what=_text, where=_text, at=_times),
    st.builds(Hold, certificate=_text, version=_text, at=_times, by=_text, why=_text),
    st.builds(RunRecord, certificate=_text, run=_text, host=_text, at=_times, ended_at=_maybe_times),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(_records, max_size=6))
def test_round_trip(ledger: Ledger, records: list[Record]) -> None:
    """Every kind of record, with any content, is loaded as it was saved; the last of a key counts."""
    expected = {(type(one), one.certificate, one.key): one for one in records}
    ledger.save(*records)
    for kind in {type(one) for one in records}:
        wanted = [one for (which, _, _), one in expected.items() if which is kind]
        found = ledger.load(kind)
        assert sorted(found, key=repr) == sorted(wanted, key=repr)
        for certificate in {one.certificate for one in wanted}:
            assert ledger.load(kind, certificate) == [one for one in found if one.certificate == certificate]
    ledger.drop(*records)
    assert all(ledger.load(type(one)) == [] for one in records)


def test_empty(ledger: Ledger) -> None:
    """Nothing saved, nothing loaded; saving nothing is allowed."""
    ledger.save()
    ledger.drop()
    ledger.append()
    assert ledger.load(Hold) == []
    assert ledger.history() == []


def test_order(ledger: Ledger) -> None:
    """Records come ordered by certificate and key, however they were saved."""
    ledger.save(hold("b", "2"), hold("a", "9"), hold("b", "1"))
    assert [(one.certificate, one.version) for one in ledger.load(Hold)] == [
        ("a", "9"),
        ("b", "1"),
        ("b", "2"),
    ]
    assert [one.version for one in ledger.load(Hold, "b")] == ["1", "2"]


def test_replace_and_drop(ledger: Ledger) -> None:
    """A record replaces the one with its kind, certificate and key; dropping one leaves the others."""
    ledger.save(hold("www", "1", "first"), hold("www", "2"))
    ledger.save(hold("www", "1", "second"))
    assert [one.why for one in ledger.load(Hold)] == ["second", ""]
    ledger.drop(hold("www", "1"), hold("www", "never there"))
    assert [one.version for one in ledger.load(Hold)] == ["2"]


def test_forget(ledger: Ledger) -> None:
    """A forgotten certificate has no records, but a history."""
    ledger.save(hold("www", "1"), hold("mail", "1"))
    ledger.append(happening("issued"))
    ledger.forget("www")
    ledger.forget("never there")
    assert [one.certificate for one in ledger.load(Hold)] == ["mail"]
    assert [one.event for one in ledger.history("www")] == ["issued"]


def test_what_is_still_to_be_done_is_not_forgotten(ledger: Ledger) -> None:
    """A server that a pre hook stopped, and what lies about in DNS, outlast the certificate."""
    owed = Owed(certificate="www", host="web-1", hook="web")
    debris = Debris(certificate="www", what="txt", where="_acme-challenge.example.org", at=NOW)
    ledger.save(hold("www", "1"), owed, debris)
    ledger.forget("www")
    assert (ledger.load(Hold), ledger.load(Owed), ledger.load(Debris)) == ([], [owed], [debris])


def test_history(ledger: Ledger) -> None:
    """History is told oldest first, of one certificate or all, from a moment on that is included."""
    ledger.append(happening("third", minutes=2), happening("first"))
    ledger.append(happening("second", "mail", minutes=1), happening("also first"))
    assert [one.event for one in ledger.history()] == ["first", "also first", "second", "third"]
    assert [one.event for one in ledger.history("www")] == ["first", "also first", "third"]
    assert [one.event for one in ledger.history(since=NOW + timedelta(minutes=1))] == ["second", "third"]
    assert ledger.history("www", NOW + timedelta(minutes=3)) == []


def test_details(ledger: Ledger) -> None:
    """Details of any kind are kept, what JSON does not know as its text."""
    details = {"count": 3, "at": NOW, "names": ["a", "b"], "error": ValueError("no"), "none": None}
    ledger.append(Happening(at=NOW, host="h", run="r", certificate="", event="e", details=details))
    (found,) = ledger.history()
    assert found.details == {
        "count": 3,
        "at": "2026-11-22T09:33:00.123456Z",
        "names": ["a", "b"],
        "error": "no",
        "none": None,
    }


def test_unwritable_text(ledger: Ledger) -> None:
    """Text that is no Unicode, such as a hook's output read badly, is saved as well as it can be."""
    ledger.save(hold("www", "1", "bad \udcff byte"))
    (found,) = ledger.load(Hold)
    assert found.why.startswith("bad ")


def test_threads(ledger: Ledger) -> None:
    """Threads that save and load at the same time lose nothing."""
    faults: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(20):
                ledger.save(hold(f"c{number}", str(step)))
                assert len(ledger.load(Hold, f"c{number}")) == step + 1
                ledger.append(happening("e", f"c{number}"))
        except BaseException as error:  # noqa: BLE001  a thread's fault is the test's
            faults.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert (len(ledger.load(Hold)), len(ledger.history())) == (160, 160)


def test_close_twice(ledger: Ledger) -> None:
    """Closing a closed ledger is no error."""
    ledger.close()
    ledger.close()


def test_lines_and_records_together(ledger: Ledger) -> None:
    """What a line tells and the record that it was told are written in one transaction."""
    ledger.append(happening("issued"), saving=[hold("www", "1"), hold("mail", "1")])
    ledger.append(saving=[hold("www", "2")])

    assert [one.event for one in ledger.history()] == ["issued"]
    assert [(one.certificate, one.version) for one in ledger.load(Hold)] == [
        ("mail", "1"),
        ("www", "1"),
        ("www", "2"),
    ]


def test_old_lines_go(ledger: Ledger) -> None:
    """After so long a line goes, of whatever certificate, when the next one is written."""
    day = 24 * 60
    ledger.append(happening("gone", "mail", -401 * day), happening("kept", "mail", -399 * day))
    assert [one.event for one in ledger.history()] == ["gone", "kept"]
    ledger.append(happening("new"))

    assert [one.event for one in ledger.history()] == ["kept", "new"]


def test_a_certificate_has_only_so_many_lines(ledger: Ledger) -> None:
    """One that fails all the time pushes out its own lines, nobody else's."""
    ledger.append(happening("dull", "mail", -1))
    ledger.append(*(happening(f"{number}", minutes=number) for number in range(KEPT_LINES)))
    assert len(ledger.history("www")) == KEPT_LINES
    ledger.append(happening("last", minutes=KEPT_LINES), happening("very last", minutes=KEPT_LINES))

    events = [one.event for one in ledger.history("www")]
    assert (len(events), events[0], events[-1]) == (KEPT_LINES, "2", "very last")
    assert [one.event for one in ledger.history("mail")] == ["dull"]


def test_renaming_takes_records_and_history_along(ledger: Ledger) -> None:
    """All that was known under the old name is known under the new one, and only there."""
    happened = Happening(at=NOW, host="web-1", run="r", certificate="old", event="renewed", details={"a": 1})
    ledger.save(hold("old", "1", "kept"), hold("old", "2"), hold("new", "1", "replaced"), hold("other", "1"))
    ledger.append(happened)

    ledger.rename("old", "new")
    ledger.rename("old", "new")

    assert ledger.load(Hold, "old") == []
    assert ledger.load(Hold, "new") == [hold("new", "1", "kept"), hold("new", "2")]
    assert ledger.load(Hold, "other") == [hold("other", "1")]
    assert ledger.history("new") == [msgspec.structs.replace(happened, certificate="new")]
    assert ledger.history("old") == []
