"""Channels, watches and reports: what the config makes of them, and what it refuses."""

from pathlib import Path

import pytest

from renewer.model.desired import (
    Apprise,
    Email,
    Endpoint,
    MailSecurity,
    Program,
    Report,
    Secret,
    SecretSource,
    Starttls,
    SummaryEvery,
    Topic,
    Watch,
    Webhook,
)
from tests.config.conftest import HEAD, WWW, Faulty, Load, Write

MAIL = '[notify.ops]\ntype = "email"\nto = ["ops@example.org"]\nfrom = "renewer@web-1.example.org"\n'
SERVER = MAIL + 'server = "smtp.example.org"\n'
SECRET = Secret(source=SecretSource.FILE, argument=("/s",))
ALL = frozenset(Topic)


def test_a_mail_channel_is_read(loaded: Load) -> None:
    """STARTTLS on 587 and all topics unless it says otherwise."""
    config = loaded(HEAD + WWW + SERVER)

    assert config.channels == {
        "ops": Email(
            name="ops",
            on=ALL,
            to=("ops@example.org",),
            sender="renewer@web-1.example.org",
            server="smtp.example.org:587",
        )
    }


@pytest.mark.parametrize(
    ("given", "server", "security"),
    [
        ('server = "mail.example.org"\nsecurity = "tls"', "mail.example.org:465", MailSecurity.TLS),
        ('server = "localhost"\nsecurity = "plain"', "localhost:25", MailSecurity.PLAIN),
        ('server = "[::1]:2525"\nsecurity = "plain"', "[::1]:2525", MailSecurity.PLAIN),
        ('server = "127.0.0.2:2525"\nsecurity = "plain"', "127.0.0.2:2525", MailSecurity.PLAIN),
    ],
)
def test_each_way_to_a_mail_server_has_its_port(
    loaded: Load, given: str, server: str, security: MailSecurity
) -> None:
    """The usual port of each, or the one that is given."""
    channel = loaded(HEAD + WWW + MAIL + given).channels["ops"]

    assert isinstance(channel, Email)
    assert (channel.server, channel.security) == (server, security)


def test_the_other_channels_are_read(loaded: Load) -> None:
    """A webhook, apprise and a program, with all they can say."""
    config = loaded(
        HEAD
        + WWW
        + '[notify.a]\ntype="webhook"\nurl={file="/s"}\nsecret={file="/s"}\nca_bundle="/ca"\non=["failed"]\n'
        + '[notify.b]\ntype="apprise"\nurls=[{file="/s"}]\nescalate_to=[{file="/s"}]\n'
        + '[notify.c]\ntype="command"\nrun=["/bin/tell","x"]\ntimeout="5s"\nenv={ROOM="ops"}\n'
    )

    assert list(config.channels.values()) == [
        Webhook(name="a", on=frozenset({Topic.FAILED}), url=SECRET, secret=SECRET, ca_bundle="/ca"),
        Apprise(name="b", on=ALL, urls=(SECRET,), escalate_to=(SECRET,)),
        Program(name="c", on=ALL, run=("/bin/tell", "x"), timeout=5.0, env=(("ROOM", "ops"),)),
    ]


def test_watches_and_reports_are_read(loaded: Load) -> None:
    """Any port, any file; the host's own name is asked for unless the table says otherwise."""
    config = loaded(
        HEAD
        + WWW
        + SERVER
        + '[watch.a]\nendpoint = "mail.example.net:993"\nnotify = ["ops"]\n'
        + '[watch.b]\nendpoint = { host = "127.0.0.1", server_name = "x.example.net", starttls = "imap" }\n'
        + '[watch.c]\nfile = "/etc/ssl/c.pem"\n'
        + '[watch.d]\nendpoint = "192.0.2.7"\nroots = "any"\n'
        + '[report]\nmetrics = "/m/renewer.prom"\npage = "/w/index.html"\nheartbeat = {file = "/s"}\n'
    )

    assert list(config.watches.values()) == [
        Watch(name="a", endpoint=Endpoint(server_name="mail.example.net", port=993), notify=("ops",)),
        Watch(
            name="b",
            endpoint=Endpoint(
                server_name="x.example.net", port=143, host="127.0.0.1", starttls=Starttls.IMAP
            ),
        ),
        Watch(name="c", file="/etc/ssl/c.pem"),
        Watch(name="d", endpoint=Endpoint(server_name="192.0.2.7"), roots="any"),
    ]
    assert config.report == Report(metrics="/m/renewer.prom", page="/w/index.html", heartbeat=SECRET)


