import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from renewer.errors import GiveUp, OurFault, RetryLater
from renewer.model.names import Identifier
from renewer.network.acme import hints, problems
from renewer.network.acme.resources import Authorization, AuthorizationStatus, ChallengeStatus, Offer, Problem

URN = "urn:ietf:params:acme:error:"


def _body(kind: str, detail: str = "because", **members: object) -> bytes:
    return json.dumps({"type": URN + kind, "detail": detail, **members}).encode()


def _read(kind: str, status: int = 400, detail: str = "because", **members: object) -> Problem:
    return problems.from_reply(_body(kind, detail, **members), status=status, retry_after=None)


def test_a_problem_document_is_kept_whole() -> None:
    """RFC 8555, section 6.7.1: its own example, with subproblems for each name."""
    problem = _read(
        "malformed",
        detail="Some of the identifiers requested were rejected",
        subproblems=[
            {
                "type": URN + "malformed",
                "detail": "Invalid underscore in DNS name",
                "identifier": {"type": "dns", "value": "_example.org"},
            },
            {
                "type": URN + "rejectedIdentifier",
                "detail": "This CA will not issue",
                "identifier": {"type": "dns", "value": "example.net"},
            },
        ],
    )
    assert problem.type == "malformed"
    assert problem.subproblems == (
        ("_example.org", "malformed", "Invalid underscore in DNS name"),
        ("example.net", "rejectedIdentifier", "This CA will not issue"),
    )
    error = problems.error(problem, "the order", "letsencrypt")
    assert isinstance(error, GiveUp)
    assert error.identifiers == (
        ("_example.org", "Invalid underscore in DNS name"),
        ("example.net", "This CA will not issue"),
    )
    assert "example.net: This CA will not issue" in error.text


@pytest.mark.parametrize("kind", sorted(hints.FINAL))
def test_configuration_problems_are_final(kind: str) -> None:
    """What only the operator can mend is GiveUp, with something to do."""
    error = problems.error(_read(kind), "the order", "letsencrypt")
    assert isinstance(error, GiveUp)
    assert error.kind == kind
    assert error.hint


@pytest.mark.parametrize(
    ("kind", "status"), [("rateLimited", 429), ("serverInternal", 500), ("orderNotReady", 403), ("news", 400)]
)
def test_what_may_pass_is_retried(kind: str, status: int) -> None:
    """Rate limits, the authority's own errors and types that nobody knows are RetryLater."""
    assert isinstance(problems.error(_read(kind, status), "the order", "letsencrypt"), RetryLater)


def test_the_moment_an_authority_names_is_kept() -> None:
    """RFC 8555, section 6.6: rate limit errors should carry Retry-After."""
    moment = datetime(2026, 11, 23, tzinfo=UTC)
    problem = problems.from_reply(_body("rateLimited"), status=429, retry_after=moment)
    error = problems.error(problem, "the order", "letsencrypt")
    assert isinstance(error, RetryLater)
    assert error.not_before == moment


def test_a_paused_account_is_told_where_to_go() -> None:
    """Let's Encrypt pauses what fails for weeks: the page to un-pause is shown and nothing is retried."""
    url = "https://portal.letsencrypt.org/sfe/v1/unpause?jwt=abc"
    detail = f"Your account is temporarily prevented from requesting certificates for a.example. Visit: {url}"
    error = problems.error(_read("rateLimited", 429, detail), "the order", "letsencrypt")
    assert isinstance(error, GiveUp)
    assert error.kind == "paused"
    assert url in error.hint


def test_user_action_names_its_page() -> None:
    """RFC 8555, section 7.3.3: userActionRequired carries "instance", the page to visit."""
    error = problems.error(
        _read("userActionRequired", 403, instance="https://ca.example/tos"), "the order", "ca"
    )
    assert isinstance(error, GiveUp)
    assert "https://ca.example/tos" in error.hint


def test_malformed_is_ours_only_where_every_byte_is_ours() -> None:
    """In an order the operator's names may be wrong; a CSR or an answer is of our making."""
    assert isinstance(problems.error(_read("malformed"), "the order", "ca"), GiveUp)
    assert isinstance(problems.error(_read("malformed"), "to issue the certificate", "ca"), OurFault)


def test_a_page_instead_of_a_problem_is_told_by_its_words() -> None:
    """A load balancer's page is retried and quoted without its tags."""
    page = b"<html><title>503</title><h1>Service \x1b[31mUnavailable</h1>"
    error = problems.error(problems.from_reply(page, status=503, retry_after=None), "the order", "ca")
    assert isinstance(error, RetryLater)
    assert "Unavailable" in error.text
    assert "\x1b" not in error.text
    assert "<h1>" not in error.text


