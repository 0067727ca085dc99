"""The door between main and a worker: frames both ways, and nothing else."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from renewer import clock, secrets
from renewer.decoding import UndecodableError
from renewer.errors import GiveUp, OurFault, RenewerError, RetryLater
from renewer.model.desired import Endpoint
from renewer.network.door import Asker, Door
from renewer.network.protocol import (
    FRAME,
    BreachError,
    Done,
    DoorMessage,
    Failed,
    Trust,
    frame,
    message,
    trusting,
)
from renewer.network.verify import Sight, Target
from renewer.network.verify.looks import Looks
from renewer.network.verify.messages import Look, Sights


class Question(DoorMessage):
    """What the tests ask."""

    text: str = ""


class Word(DoorMessage):
    """What a worker answers."""

    text: str


class Please(DoorMessage):
    """What a worker asks of main."""

    text: str


class Worker:
    """Answers as a test wants it to."""

    asks = Question

    def __init__(self, *answers: DoorMessage | RenewerError) -> None:
        self.answers = answers

    def answer(self, request: Any, main: Asker) -> Iterator[DoorMessage]:
        """What it was made with; the question decides what else happens."""
        if request.text == "note":
            main.note("odd")
        if request.text == "please":
            yield Word(text=main.ask(Please(text="sign"), Word).text)
        if request.text == "cancelled":
            yield Word(text=str(main.cancelled()))
        for one in self.answers:
            if isinstance(one, RenewerError):
                raise one
            yield one


def test_an_answer_comes_through_the_door() -> None:
    """What a worker says is what main gets, and a note beside it is told."""
    noted: list[str] = []
    door = Door[Word](Worker(Word(text="seen")), note=noted.append)
    assert door.ask(Question(text="note"), Word) == Word(text="seen")
    assert noted == ["odd"]


def test_an_error_keeps_what_is_decided_by() -> None:
    """Class, kind, names, moment and hint of an error cross; nothing of the worker's own does."""
    then = datetime(2026, 12, 1, tzinfo=UTC)
    said = GiveUp("no", hint="do", kind="caa", identifiers=(("a.example.org", "bad"),), not_before=then)
    said.local = True
    with pytest.raises(GiveUp) as caught:
        Door[Word](Worker(said)).ask(Question(), Word)
    got = caught.value
    assert got is not said
    assert (got.text, got.hint, got.kind, got.identifiers, got.not_before, got.local) == (
        *("no", "do", "caa", (("a.example.org", "bad"),), then),
        True,
    )


def test_what_a_worker_says_does_nothing_to_a_terminal_or_a_calendar() -> None:
    """Main cleans texts, and nobody waits for a moment that lies beyond a year or in no zone."""
    noted: list[str] = []
    said = RetryLater(
        "\x1b[2Jgone",
        hint="\u202e",
        identifiers=(("a\x00", "b\x07"),),
        not_before=datetime(9998, 1, 1, tzinfo=UTC),
    )
    with pytest.raises(RetryLater) as caught:
        Door[Word](Worker(said), note=noted.append).ask(Question(text="note"), Word)
    got = caught.value
    assert "\x1b" not in got.text
    assert got.text.endswith("gone")
    assert (got.hint, got.identifiers) == ("�", (("a�", "b�"),))
    assert got.not_before is not None
    assert got.not_before - clock.now() < timedelta(days=367)
    nowhere = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    with pytest.raises(UndecodableError):
        message(frame(1, Failed(sort="RetryLater", text="x", not_before=nowhere)), Failed)


def test_a_worker_asks_main_only_for_what_it_is_granted() -> None:
    """What only main can do is asked for by a message; where nothing is granted that is nonsense."""
    granting = Door[Word](Worker(), grants=Please, grant=lambda asked: Word(text=f"{asked.text}ed"))
    assert granting.ask(Question(text="please"), Word).text == "signed"
    with pytest.raises(RetryLater, match="never given"):
        Door[Word](Worker()).ask(Question(text="please"), Word)


@pytest.mark.parametrize("answers", [(), (Word(text="1"), Word(text="2")), (Please(text="what"),)])
def test_nonsense_ends_the_question(answers: tuple[DoorMessage, ...]) -> None:
    """No answer, two of them or one of another kind: tried again later, by a worker that is in its senses."""
    with pytest.raises(RetryLater, match="nonsense"):
        Door[Word](Worker(*answers)).ask(Question(), Word)


def test_cancelling_is_seen_by_the_worker() -> None:
    """Whoever is at work learns that nothing new is wanted."""
    stopping = threading.Event()
    door = Door[Word](Worker(), stopping=stopping)
    assert door.ask(Question(text="cancelled"), Word).text == "False"
    stopping.set()
    for _ in range(2):
        assert door.ask(Question(text="cancelled"), Word).text == "True"


