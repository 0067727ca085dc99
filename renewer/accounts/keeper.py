"""What an operator does with the account at one authority: look at it, make it, change its key, end it."""

from collections.abc import Sequence
from typing import Any

from renewer.accounts.account import Account
from renewer.accounts.door import AuthorityDoor
from renewer.errors import GiveUp
from renewer.model.desired import Authority
from renewer.network.acme.resources import AccountObject, Directory


class Keeper:
    """The account of one authority in an operator's hands. Everything that goes wrong is one of ours."""

    def __init__(
        self, authority: Authority, *, state: str, eab_hmac: str | None = None, timeout: float = 30.0
    ) -> None:
        self._door = AuthorityDoor(authority, timeout)
        self._account = Account(authority, state, eab_hmac, self._door)

    @property
    def directory(self) -> Directory:
        """What the authority offers (RFC 8555 §7.1.1)."""
        return self._door.directory()

    @property
    def path(self) -> str:
        """Where the account lies on disk."""
        return self._account.path

    @property
    def thumbprint(self) -> str:
        """Of the key in hand (RFC 7638)."""
        return self._account.key.thumbprint

    def on_disk(self) -> dict[str, Any]:
        """What lies on disk: `files`, and what `account.json` says; asks nobody and makes nothing."""
        return self._account.about()

    def url(self) -> str | None:
        """The account's URL; None if there is none. Nothing is registered."""
        return self._account.known()

    def look(self) -> AccountObject | None:
        """The account as the authority shows it now; None if there is none (RFC 8555 §7.1.2)."""
        return self._account.look()

    def register(self) -> tuple[str, bool]:
        """The account's URL, and whether it was made just now; one that was deactivated gets a successor."""
        return self._account.register()

    def roll_over(self) -> str:
        """Give the account a new key (§7.3.5); its URL."""
        return self._account.roll_over()

    def deactivate(self) -> str:
        """End the account for good (§7.3.6); its URL."""
        return self._account.deactivate()

    def recover(self, key: bytes | None = None) -> str:
        """Find the account again by its key, or by a given one (PEM, or a JWK as certbot has it); its URL."""
        return self._account.recover(key)

    def profile_fault(self, wished: Sequence[str]) -> GiveUp | None:
        """Why none of these profiles can be asked for there, or None."""
        try:
            self._door.choose_profile(wished)
        except GiveUp as error:
            return error
        return None

    def close(self) -> None:
        """Close the kept connections."""
        self._door.close()
