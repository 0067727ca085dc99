"""How the bendable authority's answers are bent. A bend is a function from a request to an answer.

`request.usual()` does what was asked and gives the answer that it usually gets: a bend that does not call it
answers without having done anything.

    authority.bend(Call.FINALIZE, html())                           always a page, and nothing is done
    authority.bend(Call.FINALIZE, thin(), order=1)                  issued, but little is said; order 1
    authority.bend(Call.ORDER_POLL, stays("processing"), times=3)   three polls
    authority.bend(Call.NEW_ORDER, lambda request: acted(request, problem("serverInternal", 500)))
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol


class Call(StrEnum):
    """What an authority is asked; each can be bent by itself."""

    DIRECTORY = "directory"
    NONCE = "nonce"
    NEW_ACCOUNT = "newAccount"  # also with onlyReturnExisting
    ACCOUNT = "account"  # show, change, deactivate
    ORDERS = "orders"  # the account's list
    KEY_CHANGE = "keyChange"
    NEW_ORDER = "newOrder"
    ORDER = "order"  # a look at an order whose CSR was not sent yet
    ORDER_POLL = "order poll"  # a look at an order whose CSR was
    AUTHORIZATION = "authorization"
    DEACTIVATE = "deactivation"  # of an authorization
    CHALLENGE = "challenge"
    FINALIZE = "finalize"
    CERTIFICATE = "certificate"
    ALTERNATE = "alternate"
    RENEWAL_INFO = "renewalInfo"
    REVOKE = "revoke"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Answer:
    """What goes out. `cut`: so many bytes of the body and then the end; `pause`: seconds before all of it.

    `lost` closes the connection instead; `nonce` is whether a fresh one goes along; `date` None means the
    authority's clock, "" no Date at all.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    nonce: bool = True
    cut: int | None = None
    pause: float = 0.0
    lost: bool = False
    date: str | None = None

    def with_headers(self, **headers: str) -> "Answer":
        """The same with more headers: `retry_after="5"` is Retry-After."""
        named = {name.replace("_", "-").title(): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **named})

    @property
    def document(self) -> Any:
        """Its JSON."""
        return json.loads(self.body)

    def with_members(self, **members: Any) -> "Answer":
        """The same object with other members; None takes one away."""
        merged = {**self.document, **members}
        kept = {name: value for name, value in merged.items() if value is not None}
        return replace(self, body=json.dumps(kept).encode())


class Request(Protocol):
    """What a bend is given."""

    call: Call
    method: str
    path: str
    account: str | None
    payload: Any
    order: Any

    def usual(self) -> Answer:
        """Do what was asked, and the answer to it. Done once, however often it is called."""
        ...


Bend = Callable[[Any], Answer]


def document(members: Any, status: int = 200, **headers: str) -> Answer:
    """A JSON document."""
    return Answer(status, json.dumps(members).encode(), {"Content-Type": "application/json"}).with_headers(
        **headers
    )


def refusal(kind: str, status: int = 400, detail: str = "bent", **members: Any) -> Answer:
    """A problem document (RFC 7807); a `kind` with a colon is a type of the authority's own."""
    type_ = kind if ":" in kind else f"urn:ietf:params:acme:error:{kind}"
    body = json.dumps({"type": type_, "detail": detail, "status": status, **members}).encode()
    return Answer(status, body, {"Content-Type": "application/problem+json"})


def say(answer: Answer) -> Bend:
    """Always this answer, nothing done."""
    return lambda _: answer


def problem(kind: str, status: int = 400, detail: str = "bent", **headers: str) -> Bend:
    """Refused with this problem, nothing done."""
    return say(refusal(kind, status, detail).with_headers(**headers))


def html(status: int = 200, **headers: str) -> Bend:
    """A page for people, as portals and broken proxies send; it has no nonce."""
    page = Answer(status, b"<!doctype html><title>Sorry</title><h1>Sorry</h1>", nonce=False)
    return say(page.with_headers(content_type="text/html", **headers))


def error(status: int = 500, **headers: str) -> Bend:
    """A load balancer's short refusal, without a nonce."""
    return say(Answer(status, b"upstream error\n", nonce=False).with_headers(**headers))


def acted(request: Request, answer: Answer) -> Answer:
    """Done, but answered so."""
    request.usual()
    return answer


def lost(request: Request) -> Answer:
    """Done, and the reply is lost."""
    return replace(request.usual(), lost=True)


def dropped(_: Request) -> Answer:
    """The connection is closed, nothing done."""
    return Answer(lost=True)


def cut(keep: int = 10) -> Bend:
    """Done; the answer ends in its midst."""
    return lambda request: replace(request.usual(), cut=keep)


def late(seconds: float) -> Bend:
    """Done, and answered after so long; a pause longer than the client waits is a hang."""
    return lambda request: replace(request.usual(), pause=seconds)


def hang(_: Request) -> Answer:
    """Nothing done, and no answer while the authority lives."""
    return Answer(pause=86400.0, lost=True)


def members(**changed: Any) -> Bend:
    """Done, and the answer's object with other members; None takes one away."""
    return lambda request: request.usual().with_members(**changed)


def thin(*kept: str) -> Bend:
    """Done, and of the answer's object only these members (status, finalize and certificate if none)."""
    names = kept or ("status", "finalize", "certificate")

    def bend(request: Request) -> Answer:
        usual = request.usual()
        if usual.status >= 400:
            return usual
        body = {name: value for name, value in usual.document.items() if name in names}
        return replace(usual, body=json.dumps(body).encode())

    return bend


def stays(status: str, **headers: str) -> Bend:
    """The order stands at this status whatever it is (nothing done)."""

    def bend(request: Request) -> Answer:
        shown = {**request.order.document(), "status": status}
        if status != "valid":
            shown.pop("certificate", None)
        return document(shown, 200, **headers)

    return bend


def headers(**changed: str) -> Bend:
    """Done, with more headers: `headers(retry_after="60")`."""
    return lambda request: request.usual().with_headers(**changed)


def dated(text: str) -> Bend:
    """Done, with another Date header ("": none)."""
    return lambda request: replace(request.usual(), date=text)


def repeated() -> Bend:
    """The answer that was given the first time, for each path, again and again."""
    given: dict[str, Answer] = {}

    def bend(request: Request) -> Answer:
        if request.path not in given:
            given[request.path] = request.usual()
        return given[request.path]

    return bend
