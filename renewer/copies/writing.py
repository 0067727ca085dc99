"""Writing a copy and putting back what it replaced."""

import contextlib
import hashlib
from collections.abc import Collection, Iterator, Mapping

from renewer.copies import files, formats
from renewer.copies.files import Former
from renewer.copies.keystores import Scratch, Seal
from renewer.copies.rights import KEY_MODE, Rights, rights
from renewer.copies.wishes import fingerprint
from renewer.errors import RenewerError
from renewer.model.desired import Copy, CopyPart
from renewer.model.value import Value
from renewer.store.contract import Material

BACKUP = ".before-renewer"


class Written(Value):
    """A file as it now stands, and what stood there before (None if nothing did).

    `wish` is the fingerprint of what the config says of it. `note` is set if the file was left alone, and
    says why.
    """

    path: str
    sha256: str
    stamp: tuple[int, ...]
    wish: str = ""
    before: Former | None = None
    unchanged: bool = False
    note: str = ""


class _Draft(Value):
    """A file to be written."""

    part: CopyPart
    path: str
    wish: str
    before: Former | None


@contextlib.contextmanager
def _scratch() -> Iterator[str]:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="renewer-") as directory:
        yield directory


def put(
    copy: Copy,
    material: Material,
    ours: Mapping[str, str],
    *,
    versions: Collection[str] = (),
    scratch: Scratch = _scratch,
) -> list[Written]:
    """Write every file of a copy, the key first; `ours` is path → SHA-256 of what we wrote there before.

    Files of somebody else's later certificate are left alone, which their `note` says; `versions` are the
    fingerprints of those that are not somebody else's, even if nobody remembers that we wrote them there.
    Raises RetryLater or GiveUp with the path; what was written before the error is put back. `scratch` gives
    a private directory.
    """
    drafts = []
    for part, path in sorted(copy.paths, key=lambda pair: list(CopyPart).index(pair[0])):
        wish = fingerprint(copy, part)  # before its password is read: if that changes meanwhile, it is seen
        with files.told(path):
            drafts.append(_Draft(part=part, path=path, wish=wish, before=files.find(path)))
    seal = Seal(copy, scratch)
    if later := _later_there(drafts, seal, material, ours, versions):
        return _left_alone(drafts, later)
    contents = [
        formats.content(one.part, material, seal, one.before.content if one.before else None)
        for one in drafts
    ]
    done: list[Written] = []
    try:
        for one, content in zip(drafts, contents, strict=True):
            done.append(_put_one(copy, one, content, ours.get(one.path)))
    except RenewerError:
        undo(done)
        raise
    return done


def _left_alone(drafts: list[_Draft], later: str) -> list[Written]:
    note = f"{later} holds a certificate that ends later than ours: this copy is left alone"
    return [
        Written(
            path=one.path,
            sha256="",
            stamp=files.stamp(one.path),
            wish=one.wish,
            before=one.before,
            unchanged=True,
            note=note,
        )
        for one in drafts
    ]


def undo(written: list[Written]) -> tuple[list[Written], list[str]]:
    """Put back what stood there before: the files as they now stand, and what could not be, as sentences."""
    restored: list[Written] = []
    faults: list[str] = []
    for one in reversed(written):
        former = one.before
        if one.note:
            continue
        try:
            if former is None:
                files.remove(one.path)
                continue
            if not one.unchanged:
                files.replace(one.path, former.content, former.rights)
            restored.append(
                Written(
                    path=one.path, sha256=_sha256(former.content), stamp=files.stamp(one.path), wish=one.wish
                )
            )
        except OSError as error:
            faults.append(f"{one.path} could not be put back: {error.strerror}")
        except RenewerError as error:
            faults.append(f"{one.path} could not be put back: {error.text}")
    return restored, faults


def _later_there(
    drafts: list[_Draft], seal: Seal, material: Material, ours: Mapping[str, str], versions: Collection[str]
) -> str | None:
    """The path where somebody else put a certificate that ends later than ours, if any."""
    from renewer import x509

    our_end = x509.leaf(material.cert).not_after
    for one in drafts:
        if one.before is None or _sha256(one.before.content) == ours.get(one.path):
            continue
        there = formats.shown(one.part, one.before.content, seal)
        if there is None or there[1] in versions:
            continue
        if there[0] > our_end:
            return one.path
    return None


def _put_one(copy: Copy, draft: _Draft, content: bytes, ours: str | None) -> Written:
    path, before = draft.path, draft.before
    sha256 = _sha256(content)
    with files.told(path):
        known = before is not None and _sha256(before.content) in (ours, sha256)
        # Where others may write, a file of theirs must not make itself the owner of our key
        kept = before.rights if before and (known or before.guarded) else None
        wished = rights(copy, draft.part, kept)
        unchanged = before is not None and before.content == content and wished.met_by(before.rights)
        if not unchanged:
            if before and not known:
                _keep_foreign(path, before)
            files.replace(path, content, wished)
        return Written(
            path=path,
            sha256=sha256,
            stamp=files.stamp(path),
            wish=draft.wish,
            before=before,
            unchanged=unchanged,
        )


def _keep_foreign(path: str, before: Former) -> None:
    kept = path + BACKUP
    if files.find(kept) is None:
        owner, group = before.rights.owner, before.rights.group
        files.replace(kept, before.content, Rights(owner=owner, group=group, mode=KEY_MODE))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
