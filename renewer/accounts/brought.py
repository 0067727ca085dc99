"""An account of another client's becomes ours: its key is put where ours would lie, nobody is asked."""

from enum import StrEnum

import msgspec

from renewer.accounts.card import ACCOUNT, KEY, place
from renewer.accounts.key import AccountKey
from renewer.model.desired import Authority
from renewer.statedir import held, look


class Brought(StrEnum):
    """What became of it."""

    TAKEN = "taken"
    THERE = "there"  # that very key is ours already
    OTHER = "other"  # we have an account of our own there, which stays


def compare(state: str, authority: Authority, key: bytes, what: str) -> Brought:
    """What `bring` would do; changes nothing. Raises StateError if `what` holds no key for an account."""
    wanted = AccountKey.read(key, what)[0].thumbprint
    folder = look(state, *place(authority))
    if folder is None:
        return Brought.TAKEN
    with folder:
        return _compare(folder.peek(KEY), wanted)


def bring(state: str, authority: Authority, key: bytes, url: str | None, what: str) -> Brought:
    """Put a key (PEM or JWK) and, if it is known, the account's URL there; never over another key.

    Raises StateError. The contact is remembered as the config has it: so nothing is changed at the authority.
    """
    account, pem = AccountKey.read(key, what)
    with held(state, *place(authority)) as folder:
        found = _compare(folder.peek(KEY), account.thumbprint)
        if found is not Brought.TAKEN:
            return found
        folder.put(KEY, pem)
        if url:
            known = {
                "schema": 1,
                "url": url,
                "directory": authority.directory,
                "thumbprint": account.thumbprint,
                "contact": list(authority.contact),
            }
            folder.put(ACCOUNT, msgspec.json.format(msgspec.json.encode(known)) + b"\n")
    return found


def _compare(mine: bytes | None, wanted: str) -> Brought:
    if mine is None:
        return Brought.TAKEN
    return Brought.THERE if AccountKey.load(mine, KEY).thumbprint == wanted else Brought.OTHER