def test_a_certificate_names_its_channels(loaded: Load) -> None:
    """From its own table or from [defaults]; none named means all of them."""
    text = HEAD + 'notify = ["ops"]\n' + WWW + '[certificate.b]\nnames = ["b.example.org"]\nnotify = []\n'
    config = loaded(text + SERVER)

    assert [wish.notify for wish in config.certificates.values()] == [("ops",), ()]


def test_included_files_may_hold_channels_and_watches(write: Write, loaded: Load) -> None:
    """Fifty watches need not be one file; what is reported stands in the main file."""
    write(SERVER + '[watch.c]\nfile = "/etc/ssl/c.pem"\n', "conf.d/more.toml")
    config = loaded('include = ["conf.d/*.toml"]\n' + HEAD + WWW)

    assert (list(config.channels), list(config.watches)) == (["ops"], ["c"])


CASES = [
    ('[notify.x]\nto = ["a@b.c"]', "notify.x.type", "is missing", 'type = "email"'),
    ('[notify.x]\ntype = "emial"', "notify.x.type", "is not a type of channel", "'email'"),
    ('[notify.x]\ntype = "email"\nfrom = "a@b.c"', "notify.x.to", "is missing", "ops@example.org"),
    (MAIL, "notify.ops.server", "exactly one of server and sendmail", "smtp.example.org"),
    (SERVER + 'sendmail = "/s"', "notify.ops.server", "exactly one of", ""),
    (MAIL + 'sendmail = "/s"\nsecurity = "tls"', "notify.ops.security", "goes with server", "take it out"),
    (MAIL + 'sendmail = "s"', "notify.ops.sendmail", "absolute path", ""),
    (SERVER + 'security = "plain"', "notify.ops.server", "is not a loopback address", ""),
    (SERVER + 'security = "ssl"', "notify.ops.security", "not allowed", ""),
    (SERVER + 'username = "x"', "notify.ops.password", "go together", ""),
    (SERVER + 'password = "x"', "notify.ops.password", "must not stand in the configuration", "{ file ="),
    (SERVER + 'username = "a\\nb"\npassword = {file="/s"}', "notify.ops.username", "control characters", ""),
    (SERVER + 'escalate_to = ["x"]', "notify.ops.escalate_to[0]", "not an e-mail address", ""),
    (SERVER + 'escalate_to = ["a@b.c\\nBcc: d@e.f"]', "notify.ops.escalate_to[0]", "", ""),
    (SERVER + "on = []", "notify.ops.on", "is empty", ""),
    (SERVER + 'on = ["expired"]', "notify.ops.on[0]", "not allowed", "expiring"),
    (MAIL + 'server = "*.example.org"', "notify.ops.server", "no host that can be asked", ""),
    ('[notify.x]\ntype="email"\nto=[]\nfrom="a@b.c"\nserver="x.y"', "notify.x.to", "is empty", ""),
    ('[notify.x]\ntype="email"\nto=["a@b.c"]\nfrom="a"\nserver="x.y"', "notify.x.from", "not an e-mail", ""),
    ('[notify.x]\ntype = "webhook"', "notify.x.url", "is missing", "{ file ="),
    ('[notify.x]\ntype = "webhook"\nurl = "https://x/"', "notify.x.url", "a secret must not", "file"),
    ('[notify.x]\ntype = "apprise"\nurls = []', "notify.x.urls", "is empty", ""),
    ('[notify.x]\ntype = "apprise"\nurls = ["json://x"]', "notify.x.urls[0]", "a secret must not", ""),
    ('[notify.x]\ntype = "command"\nrun = []', "notify.x.run", "absolute path", ""),
    ('[notify.x]\ntype = "command"\nrun = ["tell"]', "notify.x.run", "absolute path", ""),
    ('[notify.x]\ntype="command"\nrun=["/t"]\ntimeout="1h"', "notify.x.timeout", "out of bounds", ""),
    ('[notify.x]\ntype="command"\nrun=["/t"]\nenv={"A B"="x"}', 'notify.x.env."A B"', "variable's name", ""),
    ('[notify.X]\ntype="command"\nrun=["/t"]', "notify.X", "no good name", "'x'"),
    ("[watch.a]", "watch.a.endpoint", "exactly one of endpoint and file", "mail.example.org:993"),
    ('[watch.a]\nfile="/a"\nendpoint="a.b"', "watch.a.endpoint", "exactly one of", ""),
    ('[watch.a]\nfile="/a"\nroots="any"', "watch.a.roots", "goes with endpoint", "take it out"),
    ('[watch.a]\nfile="a"', "watch.a.file", "absolute path", ""),
    ('[watch.a]\nendpoint="*.b.c"', "watch.a.endpoint", "no host that can be asked", ""),
    ('[watch.a]\nendpoint="a.b:0"', "watch.a.endpoint", "no valid port", ""),
    ("[watch.a]\nendpoint={port=1}", "watch.a.endpoint", "needs host or server_name", ""),
    ('[watch.a]\nendpoint="a.b"\nroots="none"', "watch.a.roots", "system, any or", ""),
    ('[watch.a]\nfile="/a"\nnotify=["x"]', "watch.a.notify[0]", "no channel 'x'", "[notify.x]"),
    ('[watch.www]\nfile="/a"', "watch.www", "has the name of a certificate", "another name"),
    (
        '[certificate.b]\nnames=["a.b"]\nnotify=["osp"]\n' + SERVER,
        "certificate.b.notify[0]",
        "no channel",
        "ops",
    ),
    ('[report]\nmetrics="m"', "report.metrics", "absolute path", ""),
    ('[report]\npage="/var/lib/renewer/index.html"', "report.page", "which holds keys", "/var/www"),
    ('[report]\nheartbeat="https://x/"', "report.heartbeat", "a secret must not", "file"),
    ("[report]\nheartbeat={}", "report.heartbeat", "exactly one of", ""),
    ('[report]\nsummary="daily"', "report.summary", "", "weekly"),
    ('[report]\nsummary_file="/w/s.html"', "report", "not how often", "weekly"),
    ('[report]\nsummary="weekly"\nsummary_file="/w/s.pdf"', "report.summary_file", "which form", ".html"),
    ('[report]\nsummary="weekly"\nsummary_to=["no"]', "report.summary_to[0]", "there is no channel", ""),
]


@pytest.mark.parametrize(("text", "path", "said", "hint"), CASES)
def test_what_is_wrong_is_told(faults: Faulty, text: str, path: str, said: str, hint: str) -> None:
    """One fault, at its place, in words that say what to do."""
    (fault,) = faults(HEAD + WWW + text)

    assert (fault.path, said in fault.text, hint in fault.hint) == (path, True, True), repr(fault)


def test_a_summary_is_read(loaded: Load) -> None:
    """How often, to whom, and into which file."""
    report = '[report]\nsummary = "monthly"\nsummary_to = ["ops"]\nsummary_file = "/w/summary.csv"\n'
    config = loaded(HEAD + WWW + SERVER + report)

    assert config.report == Report(
        summary=SummaryEvery.MONTHLY, summary_to=("ops",), summary_file="/w/summary.csv"
    )


def test_reports_stand_in_the_main_file(write: Write, faults: Faulty, tmp_path: Path) -> None:
    """One page, one ping: not one a file."""
    write('[report]\npage = "/w/index.html"\n', "conf.d/more.toml")
    (fault,) = faults('include = ["conf.d/*.toml"]\n' + HEAD + WWW)

    assert (fault.path, fault.file) == ("report", str(tmp_path / "conf.d/more.toml"))
