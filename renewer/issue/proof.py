"""Proving control of an order's names (RFC 8555 §7.5): all are presented, then waited for together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

from renewer import clock
from renewer.errors import GiveUp, OurFault, RenewerError, RetryLater, StateError
from renewer.issue.orders import ends, give_up
from renewer.model import persist
from renewer.model.decision import EventName
from renewer.model.facts import OneValue
from renewer.model.solver import Task
from renewer.policy import challenge as choosing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from renewer.accounts.session import Session
    from renewer.context import Context
    from renewer.issue.readiness import Readiness
    from renewer.model.facts import Debris
    from renewer.model.solver import Presented, Solver, Task
    from renewer.network.acme.resources import AcmeOrder, Authorization, Offer

Pairs: TypeAlias = "Sequence[tuple[Chosen, Authorization]]"
_WITHOUT_TOKEN = frozenset({"dns-persist-01"})  # types that have none; of all others one is needed
PARALLEL_NAMES = 8  # authorizations fetched at a time


class Chosen(NamedTuple):
    """The challenge to answer for one name of the order, and who answers it.

    `place` is that of the challenge among those that the config has for the name; `others` whether the
    authority offers another one of them, too. `in_turn` is whether names of one record are proved one after
    the other.
    """

    name: str
    solver: Solver
    task: Task
    offer: Offer
    place: int
    others: bool
    in_turn: bool


class Proof:
    """The authorizations of one order, from the challenges to the authority's verdict.

    `failed` has the names whose challenge failed, each with its place, for the next try to begin with another
    one; `ready` knows which ways can be used on this host, and what is known of the tries before. `proven` is
    how many names were proven at the start.
    """

    def __init__(self, ready: Readiness, session: Session, found: AcmeOrder) -> None:
        self.ready = ready
        self.issuer = ready.issuer
        self.context = ready.issuer.context
        self.wish = ready.wish
        self.session = session
        self.found = found
        self.failed: dict[str, int] = {}
        self.proven = 0
        self.expected: dict[str, Debris] = {}  # by token: what a killed run would leave behind

    def run(
        self,
        authority: str,
        until: Callable[[], float],
        patiently: Callable[[Callable[[], Any]], Any] = lambda act: act(),
    ) -> None:
        """Prove every name that is not proven yet; `until` is on clock.monotonic.

        Whatever happens, what was presented is cleaned up. `patiently` does a thing and waits out what
        passes. Raises RetryLater or GiveUp.
        """
        found = patiently(self._authorizations)
        for one in found:
            self._ordered(one, authority)
        self.ready.remember(found)
        pending = [one for one in found if one.status == "pending"]
        self.proven = len([one for one in found if one.status == "valid"])
        self.ready.ports(one.wanted for one in pending)
        chosen = [self._chosen(one) for one in pending]
        pairs = list(zip(chosen, pending, strict=True))
        try:
            self._in_turn(pairs, lambda several: self._together(several, authority, until, patiently))
        except RenewerError as error:
            if ends(error, sent=False):
                give_up(self.session, [one.url for one in pending], ("pending",))
            turned = self._with_others(error, chosen)
            if turned is error:
                raise
            raise turned from error

    def _in_turn(self, pairs: Pairs, prove: Callable[[Pairs], None]) -> None:
        """All at once, but for names of one record whose provider keeps one value: one after the other."""
        apart = kept_apart(self.context, pairs)
        try:
            for several in turns(pairs, apart):
                prove(several)
        except RenewerError as error:
            if error.kind != ONE_VALUE:
                raise
            remember(self.context, self.wish.name, error.text)
            self.failed.clear()  # nobody was asked yet, and nobody failed
            for several in turns(pairs, kept_apart(self.context, pairs)):
                prove(several)

    def _together(
        self,
        pairs: Pairs,
        authority: str,
        until: Callable[[], float],
        patiently: Callable[[Callable[[], Any]], Any],
    ) -> None:
        """Present, wait, let the authority look, hear its verdict, clean up."""
        from renewer.network.acme.problems import failed_authorizations

        chosen, pending = [one for one, _ in pairs], [one for _, one in pairs]
        groups = _by_solver(chosen)
        try:
            self._make_visible(groups)
            for one, authorization in pairs:
                patiently(lambda one=one, url=authorization.url: self._answer(one, url))  # type: ignore[misc]
            judged = self._judged(pending, until)
            self.ready.remember(judged)
            learn(self.context, self.wish.name, pairs, judged)
            with self._blaming(chosen, only_named=True):
                if error := failed_authorizations(list(judged), authority):
                    raise error
        finally:
            for group in groups:
                self._clean_up(group[0].solver, [one.task for one in group])

    def _answer(self, one: Chosen, url: str) -> None:
        """Tell the authority; if it will not hear of it, whatever it has said of that name is told, too."""
        from renewer.network.acme.problems import with_causes

        try:
            self.session.answer(one.offer)
        except RenewerError as error:
            try:
                found = self.session.authorization(url)
            except RenewerError:
                raise error from None
            if found.status != "pending":
                return  # judged already: its verdict will be told
            told = with_causes(error, [found])
            if error.kind == "challenge-gone":  # nothing is left to answer: the order is lost by this name
                told.identifiers = ((one.name, error.text),)
            raise told from None

    def _make_visible(self, groups: Sequence[Sequence[Chosen]]) -> None:
        """All are presented before anything is waited for."""
        presented = []
        for group in groups:
            with self._blaming(group):
                presented.append(self._present(group[0].solver, [one.task for one in group]))
        for group, shown in zip(groups, presented, strict=True):
            with self._blaming(group):
                group[0].solver.wait(shown, self._warn)

    @contextmanager
    def _blaming(self, group: Sequence[Chosen], *, only_named: bool = False) -> Iterator[None]:
        """Remember whose challenge failed: those that the error names, else (if it may) the whole group."""
        try:
            yield
        except RenewerError as error:
            named = {name for name, _ in error.identifiers}
            culprits = [one for one in group if one.name in named]
            if not only_named and not isinstance(error, StateError):
                culprits = culprits or [one for one in group if one.task.identifier.base in named]
                culprits = culprits or list(group)
                said = dict(error.identifiers)
                why = (said.get(one.name) or said.get(one.task.identifier.base) for one in culprits)
                error.identifiers = tuple(
                    (one.name, text or error.text) for one, text in zip(culprits, why, strict=True)
                )
                error.unasked = not isinstance(error, OurFault)
            self.failed.update({one.name: one.place for one in culprits})
            raise

    def _with_others(self, error: RenewerError, chosen: Sequence[Chosen]) -> RenewerError:
        """What is final for a challenge is not for a name that can be proved in another way."""
        culprits = [one for one in chosen if one.name in self.failed]
        if not isinstance(error, GiveUp) or not culprits or not all(one.others for one in culprits):
            return error
        return RetryLater(
            error.text,
            hint="; ".join(filter(None, (error.hint, "next time another challenge of the config is tried"))),
            kind=error.kind,
            identifiers=error.identifiers,
            not_before=error.not_before,
            unasked=error.unasked,
        )

    def _judged(
        self, pending: Sequence[Authorization], until: Callable[[], float]
    ) -> Sequence[Authorization]:
        """The authority's verdicts; if some do not come in time, those that did, if one of them is a refusal.

        Then the order is dead already, and the names that failed must be told, not that others are slow.
        """
        urls = [one.url for one in pending]
        try:
            return self.session.wait_authorizations(urls, until)
        except RetryLater as error:
            if error.kind != "waiting":
                raise
            judged = [one for one in map(self.session.authorization, urls) if one.status != "pending"]
            if all(one.status == "valid" for one in judged):
                raise
            return judged

    def _authorizations(self) -> list[Authorization]:
        if len(self.found.authorizations) == 1:
            return [self.session.authorization(self.found.authorizations[0])]
        with ThreadPoolExecutor(min(PARALLEL_NAMES, len(self.found.authorizations))) as pool:
            return list(pool.map(self.session.authorization, self.found.authorizations))

    def _ordered(self, authorization: Authorization, authority: str) -> None:
        """Nothing is shown for a name that nobody ordered; above one it may lie (RFC 8555 §7.1.3).

        Else whoever speaks for an authority has us publish, with our rights, whatever it likes. Raises
        RetryLater.
        """
        base = authorization.identifier.base
        if any(one.base == base or one.base.endswith(f".{base}") for one in self.found.identifiers):
            return
        raise RetryLater(
            f"{authority} wants {authorization.wanted} to be proved, which was not ordered",
            hint="nothing was shown for any name; if it happens again, tell who runs the authority",
            kind="bad-reply",
        )

    def _chosen(self, authorization: Authorization) -> Chosen:
        """The challenge to answer for one name. Raises GiveUp if no configured one is offered."""
        wanted, wildcard = authorization.wanted, authorization.wildcard
        offers = {  # what can be answered: a type that needs a token and has none is as good as not offered
            offer.type: offer
            for offer in authorization.challenges
            if offer.token or offer.type in _WITHOUT_TOKEN
        }
        ways = choosing.ways_of(self.wish, authorization.identifier, wildcard=wildcard)
        ready = self.ready.usable(wanted, ways)
        failed = choosing.failed_place(self.ready.failure, wanted)
        way = choosing.choose(ready, offers, failed) or choosing.choose(ways, offers, failed)
        if way is None:
            raise GiveUp(
                choosing.fault(wanted, ways, offers),
                hint=f"choose another challenge for {wanted}",
                kind="challenge",
            )
        usable = [one for one in ways if choosing.type_of(one.challenge) in offers]
        offer = offers[choosing.type_of(way.challenge)]
        return Chosen(
            name=str(wanted),
            solver=self.issuer.solver(way.challenge),
            in_turn=getattr(way.challenge, "one_at_a_time", False),
            task=self._task(authorization, offer),
            offer=offer,
            place=way.place,
            others=len(usable) > 1,
        )

    def _task(self, authorization: Authorization, offer: Offer) -> Task:
        token = "" if offer.type in _WITHOUT_TOKEN else offer.token or ""
        return Task(
            certificate=self.wish.name,
            identifier=authorization.identifier,
            type=offer.type,
            token=token,
            key_authorization=self.session.key_authorization(token) if token else "",
            account=offer.account or self.session.account,
            issuers=offer.issuers,
            hashes=self._hashes(authorization, offer),
            named=offer.account is not None,
            wildcard=authorization.wildcard,
        )

    def _hashes(self, authorization: Authorization, offer: Offer) -> tuple[str, ...]:
        """The hashed URIs of our account for a name, if the record of its challenge may carry them."""
        if offer.type not in _WITHOUT_TOKEN:
            return ()
        return persist.hashes(
            self.session.directory.account_hash_prefix,
            authorization.identifier.base,
            self.session.thumbprint,
            self.session.account,
        )

    def _present(self, solver: Solver, tasks: Sequence[Task]) -> Sequence[Presented]:
        """What will be left behind is on record before it is there."""
        solver.prepare(tasks)
        expected = {task.token: debris for task in tasks if (debris := solver.debris_of(task))}
        if expected:
            self.context.ledger.save(*expected.values())
            self.expected.update(expected)
        presented = solver.present_all(tasks)
        for one in presented:
            self.context.journal.tell(
                EventName.CHALLENGE_PRESENTED,
                self.wish.name,
                identifier=str(one.task.identifier),
                type=one.task.type,
                where=one.where,
            )
        return presented

    def _clean_up(self, solver: Solver, tasks: Sequence[Task]) -> None:
        left = solver.clean_up_all(tasks)
        for debris in left:
            self.context.ledger.save(debris)
            self._warn(f"left behind by a challenge: {debris.where}; the next run tries again to remove it")
        still_there = {debris.key for debris in left}
        for task in tasks:
            if (expected := self.expected.get(task.token)) and expected.key not in still_there:
                self.issuer.gone(solver, expected)

    def _warn(self, text: str) -> None:
        self.context.journal.tell(EventName.NOTICE, self.wish.name, text=text)


def _by_solver(chosen: Sequence[Chosen]) -> list[list[Chosen]]:
    """Those of each solver together: they may share one call to somebody."""
    groups: dict[int, list[Chosen]] = {}
    for one in chosen:
        groups.setdefault(id(one.solver), []).append(one)
    return list(groups.values())


ONE_VALUE = "one-value"
T = TypeVar("T")


@runtime_checkable
class _ByRecord(Protocol):
    """A solver whose values lie in records of the DNS."""

    def record_of(self, task: Task) -> str:
        """The record's name."""


