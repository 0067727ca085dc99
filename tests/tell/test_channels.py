"""Webhook, apprise and command: what they are given, how they fail, what never shows."""

import hmac
import json
import os
import socket
from datetime import timedelta
from hashlib import sha256
from time import monotonic

import pytest

from renewer.config.load import load
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import Program, Secret, SecretSource, Topic, Webhook
from renewer.notify import apprise, channels, webhook
from renewer.notify.message import Message
from renewer.notify.notices import sample
from tests.network.processes import below, ended, name_of, user_of
from tests.servers.certificates import Pair, ServerRoot
from tests.servers.tls_peer import Peer
from tests.tell.conftest import Clock
from tests.tell.host import Host
from tests.tell.listener import Listener

DAY = timedelta(days=1)
ALL = frozenset(Topic)
SECRET = Secret(source=SecretSource.ENV, argument=("NOWHERE",))  # handed over resolved, where it matters
HOOK = Webhook(name="hook", on=ALL, url=SECRET)
TOKEN = "T0ken-in-the-path"


@pytest.fixture
def message(host: Host) -> Message:
    """Something to tell."""
    host.configure('[notify.x]\ntype = "command"\nrun = ["/bin/true"]\n')
    config = load(str(host.path))
    return sample(config, "the-run", config.channels["x"])


def give(message: Message, url: str, **more: object) -> str:
    """By a webhook that does not wait between attempts."""
    given: dict[str, object] = {"limit": 2.0, "pauses": (0.0, 0.0), "secret": None, **more}
    return webhook.deliver(HOOK, message, url, **given)  # type: ignore[arg-type]


def test_what_is_posted_is_signed(message: Message, time: Clock) -> None:
    """JSON with the same words as a mail; the signature covers when and what."""
    with Listener() as listener:
        assert give(message, listener.url(f"/hooks/{TOKEN}?a=b"), secret="k3y") == ""
    (one,) = listener.posted
    document = json.loads(one.body)
    stamp = one.headers["X-Renewer-Timestamp"]
    expected = hmac.new(b"k3y", stamp.encode() + b"." + one.body, sha256).hexdigest()

    assert one.path == f"/hooks/{TOKEN}?a=b"
    assert one.headers["X-Renewer-Signature"] == f"sha256={expected}"
    assert stamp == str(int(time.moment.timestamp()))
    assert one.headers["Content-Type"] == "application/json"
    assert (document["schema"], document["run"], document["host"]) == (1, "the-run", "web-1")
    assert document["subject"] == "a sample, nothing is wrong"
    assert "This is a sample" in document["text"]
    assert one.headers["X-Renewer-Id"] == document["id"]


def test_over_tls_with_a_private_root(message: Message, pair: Pair, root: ServerRoot, host: Host) -> None:
    """ca_bundle says whom to trust; without it nothing is said."""
    bundle = root.write(host.root / "root.pem")
    trusting = Webhook(name="hook", on=ALL, url=HOOK.url, ca_bundle=str(bundle))
    with Listener(pair=pair) as listener:
        assert webhook.deliver(trusting, message, listener.url(), None, limit=5, pauses=()) == ""
        with pytest.raises(RetryLater, match="its certificate is not trusted"):
            give(message, listener.url())
    assert len(listener.posted) == 1


@pytest.mark.parametrize(
    ("answers", "attempts", "taken"),
    [
        ((204,), 1, True),
        ((503, 200), 2, True),
        ((429, 500, 202), 3, True),
        ((500,), 3, False),
        ((404,), 1, False),
        ((401,), 1, False),
    ],
)
def test_attempts_are_few(message: Message, answers: tuple[int, ...], attempts: int, taken: bool) -> None:  # noqa: FBT001
    """Again where that may help; the next run comes anyway."""
    with Listener(*answers) as listener:
        if taken:
            assert give(message, listener.url()) == ""
        else:
            with pytest.raises(RenewerError, match=f"the webhook answered {answers[-1]}"):
                give(message, listener.url())
    assert len(listener.posted) == attempts


