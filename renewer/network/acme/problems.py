"""From an authority's refusal to what to do next: RetryLater, GiveUp or OurFault, with a hint for people."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from renewer import words
from renewer.decoding import UndecodableError, decode
from renewer.errors import GiveUp, OurFault, RenewerError, RetryLater
from renewer.network.acme.hints import FINAL, VALIDATION, hint_for
from renewer.network.acme.resources import Authorization, ChallengeStatus, Problem

URN = "urn:ietf:params:acme:error:"
_MAX_SUBPROBLEMS = 200
_PAUSED = re.compile(r"\b(un)?paused?\b", re.IGNORECASE)
_URL = re.compile(r"https?://[^\s'\"<>)]+[^\s'\"<>).,;]")

# What an authority says of what was asked, not of who asked (RFC 8555 §6.7, RFC 9773 §7.4).
_DEFINITE = frozenset(
    {*FINAL, *VALIDATION, "alreadyReplaced", "alreadyRevoked", "autoRenewalExpired", "badNonce", "compound"}
    | {"orderNotReady", "rateLimited"}
) - {"accountDoesNotExist", "unauthorized"}


def is_vague(kind: str) -> bool:
    """Whether a problem's type leaves open what was wrong: none, a foreign one, or one that means much."""
    return kind not in _DEFINITE


def read(
    document: object, *, status: int = 0, retry_after: datetime | None = None, headline: str = ""
) -> Problem:
    """A problem document, however broken; `headline` stands for its detail if it has none."""
    if not isinstance(document, Mapping):
        return Problem(type="", detail=headline, status=status, retry_after=retry_after)
    given = document.get("status")
    return Problem(
        type=words.text_of(document.get("type"), 200).removeprefix(URN),
        detail=words.text_of(document.get("detail")) or words.text_of(document.get("title")) or headline,
        status=status or (given if isinstance(given, int) else 0),
        subproblems=_subproblems(document.get("subproblems")),
        instance=words.text_of(document.get("instance"), 500) or None,
        retry_after=retry_after,
    )


def from_reply(body: bytes, *, status: int, retry_after: datetime | None) -> Problem:
    """The problem in a reply that is no success; a page in HTML is told by its beginning."""
    try:
        document = decode(body)
    except UndecodableError:
        document = None
    text = words.text_of(re.sub(rb"<[^>]*>", b" ", body[:2000]).decode("utf-8", "replace"), 200)
    return read(document, status=status, retry_after=retry_after, headline=text)


def _subproblems(given: Any) -> tuple[tuple[str, str, str], ...]:
    if not isinstance(given, list):
        return ()
    found = []
    for item in given[:_MAX_SUBPROBLEMS]:
        if isinstance(item, Mapping):
            identifier = item.get("identifier")
            name = words.text_of(identifier.get("value"), 300) if isinstance(identifier, Mapping) else ""
            found.append(
                (
                    name,
                    words.text_of(item.get("type"), 200).removeprefix(URN),
                    words.text_of(item.get("detail")),
                )
            )
    return tuple(found)


def error(problem: Problem, doing: str, authority: str) -> RenewerError:
    """What a refused request means; `doing` completes "… refused" ("the order", "to revoke")."""
    text = _sentence(problem, f"{authority} refused {doing}")
    identifiers = tuple((name, detail or type_) for name, type_, detail in problem.subproblems if name)
    kinds = {problem.type, *(type_ for _, type_, _ in problem.subproblems)}
    if _is_paused(problem):
        where = _url_in(problem) or "the page named"
        hint = f"visit {where} to un-pause, then run again; until then nothing is tried"
        return GiveUp(text, kind="paused", identifiers=identifiers, hint=hint, not_before=problem.retry_after)
    final = problem.type if problem.type in FINAL else next((k for k in sorted(kinds) if k in FINAL), "")
    if final:
        return GiveUp(text, hint=_final_hint(final, problem), kind=final, identifiers=identifiers)
    if problem.type == "unauthorized" and doing == "to register the account":
        hint = "check eab: kid and HMAC key as the authority gave them; some may be used only once"
        return GiveUp(text, kind=problem.type, identifiers=identifiers, hint=hint)
    if problem.type == "unauthorized":
        hint = (
            f"the account may be deactivated, or not allowed to do this: renewer account show {authority} "
            f"tells; renewer account register {authority} makes a new one in the place of a deactivated one"
        )
        return GiveUp(text, kind=problem.type, identifiers=identifiers, hint=hint)
    if problem.type == "malformed" and problem.status < 500:
        return _malformed(text, doing, identifiers)
    return RetryLater(
        text,
        not_before=problem.retry_after,
        kind=problem.type or f"http-{problem.status}",
        identifiers=identifiers,
        hint=_later_hint(problem, kinds),
    )


