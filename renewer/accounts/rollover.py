"""A new key for an account (RFC 8555 §7.3.5), so that a crash at any point leaves a key that opens it.

The new key lies on disk (`next.pem`) before the request leaves. While it does, either key may be the one:
whoever takes the account in hand next asks the authority. The key that lost is kept (`unused.pem`): a request
that was on its way for long may yet be obeyed, and then `renewer account recover` finds the account by it.
"""

from typing import TYPE_CHECKING

import msgspec

from renewer.accounts.card import KEY
from renewer.accounts.key import AccountKey
from renewer.errors import GiveUp
from renewer.network.acme import problems
from renewer.network.acme.lost import Lost
from renewer.network.acme.messages import SignKind
from renewer.statedir import StateDirectory

if TYPE_CHECKING:
    from renewer.accounts.account import Account

NEXT = "next.pem"
UNUSED = "unused.pem"


def roll(account: "Account", folder: StateDirectory, url: str) -> None:
    """Change the account's key; `account` signs with the new one afterwards.

    Raises what the authority said if it refused, RetryLater if nobody knows yet whether it did it.
    """
    name = account.authority.name
    if account.door.directory().key_change is None:
        raise GiveUp(f"{name} offers no change of keys", kind="rollover")
    old = account.key
    new, pem = AccountKey.generate(account.authority.account_key)
    folder.put(NEXT, pem)
    lost, said = None, None
    try:
        said = account.door.say(
            SignKind.KEY_CHANGE, lambda at: msgspec.json.encode(new.take_over(old, url, at)), old, url
        )
    except Lost as error:
        lost = error
    if said is not None and said.problem is None:
        account.hold(new)
        folder.rename(NEXT, KEY)
        return
    settle(account, folder)
    if account.key is not old:
        return  # it was done, only the reply got lost
    if said is not None and said.problem is not None:
        raise problems.error(said.problem, "to change the key", name)
    raise lost or GiveUp(f"{name} did not change the key", kind="rollover")


def settle(account: "Account", folder: StateDirectory) -> None:
    """If a rollover was broken off: find which of two keys opens the account, and keep that one."""
    pem = folder.peek(NEXT)
    if pem is None:
        return
    old = account.key
    account.hold(AccountKey.load(pem, f"{folder.path}/{NEXT}"))
    try:
        if account.find() is not None:
            # One rename: before it the old key is the one on disk, after it the account is found by the new.
            folder.rename(NEXT, KEY)
            return
    except BaseException:
        account.hold(old)
        raise
    account.hold(old)
    folder.rename(NEXT, UNUSED)