def test_redirects_are_not_followed(message: Message) -> None:
    """What is told goes where the config says."""
    with Listener() as elsewhere, Listener(302) as listener:
        listener.headers["Location"] = elsewhere.url()
        with pytest.raises(GiveUp, match="302, a redirect"):
            give(message, listener.url())
    assert elsewhere.posted == []


@pytest.mark.parametrize("how", ["silent", "dripping", "endless", "no HTTP"])
def test_a_peer_that_hangs_is_left(message: Message, how: str) -> None:
    """Within the limit of an attempt, whatever it sends."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        if how == "no HTTP":
            connection.sendall(b"go away\r\n\r\n")
        while how in ("dripping", "endless"):
            connection.sendall(b"H" if how == "dripping" else b"HTTP/1.1 100 wait\r\n\r\n" * 100)
        connection.recv(1)

    with Peer(serve) as peer:
        began = monotonic()
        with pytest.raises(RetryLater):
            give(message, f"http://localhost:{peer.port}/{TOKEN}", limit=0.5, pauses=())
        assert monotonic() - began < 30


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1/x", "ftp://localhost/x", "https://u:p@localhost/", "x\r\ny"]
)
def test_urls_that_are_not_used(message: Message, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In clear to other hosts; with a password in it; not a URL at all."""
    with Listener() as listener:
        monkeypatch.setattr(
            "renewer.network.http.connect", lambda *_: socket.create_connection(("127.0.0.1", listener.port))
        )
        monkeypatch.setattr("renewer.network.http.is_loopback", lambda _: False)
        with pytest.raises(GiveUp):
            give(message, url)
    assert listener.posted == []


def test_no_secret_shows(host: Host, time: Clock) -> None:
    """Neither URL nor key stands in errors, log, ledger or findings."""
    with Listener(500) as listener:
        url = host.secret("url", listener.url(f"/{TOKEN}"))
        key = host.secret("key", "the-signing-key")
        host.configure(f'[notify.hook]\ntype = "webhook"\nurl = {url}\nsecret = {key}\n')
        end = time.moment + 6 * DAY
        host.install(not_before=end - 90 * DAY, not_after=end)
        report = host.run()
    written = host.log_text() + str(report) + (host.state / "ledger.db").read_bytes().decode("latin-1")
    written += "".join(path.read_bytes().decode("latin-1") for path in host.state.glob("ledger.db-wal"))
    assert "the webhook answered 500" in report.findings[0]
    assert TOKEN not in written
    assert "the-signing-key" not in written
    assert TOKEN not in listener.posted[0].body.decode()


@pytest.mark.real
def test_apprise_tells_a_service(message: Message) -> None:
    """Its own JSON service, on this host."""
    with Listener() as listener:
        assert apprise.deliver(message, [f"json://localhost:{listener.port}/{TOKEN}"]) == ""
    document = json.loads(listener.posted[0].body)
    assert (listener.paths, document["title"]) == ([f"/{TOKEN}"], "a sample, nothing is wrong")
    assert "This is a sample" in document["message"]


@pytest.mark.real
def test_apprise_fails_without_a_word_of_its_urls(message: Message) -> None:
    """Some failing is told and not repeated; all failing is retried."""
    with Listener(500) as broken, Listener() as listener:
        bad, good = f"json://localhost:{broken.port}/{TOKEN}", f"json://localhost:{listener.port}/"
        assert apprise.deliver(message, [good, bad]) == "the service of URL 2 did not take it"
        with pytest.raises(RetryLater) as refusal:
            apprise.deliver(message, [bad, f"nothing://{TOKEN}"])
    assert "URL 2 is none that apprise knows" in refusal.value.text
    assert TOKEN not in refusal.value.text


def swallow(connection: socket.socket) -> None:
    """Hears all, says nothing."""
    while connection.recv(4096):
        pass


