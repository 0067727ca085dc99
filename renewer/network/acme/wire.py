"""From the authority's JSON to our nouns: read once, strictly where we rely on it, and trusted then.

A member of another type than RFC 8555 gives it is a bad reply (RetryLater, kind "bad-reply") where we rely on
it, and as good as absent elsewhere: whatever stands there, nothing else is ever raised.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from typing import Any, TypeVar

from renewer import words
from renewer.errors import GiveUp, RetryLater
from renewer.model.names import Identifier
from renewer.network.acme import problems
from renewer.network.acme.resources import (
    AccountObject,
    AcmeOrder,
    Authorization,
    AuthorizationStatus,
    ChallengeStatus,
    Directory,
    Offer,
    OrderStatus,
    Problem,
    token_is_safe,
)

_MAX_ITEMS = 1000
_MAX_NAMED = 100
_MAX_ISSUERS = 10
_FIRST_YEAR, _LAST_YEAR = 1900, 9998
_DOMAIN = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63}){0,8}")
_URI = re.compile(r"[!#-:<-\[\]-~]{1,300}")  # printed, but no quote, semicolon or backslash
S = TypeVar("S", bound=StrEnum)


def moment(text: object) -> datetime | None:
    """An RFC 3339 time as aware UTC; None if it is none, or lies where nobody can reckon with it."""
    if not isinstance(text, str):
        return None
    try:
        parsed = datetime.fromisoformat(text)
        found = parsed.astimezone(UTC) if parsed.tzinfo else None
    except (ValueError, OverflowError):
        return None
    return found if found and _FIRST_YEAR <= found.year <= _LAST_YEAR else None


def directory(document: Mapping[str, Any], url: str) -> Directory:
    """RFC 8555 §7.1.1. Raises GiveUp if it is none."""
    meta = document.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    profiles = meta.get("profiles")
    profiles = profiles if isinstance(profiles, Mapping) else {}
    caa = meta.get("caaIdentities")
    try:
        return Directory(
            url=url,
            new_nonce=_url(document, "newNonce", "the directory"),
            new_account=_url(document, "newAccount", "the directory"),
            new_order=_url(document, "newOrder", "the directory"),
            revoke_cert=_optional(document.get("revokeCert")),
            key_change=_optional(document.get("keyChange")),
            renewal_info=_optional(document.get("renewalInfo")),
            profiles={
                words.text_of(name, 200): words.text_of(text, 500)
                for name, text in islice(profiles.items(), _MAX_NAMED)
            },
            terms=words.text_of(meta.get("termsOfService"), 500) or None,
            eab_required=meta.get("externalAccountRequired") is True,
            account_hash_prefix=_account_uri(meta.get("accountHashPrefix")),
            issuers=_issuers(meta),
            caa=tuple(words.text_of(name, 300) for name in caa[:_MAX_NAMED] if name)
            if isinstance(caa, list)
            else (),
            website=words.text_of(meta.get("website"), 500) or None,
        )
    except RetryLater as fault:
        hint = "check `directory`: it must be the URL of the authority's ACME directory itself"
        raise GiveUp(f"{url} is not an ACME directory: {fault.text}", kind="directory", hint=hint) from None


def account(document: Mapping[str, Any], url: str) -> AccountObject:
    """RFC 8555 §7.1.2."""
    contact = document.get("contact")
    return AccountObject(
        url=url,
        status=words.text_of(document.get("status"), 40) or "unknown",
        contact=tuple(words.text_of(one, 300) for one in contact[:_MAX_NAMED])
        if isinstance(contact, list)
        else (),
        orders=_optional(document.get("orders")),
    )


def order(document: Mapping[str, Any], url: str, known: AcmeOrder | None = None) -> AcmeOrder:
    """RFC 8555 §7.1.3; what an answer leaves out is taken from the order as it is `known`.

    Raises RetryLater if it is none, or another one than that.
    """
    if known is not None:
        document = {**_known(known), **document}
        if _names(document) != frozenset(known.identifiers):
            text = f"what was shown at {url} is an order for other names"
            raise RetryLater(text, kind="bad-reply")
    return AcmeOrder(
        url=url,
        status=_status(OrderStatus, document, "an order"),
        identifiers=tuple(_identifier(item) for item in _list(document, "identifiers", "an order")),
        authorizations=tuple(
            _text(item, "an order") for item in _list(document, "authorizations", "an order")
        ),
        finalize=_url(document, "finalize", "an order"),
        certificate=_optional(document.get("certificate")),
        expires=moment(document.get("expires")),
        error=_problem(document),
        profile=words.text_of(document.get("profile"), 200) or None,
    )


def _known(order: AcmeOrder) -> dict[str, Any]:
    return {
        "identifiers": [{"type": one.type.value, "value": one.value} for one in order.identifiers],
        "authorizations": list(order.authorizations),
        "finalize": order.finalize,
        "expires": order.expires.isoformat() if order.expires else None,
    }


def _names(document: Mapping[str, Any]) -> frozenset[Identifier]:
    return frozenset(_identifier(item) for item in _list(document, "identifiers", "an order"))


def authorization(document: Mapping[str, Any], url: str) -> Authorization:
    """RFC 8555 §7.1.4. Raises RetryLater if it is none."""
    return Authorization(
        url=url,
        identifier=_identifier(document.get("identifier")),
        wildcard=document.get("wildcard") is True,
        status=_status(AuthorizationStatus, document, "an authorization"),
        expires=moment(document.get("expires")),
        challenges=tuple(
            found
            for item in _list(document, "challenges", "an authorization")
            if (found := offer(item)) is not None
        ),
    )


def offer(document: object) -> Offer | None:
    """RFC 8555 §8; None if it is of no use. Types that we do not know are kept.

    Raises RetryLater if its status is no text.
    """
    if not isinstance(document, Mapping):
        return None
    kind, url, status = document.get("type"), document.get("url"), document.get("status")
    if not isinstance(kind, str) or not isinstance(url, str):
        return None
    if not isinstance(status, str):
        raise _bad("a challenge came with a status that is no text")
    if status not in set(ChallengeStatus):
        return None
    named = document.get("issuerDomainNames")
    if isinstance(named, list) and not 1 <= len(named) <= _MAX_ISSUERS:
        return None  # draft-ietf-acme-dns-persist-02 §3.1: "MUST reject such challenges"
    token = document.get("token")
    return Offer(
        type=words.text_of(kind, 100),
        url=url,
        token=str(token) if token_is_safe(token) else None,
        status=ChallengeStatus(status),
        error=_problem(document),
        issuers=_issuers(document),
        account=_account_uri(document.get("accounturi")),
    )


def _issuers(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The authority's own names (draft-ietf-acme-dns-persist), as either draft spells the key."""
    for key in ("issuerDomainNames", "issuer-domain-names"):
        given = document.get(key)
        if isinstance(given, list) and len(given) <= _MAX_ITEMS:
            names = (one.lower().removesuffix(".") for one in given if isinstance(one, str))
            return tuple(dict.fromkeys(one for one in names if _DOMAIN.fullmatch(one)))
    return ()


