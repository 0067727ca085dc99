"""The solver: a zone in one call, debris that names the value, nothing removed that is not ours."""

import re
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec
import pytest

from renewer.errors import GiveUp, RetryLater
from renewer.issue import leftover, providers
from renewer.issue.dns01 import Dns01Solver
from renewer.issue.solvers import solver_for, sweep
from renewer.model.desired import Dns01, Http01, Propagation
from renewer.model.dns_options import BUILT_IN, Option, Rules, Sort, option_faults
from renewer.model.dns_provider import TxtRecord
from renewer.model.facts import Debris
from renewer.network.providers import duty
from tests.challenges.dns01.bed import BIND, BIND_ZONE, KNOT, KNOT_ZONE, OTHERS, Bed, tasks
from tests.servers.nameserver import all_txt, txt_at

VALUE = "V" * 43


class Recorder:
    """A provider that writes down what it is told, and can refuse."""

    rules: ClassVar[Rules] = Rules(options=(Option(name="token", required=True),))
    needs_zone = True
    calls: ClassVar[list[tuple[str, str, int]]] = []
    refuse: ClassVar[dict[str, Exception]] = {}

    def __init__(self, challenge: Dns01) -> None:
        self.challenge = challenge

    def add(self, zone: str, records: Sequence[TxtRecord]) -> None:
        """Write it down."""
        self.calls.append(("add", zone, len(records)))
        if zone in self.refuse:
            raise self.refuse[zone]

    def remove(self, zone: str, records: Sequence[TxtRecord]) -> None:
        """Write it down."""
        self.calls.append(("remove", zone, len(records)))
        if zone in self.refuse:
            raise self.refuse[zone]

    def close(self) -> None:
        """Write it down."""
        self.calls.append(("close", "", 0))


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> type[Recorder]:
    """The provider `recorder`, as another package would ship it."""

    class Point:
        @staticmethod
        def load() -> type[Recorder]:
            return Recorder

    monkeypatch.setattr(
        duty,
        "entry_points",
        lambda *, group, name: [Point] if (group, name) == (duty.GROUP, "recorder") else [],
    )
    monkeypatch.setattr(Recorder, "calls", [])
    monkeypatch.setattr(Recorder, "refuse", {})
    return Recorder


def recording(bed: Bed, **options: Any) -> Dns01Solver:
    """A solver with that provider."""
    challenge = Dns01(
        provider="recorder",
        options=tuple(({"token": "x"} | options).items()),
        propagation=Propagation(resolvers=(bed.resolver_address,)),
    )
    solver = solver_for(challenge)
    assert isinstance(solver, Dns01Solver)
    return solver


NAMES = (BIND_ZONE, f"*.{BIND_ZONE}", f"a.{BIND_ZONE}", KNOT_ZONE, f"via.{BIND_ZONE}")


@pytest.mark.real
def test_one_call_a_zone(bed: Bed, recorder: type[Recorder]) -> None:
    """Whatever the order of the names, a provider hears of each zone once to add and once to remove."""
    solver = recording(bed)
    solver.present_all(tasks(*NAMES))
    solver.clean_up_all(tasks(*NAMES))
    solver.close()
    solver.close()
    assert sorted(recorder.calls[:2]) == [("add", BIND_ZONE, 3), ("add", KNOT_ZONE, 2)]
    assert sorted(recorder.calls[2:4]) == [("remove", BIND_ZONE, 3), ("remove", KNOT_ZONE, 2)]


@pytest.mark.real
def test_failures_name_their_names(bed: Bed, recorder: type[Recorder]) -> None:
    """What a provider refuses is told with the names of that zone only; final beats passing."""
    recorder.refuse[KNOT_ZONE] = RetryLater("the provider is asleep", hint="wake it")
    solver = recording(bed)
    with pytest.raises(RetryLater) as later:
        solver.present_all(tasks(*NAMES))
    assert {name for name, _ in later.value.identifiers} == {KNOT_ZONE, f"via.{BIND_ZONE}"}
    recorder.refuse[BIND_ZONE] = GiveUp("no such customer", hint="pay")
    with pytest.raises(GiveUp, match="no such customer; the provider is asleep") as final:
        solver.present_all(tasks(*NAMES))
    assert final.value.hint == "pay; wake it"
    left = solver.clean_up_all(tasks(*NAMES))
    assert len(left) == len(NAMES)
    assert all("no such customer" in one.detail or "asleep" in one.detail for one in left)


