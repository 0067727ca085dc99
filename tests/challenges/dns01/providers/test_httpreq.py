"""The provider httpreq against a small server of its API, and a whole run with it."""

import base64
import ssl
from pathlib import Path

import pytest

from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.dns_provider import TxtRecord
from tests.challenges.dns01.providers.world import NAMES, agent, provider, record, secret
from tests.servers.certificates import ServerRoot
from tests.servers.jsonapi import Answer, Call, JsonApi
from tests.servers.pebble import Pebble
from tests.servers.published import Published


def publishing(published: Published) -> JsonApi:
    """A server that publishes what it is told in lego's default mode."""

    def answer(call: Call) -> Answer:
        act = {"/v1/present": published.add, "/v1/cleanup": published.remove}[call.path]
        act(call.document["fqdn"], call.document["value"])
        return 200, "done"

    return JsonApi(answer)


def refusal(answer: Answer, **options: str) -> RenewerError:
    """What is told if a server answers so."""
    with JsonApi(lambda _: answer) as api, pytest.raises((GiveUp, RetryLater)) as caught:
        provider("httpreq", endpoint=api.url, **options).add("example.org", [record()])
    assert api.url in caught.value.text
    return caught.value


def test_default_mode() -> None:
    """The very documents that lego sends: the name with its final dot, and the value."""
    published = Published()
    first, second = record(), record("example.org", 2)
    with publishing(published) as api:
        client = provider("httpreq", endpoint=f"{api.url}/v1/")
        client.add("", [first, second])
        client.remove("", [first])
        client.close()
    assert [(call.path, call.document) for call in api.calls] == [
        ("/v1/present", {"fqdn": "_acme-challenge.www.example.org.", "value": first.value}),
        ("/v1/present", {"fqdn": "_acme-challenge.example.org.", "value": second.value}),
        ("/v1/cleanup", {"fqdn": "_acme-challenge.www.example.org.", "value": first.value}),
    ]
    assert published.now == {second.name: [second.value]}
    assert "authorization" not in api.calls[0].headers
    assert api.calls[0].headers["content-type"] == "application/json"


def test_raw_mode() -> None:
    """RAW hands on the domain, the token and the key authorization; without that there is nothing to say."""
    with JsonApi(lambda _: (204, "")) as api:
        client = provider("httpreq", endpoint=api.url, mode="RAW")
        client.add("", [record()])
        with pytest.raises(GiveUp, match="may still be there"):
            client.remove("", [record(again=False), record("example.org", 2)])
    assert [call.document for call in api.calls] == [
        {"domain": "www.example.org", "token": "token-1", "keyAuth": "token-1.thumbprint"},
        {"domain": "example.org", "token": "token-2", "keyAuth": "token-2.thumbprint"},
    ]


def test_basic_authentication() -> None:
    """User and password go as RFC 7617 says, from where the config refers to."""
    with JsonApi(lambda _: (200, "")) as api:
        provider("httpreq", endpoint=api.url, username="me", password=secret("s:é")).add("", [record()])
    given = api.calls[0].headers["authorization"].removeprefix("Basic ")
    assert base64.b64decode(given).decode() == "me:s:é"


def test_one_failure_does_not_keep_the_others_from_being_removed() -> None:
    """Each record is tried; what failed is told afterwards, the final error first."""
    answers = iter([(500, "disk full"), (401, "who?"), (200, "")])
    with JsonApi(lambda _: next(answers)) as api:
        client = provider("httpreq", endpoint=api.url)
        with pytest.raises(GiveUp, match="answered 401"):
            client.remove("", [record(number=number) for number in range(3)])
    assert len(api.calls) == 3


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ((500, "the disk is full\n\x1b[2J"), RetryLater, "answered 500, it failed: the disk is full"),
        ((429, ""), RetryLater, "answered 429"),
        ((400, {"error": "no such zone"}), RetryLater, "no such zone"),
        ((401, ""), GiveUp, "credentials"),
        ((403, ""), GiveUp, "does not allow it"),
        ((404, ""), GiveUp, "no such API"),
        ((302, "", {"Location": "https://elsewhere.example"}), GiveUp, "it redirects"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", RetryLater, "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, RetryLater, "does not speak HTTP"),
        (b"", RetryLater, "closed connection without response"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 70_000, RetryLater, "does not speak HTTP"),
    ],
)
def test_refusals(answer: Answer, error: type[RenewerError], said: str) -> None:
    """What passes by itself is tried again, what does not is told at once; floods and nonsense end, too."""
    told = refusal(answer)
    assert (type(told), True) == (error, said in told.text)
    assert told.hint
    assert "\x1b" not in told.text


