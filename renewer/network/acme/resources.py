"""What an ACME authority talks of, as our values (RFC 8555 §7.1, RFC 9773 §4.2)."""

from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import urlsplit

from renewer.model.names import Identifier
from renewer.model.value import Value
from renewer.network.protocol import Moment


class OrderStatus(StrEnum):
    """RFC 8555 §7.1.6, "State Transitions for Order Objects"."""

    PENDING = "pending"
    READY = "ready"
    PROCESSING = "processing"
    VALID = "valid"
    INVALID = "invalid"


class AuthorizationStatus(StrEnum):
    """RFC 8555 §7.1.6, "State Transitions for Authorization Objects"."""

    PENDING = "pending"
    VALID = "valid"
    INVALID = "invalid"
    DEACTIVATED = "deactivated"
    EXPIRED = "expired"
    REVOKED = "revoked"


class ChallengeStatus(StrEnum):
    """RFC 8555 §7.1.6, "State Transitions for Challenge Objects"."""

    PENDING = "pending"
    PROCESSING = "processing"
    VALID = "valid"
    INVALID = "invalid"


class Problem(Value):
    """A problem document (RFC 7807, RFC 8555 §6.7), with its texts made fit for a terminal and bounded.

    `type` is without the URN's prefix, "" if there was no problem document; `status` the HTTP status, 0 for a
    problem that stands inside an object. `subproblems` are (identifier, type, detail), RFC 8555 §6.7.1.
    `instance` is a page for people (§7.3.3). `retry_after` is the earliest moment the authority wants to hear
    of us again, not clamped.
    """

    type: str
    detail: str = ""
    status: int = 0
    subproblems: tuple[tuple[str, str, str], ...] = ()
    instance: str | None = None
    retry_after: Moment | None = None


class Offer(Value):
    """A challenge that the authority offers (RFC 8555 §8); `type` may be one that we do not know.

    `token` is None if there is none, or if it is not base64url (§8.3): then only a type without tokens
    (dns-persist-01) can be answered; that one may name the authority's `issuers` and our `account`.
    """

    type: str
    url: str
    token: str | None
    status: ChallengeStatus
    error: Problem | None = None
    issuers: tuple[str, ...] = ()
    account: str | None = None


class Authorization(Value):
    """Whether the account may have certificates for an identifier (RFC 8555 §7.1.4).

    `identifier` is the bare name; `wildcard` says that the order's had `*.` before it.
    """

    url: str
    identifier: Identifier
    wildcard: bool
    status: AuthorizationStatus
    expires: Moment | None
    challenges: tuple[Offer, ...]

    @property
    def wanted(self) -> Identifier:
        """The identifier as the order had it."""
        if not self.wildcard:
            return self.identifier
        return Identifier(type=self.identifier.type, value="*." + self.identifier.base)


class AcmeOrder(Value):
    """An order (RFC 8555 §7.1.3).

    `replaces_refused` is what the authority said when it refused the `replaces` of a new order, which was
    then ordered without (RFC 9773 §5). `retry_after` is when it wants to be asked again, if it said so.
    """

    url: str
    status: OrderStatus
    identifiers: tuple[Identifier, ...]
    authorizations: tuple[str, ...]
    finalize: str
    certificate: str | None = None
    expires: Moment | None = None
    error: Problem | None = None
    profile: str | None = None
    replaces_refused: str | None = None
    retry_after: Moment | None = None


class AccountObject(Value):
    """An account as the authority shows it (RFC 8555 §7.1.2); many show no contact any more.

    `orders` is the URL of its list of orders, None where the authority has none.
    """

    url: str
    status: str
    contact: tuple[str, ...] = ()
    orders: str | None = None


class Directory(Value):
    """What the authority offers (RFC 8555 §7.1.1); `profiles` is name → description, empty if it has none.

    `website`, `terms` and `caa` come from its meta object; `renewal_info` is None without ARI (RFC 9773 §4).
    `account_hash_prefix` and `issuers` are of dns-persist-01 (draft -02 §3.2, §4.1): the beginning of hashed
    accounts, and the names by which records may call the authority.
    """

    url: str
    new_nonce: str
    new_account: str
    new_order: str
    revoke_cert: str | None = None
    key_change: str | None = None
    renewal_info: str | None = None
    profiles: Mapping[str, str] = {}
    terms: str | None = None
    eab_required: bool = False
    caa: tuple[str, ...] = ()
    website: str | None = None
    account_hash_prefix: str | None = None
    issuers: tuple[str, ...] = ()


class Renewal(Value):
    """What the authority said about when to renew (RFC 9773 §4.2), or that it gave no usable window.

    Without a window `start` and `end` are None and `trouble` says why. `ask_again` is the moment from which
    it may be asked again. `failures` is how many temporary errors there were in a row, this one included.
    `busy` is set if the authority said that it is asked too much (429, 503): the seconds it asked for, or 0.
    """

    ask_again: Moment
    start: Moment | None = None
    end: Moment | None = None
    explanation_url: str | None = None
    failures: int = 0
    trouble: str | None = None
    busy: float | None = None


_TOKEN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
_MAX_TOKEN = 255  # a file's name


def token_is_safe(text: object) -> bool:
    """RFC 8555 §8.3: no characters outside base64url, so it can be a file's name."""
    return isinstance(text, str) and 0 < len(text) <= _MAX_TOKEN and _TOKEN.issuperset(text)


def place_of(url: str) -> str:
    """Host and port of an https URL; "" if it is none."""
    try:
        parts = urlsplit(url)
        place = f"{parts.hostname}:{parts.port or 443}"
    except ValueError:
        return ""
    return place if parts.scheme == "https" and parts.hostname else ""


def places(directory: Directory) -> frozenset[str]:
    """Where the authority is: the hosts and ports that its directory names."""
    named = (
        *(directory.url, directory.new_nonce, directory.new_account, directory.new_order),
        *(directory.revoke_cert, directory.key_change),
    )
    return frozenset(place_of(url) for url in named if url) - {""}
