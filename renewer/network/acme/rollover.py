"""A new key for an account (RFC 8555 §7.3.5), so that a crash at any point leaves a key that opens it.

The new key lies on disk (`next.pem`) before the request leaves. While it does, either key may be the one:
whoever takes the account in hand next asks the authority. The key that lost is kept (`unused.pem`): a request
that was on its way for long may yet be obeyed, and then `renewer account recover` finds the account by it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from renewer.errors import GiveUp
from renewer.network.acme import problems
from renewer.network.acme.account_key import AccountKey
from renewer.network.acme.card import KEY
from renewer.network.acme.lost import Lost
from renewer.network.acme.reply import Reply
from renewer.network.acme.resources import Directory
from renewer.statedir import StateDirectory

if TYPE_CHECKING:
    from renewer.network.acme.accounts import Account

NEXT = "next.pem"
UNUSED = "unused.pem"


def roll(
    account: "Account",
    folder: StateDirectory,
    directory: Callable[[], Directory],
    url: str,
    post: Callable[..., Reply],
) -> None:
    """Change the account's key; `account` signs with the new one afterwards.

    Raises what the authority said if it refused, RetryLater if nobody knows yet whether it did it.
    """
    name, target = account.authority.name, directory().key_change
    if target is None:
        raise GiveUp(f"{name} offers no change of keys", kind="rollover")
    old = account.key
    new, pem = AccountKey.generate(account.authority.account_key)
    folder.put(NEXT, pem)
    lost, reply = None, None
    try:
        reply = post(target, new.take_over(old, url, target), kid=url, repeatable=False)
    except Lost as error:
        lost = error
    if reply is not None and reply.ok:
        account.hold(new)
        folder.rename(NEXT, KEY)
        return
    settle(account, folder, directory, post)
    if account.key is not old:
        return  # it was done, only the reply got lost
    if reply is not None:
        raise problems.error(reply.problem(), "to change the key", name)
    raise lost or GiveUp(f"{name} did not change the key", kind="rollover")


def settle(
    account: "Account",
    folder: StateDirectory,
    directory: Callable[[], Directory],
    post: Callable[..., Reply],
) -> None:
    """If a rollover was broken off: find which of two keys opens the account, and keep that one."""
    pem = folder.peek(NEXT)
    if pem is None:
        return
    old = account.key
    account.hold(AccountKey.load(pem, f"{folder.path}/{NEXT}"))
    try:
        if account.find(directory(), post) is not None:
            # One rename: before it the old key is the one on disk, after it the account is found by the new.
            folder.rename(NEXT, KEY)
            return
    except BaseException:
        account.hold(old)
        raise
    account.hold(old)
    folder.rename(NEXT, UNUSED)