def test_an_error_of_any_size_crosses() -> None:
    """What an authority says of a thousand names is cut, and never too large to be told."""
    said = tuple((f"{number}.example.org", "x" * 2000) for number in range(1000))
    with pytest.raises(RetryLater, match="xxx") as caught:
        Door[Word](Worker(RetryLater("x" * FRAME, hint="y" * FRAME, identifiers=said))).ask(Question(), Word)
    assert caught.value.identifiers[0][0] == "0.example.org"


def test_a_request_brings_what_may_be_asked_of_main() -> None:
    """A grant is for one request alone; who asks beyond it is not believed, also if it goes on regardless."""

    class Stubborn(Worker):
        def answer(self, request: Any, main: Asker) -> Iterator[DoorMessage]:
            try:
                yield from super().answer(request, main)
            except RenewerError:
                yield Word(text="all is well")

    def refuses(_: Any) -> DoorMessage:
        raise BreachError("not that", kind="worker")

    door = Door[Word](Stubborn(), grants=Please)
    asked = Question(text="please")
    assert door.ask(asked, Word, grant=lambda _: Word(text="signed")).text == "signed"
    with pytest.raises(BreachError, match="never given"):
        door.ask(asked, Word)
    with pytest.raises(BreachError, match="not that"):
        door.ask(asked, Word, grant=refuses)


def test_the_end_of_waiting_may_come_nearer() -> None:
    """The worker is told how many seconds its answer is waited for, and when there are fewer."""
    end = [clock.monotonic() + 9000]

    class Waiting(Worker):
        def answer(self, request: Any, main: Asker) -> Iterator[DoorMessage]:  # noqa: ARG002
            for _ in range(3):
                yield Word(text=f"{main.cancelled()} {main.until() - clock.monotonic()}")

    seen = []
    for word in Door[Word](Waiting()).ask_all(Question(), Word, until=lambda: end[0]):
        cancelled, left = word.text.split()
        seen.append((cancelled, round(float(left) / 1000)))
        end[0] -= 3000
    assert seen == [("False", 9), ("True", 6), ("True", 3)]
    assert Door[Word](Waiting()).ask_all(Question(), Word).__next__().text == "False inf"


def test_a_frame_is_bounded_and_checked() -> None:
    """What is too large is not sent; what is cut off, too long or of another version is not read."""
    with pytest.raises(OurFault, match="a message of"):
        frame(1, Word(text="x" * FRAME))
    whole = frame(7, Word(text="x"))
    assert message(whole, Word | Done) == (7, Word(text="x"))
    for broken in (b"", whole[:-1], whole + b" ", whole[:4] + b"\x02" + whole[5:], whole[:17] + b"\xff" * 20):
        with pytest.raises(UndecodableError):
            message(broken, Word | Done)


def test_looks_cross_as_they_are() -> None:
    """Hundreds of targets and their sights go through the door unchanged, some a message."""
    targets = tuple(
        Target(endpoint=Endpoint(server_name="a.example.org", port=port, host="127.0.0.1"))
        for port in range(1, 4)
    )
    sent: list[Sight] = []
    for answer in Door[Sights](Looks()).ask_all(Look(targets=targets, timeout=30.0), Sights):
        sent += answer.sights
    assert [one.address for one in sent] == ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]
    assert {one.endpoint for one in sent} == {one.endpoint for one in targets}
    assert all(one.error for one in sent)


def test_a_request_brings_who_hears_its_notes() -> None:
    """Two that wait at one door are each told what goes for them."""
    mine: list[str] = []
    others: list[str] = []
    door = Door[Word](Worker(), note=others.append)
    door.do(Question(text="note"), note=mine.append)
    assert (mine, others) == (["odd"], [])


def test_what_is_trusted_crosses_as_certificates(tmp_path: Path) -> None:
    """Of a bundle of any size the certificates go through the door, and nothing else that is in the file."""
    block = "-----BEGIN CERTIFICATE-----\n" + ("A" * 64 + "\n") * 400 + "-----END CERTIFICATE-----\n"
    key = block.replace("CERTIFICATE", "PRIVATE KEY")
    (tmp_path / "ca.pem").write_text("# ours\n" + block * 20 + key + block.replace("CERT", "X509 CERT"))
    roots = secrets.roots(str(tmp_path / "ca.pem"))
    assert (roots.count("BEGIN"), "KEY" in roots, "ours" in roots) == (21, False, False)
    shares = [message(frame(1, share), Trust)[1] for share in trusting(roots)]
    assert len(shares) > 1
    assert "".join(share.pem for share in shares) == roots