@pytest.mark.real
def test_provider_that_breaks(bed: Bed, recorder: type[Recorder]) -> None:
    """Whatever a provider of others raises is told as a failure; what it may have left is on record."""
    recorder.refuse[BIND_ZONE] = ZeroDivisionError("oh")
    solver = recording(bed)
    with pytest.raises(RetryLater, match=r"broke at the zone bind\.example: ZeroDivisionError: oh"):
        solver.present_all(tasks(*NAMES))
    assert len(solver.clean_up_all(tasks(*NAMES))) == 3


@pytest.mark.real
def test_unknown_zone_publishes_nothing(bed: Bed, recorder: type[Recorder]) -> None:
    """If one name has no place, nothing is published for the others either, and it is named."""
    with pytest.raises(GiveUp, match="circle") as caught:
        recording(bed).present_all(tasks(BIND_ZONE, f"loop.{BIND_ZONE}"))
    assert [name for name, _ in caught.value.identifiers] == [f"loop.{BIND_ZONE}"]
    assert recorder.calls == []


@pytest.mark.real
def test_provider_that_needs_no_zone(
    bed: Bed, recorder: type[Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that needs no zone works also where none can be found."""
    monkeypatch.setattr(recorder, "needs_zone", False)
    solver = recording(bed)
    (presented,) = solver.present_all(tasks(f"loop.{BIND_ZONE}"))
    assert presented.where.startswith(f"_acme-challenge.loop.{BIND_ZONE} TXT ")
    assert recorder.calls == [("add", "", 1)]


@pytest.mark.usefixtures("recorder")
def test_options_of_others() -> None:
    """The options of a provider of others are checked by its own rules before it is made."""
    with pytest.raises(GiveUp, match="token is missing"):
        providers.make(Dns01(provider="recorder"))
    with pytest.raises(GiveUp, match="tokn is not an option"):
        providers.make(Dns01(provider="recorder", options=(("token", "x"), ("tokn", "y"))))
    with pytest.raises(GiveUp, match="no provider 'nobody'"):
        providers.make(Dns01(provider="nobody"))


def test_provider_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever another package's module does when it is imported, it is told and not a crash."""

    class Point:
        @staticmethod
        def load() -> None:
            raise ZeroDivisionError("oh")

    monkeypatch.setattr(duty, "entry_points", lambda **_: [Point])
    with pytest.raises(GiveUp, match="cannot be used: ZeroDivisionError: oh"):
        providers.make(Dns01(provider="broken"))


def test_ours_are_declared() -> None:
    """Each provider of the table is an entry point of the project, has rules, and can be loaded."""
    import tomllib
    from pathlib import Path

    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    declared = project["project"]["entry-points"][duty.GROUP]
    assert declared.pop("script") == "renewer.provisioning.dns_script:ScriptProvider"
    assert declared == duty.OURS
    assert {*duty.OURS, "script"} == set(BUILT_IN)
    for name in duty.OURS:
        assert duty.factory(name).rules == BUILT_IN[name]


def test_rules_of_options() -> None:
    """Sorts and choices are looked at; open rules let unknown names through."""
    rules = Rules(
        options=(
            Option(name="a", sort=Sort.LIST),
            Option(name="b", choices=("x", "y")),
            Option(name="c", sort=Sort.REFERENCE),
            Option(name="d", sort=Sort.TEXT_OR_REFERENCE),
        ),
        open=True,
    )
    wrong = option_faults(rules, (("a", "text"), ("b", "z"), ("c", "text"), ("d", "text"), ("e", "text")))
    assert [(name, hint) for name, _, hint in wrong] == [("a", ""), ("b", "one of: x, y"), ("c", "")]


@pytest.mark.real
def test_threads_share_a_zone(bed: Bed) -> None:
    """Several certificates at once in one zone: every value is there, and all are gone afterwards."""
    solver = bed.solver()
    groups = [
        tasks(f"t{number}.{BIND_ZONE}", f"*.t{number}.{BIND_ZONE}", run=f"t{number}") for number in range(6)
    ]
    errors: list[BaseException] = []

    def work(group: Any) -> None:
        try:
            solver.wait(solver.present_all(group), errors.append)  # type: ignore[arg-type]
            assert solver.clean_up_all(group) == []
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=work, args=(group,)) for group in groups]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert all_txt(BIND, bed.port, BIND_ZONE) == {(f"_acme-challenge.{BIND_ZONE}", OTHERS)}


