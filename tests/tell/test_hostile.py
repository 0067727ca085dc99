"""Words of strangers in a mail: names, issuers, hooks' output, errors. They are text, and nothing else."""

from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renewer.model.decision import Decision, Reason, Step
from renewer.model.desired import Email, Topic
from renewer.model.told import Matter
from renewer.notify.mail import compose, html
from renewer.notify.message import Message
from renewer.notify.writing import DETAILED, LISTED, About, Writer, text
from renewer.words import OUTPUT, SENTENCE
from tests.builders import DAY, HOUR, NOW
from tests.servers.certificates import ServerRoot
from tests.tell.conftest import Clock, MakeMail
from tests.tell.host import Host
from tests.tell.post_office import PostOffice, body

EVIL = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></td><iframe src=//evil.example>",
    "&lt;b&gt; &amp; <b>",
    "<a href='javascript:alert(1)'>click</a>",
    "{{ 7*7 }} {% include '/etc/passwd' %}",
    "a\r\nBcc: victim@example.net\r\n\r\nbody",
    "\x1b]0;owned\x07\x1b[2J\x9b31m",
    "\u202etxt.exe\u2066 \u200f",
    "\ud800 half a character",
    "x" * 100_000,
    "a\n" * 10_000,
    "\x00\x08\x7f",
]
CHANNEL = Email(
    name="ops",
    on=frozenset(Topic),
    to=("ops@example.org",),
    sender="renewer@web-1.example.org",
    server="localhost:25",
    escalate_to=("head@example.org",),
)
WRITER = Writer(host="web-1", run="20261122T120000Z-00000000", at=NOW, wake=HOUR)
ALLOWED = {
    *("html", "head", "meta", "title", "body", "p", "h2", "h3", "ul", "li"),
    *("div", "table", "tr", "th", "td", "pre"),
}


def message(said: str) -> Message:
    """One in which a stranger had every word that strangers can have."""
    matters = [
        Matter(
            certificate="www",
            topic=topic,
            subject=f"hook {number}",
            stage=3,
            not_after=NOW + 3 * DAY,
            since=NOW,
            text=said,
            hint=said,
            output=said,
        )
        for number, topic in enumerate((Topic.EXPIRING, Topic.FAILED, Topic.DEGRADED))
    ]
    decision = Decision(certificate="www", step=Step.ISSUE, reason=Reason.EXPIRED, because=said)
    about = About(names=(said,), served=(said,), decision=decision)
    return WRITER.message("ops", matters, {"www": about})


class Reader(HTMLParser):
    """Takes HTML apart as a mail program would."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Which elements there are, with which attributes."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        """What is shown."""
        self.text += data


def parts(mail: Any) -> tuple[str, str]:
    """The text and the HTML, as they arrive."""
    return tuple(mail.get_body((kind,)).get_content() for kind in ("plain", "html"))


@pytest.mark.parametrize("said", EVIL, ids=range(len(EVIL)))
def test_html_holds_no_element_but_ours(said: str) -> None:
    """A stranger's word makes no element, no attribute, and stays readable."""
    _, page = parts(compose(CHANNEL, message(said)))
    reader = Reader()
    reader.feed(page)

    assert reader.tags <= ALLOWED
    assert reader.attributes <= {"style", "charset", "name", "content", "lang"}
    readable = said.replace("\x1b", "").split()[0][:20] if said.isprintable() else ""
    assert readable in reader.text


@pytest.mark.parametrize("said", EVIL, ids=range(len(EVIL)))
def test_headers_are_ours(said: str) -> None:
    """No header more, none with a word of a stranger, no recipient that the config does not name."""
    mail = compose(CHANNEL, message(said))
    raw = mail.as_bytes()
    head = raw.partition(b"\r\n\r\n")[0]

    assert sorted({name.lower() for name in mail.keys()}) == sorted(  # noqa: SIM118  a mail is no mapping
        {
            *("from", "to", "cc", "subject", "date", "message-id", "in-reply-to", "references"),
            *("auto-submitted", "x-renewer-run", "importance", "mime-version", "content-type"),
        }
    )
    assert b"victim" not in head
    assert mail["Subject"] == "[renewer] www: expires in 3 days"
    assert (mail["To"], mail["Cc"]) == ("ops@example.org", "head@example.org")


