"""A certificate that cannot be renewed for thirty days, told to a real mail server."""

from datetime import timedelta

import pytest

from renewer.model.told import Notice
from renewer.notify.writing import Writer
from tests.tell.conftest import Clock, MakeMail
from tests.tell.host import Host
from tests.tell.post_office import PostOffice, body

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
STEP = 6 * HOUR


def days_left(subject: str) -> str:
    """What a subject says of the time."""
    return subject.partition(": ")[2]


def fail_for(host: Host, time: Clock, span: timedelta) -> None:
    """Runs, and nobody can renew."""
    end = time.moment + span
    while time.moment < end:
        host.run()
        time.advance(STEP)


def test_exactly_the_notices_that_policy_says(
    host: Host, time: Clock, mail: MakeMail, office: PostOffice
) -> None:
    """Healthy silence; the failure; 30, 15, 7, 3, 2, 1 days; expired, daily; well again. Each once."""
    host.wake = "6h"
    host.configure(mail(escalate_to='["head@example.org"]'))
    end = time.moment + 32 * DAY
    host.install(not_before=end - 90 * DAY, not_after=end)
    host.run()
    time.advance(HOUR)
    host.run()
    assert office.subjects == []  # 32 days left: due in two days, and all is well
    time.moment = end - 30 * DAY
    fail_for(host, time, 32 * DAY)
    host.install(not_before=time.moment, not_after=time.moment + 90 * DAY)
    host.run()
    time.advance(HOUR)
    host.run()

    assert [days_left(one) for one in office.subjects] == [
        "fails, 29 days left",
        "expires in 28 days",
        "expires in 15 days",
        "expires in 7 days",
        "expires in 3 days",
        "expires in 2 days",
        "expires in 24 hours",
        "EXPIRED 0 seconds ago",
        "EXPIRED 24 hours ago",
        "well again, good for 90 days",
    ]
    told_too = [mail["Subject"].partition(": ")[2] for mail in office.mails if "head@" in str(mail["Cc"])]
    assert told_too == [days_left(one) for one in office.subjects[3:9]]
    assert {mail.recipients for mail in office.mails} == {
        ("ops@example.org",),
        ("ops@example.org", "head@example.org"),
    }
    assert all(mail.secured for mail in office.mails)
    assert len({mail["Message-ID"] for mail in office.mails}) == len(office.mails)
    assert {mail["References"] for mail in office.mails} == {"<renewer.www.web-1@web-1.example.org>"}


def test_nothing_is_lost_while_the_server_refuses(
    host: Host, time: Clock, mail: MakeMail, office: PostOffice
) -> None:
    """From 16 to 12 days before the end it takes nothing: the notice due at 15 comes at 12, and only once."""
    host.wake = "6h"
    host.configure(mail())
    end = time.moment + 20 * DAY
    host.install(not_before=end - 90 * DAY, not_after=end)
    fail_for(host, time, 4 * DAY)
    office.refusing = True
    fail_for(host, time, 4 * DAY)
    assert [one for one in host.log("notice") if "451" in one["text"]] != []
    refused = office.attempts
    office.refusing = False
    fail_for(host, time, 6 * DAY)

    assert refused > 3
    assert [days_left(one) for one in office.subjects] == [
        "expires in 20 days",  # overdue from the first run on: the stage of 30, and with it the failure
        "expires in 12 days",
        "expires in 7 days",
    ]
    told = [(one["topic"], one.get("stage")) for one in host.log("told")]
    assert told == [("expiring", 30), ("failed", 1), ("expiring", 15), ("expiring", 7)]


