"""Names that are proved by one record, at a DNS provider that keeps one value of it only.

A name and its wildcard need two values at the same place (RFC 8555 §8.4). Where the second takes the place of
the first, they are proved one after the other: if the config says so, and once it was seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from renewer import clock
from renewer.model.decision import EventName
from renewer.model.facts import OneValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from renewer.context import Context
    from renewer.issue.proof import Chosen
    from renewer.model.solver import Task
    from renewer.network.acme.resources import Authorization

    Pairs = Sequence[tuple[Chosen, Authorization]]

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
