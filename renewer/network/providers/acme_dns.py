"""acme-dns: a name server for challenges alone, changed by a small HTTP API with an account a name.

`_acme-challenge.NAME` is a CNAME to the account's `fulldomain`. It keeps the last two values of an account
and forgets the older one when a third comes; nothing can be removed there, and nothing needs to be.
"""

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from renewer.errors import GiveUp, OurFault, RenewerError
from renewer.model.desired import Dns01
from renewer.model.dns_options import ACME_DNS, BUILT_IN, Rules
from renewer.model.dns_provider import AcmeDnsAccount as Account
from renewer.model.dns_provider import TxtRecord
from renewer.network.providers.web import Api, WebReply


class AcmeDnsProvider:
    """Sets records of accounts that were registered before, which main has and chooses."""

    rules: ClassVar[Rules] = BUILT_IN[ACME_DNS]
    needs_zone = False

    def __init__(self, challenge: Dns01) -> None:
        self._options = dict(challenge.options)
        self._api = Api("acme-dns server", str(self._options["server"]), self._options)

    def ready(self, names: Sequence[str]) -> None:
        """Whether there are accounts is known to who has them."""

    def add(self, zone: str, records: Sequence[TxtRecord]) -> None:
        """Nobody can, without accounts."""
        raise OurFault(f"records of {zone or 'no zone'} without an account ({len(records)})", kind="defect")

    def add_at(self, accounts: Sequence[Account], records: Sequence[TxtRecord]) -> None:
        """Set each value at its account."""
        values = ((one, record.value) for one, record in zip(accounts, records, strict=True))
        for account, value in dict.fromkeys(values):
            self._update(account, value)

    def remove(self, zone: str, records: Sequence[TxtRecord]) -> None:
        """Nothing can be: the next values push these out."""

    def close(self) -> None:
        """Every request has a connection of its own."""

    def register(self) -> Account:
        """Make an account there. Raises RetryLater or GiveUp."""
        allowed = self._options.get("allow_from")
        body = {"allowfrom": list(allowed)} if isinstance(allowed, tuple) else {}
        reply = self._api.post("/register", body, {})
        if reply.status not in (200, 201):
            raise self._api.refused(reply)
        try:
            return msgspec.convert(reply.document, Account)
        except msgspec.ValidationError as error:
            text = f"{self._api} registered, but what it answered is no account: {error}"
            raise GiveUp(text, hint="is it an acme-dns server?", kind="http") from None

    def _update(self, account: Account, value: str) -> None:
        headers = {"X-Api-User": account.username, "X-Api-Key": account.password}
        reply = self._api.post("/update", {"subdomain": account.subdomain, "txt": value}, headers)
        if reply.status != 200:
            raise self._refused(account, reply)

    def _refused(self, account: Account, reply: WebReply) -> RenewerError:
        """401 is a wrong key, a wrong subdomain, or an address that may not use the account."""
        if reply.status not in (400, 401, 403):
            return self._api.refused(reply)
        said = str(reply.document.get("error", reply.excerpt))
        hint = "did the server lose its database? Then register anew and publish the new CNAME"
        if reply.status != 400:
            hint = f"may this host's address use the account (allowfrom)? Else: {hint[0].lower()}{hint[1:]}"
        text = f"{self._api} refuses the account {account.fulldomain} ({reply.status}: {said})"
        return GiveUp(text, hint=hint, kind=f"http-{reply.status}")