def test_a_message_says_all_that_a_reader_needs(
    host: Host, time: Clock, mail: MakeMail, office: PostOffice
) -> None:
    """Which, which names, how long, what failed since when, what the agent does, what to do and to type."""
    host.configure(mail())
    end = time.moment + 5 * DAY
    host.install(not_before=end - 90 * DAY, not_after=end)
    host.run()
    (one,) = office.mails
    said = body(one)

    assert one["Subject"] == "[renewer] www: expires in 5 days"
    for words in (
        "www: expires in 5 days",
        "example.org, www.example.org",
        f"{end:%Y-%m-%d %H:%M:%SZ}",
        "nowhere: ",
        f"(since {time.moment:%Y-%m-%d %H:%M:%SZ})",
        "orders it again at ",
        f"renewer --config {host.path} run --only www",
        f"renewer --config {host.path} ack www --until 3d",
        "renewer on web-1, run ",
    ):
        assert words in said.replace("\n" + " " * 14, " "), words
    assert one["Auto-Submitted"] == "auto-generated"
    run = host.log("run-finished")[0]["run"]
    assert one["X-Renewer-Run"] == run
    ledger = host.ledger()
    assert {notice.run for notice in ledger.load(Notice) if notice.certificate} == {run}
    ledger.close()
    assert {line["run"] for line in host.log("told")} == {run}


def test_renewals_are_told_once_and_kept_for_a_server_that_refuses(
    host: Host, time: Clock, mail: MakeMail, office: PostOffice
) -> None:
    """What was there before the channel is no news; what comes is told, by the first run that can."""
    host.install(not_before=time.moment - 50 * DAY, not_after=time.moment + 40 * DAY)
    host.configure(mail())
    host.run()
    time.advance(HOUR)
    host.install(not_before=time.moment, not_after=time.moment + 90 * DAY)
    office.refusing = True
    for _ in range(3):
        host.run()
        time.advance(DAY)
    office.refusing = False
    for _ in range(3):
        host.run()
        time.advance(HOUR)

    assert office.subjects == ["www: renewed, good for 87 days"]


def test_many_certificates_are_one_mail(host: Host, time: Clock, mail: MakeMail, office: PostOffice) -> None:
    """The most urgent first; and it tells how the others are reached."""
    tables = [
        f'[certificate.{name}]\nnames = ["{name}.example.org"]\nauthority = "nowhere"\n'
        f'challenge = {{ type = "http-01", webroot = "{host.root}", preflight = "off" }}\n'
        for name in ("a", "b")
    ]
    host.configure(mail(), *tables)
    for name, days in (("www", 20), ("a", 5), ("b", 12)):
        end = time.moment + days * DAY
        host.install(name, not_before=end - 90 * DAY, not_after=end)
    host.run()

    assert office.subjects == ["3 certificates; a: expires in 5 days"]
    said = body(office.mails[0])
    order = [said.index(f"{name}: expires in") for name in ("a", "b", "www")]
    assert order == sorted(order)
    assert office.mails[0]["References"].split() == [
        f"<renewer.{name}.web-1@web-1.example.org>" for name in ("a", "b", "www")
    ]


def test_an_authority_that_answers_again_is_not_told_of(
    host: Host, time: Clock, mail: MakeMail, office: PostOffice
) -> None:
    """Two failures in a healthy time are nobody's business."""
    host.configure(mail())
    end = time.moment + 30 * DAY - 5 * HOUR
    host.install(not_before=end - 90 * DAY, not_after=end)
    host.run()
    time.advance(HOUR / 2)
    host.run()
    host.install(not_before=time.moment, not_after=time.moment + 90 * DAY)
    host.run()

    assert office.subjects == ["www: renewed, good for 90 days"]


def test_a_defect_in_telling_ends_no_run(
    host: Host, time: Clock, mail: MakeMail, office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a finding, with its trace in the log; the next run tells."""
    host.configure(mail())
    end = time.moment + 5 * DAY
    host.install(not_before=end - 90 * DAY, not_after=end)
    with monkeypatch.context() as broken:
        broken.setattr(Writer, "message", lambda *_: 1 / 0)
        report = host.run()
    assert report.findings == (
        "notices could not be told: a defect of this program: ZeroDivisionError: division by zero",
    )
    assert [line for line in host.log("notice") if "ZeroDivisionError" in line.get("trace", "")] != []
    assert host.log("run-finished") != []
    host.run()
    assert office.subjects == ["www: expires in 5 days"]
