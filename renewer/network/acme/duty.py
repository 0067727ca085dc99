"""The duty of speaking to one authority, on the worker's side of the door."""

from collections.abc import Iterator

import msgspec

from renewer.errors import GiveUp, OurFault, RenewerError, RetryLater
from renewer.network.acme import ari, orders, polling, problems, wire
from renewer.network.acme import messages as said
from renewer.network.acme.conversation import (
    Conversation,
    Voice,
    is_gone,
    location_of,
    may_be_lost,
    object_in,
)
from renewer.network.acme.messages import SignKind
from renewer.network.acme.reply import Reply
from renewer.network.acme.resources import AcmeOrder, Authorization, AuthorizationStatus, Offer, Problem
from renewer.network.door import Asker
from renewer.network.protocol import DoorMessage, Trust

_TOLD = 20
_SHOW = "to show the authorization"


class Speaker:
    """Speaks to one authority."""

    asks = said.InGeneral | said.OfOrders | said.OfNames | said.OfAccount

    def __init__(self) -> None:
        self._talk: Conversation | None = None
        self._roots = ""

    @property
    def talk(self) -> Conversation:
        """With the authority that main named. Raises OurFault if it named none."""
        if self._talk is None:
            raise OurFault("a defect of this program: a worker without an authority", kind="defect")
        return self._talk

    def answer(
        self, request: said.InGeneral | said.OfOrders | said.OfNames | said.OfAccount, main: Asker
    ) -> Iterator[DoorMessage]:
        """What the authority said to it."""
        if isinstance(request, said.InGeneral):
            return self._in_general(request)
        voice = Voice(self.talk, main, request.account)
        if isinstance(request, said.OfOrders):
            return _of_orders(voice, request, main)
        if isinstance(request, said.OfNames):
            return _of_names(voice, request, main)
        return _of_account(voice, request)

    def _in_general(self, request: said.InGeneral) -> Iterator[DoorMessage]:
        match request:
            case Trust(pem=pem):
                self._roots += pem
            case said.Configure():
                self._talk = Conversation(request, self._roots)
            case said.HangUp():
                self.talk.transport.close()
            case said.ShowDirectory():
                yield said.DirectoryShown(directory=self.talk.directory)
            case said.CompareClocks(ask=ask):
                if ask:
                    self.talk.transport.compare_clocks(self.talk.directory.new_nonce)
                yield said.ClocksCompared(ahead=self.talk.transport.date_skew)
            case said.AskWindow(ari_id=ari_id, failures=failures):
                base = self.talk.directory.renewal_info
                get = self.talk.transport.get
                yield said.WindowShown(renewal=ari.fetch(get, base, ari_id, failures) if base else None)


def _of_orders(voice: Voice, request: said.OfOrders, main: Asker) -> Iterator[DoorMessage]:
    match request:
        case said.NewOrder():
            yield orders.place(voice, replaces=request.replaces)
        case said.AwaitOrder():
            yield from _await_order(voice, request, main)
        case said.LookAtOrder():
            yield said.OrderShown(order=orders.look(voice, request.url, request.known)[0])
        case said.FindOrder():
            listed = orders.ListedOrders(voice)
            found = listed.find(request.identifiers, request.finished_after)
            yield said.OrderSearched(order=found, listed=listed.there)
        case said.FinalizeOrder():
            yield said.OrderShown(order=orders.finalize(voice, request.order))
        case said.FetchChain():
            yield orders.chain(voice, request.url)


def _of_names(voice: Voice, request: said.OfNames, main: Asker) -> Iterator[DoorMessage]:
    match request:
        case said.LookAtAuthorization():
            seen, _ = voice.look(request.url, wire.authorization, _SHOW)
            yield said.AuthorizationShown(authorization=seen)
        case said.AwaitAuthorizations():
            yield from _await_authorizations(voice, request, main)
        case said.AnswerChallenge():
            _answer(voice, request.offer)
        case said.DeactivateAuthorization():
            reply = voice.post(request.url, SignKind.DEACTIVATE)
            if reply.status >= 500:  # one that is final already is no error
                raise problems.error(reply.problem(), "to deactivate an authorization", voice.name)


