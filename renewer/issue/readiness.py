"""What can be known on this host is known before an authority is asked: files, programs, secrets, then ports.

A name is ready if one of its ways is. What is missing here costs no order, is no authority's fault, and names
whom it concerns: the others may be ordered without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from renewer import clock
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.facts import Proven
from renewer.policy import challenge as choosing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeAlias

    from renewer.issue.issuer import Issuer
    from renewer.model.desired import Certificate, Challenge
    from renewer.model.facts import Failure
    from renewer.model.names import Identifier
    from renewer.network.acme.resources import Authorization

    Probe: TypeAlias = Callable[[Challenge, list[Identifier]], RenewerError | None]


class Readiness:
    """The ways to prove the names of one certificate, as far as they depend on this host.

    `failure` is what is known of the tries before: they begin with the way whose turn it is.
    """

    def __init__(self, issuer: Issuer, wish: Certificate, authority: str, failure: Failure | None) -> None:
        self.issuer = issuer
        self.wish = wish
        self.authority = authority
        self.failure = failure
        self.tried: Mapping[str, int] = {}  # by name: the place of the challenge that failed in this run
        self.disturbed = False  # whether programs of the operator's were run
        self.faults: dict[tuple[str, Challenge], RenewerError] = {}
        self._ways: dict[Identifier, list[Challenge]] = {}
        self._looked: set[tuple[str, Challenge]] = set()

    def files(self, names: Iterable[Identifier]) -> None:
        """Look whether files, programs and secrets are there. Raises RetryLater or GiveUp, which is local."""
        self._settle(list(names), self._files)

    def ports(self, names: Iterable[Identifier]) -> None:
        """As `files`, and take the ports that are needed. Raises RetryLater or GiveUp, which is local."""
        self._settle(list(names), self._ports)

    def unproven(self, names: Iterable[Identifier]) -> list[Identifier]:
        """Those that the authority must look at: what it has seen not long ago needs nobody to answer."""
        now = clock.now()
        records = self.issuer.context.ledger.load(Proven, self.wish.name)
        if over := [one for one in records if one.until <= now]:
            self.issuer.context.ledger.drop(*over)
        proven = {one.name for one in records if one.until > now and one.authority == self.authority}
        return [name for name in names if str(name) not in proven]

    def remember(self, found: Iterable[Authorization]) -> None:
        """What is valid for a while yet needs no answer next time, and so nothing on this host."""
        seen = {str(one.wanted): one for one in found}
        valid = {name: one.expires for name, one in seen.items() if one.status == "valid" and one.expires}
        new = [
            Proven(certificate=self.wish.name, authority=self.authority, name=name, until=until)
            for name, until in valid.items()
            if until > clock.now()
        ]
        known = [one for one in self.issuer.context.ledger.load(Proven, self.wish.name) if one.name in seen]
        over = [one for one in known if one.authority == self.authority and one.name not in valid]
        if over:
            self.issuer.context.ledger.drop(*over)
        if new:
            self.issuer.context.ledger.save(*new)

    def usable(self, name: Identifier, ways: Iterable[choosing.Way]) -> list[choosing.Way]:
        """The ways without those that are known not to work here; all, if that leaves none."""
        given = list(ways)
        return [way for way in given if (str(name), way.challenge) not in self.faults] or given

    def _settle(self, names: list[Identifier], probe: Probe) -> None:
        """Find for every name the first of its ways that works."""
        lost: list[Identifier] = []
        waiting = [name for name in names if self._ways_of(name)]
        while waiting:
            groups: dict[Challenge, list[Identifier]] = {}
            for name in waiting:
                groups.setdefault(self._ways[name][0], []).append(name)
            waiting = []
            for challenge, group in groups.items():
                for name in self._refused(challenge, group, probe):
                    del self._ways[name][0]
                    (waiting if self._ways[name] else lost).append(name)
        if lost:
            raise self._joined(lost)

    def _ways_of(self, name: Identifier) -> list[Challenge]:
        """Those not known to fail, first the one whose turn it is; all of them if all are known to."""
        if not self._ways.get(name):
            ways = choosing.ways_of(self.wish, name, wildcard=name.wildcard)
            failed = choosing.failed_place(self.failure, name)
            turn = [one for one in ways if failed is None or one.place > failed]
            self._ways[name] = [one.challenge for one in (*turn, *(way for way in ways if way not in turn))]
        return self._ways[name]

    def _refused(self, challenge: Challenge, group: list[Identifier], probe: Probe) -> list[Identifier]:
        """Those of a group that this challenge cannot prove now."""
        error = probe(challenge, group)
        if error is None:
            for name in group:
                self.faults.pop((str(name), challenge), None)
            return []
        named = {name for name, _ in error.identifiers}
        refused = [name for name in group if not named or str(name) in named]
        self.faults.update({(str(name), challenge): error for name in refused})
        return refused

    def _files(self, challenge: Challenge, group: list[Identifier]) -> RenewerError | None:
        new = [name for name in group if (str(name), challenge) not in self._looked]
        if not new:
            return None
        try:
            self.issuer.solver(challenge).ready(new)
        except RenewerError as error:
            return error
        self._looked.update((str(name), challenge) for name in new)
        return None

    def _ports(self, challenge: Challenge, group: list[Identifier]) -> RenewerError | None:
        if (error := self._files(challenge, group)) is not None:
            return error
        solver = self.issuer.solver(challenge)
        if (left := solver.held_by(self.wish.name)) is not None:
            self.issuer.context.ledger.save(left)  # on record before it is there
            self.issuer.gone(solver, left)
        self.disturbed |= bool(getattr(challenge, "before", ()))
        try:
            solver.open()
        except RenewerError as error:
            return error
        return None

    def _joined(self, lost: list[Identifier]) -> RenewerError:
        """One error for all names that no way is left for: each says why its first way does not work."""
        why: Mapping[Identifier, RenewerError] = {name: self._first_fault(name) for name in lost}
        errors = list({error.text: error for error in why.values()}.values())
        final = next((error for error in errors if isinstance(error, GiveUp)), None)
        return (GiveUp if final else RetryLater)(
            "; ".join(error.text for error in errors),
            hint="; ".join(dict.fromkeys(error.hint for error in errors if error.hint)),
            kind=(final or errors[0]).kind,
            identifiers=tuple((str(name), error.text) for name, error in why.items()),
            local=True,
            disturbing=self.disturbed,
        )

    def _first_fault(self, name: Identifier) -> RenewerError:
        ways = choosing.ways_of(self.wish, name, wildcard=name.wildcard)
        return next(
            self.faults[str(name), way.challenge] for way in ways if (str(name), way.challenge) in self.faults
        )