def turns(pairs: Sequence[T], records: Sequence[str]) -> list[list[T]]:
    """As few turns as can be, none with two of the same record; "" is no record. Pure."""
    found: list[list[T]] = []
    count: dict[str, int] = {}
    for pair, record in zip(pairs, records, strict=True):
        turn = count.get(record, 0) if record else 0
        count[record] = turn + 1
        if turn == len(found):
            found.append([])
        found[turn].append(pair)
    return found


def kept_apart(context: Context, pairs: Pairs) -> list[str]:
    """The record of each that must not meet another one there; "" for all others."""
    if len(pairs) < 2:
        return [""] * len(pairs)
    known = bool(context.ledger.load(OneValue, pairs[0][0].task.certificate))
    return [_record(one) if known or one.in_turn else "" for one, _ in pairs]


def remember(context: Context, certificate: str, text: str) -> None:
    """From now on names of one record are proved one after the other."""
    context.ledger.save(OneValue(certificate=certificate, at=clock.now()))
    hint = "they are proved one after the other from now on; one_at_a_time = true says so at once"
    context.journal.tell(EventName.NOTICE, certificate, text=text, hint=hint)


def learn(context: Context, certificate: str, pairs: Pairs, judged: Sequence[Authorization]) -> None:
    """Where nobody looked before the authority did: it found one value, and another of its record not."""
    status = {str(one.wanted): one.status for one in judged}
    seen: dict[str, set[str]] = {}
    for one, _ in pairs:
        if record := _record(one):
            seen.setdefault(record, set()).add(status.get(one.name, ""))
    for record, verdicts in seen.items():
        if {"valid", "invalid"} <= verdicts:
            remember(
                context,
                certificate,
                f"of the values of the TXT record {record} one was seen, and another not",
            )
            return


def _record(one: Chosen) -> str:
    return one.solver.record_of(one.task) if isinstance(one.solver, _ByRecord) else ""