@pytest.mark.real
def test_apprise_that_hangs_is_ended(message: Message) -> None:
    """It runs in a process of its own, without rights, which is gone then."""
    seen: list[tuple[int, bool]] = []

    def look(connection: socket.socket) -> None:
        workers = [one for one in below(os.getpid()) if name_of(one) == "renewer service"]
        seen.extend((one, user_of(one) != 0 or bool(os.geteuid())) for one in workers)
        swallow(connection)

    with Peer(look) as peer:
        began = monotonic()
        with pytest.raises(RetryLater, match="was not done within 1 s"):
            apprise.deliver(message, [f"json://localhost:{peer.port}/?rto=60&cto=60"], limit=1.0)
        assert monotonic() - began < 60
    assert [unprivileged and ended(worker) for worker, unprivileged in seen] == [True]


def program(host: Host, script: str, **changes: object) -> Program:
    """A channel to a script."""
    path = host.root / "tell"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    given: dict[str, object] = {
        "name": "script",
        "on": ALL,
        "run": (str(path), "a b"),
        "timeout": 1.0,
        **changes,
    }
    return Program(**given)  # type: ignore[arg-type]


def test_a_command_gets_json(host: Host, message: Message, monkeypatch: pytest.MonkeyPatch) -> None:
    """On stdin; in an environment without ours."""
    monkeypatch.setenv("RENEWER_TEST_SECRET", "x")
    taken = host.root / "taken"
    wish = program(
        host, f'{{ echo "$1 $ROOM $RENEWER_CHANNEL"; env; cat; }} > {taken}', env=(("ROOM", "ops"),)
    )
    assert channels.call_program(wish, message) == ""
    first, *rest = taken.read_text().splitlines()
    document = json.loads(rest[-1])

    assert first == "a b ops script"
    assert [line for line in rest if "RENEWER_TEST_SECRET" in line] == []
    assert (document["schema"], document["channel"], document["escalated"]) == (1, "x", False)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo broken; exit 3", "failed with exit code 3: broken"),
        ("sleep 60", "was not done within 1 s"),
    ],
)
def test_a_command_that_fails(host: Host, message: Message, script: str, said: str) -> None:
    """Its last words are told; one that hangs is ended."""
    with pytest.raises(RetryLater, match=said):
        channels.call_program(program(host, script), message)


def test_a_command_that_others_may_change_is_not_run(host: Host, message: Message) -> None:
    """Whoever can change it acts as us."""
    wish = program(host, "exit 0")
    (host.root / "tell").chmod(0o777)
    with pytest.raises(GiveUp, match="can be written to"):
        channels.call_program(wish, message)


def test_a_defect_of_one_channel_is_its_own(
    host: Host, message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told as one, and breaks nothing."""

    def broken(*_: object) -> str:
        raise ZeroDivisionError("with a secret in it")

    monkeypatch.setattr(channels, "call_program", broken)
    with pytest.raises(RetryLater, match="a defect of this program: ZeroDivisionError") as refusal:
        channels.send(program(host, "exit 0"), message)
    assert "secret" not in refusal.value.text


def test_escalation_reaches_more_urls(host: Host, message: Message, monkeypatch: pytest.MonkeyPatch) -> None:
    """From seven days on."""
    told: list[list[str]] = []

    def deliver(_message: Message, urls: list[str]) -> str:
        told.append(urls)
        return ""

    monkeypatch.setattr(apprise, "deliver", deliver)
    first, second = host.secret("first", "json://a"), host.secret("second", "json://b")
    host.configure(f'[notify.p]\ntype = "apprise"\nurls = [{first}]\nescalate_to = [{second}]\n')
    channel = load(str(host.path)).channels["p"]
    channels.send(channel, message)
    monkeypatch.setattr(Message, "escalated", property(lambda _: True))
    channels.send(channel, message)
    assert told == [["json://a"], ["json://a", "json://b"]]