def test_silence_is_bounded() -> None:
    """A server that accepts and says nothing costs the time limit and no more."""
    assert "no answer in 1 s" in refusal(None, timeout="1s").text


def test_nobody_there() -> None:
    """A server that is down is told as such."""
    with JsonApi(lambda _: (200, "")) as api:
        url = api.url
    with pytest.raises(RetryLater, match="connection refused"):
        provider("httpreq", endpoint=url).add("", [record()])


def test_trust(tmp_path: Path) -> None:
    """HTTPS is verified: against the system's roots, or those of `ca_bundle`."""
    root = ServerRoot("a private authority")
    root.write(tmp_path / "ca.pem")
    root.issue(tmp_path, "127.0.0.1", stem="tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.pem", tmp_path / "tls.key")
    with JsonApi(lambda _: (200, ""), tls=context) as api:
        provider("httpreq", endpoint=api.url, ca_bundle=str(tmp_path / "ca.pem")).add("", [record()])
        with pytest.raises(RetryLater, match="not trusted") as caught:
            provider("httpreq", endpoint=api.url).add("", [record()])
    assert "ca_bundle" in caught.value.hint


def test_secret_with_a_line_break() -> None:
    """Nothing of a secret becomes a header of its own."""
    with JsonApi(lambda _: (200, "")) as api:
        client = provider("httpreq", endpoint=api.url, username="me", password=secret("a\r\nX-Evil: 1"))
        client.add("", [record()])
    assert "x-evil" not in api.calls[0].headers


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "endpoint is missing"),
        ({"endpoint": "ftp://x"}, "endpoint must be a URL"),
        ({"endpoint": "https://me:pw@x"}, "endpoint must be a URL"),
        ({"endpoint": "http://example.org"}, "endpoint would send credentials and records unprotected"),
        ({"endpoint": "https://x", "mode": "raw"}, "mode is not allowed here"),
        ({"endpoint": "https://x", "username": "me"}, "username goes with password"),
        ({"endpoint": "https://x", "timeout": "soon"}, "timeout must be a number"),
        ({"endpoint": "https://x", "ca_bundle": "ca.pem"}, "ca_bundle must be an absolute path"),
    ],
)
def test_options(options: dict[str, str], said: str) -> None:
    """Every option is looked at before anything is sent; http:// to others only if it is accepted."""
    with pytest.raises(GiveUp) as caught:
        provider("httpreq", **options)
    assert said in caught.value.text


def test_http_that_is_accepted() -> None:
    """Who says so may send in clear, as in a network of containers."""
    provider("httpreq", endpoint="http://dns:8080", in_clear="allowed")


def test_faults_of_the_config_have_their_path(tmp_path: Path, pebble: Pebble) -> None:
    """`config check` names the option by its dotted path."""
    challenge = {"provider": "httpreq", "options": {"endpoint": "http://example.org", "modus": "RAW"}}
    document = agent(tmp_path, pebble, challenge).json("config", "check", code=2)
    assert {fault["path"] for fault in document["error"]["faults"]} == {
        "challenge.dns.options.endpoint",
        "challenge.dns.options.modus",
    }


def test_whole_run(tmp_path: Path, pebble: Pebble) -> None:
    """A wildcard, its apex and a further name at Pebble; afterwards nothing is left."""
    published = Published(pebble.dns)
    with publishing(published) as api:
        host = agent(tmp_path, pebble, {"provider": "httpreq", "options": {"endpoint": f"{api.url}/v1"}})
        document = host.json("run")
    assert {one["result"] for one in document["outcomes"]} == {"done"}
    assert len(published.added) == len(published.removed) == len(NAMES)
    assert published.now == {}


def test_record_of_a_killed_run() -> None:
    """What was remembered of a record is enough to remove it in either mode, unless it was tampered with."""
    import msgspec

    from renewer.issue import leftover

    left = leftover.of(record(), "example.org", "httpreq", "www")
    found = leftover.read(left)
    assert found is not None
    assert found.record == record()
    forged = msgspec.structs.replace(left, detail=left.detail.replace("answer=token-1", "answer=token-2"))
    other = leftover.read(forged)
    assert other is not None
    assert isinstance(other.record, TxtRecord)
    assert other.record.key_authorization == ""
