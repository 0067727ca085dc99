"""Whose a copy is and who may read it: as the config says, else as it was. Pure but for looking up names."""

import grp
import pwd

from renewer.errors import GiveUp
from renewer.model.desired import SECRET_PARTS, Copy, CopyPart
from renewer.model.value import Value

PUBLIC_MODE = 0o644
KEY_MODE = 0o600
_WIDEST_OF_KEYS = 0o640
_GROUP_BITS = 0o070

CONTEXT = "security.selinux"
ACL = "system.posix_acl_access"
KEPT_ATTRIBUTES = (CONTEXT, ACL)
"""Extended attributes that a file keeps when it is replaced: its SELinux context, and its access list."""


class Rights(Value):
    """Owner and group by number (-1 leaves them to the system), mode, and attributes by name."""

    owner: int = -1
    group: int = -1
    mode: int = KEY_MODE
    attributes: tuple[tuple[str, bytes], ...] = ()

    def met_by(self, found: "Rights") -> bool:
        """Whether a file that is found needs no change."""
        return (
            self.owner in (-1, found.owner)
            and self.group in (-1, found.group)
            and (self.mode, self.attributes) == (found.mode, found.attributes)
        )


def rights(copy: Copy, part: CopyPart, found: Rights | None) -> Rights:
    """What a file of a copy shall have; `found` are those of the file it replaces, if they may be kept.

    What the config leaves out is kept, never widened: no key stays readable for everybody, nor for a group
    by bits (or a list) that were meant for another one. Raises GiveUp if there is no such user or group.
    """
    owner, group = owner_number(copy.owner), group_number(copy.group)
    if found is None:
        return Rights(owner=owner, group=group, mode=_asked_mode(copy, part))
    same_group = group in (-1, found.group)
    mode, kept = _asked_mode(copy, part), {CONTEXT}
    if copy.mode is None:
        widest = _WIDEST_OF_KEYS if part in SECRET_PARTS else PUBLIC_MODE
        mode = found.mode & widest | 0o400
        if same_group:
            kept.add(ACL)
        elif part in SECRET_PARTS:
            mode &= ~_GROUP_BITS
    return Rights(
        owner=found.owner if owner == -1 else owner,
        group=found.group if group == -1 else group,
        mode=mode,
        attributes=tuple((name, value) for name, value in found.attributes if name in kept),
    )


def _asked_mode(copy: Copy, part: CopyPart) -> int:
    """The config's mode is that of keys; files beside a key are for everybody."""
    if part in SECRET_PARTS:
        return KEY_MODE if copy.mode is None else copy.mode
    if copy.mode is None:
        return PUBLIC_MODE
    if any(other in SECRET_PARTS for other, _ in copy.paths):
        return (copy.mode | 0o444) & PUBLIC_MODE
    return copy.mode


def owner_number(name: str | None) -> int:
    """A user's number; -1 for None. Raises GiveUp."""
    if name is None:
        return -1
    try:
        return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid
    except KeyError:
        raise GiveUp(
            f"there is no user '{name}', the owner of a copy", hint="create it, or correct `owner`"
        ) from None


def group_number(name: str | None) -> int:
    """A group's number; -1 for None. Raises GiveUp."""
    if name is None:
        return -1
    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise GiveUp(
            f"there is no group '{name}', the group of a copy", hint="create it, or correct `group`"
        ) from None
