"""The history of renewals: what outlives the run, for the page, for reports, and to compare months by.

Only what the history does not say yet is written; a run in which nothing happened writes nothing.
"""

from collections.abc import Mapping

from renewer import clock
from renewer.kit import Kit
from renewer.ledger.contract import Happening
from renewer.model.facts import Situation, Standing
from renewer.model.outcome import EventName
from renewer.policy.history import Event, untold

FEW = 16  # certificates whose records are asked for one by one, rather than all there are
_LOGGED = (EventName.RENEWED, EventName.RECOVERED)  # the others are in the log since they happened


def keep(kit: Kit, situations: Mapping[str, Situation]) -> None:
    """Write down what happened to certificates, and tell the log that one is renewed or well again.

    A certificate counts as renewed when the new one is seen at its ports, not before.
    """
    now = clock.now()
    standings = standing(kit, situations)
    happenings: list[Happening] = []
    changed: list[Standing] = []
    told: list[tuple[str, Event]] = []
    for name, situation in situations.items():
        events, after = untold(situation, standings.get(name), now)
        if after is not None and after != standings.get(name):
            changed.append(after)
        for event in events:
            told.append((name, event))
            happenings.append(
                Happening(
                    at=now,
                    host=kit.host,
                    run=kit.run,
                    certificate=name,
                    event=event.name,
                    details={key: value for key, value in event.details.items() if value is not None},
                )
            )
    if changed:
        kit.ledger.append(*happenings, saving=changed)
    for name, event in told:
        if event.name in _LOGGED:
            kit.journal.tell(event.name, name, **event.details)


def standing(kit: Kit, names: Mapping[str, object]) -> dict[str, Standing]:
    """What the history last said of each of these certificates on this host."""
    if len(names) > FEW:
        records = kit.ledger.load(Standing)
    else:
        records = [record for name in names for record in kit.ledger.load(Standing, name)]
    return {record.certificate: record for record in records if record.host == kit.host}