def _account_uri(given: object) -> str | None:
    """An account's URL as a TXT record can carry it: no blank, no semicolon, nothing that is not printed."""
    return given if isinstance(given, str) and _URI.fullmatch(given) else None


def _problem(document: Mapping[str, Any]) -> Problem | None:
    error = document.get("error")
    return problems.read(error) if isinstance(error, Mapping) else None


def _identifier(document: object) -> Identifier:
    value = document.get("value") if isinstance(document, Mapping) else None
    try:
        return Identifier.parse(_text(value, "an identifier"))
    except ValueError as error:
        raise _bad(f"the authority sent an identifier that is none: {words.text_of(str(error))}") from None


def _status(kind: type[S], document: Mapping[str, Any], what: str) -> S:
    given = document.get("status")
    if not isinstance(given, str):
        raise _bad(f"{what} came without a status")
    try:
        return kind(given)
    except ValueError:
        raise _bad(f"{what} came with status '{words.text_of(given, 40)}', which there is not") from None


def _list(document: Mapping[str, Any], key: str, what: str) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list) or len(value) > _MAX_ITEMS:
        raise _bad(f"{what} came without a proper {key}")
    return value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise _bad(f"{what} came with something that is no text")
    return value


def _url(document: Mapping[str, Any], key: str, what: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value:
        raise _bad(f"{what} has no {key}")
    return value


def _optional(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _bad(text: str) -> RetryLater:
    hint = "it is the authority's answer, or that of a proxy before it; it is asked again"
    return RetryLater(text, kind="bad-reply", hint=hint)
