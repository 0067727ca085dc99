"""The link and the copies of one certificate: forward, and back to what they were."""

from collections.abc import Iterable

from renewer import clock, copies
from renewer.deploy.move import Move
from renewer.errors import RenewerError
from renewer.model.facts import COPIES, CopyFact, DeploymentState, Version
from renewer.model.outcome import EventName


def copy(move: Move) -> None:
    """Write every copy; a file that is there already as it should be is left alone."""
    material = move.kit.store.read(move.wish.name, move.version.id)
    ours = {record.path: record.sha256 for record in move.kit.ledger.load(CopyFact, move.wish.name)}
    for copy in move.wish.copies:
        move.copied += copies.put(copy, material, ours)
    for note in dict.fromkeys(one.note for one in move.copied if one.note):
        move.kit.journal.tell(EventName.NOTICE, move.wish.name, text=note)
    move.states[COPIES] = (DeploymentState.DONE, None)
    _remember_copies(move, move.version, move.copied)


def _remember_copies(move: Move, version: Version, written: Iterable[copies.Written]) -> None:
    facts = [
        CopyFact(
            certificate=move.wish.name,
            host=move.kit.host,
            path=one.path,
            version=version.id,
            sha256=one.sha256,
            stamp=one.stamp,
            at=clock.now(),
        )
        for one in written
    ]
    if facts:
        move.kit.ledger.save(*facts)


def back(move: Move) -> bool:
    """Link and copies as they were, if they may go back; the servers are not told yet."""
    former = move.former
    if not move.may_turn_back() or former is None:
        return False
    try:
        move.kit.store.turn(move.wish.name, former.id)
    except RenewerError as error:
        move.error = f"{move.error}; and the link could not be turned back: {error.text}"
        return False
    restored, faults = copies.undo(move.copied)
    for fault in faults:
        move.kit.journal.tell(EventName.NOTICE, move.wish.name, text=fault)
    _remember_copies(move, former, restored)
    return True


def forward(move: Move) -> None:
    """Link and copies to the new version again."""
    if move.may_turn_back():
        material = move.kit.store.read(move.wish.name, move.version.id)
        move.kit.store.turn(move.wish.name, move.version.id)
        if COPIES in move.hooks:
            ours = {one.path: one.sha256 for one in move.copied}
            again = [one for copy in move.wish.copies for one in copies.put(copy, material, ours)]
            _remember_copies(move, move.version, again)