@pytest.mark.parametrize("said", EVIL, ids=range(len(EVIL)))
def test_text_plays_no_tricks(said: str) -> None:
    """No control character, no turned writing; a stranger's sentence is one line, and bounded."""
    plain, page = parts(compose(CHANNEL, message(said)))
    for shown in (plain, page):
        controls = [c for c in shown if (ord(c) < 32 and c not in "\r\n\t") or 127 <= ord(c) < 160]
        assert controls == []
        assert not set(shown) & set("\u202e\u2066\u200f")
    assert "\nBcc:" not in plain
    assert len(plain) < 30 * SENTENCE + 9 * OUTPUT


@given(said=st.text(), subject=st.text())
@settings(max_examples=60, deadline=timedelta(seconds=2))
def test_any_text_becomes_a_mail(said: str, subject: str) -> None:
    """Whatever it is: it can be sent, and its headers are one line each."""
    told = WRITER.note("ops", subject, [said], entries=message(said).entries)
    raw = compose(CHANNEL, told).as_bytes()
    assert raw.partition(b"\r\n\r\n")[0].count(b"\r\nSubject:") == 1
    reader = Reader()
    reader.feed(html(told))
    assert reader.tags <= ALLOWED


def test_a_host_of_certificates_is_one_mail() -> None:
    """Five thousand: the most urgent at length, then a line each, then their number."""
    matters = [
        Matter(
            certificate=f"c{number:04}",
            topic=Topic.EXPIRING,
            subject="expiring",
            stage=30,
            not_after=NOW + 20 * DAY,
        )
        for number in range(5000)
    ]
    told = WRITER.message("ops", matters, {})
    lines = text(told).splitlines()

    assert told.subject == "5000 certificates; c0000: expires in 20 days"
    assert (len(told.entries), len(told.more)) == (DETAILED, LISTED + 1)
    assert f"  and {5000 - DETAILED - LISTED} more: see `renewer status`" in lines
    mail = compose(CHANNEL, told)
    assert max(len(line) for line in mail.as_bytes().splitlines()) <= 998  # RFC 5322 §2.1.1


def test_a_hooks_output_and_an_issuers_name_in_a_real_mail(
    host: Host, time: Clock, mail: MakeMail, office: PostOffice
) -> None:
    """From a hook that fails and from a stranger's certificate, by a real run, to a real mail server."""
    hook = host.root / "reload"
    hook.write_text(
        "#!/bin/sh\nprintf 'error: <img src=x onerror=alert(1)>\\r\\nBcc: victim@example.net\\n'; exit 1\n"
    )
    hook.chmod(0o755)
    stranger = ServerRoot("</td><script>alert(2)</script>").issue(
        host.root / "stranger", "x.example.net", valid_for=5 * DAY, not_before=time.moment - DAY
    )
    host.configure(
        mail(), f'[hook.reload]\nrun = "{hook}"\n', f'[watch.stranger]\nfile = "{stranger.cert}"\n'
    )
    text = host.path.read_text("utf-8")
    host.path.write_text(
        text.replace("[certificate.www]\n", '[certificate.www]\nhooks = ["reload"]\nendpoints = []\n')
    )
    host.install(not_before=time.moment, not_after=time.moment + 90 * DAY)
    host.run()
    time.advance(3 * DAY)
    host.run()
    pages = [body(one, "html") for one in office.mails]
    reader = Reader()
    reader.feed("".join(pages))

    assert office.subjects[0].startswith("www: fails")
    assert "<img src=x onerror=alert(1)>" in reader.text
    assert reader.tags <= ALLOWED
    assert {one.recipients for one in office.mails} == {("ops@example.org",)}
    assert [one["Bcc"] for one in office.mails] == [None] * len(office.mails)
