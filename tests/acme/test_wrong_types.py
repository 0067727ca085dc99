"""Whatever type stands in a member of the authority's objects: a bad reply, and never a defect of ours."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.network.acme import ari, problems, wire
from renewer.network.acme.reply import Reply

URL = "https://acme.example.org/thing"
_TEXTS = st.sampled_from(
    ["", "pending", "valid", "x.example.org", URL, "2026-11-22T09:33:00Z", "\x00", "é" * 300]
)
_NUMBERS = st.sampled_from([0, -1, 2**63, 10**40, 1.5, 1e300])
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | _TEXTS, inner, max_size=3)
    ),
    max_leaves=6,
)

CHALLENGE: dict[str, Any] = {
    "type": "http-01",
    "url": URL,
    "status": "pending",
    "token": "abc",
    "error": {"type": "urn:ietf:params:acme:error:dns", "detail": "d", "status": 400, "subproblems": []},
    "issuerDomainNames": ["example.org"],
    "accounturi": URL,
}
IDENTIFIER = {"type": "dns", "value": "www.example.org"}
OBJECTS: dict[str, dict[str, Any]] = {
    "directory": {
        "newNonce": URL,
        "newAccount": URL,
        "newOrder": URL,
        "revokeCert": URL,
        "keyChange": URL,
        "renewalInfo": URL,
        "meta": {
            "termsOfService": URL,
            "website": URL,
            "caaIdentities": ["example.org"],
            "externalAccountRequired": False,
            "profiles": {"classic": "words"},
        },
    },
    "account": {
        "status": "valid",
        "contact": ["mailto:a@example.org"],
        "orders": URL,
        "termsOfServiceAgreed": True,
    },
    "order": {
        "status": "pending",
        "identifiers": [IDENTIFIER],
        "authorizations": [URL],
        "finalize": URL,
        "certificate": URL,
        "expires": "2026-12-01T00:00:00Z",
        "notBefore": "2026-12-01T00:00:00Z",
        "notAfter": "2026-12-01T00:00:00Z",
        "error": CHALLENGE["error"],
        "profile": "classic",
    },
    "authorization": {
        "identifier": IDENTIFIER,
        "status": "pending",
        "wildcard": False,
        "expires": "2026-12-01T00:00:00Z",
        "challenges": [CHALLENGE],
    },
}


def _places(value: Any, above: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where every member of an object stands."""
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return [place for key, one in members for place in [(*above, key), *_places(one, (*above, key))]]


def _with(value: Any, place: tuple[str | int, ...], given_: Any) -> Any:
    """The object with something else in that place."""
    if not place:
        return given_
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = _with(copy[place[0]], place[1:], given_)
    return copy


EVERY_PLACE = [(kind, place) for kind, document in OBJECTS.items() for place in _places(document)]


@pytest.mark.parametrize("kind", OBJECTS)
def test_proper_objects_are_read(kind: str) -> None:
    """What is bent below is in order to begin with."""
    getattr(wire, kind)(OBJECTS[kind], URL)


@given(st.sampled_from(EVERY_PLACE), ANYTHING)
def test_any_type_in_any_member(where: tuple[str, tuple[str | int, ...]], anything: Any) -> None:
    """Read, or refused as a bad reply: RetryLater, and for the directory GiveUp, that it is none."""
    kind, place = where
    bent = json.dumps(_with(OBJECTS[kind], place, anything)).encode()
    reply = Reply(URL, 200, {}, bent)
    refused: RenewerError | None = None
    try:
        getattr(wire, kind)(reply.json(), URL)
    except (RetryLater, GiveUp) as error:
        refused = error
    if refused is not None:
        assert refused.hint
        wanted = (GiveUp, "directory") if kind == "directory" else (RetryLater, "bad-reply")
        assert (type(refused), refused.kind) == wanted


@pytest.mark.parametrize("status", [{}, [], None, 3, True, [{}]], ids=repr)
def test_status_of_a_challenge(status: object) -> None:
    """It is refused as a bad reply: which challenge it means nobody can say."""
    bent = {**OBJECTS["authorization"], "challenges": [{**CHALLENGE, "status": status}]}
    with pytest.raises(RetryLater, match="status") as caught:
        wire.authorization(bent, URL)
    assert caught.value.kind == "bad-reply"


@given(ANYTHING)
def test_any_problem(anything: Any) -> None:
    """A refusal is told whatever its document is, as one of our errors."""
    document = {
        "type": anything,
        "detail": anything,
        "status": anything,
        "subproblems": [anything, {"identifier": anything}],
    }
    for body in (json.dumps(anything).encode(), json.dumps(document).encode()):
        problem = problems.from_reply(body, status=400, retry_after=None)
        assert isinstance(problems.error(problem, "the order", "ca"), RenewerError)


@given(ANYTHING, ANYTHING)
def test_any_window(window: Any, explanation: Any) -> None:
    """Renewal information of any shape is a window or none, and never raises."""
    documents = ({"suggestedWindow": window}, {"suggestedWindow": {"start": window, "end": window}})
    for document in documents:
        body = json.dumps({**document, "explanationURL": explanation}).encode()
        found = ari.fetch(lambda _, body=body: Reply(URL, 200, {}, body), URL, "id", 0)  # type: ignore[misc]
        assert found.start is None or found.end is not None