@pytest.mark.real
def test_debris_is_swept_by_another_process(bed: Bed) -> None:
    """What a killed run recorded is enough to remove exactly its values, also beside those of others."""
    ours = tasks(BIND_ZONE, f"*.{BIND_ZONE}", KNOT_ZONE, run="killed")
    challenges = [bed.challenge(BIND), bed.challenge(KNOT)]
    killed = [bed.solver(BIND), bed.solver(KNOT)]
    records = [
        debris
        for solver, some in zip(killed, (ours[:2], ours[2:]), strict=True)
        for task in some
        if (debris := solver.debris_of(task))
    ]
    killed[0].present_all(ours[:2])
    killed[1].present_all(ours[2:])
    assert len(txt_at(BIND, bed.port, f"_acme-challenge.{BIND_ZONE}")) == 3
    solvers = [*map(solver_for, challenges), solver_for(Http01(webroot="/nowhere"))]
    assert [sweep(record, solvers) for record in records] == [True] * 3
    assert txt_at(BIND, bed.port, f"_acme-challenge.{BIND_ZONE}") == {OTHERS}
    assert txt_at(KNOT, bed.port, f"_acme-challenge.{KNOT_ZONE}") == set()


@pytest.mark.real
@pytest.mark.parametrize(
    "changes",
    [
        {"where": f"www.{BIND_ZONE} TXT v=spf1"},
        {"where": f"www.{BIND_ZONE} TXT {VALUE} {VALUE}"},
        {"where": f"www.elsewhere.example TXT {VALUE}"},
        {"where": f"*.{BIND_ZONE} TXT {VALUE}"},
        {"what": "something else"},
        {"detail": "zone=bind.example"},
        {"detail": "nothing"},
    ],
)
def test_strange_records_remove_nothing(bed: Bed, recorder: type[Recorder], changes: dict[str, str]) -> None:
    """A record that does not look like ours in every part leads to no change anywhere."""
    good = Debris(
        certificate="www",
        what=leftover.DEBRIS,
        where=f"www.{BIND_ZONE} TXT {VALUE}",
        at=datetime(2026, 11, 22, tzinfo=UTC),
        detail=f"zone={BIND_ZONE} provider=recorder asked=_acme-challenge.www.{BIND_ZONE}",
    )
    solver = recording(bed)
    assert solver.sweep(good)
    assert recorder.calls == [("remove", BIND_ZONE, 1)]
    assert solver.sweep(msgspec.structs.replace(good, **changes))
    assert len(recorder.calls) == 1


@pytest.mark.real
def test_what_cannot_be_swept_stays_on_record(bed: Bed, recorder: type[Recorder]) -> None:
    """A provider that refuses is asked once a zone and run, and the record stays for the next one."""
    recorder.refuse[BIND_ZONE] = RetryLater("asleep")
    solver = recording(bed)
    records = [debris for task in tasks(*NAMES[:3]) if (debris := solver.debris_of(task))]
    assert [sweep(record, [solver]) for record in records] == [False] * 3
    assert recorder.calls == [("remove", BIND_ZONE, 1)]
    assert not sweep(records[0], [bed.solver()])  # that one has another provider
    assert not sweep(records[0], [])


def test_value() -> None:
    """The value is the base64url of the SHA-256 of the key authorization (RFC 8555 §8.4)."""
    from renewer.issue.dns01 import value_of

    (task,) = tasks("example.org")
    value = value_of(msgspec.structs.replace(task, key_authorization="abc"))
    assert value == "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", value)
