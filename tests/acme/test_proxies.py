"""What stands between us and the authority, and servers that know half of HTTP: it passes, and is told."""

import gzip
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from renewer import clock
from renewer.accounts.session import Session
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.network.http import unpacked as decode
from tests.acme.conftest import csr, name
from tests.acme.test_lost_accounts import order, session
from tests.servers.bendable import Bendable, BendableFactory, Seen
from tests.servers.bends import Answer, Call, error, headers, html, members, problem, say

LIMIT = 1 << 20


def deflated(data: bytes, window: int) -> bytes:
    """Compressed, in the frame that `window` asks zlib for."""
    packer = zlib.compressobj(wbits=window)
    return packer.compress(data) + packer.flush()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZIP": lambda data: gzip.compress(data[:7]) + gzip.compress(data[7:]),
    "deflate": zlib.compress,
    " Deflate ": lambda data: deflated(data, -15),
    "gzip, identity": gzip.compress,
    "deflate, gzip": lambda data: gzip.compress(zlib.compress(data)),
    "gzip,": lambda data: data,  # undone by a second proxy that left the header
}


@pytest.fixture
def authority(bendable: BendableFactory) -> Bendable:
    """One that nobody has bent yet."""
    return bendable()


def obtained(session: Session) -> bytes:
    """A whole order, to its chain."""
    made = session.new_order([name("www.example.org")])
    for url in made.authorizations:
        session.answer(session.authorization(url).challenges[0])
    found = session.finalize(made, csr("www.example.org"))
    return session.download(session.wait_order(found.url, clock.monotonic() + 60))


# --- compression ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", PACKED)
def test_a_proxy_that_compresses_in_spite_of_identity(
    authority: Bendable, state: Path, encoding: str
) -> None:
    """Every reply, refusals and the chain among them, is read as it was meant."""

    def packed(seen: Seen) -> Answer:
        usual = seen.usual()
        if not usual.body:
            return usual
        return replace(usual, body=PACKED[encoding](usual.body)).with_headers(content_encoding=encoding)

    authority.bend((), packed)
    assert b"BEGIN CERTIFICATE" in obtained(session(authority, state))
    with pytest.raises(RenewerError, match="no profile"):
        session(authority, state).new_order([name("www.example.org")], profile="none")


def test_a_bomb_is_not_unpacked() -> None:
    """A gibibyte in a mebibyte: no more than the limit is ever held, whatever the layers."""
    bomb = gzip.compress(bytes(64 << 20))
    for packed, encoding in ((bomb, "gzip"), (gzip.compress(bomb), "gzip, gzip"), (bomb + bomb, "gzip")):
        with pytest.raises(RetryLater, match="grows beyond 1 MiB"):
            decode(packed, encoding, LIMIT)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, br", "gzip, gzip, gzip, gzip"])
def test_an_encoding_that_nobody_asked_for_is_named(encoding: str) -> None:
    """What cannot be undone is told by its name."""
    with pytest.raises(RetryLater, match=f"encoded as {encoding}") as caught:
        decode(b"x", encoding, LIMIT)
    assert "proxy" in caught.value.hint


@pytest.mark.parametrize("keep", [1, 12, 30])
def test_compressed_and_broken_off(keep: int) -> None:
    """Half a reply is never taken for the whole."""
    with pytest.raises(RetryLater, match="broken off"):
        decode(gzip.compress(bytes(range(256)) * 4)[: 9 + keep], "gzip", LIMIT)


def test_nothing_is_nothing() -> None:
    """A HEAD's reply announces an encoding and has no body."""
    assert decode(b"", "br", LIMIT) == b""


# --- nonces -----------------------------------------------------------------------------------------------


def no_head(answer: Answer) -> Callable[[Seen], Answer]:
    """HEAD gets this; everything else works."""
    return lambda seen: answer if seen.method == "HEAD" else seen.usual()