@given(
    st.binary(max_size=300)
    | st.recursive(st.none() | st.text(), st.lists).map(lambda x: json.dumps(x).encode())
)
def test_no_body_does_harm(body: bytes) -> None:
    """Whatever a refusal's body is, it becomes one of our errors on one printable line."""
    problem = problems.from_reply(body, status=400, retry_after=None)
    assert problems.error(problem, "the order", "ca").text.isprintable()


@given(
    st.dictionaries(
        st.sampled_from(["type", "detail", "status", "subproblems", "instance"]),
        st.recursive(
            st.none() | st.text() | st.integers(),
            lambda s: (
                st.lists(s) | st.dictionaries(st.sampled_from(["type", "identifier", "value", "detail"]), s)
            ),
        ),
    )
)
def test_no_document_does_harm(document: dict[str, object]) -> None:
    """Members of wrong types are passed over."""
    assert problems.error(problems.read(document, status=400), "the order", "ca").text.isprintable()


def _failed(name: str, kind: str, detail: str, *, wildcard: bool = False) -> Authorization:
    offer = Offer(
        type="http-01",
        url="https://ca.example/chall",
        token="token",
        status=ChallengeStatus.INVALID,
        error=Problem(type=kind, detail=detail),
    )
    return Authorization(
        url="https://ca.example/authz",
        identifier=Identifier.parse(name),
        wildcard=wildcard,
        status=AuthorizationStatus.INVALID,
        expires=None,
        challenges=(offer,),
    )


@pytest.mark.parametrize("kind", sorted(hints.VALIDATION))
def test_a_failed_name_is_named_with_what_was_seen_and_what_to_do(kind: str) -> None:
    """The error of a validation says which name, which challenge, what the authority saw, what to do."""
    error = problems.failed_authorizations([_failed("a.example.org", kind, "saw a 404")], "letsencrypt")
    assert isinstance(error, RetryLater)
    assert error.kind == kind
    assert "a.example.org: http-01: saw a 404" in error.text
    assert error.identifiers == (("a.example.org", f"http-01: saw a 404 ({kind})"),)
    assert error.hint == hints.VALIDATION[kind]


def test_a_wildcard_fails_under_its_own_name() -> None:
    """RFC 8555, section 7.1.4: the authorization of a wildcard has the bare name and says "wildcard"."""
    error = problems.failed_authorizations([_failed("example.org", "dns", "NXDOMAIN", wildcard=True)], "ca")
    assert error is not None
    assert error.identifiers[0][0] == "*.example.org"


def test_nothing_failed_is_no_error() -> None:
    """Valid authorizations give None."""
    valid = Authorization(
        url="https://ca.example/authz",
        identifier=Identifier.parse("a.example.org"),
        wildcard=False,
        status=AuthorizationStatus.VALID,
        expires=None,
        challenges=(),
    )
    assert problems.failed_authorizations([valid], "ca") is None


@pytest.mark.parametrize(
    ("challenge", "kind", "says", "not_"),
    [
        ("http-01", "unauthorized", "webroot", "TXT"),
        ("dns-01", "unauthorized", "TXT record was not found", "webroot"),
        ("dns-account-01", "incorrectResponse", "TXT", "webroot"),
        ("dns-01", "connection", "DNS servers", "port 80"),
        ("dns-persist-01", "unauthorized", "challenge show", "webroot"),
        ("dns-persist-01", "malformed", "challenge show", "webroot"),
        ("tls-alpn-01", "connection", "port 443", "port (80"),
        ("tls-alpn-01", "unauthorized", "acme-tls/1", "webroot"),
        ("dns-01", "caa", "CAA", "webroot"),
        ("http-01", "rejectedIdentifier", "remove it", "webroot"),
    ],
)
def test_the_hint_is_of_the_challenge(challenge: str, kind: str, says: str, not_: str) -> None:
    """What is to be done depends on how the name was to be proved."""
    failed = _failed("a.example.org", kind, "saw something")
    offer = msgspec.structs.replace(failed.challenges[0], type=challenge)
    error = problems.failed_authorizations(
        [msgspec.structs.replace(failed, challenges=(offer,))], "letsencrypt"
    )
    assert error is not None
    assert says in error.hint
    assert not_ not in error.hint
