import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from renewer import clock
from renewer.errors import GiveUp
from renewer.network.acme import ari
from renewer.network.acme.lost import Lost, Unreached
from renewer.network.acme.reply import Reply
from renewer.network.acme.resources import Renewal

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
# RFC 9773, section 4.1: the identifier of its example certificate.
ARI_ID = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
WINDOW = {"start": "2026-12-01T00:00:00Z", "end": "2026-12-03T00:00:00Z"}


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that stands."""
    monkeypatch.setattr(clock, "now", lambda: NOW)


def _get(document: object, status: int = 200, **headers: str) -> Callable[[str], Reply]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    given = {each.replace("_", "-"): value for each, value in headers.items()}
    return lambda url: Reply(url, status, given, body)


def _fetch(get: Callable[[str], Reply], failures: int = 0) -> Renewal:
    return ari.fetch(get, "https://ca.example/renewalInfo/", ARI_ID, failures)


def test_the_identifier_is_the_last_part_of_the_path() -> None:
    """RFC 9773, section 4.1: "GET /renewal-info/aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"."""
    asked: list[str] = []

    def get(url: str) -> Reply:
        asked.append(url)
        return _get({"suggestedWindow": WINDOW})(url)

    _fetch(get)
    assert asked == ["https://ca.example/renewalInfo/aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"]


def test_a_window_is_read_with_its_explanation() -> None:
    """RFC 9773, section 4.2: start, end, explanationURL; Retry-After says when to ask again."""
    page = "https://ca.example/why"
    found = _fetch(_get({"suggestedWindow": WINDOW, "explanationURL": page}, Retry_After="21600"))
    assert found == Renewal(
        start=datetime(2026, 12, 1, tzinfo=UTC),
        end=datetime(2026, 12, 3, tzinfo=UTC),
        explanation_url=page,
        ask_again=NOW + timedelta(hours=6),
    )


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("1", timedelta(minutes=1)),
        ("0", timedelta(minutes=1)),
        ("3600", timedelta(hours=1)),
        ("31536000", timedelta(days=1)),
        ("Sun, 22 Nov 2026 14:00:00 GMT", timedelta(hours=2)),
        ("nonsense", timedelta(hours=6)),
    ],
)
def test_the_pace_is_the_authoritys_within_reason(header: str, wait: timedelta) -> None:
    """RFC 9773, section 4.3.2: Retry-After is the pace, within reasonable limits; without one, 6 h."""
    assert _fetch(_get({"suggestedWindow": WINDOW}, Retry_After=header)).ask_again == NOW + wait


@pytest.mark.parametrize(
    "document",
    [
        {"suggestedWindow": {"start": WINDOW["end"], "end": WINDOW["start"]}},
        {"suggestedWindow": {"start": WINDOW["start"], "end": WINDOW["start"]}},
        {"suggestedWindow": {"start": "2026-12-01T00:00:00", "end": WINDOW["end"]}},
        {"suggestedWindow": {"start": 1, "end": []}},
        {"suggestedWindow": None},
        {},
    ],
)
def test_an_impossible_window_is_no_window(document: object) -> None:
    """RFC 9773, section 4.2: such an object is "as though they failed to receive any response"."""
    found = _fetch(_get(document, Retry_After="60"))
    assert (found.start, found.end, found.ask_again) == (None, None, NOW + timedelta(hours=6))
    assert found.trouble


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_a_refusal_is_long_term(status: int) -> None:
    """RFC 9773, section 4.3.3: a "Non-5xx HTTP error" is long-term: "after six hours have passed"."""
    found = _fetch(_get({"type": "about:blank", "detail": "not found"}, status))
    assert (found.start, found.failures, found.ask_again) == (None, 0, NOW + timedelta(hours=6))


@pytest.mark.parametrize(("failures", "minutes"), [(0, 1), (1, 2), (2, 4), (3, 8), (9, 360), (500, 360)])
def test_temporary_errors_are_asked_again_ever_more_slowly(failures: int, minutes: int) -> None:
    """RFC 9773, section 4.3.3: exponential backoff, capped; the caller's count of failures goes on."""
    found = _fetch(_get(b"oops", 500), failures)
    assert (found.failures, found.ask_again) == (failures + 1, NOW + timedelta(minutes=minutes))


def test_a_temporary_error_may_name_its_moment() -> None:
    """A 503 with Retry-After is asked again then."""
    assert _fetch(_get(b"", 503, Retry_After="7200")).ask_again == NOW + timedelta(hours=2)


def test_too_many_requests_say_themselves_when() -> None:
    """A 429 is no temporary error, but it may name its moment."""
    found = _fetch(_get(b"", 429, Retry_After="7200"))
    assert (found.failures, found.ask_again) == (0, NOW + timedelta(hours=2))


def test_a_lost_reply_is_temporary() -> None:
    """RFC 9773, section 4.3.3: a "Request timeout" is a temporary error."""

    def get(url: str) -> Reply:
        raise Lost(f"{url} did not answer")

    assert _fetch(get, 2).failures == 3


def test_a_refused_connection_is_long_term() -> None:
    """RFC 9773, section 4.3.3: "DNS lookup failure" and "Connection refused" are long-term errors."""

    def get(url: str) -> Reply:
        raise Unreached(f"{url} cannot be reached")

    assert _fetch(get, 2) == Renewal(
        ask_again=NOW + timedelta(hours=6),
        trouble=f"https://ca.example/renewalInfo/{ARI_ID} cannot be reached",
    )


def test_a_page_in_html_is_long_term() -> None:
    """RFC 9773, section 4.3.3: "RenewalInfo object is invalid" is a long-term error."""
    assert _fetch(_get(b"<html>log in</html>")).ask_again == NOW + timedelta(hours=6)


def test_distrust_is_long_term() -> None:
    """TLS that is not trusted does not mend itself in a minute."""

    def get(url: str) -> Reply:
        raise GiveUp(f"{url} is not trusted")

    assert _fetch(get).ask_again == NOW + timedelta(hours=6)


def test_an_explanation_must_be_a_page() -> None:
    """What is shown to people as a link is one."""
    found = _fetch(_get({"suggestedWindow": WINDOW, "explanationURL": "javascript:alert(1)"}))
    assert found.explanation_url is None
