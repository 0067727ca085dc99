"""`key` of a certificate: one kind, or one of each family, which makes two certificates of a table."""

from collections.abc import Iterator, Mapping

import msgspec

from renewer.config.faults import Faults, Path
from renewer.model.desired import Certificate, KeyType


def kinds(given: KeyType | list[KeyType], at: Path, faults: Faults) -> tuple[KeyType, ...]:
    """The kinds in their order; at least one."""
    if isinstance(given, KeyType):
        return (given,)
    if not given:
        faults.add(at, "is empty", 'name a kind: key = "ecdsa-p256", or ["ecdsa-p256", "rsa-2048"]')
    for index, one in enumerate(given):
        if one.family in [other.family for other in given[:index]]:
            text = f"has two {one.family.upper()} keys: a server holds one of each kind for a name"
            faults.add((*at, index), text, 'keep one: key = ["ecdsa-p256", "rsa-2048"]')
    return tuple(given) or (KeyType.ECDSA_P256,)


def each(
    wish: Certificate, keys: tuple[KeyType, ...], tables: Mapping[str, object], faults: Faults
) -> Iterator[Certificate]:
    """The certificate of each kind: the first by the table's name, another with its family behind."""
    yield wish
    for key in keys[1:]:
        name, at = f"{wish.name}-{key.family}", ("certificate", wish.name, "key")
        if name in tables:
            hint = "give that table another name, or name one kind of key here"
            faults.add(at, f"makes a second certificate '{name}', and there is a table of that name", hint)
        if wish.copies:
            hint = f"make two tables of it, [certificate.{wish.name}] and [certificate.{name}]"
            text = "would be written by the certificates of both kinds of keys"
            faults.add(("certificate", wish.name, "copies"), text, hint)
        yield msgspec.structs.replace(wish, name=name, key=key)