def _of_account(voice: Voice, request: said.OfAccount) -> Iterator[DoorMessage]:
    match request:
        case said.RevokeCertificate():
            _revoke(voice)
        case said.AccountRequest():
            yield _about_account(voice, request)


def _await_order(voice: Voice, request: said.AwaitOrder, main: Asker) -> Iterator[DoorMessage]:
    def look(url: str) -> tuple[AcmeOrder, Reply]:
        return orders.look(voice, url, request.known)

    waiting = f"{voice.name} is still at work on the order"
    for seen in polling.until([request.url], look, orders.is_settled, main.until, waiting):
        yield said.OrderShown(order=seen)


def _await_authorizations(
    voice: Voice, request: said.AwaitAuthorizations, main: Asker
) -> Iterator[DoorMessage]:
    seen: dict[str, Authorization] = {}

    def look(url: str) -> tuple[Authorization, Reply]:
        return voice.look(url, wire.authorization, _SHOW)

    def done(found: Authorization) -> bool:
        return found.status is not AuthorizationStatus.PENDING

    waiting = f"{voice.name} is still validating"
    try:
        for found in polling.until(request.urls, look, done, main.until, waiting):
            seen[found.url] = found
            if done(found):
                yield said.AuthorizationShown(authorization=found)
    except RenewerError as error:
        raise problems.with_causes(error, seen.values()) from None


def _answer(voice: Voice, offer: Offer) -> None:
    """Tell the authority that a challenge's answer is in its place (§7.5.1)."""
    reply = voice.post(offer.url, SignKind.ANSWER)
    # An answer whose reply was lost is sent again, and then may be late: the authorization will tell.
    if reply.ok:
        reply.json()  # a portal's page would let us wait for a validation of which nobody knows
    elif is_gone(reply):
        text = f"{voice.name} knows the challenge {offer.type} that it offered no more"
        raise RetryLater(f"{text} (HTTP {reply.status})", kind="challenge-gone")
    elif reply.problem().type != "malformed":
        raise problems.error(reply.problem(), f"the answer to {offer.type}", voice.name)


def _revoke(voice: Voice) -> None:
    """Revoke a certificate (§7.6); one that was revoked before is no error."""
    if voice.talk.directory.revoke_cert is None:
        raise GiveUp(f"{voice.name} offers no revocation", kind="revocation")
    if voice.account:
        reply = voice.post(lambda: voice.talk.directory.revoke_cert or "", SignKind.REVOKE)
    else:
        reply = voice.signed(voice.talk.directory.revoke_cert, SignKind.REVOKE)
    if not reply.ok and reply.problem().type != "alreadyRevoked":
        raise problems.error(reply.problem(), "to revoke", voice.name)


def _about_account(voice: Voice, request: said.AccountRequest) -> said.AccountReply:
    """One request about the account, and what it brought."""
    url = voice.account
    if request.kind in (SignKind.FIND_ACCOUNT, SignKind.FIND_ACCOUNT_PLAIN, SignKind.NEW_ACCOUNT):
        url = voice.talk.directory.new_account
    elif request.kind is SignKind.KEY_CHANGE:
        url = voice.talk.directory.key_change or ""
    reply = voice.signed(url, request.kind, repeatable=request.kind is not SignKind.KEY_CHANGE)
    if not reply.ok:
        return said.AccountReply(
            status=reply.status,
            url=url,
            problem=_in_short(reply.problem()),
            gone=is_gone(reply),
            doubtful=may_be_lost(reply),
        )
    account = None
    try:
        account = wire.account(object_in(reply), url)
    except RenewerError:  # what is made or changed is so whatever the answer shows of it
        if request.kind is SignKind.READ:
            raise
    return said.AccountReply(status=reply.status, url=url, location=location_of(reply), account=account)


def _in_short(problem: Problem) -> Problem:
    """As much of it as a person reads: an authority may send a mebibyte, and a frame holds less."""
    return msgspec.structs.replace(problem, subproblems=problem.subproblems[:_TOLD])
