"""Waiting for the record of DNS-PERSIST-01: it is the operator's, so nothing is published or removed.

If no server shows a record that proves the claim, that is told at once, with the record to publish: nobody
knows when the operator will. If one does, the others are waited for as the config says.
"""

from collections.abc import Callable, Sequence

from renewer import clock, words
from renewer.errors import OurFault, RenewerError, RetryLater
from renewer.issue import leftover
from renewer.model import persist as record
from renewer.model.desired import DnsPersist01, PropagationCheck
from renewer.model.facts import Debris
from renewer.model.names import Identifier
from renewer.model.solver import HoldsNothing, OneByOne, Presented, Task
from renewer.model.value import Warn
from renewer.network.dns import NameServers
from renewer.network.dns.messages import ClaimSeen, RecordPlace

_SHOWN = 3  # values in a message


class DnsPersist01Solver(HoldsNothing, OneByOne):
    """Looks for the records. `until` is the end of all waiting, on `clock.monotonic`."""

    type = "dns-persist-01"

    def __init__(self, challenge: DnsPersist01, *, until: Callable[[], float]) -> None:
        self._rule = challenge.propagation
        self._servers = NameServers(self._rule.resolvers)
        self._until = until

    def ready(self, names: Sequence[Identifier]) -> None:
        """Nothing of it lies on this host."""

    def debris_of(self, task: Task) -> Debris | None:  # noqa: ARG002  the contract's signature
        """Nothing is left, for nothing is put there."""
        return None

    def present(self, task: Task) -> Presented:
        """Nothing is done; says what must be there."""
        line = record.zone_line(record.name_of(task.identifier.base), record.text_of(_claim(task)))
        return Presented(task=task, where=f"{line} (published by the operator)")

    def wait(self, presented: Sequence[Presented], warn: Warn) -> None:
        """Return when every record can be seen. Raises RetryLater, saying which ones to publish."""
        if self._rule.check is PropagationCheck.NONE or not presented:
            return
        tasks = [one.task for one in presented]
        sought = [(record.name_of(one.identifier.base), _claim(one)) for one in tasks]
        seen = self._servers.claims(sought, self._rule.check, until=self._until)
        looks = list(map(_judged, tasks, seen))
        if missing := [one for one in looks if isinstance(one, RenewerError)]:
            raise _joined(missing)
        wanted: dict[RecordPlace, frozenset[str]] = {}
        for found in looks:
            if not isinstance(found, RenewerError):
                wanted[found[0]] = wanted.get(found[0], frozenset()) | {found[1]}
        self._servers.wait(wanted, self._rule, until=self._until, warn=warn)

    def clean_up(self, task: Task) -> Debris | None:  # noqa: ARG002  the contract's signature
        """The record stays."""
        return None

    def sweep(self, debris: Debris) -> bool:
        """Of what other solvers left in a zone nothing can be removed here."""
        return debris.what != leftover.DEBRIS

    def close(self) -> None:
        """Nothing is open."""


def _judged(task: Task, seen: ClaimSeen) -> tuple[RecordPlace, str] | RenewerError:
    """Where a value stands that proves the claim, and that value; or why there is none."""
    claim = _claim(task)
    if seen.place is None:
        error = seen.why.error() if seen.why else OurFault("nothing was found, and nobody says why")
        error.identifiers = ((task.identifier.base, error.text),)
        return error
    for value in seen.values:
        if record.misfit(value, claim, clock.now()) is None:
            return seen.place, value
    return _missing(task, claim, record.name_of(task.identifier.base), seen.values)


def _claim(task: Task) -> record.Claim:
    if task.account is None:
        raise OurFault("dns-persist-01 needs the account's URL, and the task has none")
    return record.Claim(
        issuers=task.issuers,
        account=task.account,
        wildcard=task.wildcard,
        hashes=task.hashes,
        named=task.named,
    )


def _missing(task: Task, claim: record.Claim, asked: str, values: Sequence[str]) -> RetryLater:
    now = clock.now()
    said = [f"“{words.clean(value[:48])}”: {record.misfit(value, claim, now)}" for value in values]
    has = "; ".join(said[:_SHOWN]) or "it has none at all"
    line = record.zone_line(asked, record.text_of(claim))
    return RetryLater(
        f"{asked} has no TXT record that lets this account prove {task.identifier.base} ({has})",
        hint=f"publish it, and the next run goes on: {line}",
        kind="persist",
        identifiers=((task.identifier.base, "no record of dns-persist-01"),),
    )


def _joined(errors: Sequence[RenewerError]) -> RetryLater:
    return RetryLater(
        "; ".join(dict.fromkeys(error.text for error in errors)),
        hint="; ".join(dict.fromkeys(error.hint for error in errors if error.hint)),
        kind=errors[0].kind,
        identifiers=tuple(one for error in errors for one in error.identifiers),
    )
