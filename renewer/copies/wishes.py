"""What the config says of one file, as a short word: when it changes, the file is written anew."""

import zlib

import msgspec

from renewer.copies import files
from renewer.model.desired import SEALED_PARTS, Copy, CopyPart, Encryption, SecretSource


def fingerprint(copy: Copy, part: CopyPart) -> str:
    """Changes with part, owner, group and mode, and for a keystore with its password, alias and encryption.

    Of the password itself nothing is in it: only where it comes from, and of a password file what tells that
    it was replaced.
    """
    sealed = part in SEALED_PARTS
    secret = copy.password if sealed else None
    source: tuple[int, ...] = ()
    if secret is not None and secret.source is SecretSource.FILE:
        source = files.stamp(secret.argument[0])
    wish: tuple[object, ...] = (part, copy.owner, copy.group, copy.mode, secret, source)
    wish = (*wish, copy.alias if sealed else "")
    if sealed and (copy.unsealed or copy.encryption is not Encryption.MODERN):  # else it is as it always was
        wish = (*wish, copy.unsealed, copy.encryption)
    return f"{zlib.crc32(msgspec.json.encode(wish)):08x}"