@pytest.mark.parametrize(
    "answer",
    [
        Answer(405, nonce=False),
        Answer(501, nonce=False),
        Answer(404, nonce=False),
        Answer(400, nonce=False),
        Answer(403, nonce=False),
        Answer(500, nonce=False),
        Answer(200, nonce=False),
        Answer(204, nonce=False),
        Answer(200, headers={"Replay-Nonce": "not base64url!"}),
    ],
    ids=lambda answer: f"{answer.status}",
)
def test_a_nonce_without_head(authority: Bendable, state: Path, answer: Answer) -> None:
    """RFC 8555, section 7.2: newNonce is for HEAD and GET; where one gives none the other is asked."""
    authority.bend(Call.NONCE, no_head(answer))
    assert order(session(authority, state))
    methods = [seen.method for seen in authority.requests(Call.NONCE)]
    assert (methods[:2], methods.count("HEAD")) == (["HEAD", "GET"], 1)


@pytest.mark.parametrize("status", [200, 204, 404, 405, 501])
def test_no_nonce_at_all(authority: Bendable, state: Path, status: int) -> None:
    """Neither way gives one: told, and tried again later."""
    authority.bend(Call.NONCE, say(Answer(status, nonce=False)))
    with pytest.raises(RetryLater, match="a nonce"):
        order(session(authority, state))


def test_a_busy_authority_is_asked_for_a_nonce_once(authority: Bendable, state: Path) -> None:
    """503 says when to come back; the other way to ask would get the same."""
    authority.bend(Call.NONCE, error(503, retry_after="600"))
    with pytest.raises(RetryLater) as caught:
        order(session(authority, state))
    assert caught.value.not_before is not None
    assert authority.count(Call.NONCE) == 1


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_storm_of_refused_nonces(authority: Bendable, state: Path, status: int) -> None:
    """A dozen refused in a row, by whatever status, end in an order."""
    authority.bend(Call.NEW_ORDER, problem("badNonce", status), times=12)
    assert order(session(authority, state))


def test_a_nonce_that_is_none_is_passed_over(authority: Bendable, state: Path) -> None:
    """RFC 8555, section 6.5.1: what is not base64url is ignored; newNonce has a better one."""
    authority.bend((Call.NEW_ACCOUNT, Call.NEW_ORDER), headers(replay_nonce="née=/+"))
    ours = session(authority, state)
    assert order(ours)
    assert order(ours)


# --- redirects --------------------------------------------------------------------------------------------

ELSEWHERE = [
    "http://portal.invalid/login",
    "https://portal.invalid/login?from=acme",
    "https://127.0.0.1:1/login",
    "/login",
    "//127.0.0.1:1/login",
    "https://[",
]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ELSEWHERE)
def test_a_portal_at_the_directory_passes(authority: Bendable, state: Path, status: int, target: str) -> None:
    """Wherever a redirect leads that is no directory: told with its target, tried again, never final."""
    authority.bend(Call.DIRECTORY, say(Answer(status).with_headers(location=target)))
    with pytest.raises(RetryLater) as caught:
        order(session(authority, state))
    assert target.lstrip("/").partition("?")[0] in caught.value.text or target == "https://["
    authority.mend()
    assert order(session(authority, state))


@pytest.mark.parametrize("page", [html(), html(404), html(405), say(Answer(200, b"{}")), error(511)])
def test_a_portals_page_behind_a_redirect_passes(
    authority: Bendable, state: Path, page: Callable[[Seen], Answer]
) -> None:
    """A page, a 404, an object that is no directory: final at the directory itself, not where it led."""
    authority.bend(Call.DIRECTORY, say(Answer(302).with_headers(location="/welcome")))
    authority.bend(Call.UNKNOWN, page)
    with pytest.raises(RetryLater, match="/welcome") as caught:
        _ = session(authority, state).directory
    assert "portal" in caught.value.hint


def test_a_directory_that_moved_is_followed(authority: Bendable, state: Path) -> None:
    """RFC 8555, section 7.1.1: GET follows; relative targets too."""
    authority.bend(Call.DIRECTORY, say(Answer(301).with_headers(location="/new/dir")), times=1)
    authority.bend(Call.UNKNOWN, lambda seen: authority.act(replace(seen, call=Call.DIRECTORY)))
    assert order(session(authority, state))


