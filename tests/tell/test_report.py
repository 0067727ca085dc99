"""Reports: what they say of a span, in each form; summaries, told once a period by a real mail server."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from renewer.ledger.contract import Happening
from renewer.model.desired import SummaryEvery
from renewer.model.facts import Standing
from renewer.report import forms, summary
from tests.agent import Agent
from tests.builders import DAY, HOST, HOUR, NOW
from tests.tell import fleet
from tests.tell.conftest import Clock, MakeMail
from tests.tell.host import Host
from tests.tell.post_office import PostOffice
from tests.tell.test_page import ATTACKS

SINCE = NOW - 30 * DAY


def _line(event: str, days_ago: float, certificate: str = "www", **details: object) -> Happening:
    return Happening(
        at=NOW - days_ago * DAY, host=HOST, run="r", certificate=certificate, event=event, details=details
    )


def _report(*lines: Happening, number: int = 2) -> summary.Summary:
    facts = [fleet.one(each, NOW, well=True) for each in range(number)]
    return summary.document(fleet.document(facts, NOW, watches=fleet.watches(NOW)), lines, SINCE, NOW)


HISTORY = (
    _line("renewed", 45, serial="01", took=9.0, margin=29 * 86400.0),
    _line("renewed", 20, serial="02", took=12.0, margin=30 * 86400.0, authority="letsencrypt"),
    _line("failed", 18, "mail", error="no answer"),
    _line("renewed", 10, "mail", serial="03", took=60.0, margin=21.5 * 86400.0),
    _line("recovered", 10, "mail", took=8 * 86400.0, error="no answer"),
    _line("failed", 2, "shop", error="hook nginx failed"),
    _line("rolled-back", 2, "shop", **{"from": "b", "to": "a", "error": "hook nginx failed"}),
)


def test_what_a_report_says() -> None:
    """The renewals of the span with their margins, the failures with their recoveries, what expires next."""
    found = _report(*HISTORY)

    assert [(one.certificate, one.serial, one.margin_days) for one in found.renewals] == [
        ("www", "02", 30.0),
        ("mail", "03", 21.5),
    ]
    assert [(one.certificate, one.took, one.recovered_at) for one in found.failures] == [
        ("mail", 8 * 86400.0, NOW - 10 * DAY),
        ("shop", None, None),
    ]
    assert [(one.certificate, one.to) for one in found.rolled_back] == [("shop", "a")]
    assert found.recovery == summary.Spread(least=691200.0, median=691200.0, most=691200.0)
    assert found.margin_days == summary.Spread(least=21.5, median=25.8, most=30.0)
    assert [one.name for one in found.nearest] == ["partner", "post", "mail", "www"]
    assert found.nearest[0].watched
    assert forms.headline(found) == "2 renewals, 2 failures, 1 of them not over; all is well"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([("failed", 40), ("recovered", 35)], [], id="over before the span"),
        pytest.param([("failed", 40), ("recovered", 5)], [True], id="begun before, ended inside"),
        pytest.param([("failed", 40)], [False], id="begun before, not over"),
        pytest.param([("recovered", 5)], [True], id="its begin is no longer known"),
        pytest.param([("failed", 9), ("recovered", 8), ("failed", 7)], [True, False], id="twice"),
        pytest.param([("failed", -1)], [], id="after the span"),
    ],
)
def test_which_failures_belong_to_a_span(lines: list[tuple[str, float]], expected: list[bool]) -> None:
    """All series that were open at some time in it; whether each has ended."""
    found = _report(*(_line(event, ago) for event, ago in lines))

    assert [one.recovered_at is not None for one in found.failures] == expected


def test_lines_of_another_release_do_no_harm() -> None:
    """Details that are missing or of another kind count as unknown."""
    odd = (_line("renewed", 3, took="long", margin=None), _line("recovered", 2, took=["x"]), _line("new", 1))
    found = _report(*odd)

    assert found.renewals[0].took is None
    assert found.recovery is None
    for form in forms.FORMS:
        assert forms.rendered(found, form)


def test_as_text() -> None:
    """Plain and aligned, for a terminal or a mail."""
    lines = forms.text(_report(*HISTORY)).splitlines()

    assert lines[0] == "Certificates on web-1, 23 Oct 2026, 12:00 UTC to 22 Nov 2026, 12:00 UTC"
    assert "Renewed 25.8 days before the old one ended (median); the latest 21.5." in lines
    assert "  when                    certificate  took        days to spare  serial" in lines
    assert "  2 Nov 2026, 12:00 UTC   www          12 seconds  30             02" in lines
    assert "  4 Nov 2026, 12:00 UTC   mail         after 8 days  no answer" in lines
    assert any("NOT YET" in line for line in lines)


def test_as_csv() -> None:
    """A row for everything that happened, that a spreadsheet reads."""
    rows = list(csv.DictReader(io.StringIO(forms.comma_separated(_report(*HISTORY)))))

    assert [(row["what"], row["certificate"]) for row in rows] == [
        ("renewed", "www"),
        ("renewed", "mail"),
        ("failed", "mail"),
        ("failed", "shop"),
        ("rolled-back", "shop"),
        ("expires", "partner"),
        ("expires", "post"),
        ("expires", "mail"),
        ("expires", "www"),
    ]
    assert rows[1] == {
        "what": "renewed",
        "certificate": "mail",
        "at": "2026-11-12T12:00:00Z",
        "seconds": "60",
        "margin_days": "21.5",
        "text": "03",
    }


@pytest.mark.parametrize("begin", ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(begin: str) -> None:
    """An error text that begins as a formula would be reckoned by the spreadsheet of who opens it."""
    text = forms.comma_separated(_report(_line("failed", 1, error=begin, certificate=begin)))
    (row,) = [row for row in csv.DictReader(io.StringIO(text)) if row["what"] == "failed"]

    for cell in (row["text"], row["certificate"]):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_as_json() -> None:
    """The document itself; text that is no Unicode is mended."""
    found = json.loads(forms.as_json(_report(*HISTORY, _line("failed", 1, error="half \udcff"))))

    assert set(found) == {
        *("schema", "at", "host", "since", "until", "certificates", "well", "renewals", "failures"),
        *("rolled_back", "recovery", "margin_days", "nearest"),
    }
    assert found["failures"][-1]["error"] == "half ?"
    assert found["since"] == "2026-10-23T12:00:00Z"


def test_hostile_text_is_text_in_html() -> None:
    """Whatever names and errors hold, the only elements are ours."""
    attack = " ".join(ATTACKS)
    text = forms.html(
        _report(
            _line("failed", 1, certificate=attack, error=attack),
            _line("renewed", 1, certificate=attack, serial=attack),
            _line("rolled-back", 1, certificate=attack, to=attack, error=attack),
        )
    )

    for element in (
        "<script",
        "<img",
        "<svg",
        "<iframe",
        "<style",
        "<meta http-equiv=refresh",
        "<base",
        "<a ",
    ):
        assert element not in text
    assert "&lt;script&gt;window.harmed = 1&lt;/script&gt;" in text
    assert text.count("default-src 'none'") == 1


# --- periods ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "week", "month"),
    [
        pytest.param(
            "2026-11-22T12:00", ("2026-11-09", "2026-11-16"), ("2026-10-01", "2026-11-01"), id="a Sunday"
        ),
        pytest.param(
            "2026-11-23T00:00", ("2026-11-16", "2026-11-23"), ("2026-10-01", "2026-11-01"), id="a Monday"
        ),
        pytest.param(
            "2027-01-01T00:00", ("2026-12-21", "2026-12-28"), ("2026-12-01", "2027-01-01"), id="new year"
        ),
        pytest.param(
            "2028-03-01T09:00", ("2028-02-21", "2028-02-28"), ("2028-02-01", "2028-03-01"), id="leap"
        ),
    ],
)
def test_periods(now: str, week: tuple[str, str], month: tuple[str, str]) -> None:
    """The last whole week and month, in UTC."""
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    for every, expected in ((SummaryEvery.WEEKLY, week), (SummaryEvery.MONTHLY, month)):
        since, until = summary.period(every, moment)
        assert (f"{since:%Y-%m-%d}", f"{until:%Y-%m-%d}") == expected
        assert summary.due(None, every, moment)
        assert summary.due(since, every, moment)
        assert not summary.due(until, every, moment)


# --- summaries and real runs --------------------------------------------------------------------------------


def test_a_summary_is_told_once_a_week(host: Host, time: Clock, mail: MakeMail, office: PostOffice) -> None:
    """By mail with text, HTML and CSV, into a file, on the first run after Monday; of real runs."""
    file = host.root / "summary.html"
    report = f'[report]\nsummary = "weekly"\nsummary_to = ["ops"]\nsummary_file = "{file}"\n'
    host.configure(mail(on='["degraded"]'), report)
    time.moment = datetime(2027, 1, 4, 6, tzinfo=UTC)  # a Monday
    host.install(not_before=time.moment - 61 * DAY, not_after=time.moment + 29 * DAY)
    host.run()
    first = len(office.mails)
    time.advance(DAY)
    host.install(not_before=time.moment, not_after=time.moment + 90 * DAY)
    for _ in range(5):
        host.run()
        time.advance(DAY)
    before_monday = len(office.mails)
    time.moment = datetime(2027, 1, 11, 0, 5, tzinfo=UTC)
    host.run()
    time.advance(HOUR)
    host.run()

    assert (first, before_monday, len(office.mails)) == (1, 1, 2)
    told = office.mails[1]
    assert str(told["Subject"]).startswith("[renewer] report: 1 renewal, 1 failure; all is well")
    plain, page, table = (part.get_content() for part in told.walk() if not part.is_multipart())
    assert "Certificates on web-1, 4 Jan 2027, 00:00 UTC to 11 Jan 2027, 00:00 UTC" in plain
    assert "Renewed 28 days before the old one ended (median); the latest 28." in plain
    assert page.startswith("<!doctype html>")
    assert table.splitlines()[1].startswith("renewed,www,2027-01-05T06:00:00Z,")
    assert "1 renewal, 1 failure; all is well" in file.read_text("utf-8")
    assert file.stat().st_mode & 0o777 == 0o644


def test_a_summary_that_is_refused_goes_out_later(
    host: Host, time: Clock, mail: MakeMail, office: PostOffice
) -> None:
    """The run goes on and says so; the next one tells it, once."""
    host.configure(mail(on='["degraded"]'), '[report]\nsummary = "monthly"\n')
    host.install(not_before=time.moment - DAY, not_after=time.moment + 89 * DAY)
    office.refusing = True
    refused = host.run()
    time.advance(HOUR)
    office.refusing = False
    taken = host.run()
    time.advance(HOUR)
    host.run()

    assert any("the summary did not go out by ops" in finding for finding in refused.findings)
    assert "come back later" in " ".join(refused.findings)
    assert taken.findings == ()
    assert len(office.subjects) == 1


def test_history_comes_from_real_runs(host: Host, time: Clock) -> None:
    """Failing for a week, then renewed: a failure, a recovery, a renewal with its margin, no more."""
    host.configure()
    end = time.moment + 27 * DAY
    host.install(not_before=end - 90 * DAY, not_after=end)
    for _ in range(7):
        host.run()
        time.advance(DAY)
    host.install(not_before=time.moment, not_after=time.moment + 90 * DAY)
    for _ in range(3):
        host.run()
        time.advance(HOUR)
    ledger = host.ledger()
    lines, standing = ledger.history(), ledger.load(Standing)
    ledger.close()

    assert [line.event for line in lines] == ["failed", "renewed", "recovered"]
    assert lines[1].details["margin"] == timedelta(days=20).total_seconds()
    assert lines[2].details["took"] == timedelta(days=7).total_seconds()
    assert [(one.failing_since, one.renewed_at) for one in standing] == [(None, time.moment - 3 * HOUR)]
    assert [line["event"] for line in host.log() if line["event"] in ("renewed", "recovered")] == [
        "renewed",
        "recovered",
    ]


def test_a_run_with_nothing_due_writes_no_history(host: Host, time: Clock) -> None:
    """Neither a line nor a record: the table is as it was."""
    host.configure()
    host.install(not_before=time.moment - DAY, not_after=time.moment + 89 * DAY)
    host.run()

    def written() -> tuple[object, ...]:
        ledger = host.ledger()
        found = (ledger.history(), ledger.load(Standing))
        ledger.close()
        return found

    before = written()
    time.advance(HOUR)
    host.run()

    assert written() == before


# --- the command --------------------------------------------------------------------------------------------


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """An agent whose authority is out of reach, after a run."""
    made = Agent(
        tmp_path,
        {
            "authority.test": {"directory": "https://127.0.0.1:9/directory", "agree_terms": True},
            "certificate.www": {
                "names": ["www.example.org"],
                "authority": "test",
                "challenge": {"type": "http-01", "webroot": tmp_path},
            },
        },
    )
    made.cli("run")
    return made


def test_the_command_in_every_form(agent: Agent) -> None:
    """On the screen, and into files whose names say the form."""
    document: Any = agent.json("report", "--since", "2h")
    page, table = agent.directory / "report.html", agent.directory / "report.csv"

    assert [one["certificate"] for one in document["failures"]] == ["www"]
    assert "no renewals, 1 failure, 1 of them not over" in agent.cli("report").out.lower()
    assert agent.cli("report", "--out", str(page)).code == 0
    assert agent.cli("report", "--out", str(table)).code == 0
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert table.read_text("utf-8").startswith("what,certificate,at,")
    assert json.loads(agent.cli("report", "--format", "json").out)["schema"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--since", "yesterday"), 2, "is not a duration"),
        (("--since", "500d"), 2, "out of bounds"),
        (("--mail",), 2, "sends mail"),
        (("--out", "/nowhere/report.txt"), 1, "No such file or directory"),
        (("--format", "pdf"), 2, "pdf"),
    ],
)
def test_what_the_command_refuses(agent: Agent, arguments: tuple[str, ...], code: int, said: str) -> None:
    """With a sentence, and nothing done."""
    ended = agent.cli("report", *arguments)

    assert (ended.code, said in ended.err) == (code, True), ended.err
