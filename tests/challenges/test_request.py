"""Reading a stranger's request: never a crash, never a guess."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renewer.network.challenges.http01.server import MAX_HEAD, Refusal, Request, parse, response

GET = b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n"


@given(st.binary(max_size=3000))
def test_never_crashes(data: bytes) -> None:
    """Any bytes give a request, a refusal, or the wish for more."""
    found = parse(data)
    assert found is None or isinstance(found, Request | Refusal)


@given(
    st.lists(
        st.sampled_from(
            [
                b"GET ",
                b"/",
                b"x",
                b" HTTP/1.1",
                b"\r\n",
                b"\n",
                b"\r",
                b"Host: a",
                b":",
                b" ",
                b"\t",
                b"\x00",
                b"%2e",
            ]
        ),
        max_size=30,
    )
)
def test_never_crashes_near_http(parts: list[bytes]) -> None:
    """Nor do requests that are nearly right."""
    found = parse(b"".join(parts))
    assert found is None or isinstance(found, Request | Refusal)


@given(st.integers(min_value=0, max_value=len(GET)))
def test_every_beginning_asks_for_more(count: int) -> None:
    """However a good request is cut into packets, nothing is decided before its end, and then rightly."""
    expected = Request(method="GET", path="/x") if count == len(GET) else None
    assert expected == parse(GET[:count])


@given(st.binary(max_size=200))
def test_what_follows_is_not_read(rest: bytes) -> None:
    """A body or a pipelined second request does not change the first."""
    assert Request(method="GET", path="/x") == parse(GET + rest)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"POST /x HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.METHOD_NOT_ALLOWED),
        (b"get /x HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.BAD_REQUEST),
        (b"GET /x HTTP/1.1\r\n\r\n", Refusal.BAD_REQUEST),  # RFC 9112 §3.2: no Host
        (b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Refusal.BAD_REQUEST),
        (b"GET /x HTTP/1.0\r\n\r\n", Request(method="GET", path="/x")),
        (b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n", Request(method="HEAD", path="/x")),
        (b"\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n", Request(method="GET", path="/x")),  # RFC 9112 §2.2
        (
            b"GET http://a.example:80/x HTTP/1.1\r\nHost: a\r\n\r\n",
            Request(method="GET", path="/x"),
        ),  # §3.2.2
        (b"GET https://a.example/x HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.BAD_REQUEST),
        (b"GET x HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.BAD_REQUEST),
        (b"GET  /x HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.BAD_REQUEST),
        (b"GET /x HTTP/2.0\r\nHost: a\r\n\r\n", Refusal.BAD_REQUEST),
        (b"GET /x\r\nHost: a\r\n\r\n", Refusal.BAD_REQUEST),
        (b"GET /x HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", Refusal.BAD_REQUEST),  # RFC 9112 §5.2
        (b"GET /x HTTP/1.1\r\nHost : a\r\n\r\n", Refusal.BAD_REQUEST),  # §5.1: no blank before the colon
        (b"GET /x HTTP/1.1\nHost: a\n\n", Refusal.BAD_REQUEST),
        (b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.BAD_REQUEST),
        (b"\x16\x03\x01\x02\x00\x01", Refusal.BAD_REQUEST),  # a TLS handshake
        (b"GET /" + b"x" * 3000, Refusal.TOO_LARGE),
        (b"GET /x HTTP/1.1\r\n" + b"A: b\r\n" * 65 + b"\r\n", Refusal.TOO_LARGE),
        (b"GET /x HTTP/1.1\r\n" + (b"A: " + b"b" * 1000 + b"\r\n") * 9, Refusal.TOO_LARGE),
        (b"", None),
    ],
)
def test_examples(data: bytes, expected: Request | Refusal | None) -> None:
    """Each rule of RFC 9112 that is kept, and each limit."""
    assert expected == parse(data)


def test_a_flood_is_refused_at_the_limit() -> None:
    """No more than the limit is ever kept, however it is split into lines."""
    line = b"A: " + b"b" * 200 + b"\r\n"
    data = b"GET /x HTTP/1.1\r\n"
    while parse(data) is None:
        data += line
    assert len(data) <= MAX_HEAD + len(line)


def test_answers_name_no_server() -> None:
    """An answer carries the body's type of RFC 8555 §8.3 and nothing about who we are."""
    answer = response(Refusal.OK, b"body")
    assert b"Content-Type: application/octet-stream\r\n" in answer
    assert b"Server" not in answer
    assert answer.endswith(b"\r\n\r\nbody")
    assert b"Content-Length: 4\r\n" in response(Refusal.OK, b"body", head_only=True)
    assert response(Refusal.OK, b"body", head_only=True).endswith(b"\r\n\r\n")
