"""What is said at the door about an authority.

Main asks, and the worker, which has no key, asks back for signatures (`Sign`). It names what is to be signed
by its kind and never by its words: those main writes itself, from its own orders and commands.
"""

from datetime import timedelta
from enum import StrEnum

from renewer.model.names import Identifier
from renewer.network.acme.resources import (
    AccountObject,
    AcmeOrder,
    Authorization,
    Directory,
    Offer,
    Problem,
    Renewal,
)
from renewer.network.protocol import DoorMessage, Moment, Trust

CHAIN = 64 * 1024
"""Octets that a chain may have."""
ALTERNATES = 10
OBJECT = 192 * 1024
"""Octets that an order or an authorization may have, so that a frame holds it."""


class SignKind(StrEnum):
    """What a signed request is for (RFC 8555, the section named)."""

    READ = "read"  # POST-as-GET, §6.3
    NEW_ORDER = "new-order"  # §7.4
    ANSWER = "answer"  # §7.5.1
    FINALIZE = "finalize"  # §7.4
    DEACTIVATE = "deactivate-authorization"  # §7.5.2
    REVOKE = "revoke"  # §7.6
    FIND_ACCOUNT = "find-account"  # §7.3.1, with external account binding
    FIND_ACCOUNT_PLAIN = "find-account-plain"  # the same without
    NEW_ACCOUNT = "new-account"  # §7.3
    CONTACT = "contact"  # §7.3.2
    KEY_CHANGE = "key-change"  # §7.3.5
    END_ACCOUNT = "end-account"  # §7.3.6


# --- what main asks: in general -----------------------------------------------------------------------------


class Configure(DoorMessage):
    """The authority that is spoken to: said once, first or after what is trusted (`Trust`).

    `timeout` (seconds) bounds each request to it, `ca_bundle` is for people where that is from.
    """

    name: str
    directory: str
    timeout: float
    ca_bundle: str | None = None
    proxy: str | None = None


class HangUp(DoorMessage):
    """Close the kept connections; what is asked after that opens new ones."""


class ShowDirectory(DoorMessage):
    """What the authority offers, fetched once."""


class DirectoryShown(DoorMessage):
    """The answer to `ShowDirectory`."""

    directory: Directory


class CompareClocks(DoorMessage):
    """How far the authority's clock is ahead; with `ask` it is asked now if it said nothing yet."""

    ask: bool


class ClocksCompared(DoorMessage):
    """The authority's Date minus our clock, None if it said none."""

    ahead: timedelta | None = None


class AskWindow(DoorMessage):
    """When a certificate should be renewed (RFC 9773); `failures` temporary errors in a row came before."""

    ari_id: str
    failures: int = 0


class WindowShown(DoorMessage):
    """The answer to `AskWindow`; None if the authority has no such thing."""

    renewal: Renewal | None = None


# --- what main asks in the name of the account, whose URL is `account` --------------------------------------


class NewOrder(DoorMessage):
    """Order; for which names main says where it signs. `replaces` is whether that says what is replaced."""

    account: str
    replaces: bool = False


class OrderPlaced(DoorMessage):
    """The new order; None if it was `refused`, perhaps for what it replaces, with what was said."""

    order: AcmeOrder | None = None
    refused: str = ""


class LookAtOrder(DoorMessage):
    """An order as it stands; what the answer leaves out is taken from the order as it is `known`."""

    account: str
    url: str
    known: AcmeOrder | None = None


class AwaitOrder(LookAtOrder):
    """An order, each time it is looked at, until it is neither pending nor processing, or nobody waits."""


class FinalizeOrder(DoorMessage):
    """Hand in the CSR, which main has."""

    account: str
    order: AcmeOrder


class OrderShown(DoorMessage):
    """An order as it was when it was looked at."""

    order: AcmeOrder


class FindOrder(DoorMessage):
    """Look for an order for exactly these names in the account's list: one that is not finished.

    With `finished_after` it is one that is finished, and whose time is not over then.
    """

    account: str
    identifiers: tuple[Identifier, ...]
    finished_after: Moment | None = None


class OrderSearched(DoorMessage):
    """The answer to `FindOrder`; `listed` is whether there is a list at all."""

    order: AcmeOrder | None = None
    listed: bool = False


class FetchChain(DoorMessage):
    """A chain, from its own URL."""

    account: str
    url: str


class ChainFetched(DoorMessage):
    """The chain as PEM, and where others of the same certificate are."""

    chain: bytes
    alternates: tuple[str, ...] = ()


class LookAtAuthorization(DoorMessage):
    """An authorization as it stands."""

    account: str
    url: str


class AwaitAuthorizations(DoorMessage):
    """Each authorization once it is not pending any more, as in `AwaitOrder`."""

    account: str
    urls: tuple[str, ...]


class AuthorizationShown(DoorMessage):
    """An authorization as it was when it was looked at."""

    authorization: Authorization


class AnswerChallenge(DoorMessage):
    """Tell the authority that a challenge's answer is in its place."""

    account: str
    offer: Offer


class DeactivateAuthorization(DoorMessage):
    """Give an authorization up."""

    account: str
    url: str


class RevokeCertificate(DoorMessage):
    """Revoke the certificate that main has; without `account` by the certificate's own key."""

    account: str | None = None


class AccountRequest(DoorMessage):
    """One request about the account itself; `account` is its URL where there is one."""

    kind: SignKind
    account: str | None = None


class AccountReply(DoorMessage):
    """What came of an `AccountRequest`: an HTTP status, and if it is a success the account and where it is.

    Of a refusal `problem` says why, `gone` that there is no such thing any more, and `doubtful` that the
    authority may have lost the account.
    """

    status: int
    url: str
    location: str | None = None
    account: AccountObject | None = None
    problem: Problem | None = None
    gone: bool = False
    doubtful: bool = False


InGeneral = Trust | Configure | HangUp | ShowDirectory | CompareClocks | AskWindow
OfOrders = NewOrder | LookAtOrder | AwaitOrder | FindOrder | FinalizeOrder | FetchChain
OfNames = LookAtAuthorization | AwaitAuthorizations | AnswerChallenge | DeactivateAuthorization
OfAccount = RevokeCertificate | AccountRequest


# --- what the worker asks -----------------------------------------------------------------------------------


class Sign(DoorMessage):
    """A signature for one request: to this URL, with this nonce, for what it is meant to do.

    `again` says that the last one of this kind came to nothing: its nonce or its media type was refused, or
    it never arrived.
    """

    kind: SignKind
    url: str
    nonce: str
    again: bool = False


class Signature(DoorMessage):
    """The request as it is sent (RFC 8555 §6.2)."""

    body: bytes


class Doubt(DoorMessage):
    """The authority refused what was said in an account's name as if it had no such account.

    `sure` is whether it said so in as many words.
    """

    account: str
    sure: bool


class AccountNow(DoorMessage):
    """The account from now on: the same, found again, or another one."""

    url: str


Asked = Sign | Doubt
