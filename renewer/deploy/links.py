"""The link and the copies of one certificate: forward, and back to what they were."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from renewer import clock, copies
from renewer.deploy.move import Move
from renewer.errors import RenewerError
from renewer.model.decision import EventName
from renewer.model.desired import Copy
from renewer.model.facts import COPIES, CopyFact, DeploymentState, Version
from renewer.store.contract import Material


def copy(move: Move) -> None:
    """Write every copy; a file that is there already as it should be is left alone."""
    material = move.context.store.read(move.wish.name, move.version.id)
    ours = _remembered(move)
    try:
        for written in _put_each(move, move.wish.copies, material, ours):
            move.copied += written
    except RenewerError:
        # Key and chain may stand in entries of their own: of a version all copies stand there, or none
        restored, faults = copies.undo(move.copied)
        move.copied = []
        for fault in faults:
            move.context.journal.tell(EventName.NOTICE, move.wish.name, text=fault)
        if move.former is not None:
            _remember_copies(move, move.former, restored)
        raise
    said = [text for one in move.copied for text in (one.note, *one.told) if text]
    for text in dict.fromkeys(said):
        move.context.journal.tell(EventName.NOTICE, move.wish.name, text=text)
    move.states[COPIES] = (DeploymentState.DONE, None)
    move.passed_by = tuple(dict.fromkeys(one.note for one in move.copied if one.note))
    _remember_copies(move, move.version, move.copied)


def _put_each(
    move: Move, wishes: Sequence[Copy], material: Material, ours: Mapping[str, tuple[str, int]]
) -> Iterator[list[copies.Written]]:
    """Write one entry after the other."""
    beside = _later(move, material, ours)
    for copy in wishes:
        yield _put(move, copy, material, ours, "" if copy.shows_leaf else beside)


def _later(move: Move, material: Material, ours: Mapping[str, tuple[str, int]]) -> str:
    """Where an entry holds somebody else's later certificate, if keys stand in entries of their own.

    Those belong together: a key of ours beside their certificate would end the server.
    """
    wishes = move.wish.copies
    if all(copy.shows_leaf for copy in wishes):
        return ""
    known = {path: sha256 for path, (sha256, _) in ours.items()}
    found = (
        copies.later(copy, material, known, versions=_fingerprints(move), scratch=move.context.store.scratch)
        for copy in wishes
        if copy.shows_leaf
    )
    return next((path for path in found if path), "")


def _fingerprints(move: Move) -> set[str]:
    return {version.leaf.fingerprint for version in move.situation.versions}


def _put(
    move: Move, copy: Copy, material: Material, ours: Mapping[str, tuple[str, int]], beside: str = ""
) -> list[copies.Written]:
    """A version that a killed run copied, or a lost ledger knew of, is ours and not somebody's later one."""
    return copies.put(
        copy,
        material,
        {path: sha256 for path, (sha256, _) in ours.items()},
        inodes={path: inode for path, (_, inode) in ours.items()},
        versions=_fingerprints(move),
        scratch=move.context.store.scratch,
        keep=move.context.store.keep_former,
        beside=beside,
        why=_unclaimed(move),
    )


def _unclaimed(move: Move) -> str:
    """Of copies that hold a newer version than this state, why it is not taken back, and the ways out."""
    name = move.wish.name
    if (why := move.context.unclaimed.get(name)) is None:
        return ""
    return (
        f"it is newer than this state, and not taken back: {why}; restore the state that has it, or order "
        f"another, which takes its place: renewer run {name}"
    )


def _remembered(move: Move) -> dict[str, tuple[str, int]]:
    """Path → SHA-256 and inode of what we wrote there last."""
    records = move.context.ledger.load(CopyFact, move.wish.name)
    return {
        record.path: (record.sha256, _inode(record.stamp))
        for record in records
        if record.host == move.context.host
    }


def _inode(stamp: tuple[int, ...]) -> int:
    return stamp[0] if stamp else 0


def _remember_copies(move: Move, version: Version, written: Iterable[copies.Written]) -> None:
    told = {one.path for one in move.context.ledger.load(CopyFact, move.wish.name) if one.relic}
    facts = [
        CopyFact(
            certificate=move.wish.name,
            host=move.context.host,
            path=one.path,
            version=version.id,
            sha256=one.sha256,
            stamp=one.stamp,
            at=clock.now(),
            wish=one.wish,
            note=one.note,
            relic=one.path in told,
            newer=bool(one.note) and version.id == move.version.id and _is_unclaimed(move),
        )
        for one in written
    ]
    if facts:
        move.context.ledger.save(*facts)


def _is_unclaimed(move: Move) -> bool:
    return move.wish.name in move.context.unclaimed


def back(move: Move) -> bool:
    """Link and copies as they were, if they may go back; the servers are not told yet."""
    former = move.former
    if move.is_back:
        return True
    if not move.may_turn_back() or former is None:
        return False
    try:
        move.context.store.turn(move.wish.name, former.id)
    except RenewerError as error:
        move.error = f"{move.error}; and the link could not be turned back: {error.text}"
        return False
    restored, faults = copies.undo(move.copied)
    try:
        restored += _rewritten(move, former)
    except RenewerError as error:
        faults.append(f"the copies of version {former.id} could not be put back: {error.text}")
    for fault in faults:
        move.context.journal.tell(EventName.NOTICE, move.wish.name, text=fault)
    _remember_copies(move, former, restored)
    move.is_back = True
    return True


def _rewritten(move: Move, former: Version) -> list[copies.Written]:
    """Copies of which a run that was killed had written the new version: what it replaced died with it."""
    touched = {one.path for one in move.copied}
    already = {one.path for one in move.copied if one.unchanged and not one.note}
    for record in move.context.ledger.load(CopyFact, move.wish.name):
        if (
            record.host == move.context.host
            and record.version == move.version.id
            and record.path not in touched
        ):
            already.add(record.path)
    concerned = [copy for copy in move.wish.copies if any(path in already for _, path in copy.paths)]
    if not concerned:
        return []
    material = move.context.store.read(move.wish.name, former.id)
    ours = _remembered(move) | {one.path: (one.sha256, _inode(one.stamp)) for one in move.copied}
    return [one for written in _put_each(move, concerned, material, ours) for one in written]


def forward(move: Move) -> None:
    """Link and copies to the new version again, if they were taken back."""
    if move.is_back:
        move.is_back = False
        material = move.context.store.read(move.wish.name, move.version.id)
        move.context.store.turn(move.wish.name, move.version.id)
        if COPIES in move.hooks:
            ours = _remembered(move)
            again = _put_each(move, move.wish.copies, material, ours)
            _remember_copies(move, move.version, [one for written in again for one in written])