def failed_authorizations(authorizations: list[Authorization], authority: str) -> RenewerError | None:
    """Names that did not validate, as one error that says of each what the authority saw; None if all did."""
    failed = []
    for authorization in authorizations:
        if authorization.status != "valid":
            offer = next((o for o in authorization.challenges if o.status is ChallengeStatus.INVALID), None)
            failed.append((authorization.wanted.value, authorization.status, offer))
    if not failed:
        return None
    said, kinds, hints = [], [], []
    for name, status, offer in failed:
        problem = (offer and offer.error) or Problem(type="", detail=f"the authorization is {status}")
        kinds.append(problem.type)
        hints.append(hint_for(problem.type, offer.type if offer else ""))
        said.append((name, f"{offer.type}: {_told(problem)}" if offer else _told(problem)))
    text = f"{authority} could not validate " + "; ".join(f"{name}: {told}" for name, told in said)
    kind = kinds[0]
    hint = " / ".join(dict.fromkeys(hints)).strip(" /")
    if all(k in FINAL for k in kinds):
        return GiveUp(text, kind=kind, hint=hint, identifiers=tuple(said))
    return RetryLater(text, kind=kind or "unauthorized", hint=hint, identifiers=tuple(said))


def with_causes(error: RenewerError, authorizations: Iterable[Authorization]) -> RenewerError:
    """The error, with what the authority has said so far of names that are still pending.

    Some try again by themselves and show meanwhile why the last try failed (RFC 8555 §8.2).
    """
    seen = [
        (hint_for(one.error.type, one.type), f"{each.wanted.value}: {one.type}: {_told(one.error)}")
        for each in authorizations
        for one in each.challenges
        if each.status == "pending" and one.error is not None
    ]
    if seen:
        error.text += "; so far it says of " + "; ".join(dict.fromkeys(told for _, told in seen))
        error.args = (error.text,)
        hints = (hint for hint, _ in seen)
        error.hint = " / ".join(filter(None, dict.fromkeys((*hints, error.hint))))
    return error


def order_error(problem: Problem | None, authority: str) -> RenewerError:
    """What an order that became invalid means (RFC 8555 §7.1.3, "error")."""
    given = problem or Problem(type="", detail="the order is invalid, and the authority does not say why")
    return error(given, "to issue the certificate", authority)


def _told(problem: Problem) -> str:
    return f"{problem.detail or 'no reason given'}" + (f" ({problem.type})" if problem.type else "")


def _sentence(problem: Problem, head: str) -> str:
    marks = [mark for mark in (problem.type, f"HTTP {problem.status}" if problem.status else "") if mark]
    text = f"{head}: {problem.detail or 'no reason given'}" + (f" ({', '.join(marks)})" if marks else "")
    for name, type_, detail in problem.subproblems:
        text += f"; {name or 'also'}: {detail or type_}"
    return text


def _is_paused(problem: Problem) -> bool:
    # Let's Encrypt names its page for un-pausing in the detail, and nowhere the word in a fixed place.
    return problem.type == "rateLimited" and _PAUSED.search(problem.detail) is not None


def _url_in(problem: Problem) -> str | None:
    found = _URL.search(problem.detail)
    return problem.instance or (found.group() if found else None)


def _final_hint(kind: str, problem: Problem) -> str:
    url = _url_in(problem) if kind == "userActionRequired" else None
    return f"visit {url}, do what it asks, and run again" if url else FINAL[kind]


def _later_hint(problem: Problem, kinds: set[str]) -> str:
    if 300 <= problem.status < 400:
        return (
            "signed requests are never sent elsewhere: a login portal or a proxy may stand between this host "
            "and the authority; if the authority has moved, correct `directory`"
        )
    if problem.type == "rateLimited":
        return "a rate limit of the authority was reached; it is tried again when the authority allows it"
    return next((VALIDATION[kind] for kind in sorted(kinds) if kind in VALIDATION), "")


def _malformed(text: str, doing: str, identifiers: tuple[tuple[str, str], ...]) -> RenewerError:
    # In an order or an account the operator's words are sent; everywhere else every byte is ours.
    if doing in ("the order", "to register the account", "to change the account"):
        hint = "check names, contact and eab: the authority does not accept them"
        return GiveUp(text, kind="malformed", identifiers=identifiers, hint=hint)
    hint = "this is a defect of this program, or of the authority: please report it with the renewal log"
    return OurFault(text, kind="malformed", identifiers=identifiers, hint=hint)