def test_a_circle_of_redirects_ends(authority: Bendable, state: Path) -> None:
    """From one to the other and back: told, tried again later."""
    authority.bend(Call.DIRECTORY, say(Answer(302).with_headers(location="/round")))
    authority.bend(Call.UNKNOWN, say(Answer(302).with_headers(location="/dir")))
    with pytest.raises(RetryLater, match="without end"):
        _ = session(authority, state).directory


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["https://acme.example.net/v3/order", "/v3/order", "http://login/"])
@pytest.mark.parametrize("call", [Call.NEW_ORDER, Call.CHALLENGE, Call.FINALIZE, Call.NONCE])
def test_a_redirect_of_a_request_names_its_target(
    authority: Bendable, state: Path, call: Call, status: int, target: str
) -> None:
    """What is signed is signed for one URL: it is not followed, and where it leads is told."""
    authority.bend(call, say(Answer(status, nonce=False).with_headers(location=target)))
    with pytest.raises(RetryLater) as caught:
        obtained(session(authority, state))
    absolute = target if ":" in target else authority.base + target
    assert f"leads to {absolute}" in caught.value.text
    assert "portal" in caught.value.hint


def test_a_stale_directory_by_redirect(authority: Bendable, state: Path) -> None:
    """NewOrder leads elsewhere: the directory, fetched again, says where it is now."""
    ours = session(authority, state)
    _ = ours.account
    authority.bend(Call.NEW_ORDER, say(Answer(308).with_headers(location="/moved")))
    authority.bend(Call.UNKNOWN, lambda seen: authority.act(replace(seen, call=Call.NEW_ORDER)))
    authority.bend(Call.DIRECTORY, members(newOrder=f"{authority.base}/moved"))
    assert order(ours)


@pytest.mark.parametrize("status", [300, 304])
def test_a_redirect_to_nowhere(authority: Bendable, state: Path, status: int) -> None:
    """Without a target that is said."""
    authority.bend(Call.NEW_ORDER, say(Answer(status)))
    with pytest.raises(RetryLater, match="elsewhere"):
        order(session(authority, state))


# --- media types ------------------------------------------------------------------------------------------


def test_a_server_that_does_not_know_the_media_type(authority: Bendable, state: Path) -> None:
    """406 to `application/pem-certificate-chain`: asked once more for anything, and judged by what came."""

    def picky(seen: Seen) -> Answer:
        return seen.usual() if seen.headers["accept"] == "*/*" else Answer(406)

    authority.bend(Call.CERTIFICATE, picky)
    assert b"BEGIN CERTIFICATE" in obtained(session(authority, state))


@pytest.mark.parametrize("status", [406, 415])
def test_refused_media_types_are_told(authority: Bendable, state: Path, status: int) -> None:
    """For ever: tried again later, with the number."""
    authority.bend(Call.NEW_ORDER, say(Answer(status)))
    with pytest.raises(RetryLater, match=f"HTTP {status}"):
        order(session(authority, state))


# --- names that are still pending -------------------------------------------------------------------------

SEEN = {
    "type": "urn:ietf:params:acme:error:connection",
    "detail": "192.0.2.1: Connection refused",
    "status": 400,
}


def pending_with(seen: Seen) -> Answer:
    """The authorization stays pending and its first challenge shows why the last try failed."""
    usual = seen.usual()
    challenges = [dict(one, status="pending") for one in usual.document["challenges"]]
    challenges[0]["error"] = SEEN
    return usual.with_members(status="pending", challenges=challenges)


def test_still_pending_with_a_cause(authority: Bendable, state: Path) -> None:
    """The authority tries again by itself (RFC 8555, section 8.2): the last cause is told, with its hint."""
    authority.bend(Call.AUTHORIZATION, pending_with)
    ours = session(authority, state)
    made = ours.new_order([name("www.example.org")])
    with pytest.raises(RetryLater, match="still validating") as caught:
        ours.wait_authorizations(made.authorizations, clock.monotonic() + 0.1)
    assert "www.example.org: http-01: 192.0.2.1: Connection refused (connection)" in caught.value.text
    assert "A and AAAA" in caught.value.hint
    assert caught.value.kind == "waiting"


def test_a_poll_that_fails_hides_no_cause(authority: Bendable, state: Path) -> None:
    """Neither does what ends the polling in another way."""
    authority.bend(Call.AUTHORIZATION, pending_with, times=3)
    authority.bend(Call.AUTHORIZATION, problem("malformed", 404))
    ours = session(authority, state)
    made = ours.new_order([name("www.example.org")])
    with pytest.raises((RetryLater, GiveUp), match="Connection refused"):
        ours.wait_authorizations(made.authorizations, clock.monotonic() + 60)
