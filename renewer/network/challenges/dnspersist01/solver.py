"""Waiting for the record of DNS-PERSIST-01: it is the operator's, so nothing is published or removed.

If no server shows a record that proves the claim, that is told at once, with the record to publish: nobody
knows when the operator will. If one does, the others are waited for as the config says.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from renewer import clock, words
from renewer.errors import OurFault, RenewerError, RetryLater
from renewer.model import persist as record
from renewer.model.desired import DnsPersist01, PropagationCheck
from renewer.model.facts import Debris
from renewer.model.names import Identifier
from renewer.model.solver import HoldsNothing, OneByOne, Presented, Task
from renewer.model.value import Warn
from renewer.network.challenges.dns01 import leftover
from renewer.network.dns.propagation import PropagationWatch, shown
from renewer.network.dns.resolvers import Resolvers
from renewer.network.dns.zones import RecordPlace, Zones

PARALLEL = 8  # names looked up at a time
LOOK_LIMIT = 20.0  # seconds for the servers of one name to show their values
_SHOWN = 3  # values in a message


class DnsPersist01Solver(HoldsNothing, OneByOne):
    """Looks for the records. `until` is the end of all waiting, on `clock.monotonic`."""

    type = "dns-persist-01"

    def __init__(self, challenge: DnsPersist01, *, until: Callable[[], float]) -> None:
        self._rule = challenge.propagation
        self._zones = Zones(Resolvers(self._rule.resolvers))
        self._watch = PropagationWatch(self._rule, self._zones, until=until)
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
        with ThreadPoolExecutor(min(PARALLEL, len(presented))) as pool:
            looks = list(pool.map(self._look, [one.task for one in presented]))
        if missing := [one for one in looks if isinstance(one, RenewerError)]:
            raise _joined(missing)
        wanted: dict[RecordPlace, frozenset[str]] = {}
        for found in looks:
            if not isinstance(found, RenewerError):
                wanted[found[0]] = wanted.get(found[0], frozenset()) | {found[1]}
        self._watch.wait(wanted, warn)

    def clean_up(self, task: Task) -> Debris | None:  # noqa: ARG002  the contract's signature
        """The record stays."""
        return None

    def sweep(self, debris: Debris) -> bool:
        """Of what other solvers left in a zone nothing can be removed here."""
        return debris.what != leftover.DEBRIS

    def close(self) -> None:
        """Nothing is open."""

    def _look(self, task: Task) -> tuple[RecordPlace, str] | RenewerError:
        """Where a value stands that proves the claim, and that value; or why there is none."""
        claim, asked = _claim(task), record.name_of(task.identifier.base)
        try:
            place = self._zones.place(asked)
            values = self._values(place, claim)
        except RenewerError as error:
            return type(error)(
                error.text,
                hint=error.hint,
                kind=error.kind,
                identifiers=((task.identifier.base, error.text),),
            )
        now = clock.now()
        for value in values:
            if record.misfit(value, claim, now) is None:
                return place, value
        return _missing(task, claim, asked, values)

    def _values(self, place: RecordPlace, claim: record.Claim) -> list[str]:
        """Every value that is shown, up to the first server that shows one which proves the claim."""
        seen: dict[str, None] = {}
        end = min(clock.monotonic() + LOOK_LIMIT, self._until())
        for values in shown(self._zones, place, self._rule.check, end):
            seen.update(dict.fromkeys(sorted(values)))
            if any(record.misfit(value, claim, clock.now()) is None for value in values):
                break
        return list(seen)


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
