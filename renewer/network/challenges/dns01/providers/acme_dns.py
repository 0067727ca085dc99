"""acme-dns: a name server for challenges alone, changed by a small HTTP API with an account a name.

`_acme-challenge.NAME` is a CNAME to the account's `fulldomain`. It keeps the last two values of an account
and forgets the older one when a third comes; nothing can be removed there, and nothing needs to be.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import Dns01
from renewer.model.dns_options import ACME_DNS, BUILT_IN, Rules
from renewer.model.dns_provider import AcmeDnsAccount as Account
from renewer.model.dns_provider import TxtRecord
from renewer.network.challenges.dns01.providers.web import Api, Reply

SLOTS = 2  # values that acme-dns keeps for an account

_in_use: dict[tuple[str, str], list[str]] = {}  # by server and subdomain: the values of orders in flight
_guard = threading.Lock()


class AcmeDnsProvider:
    """Sets records of accounts that were registered before: `known`, by domain."""

    rules: ClassVar[Rules] = BUILT_IN[ACME_DNS]
    needs_zone = False

    def __init__(self, challenge: Dns01, known: Mapping[str, Account]) -> None:
        self._options = dict(challenge.options)
        self._api = Api("acme-dns server", str(self._options["server"]), self._options)
        if "storage" not in self._options:
            raise GiveUp("acme-dns needs a file for its accounts", hint='storage = "/path"', kind="config")
        self._storage = str(self._options["storage"])
        self._known = known

    def ready(self, names: Sequence[str]) -> None:
        """Whether there are any accounts: aliases may lead a name to any of them."""
        if names and not self._known:
            raise GiveUp(
                f"there is no acme-dns account for {names[0]} in {self._storage}",
                hint="make one, and publish the CNAME that this prints: renewer acme-dns register",
                kind="config",
            )

    def add(self, zone: str, records: Sequence[TxtRecord]) -> None:
        """Set each value at the account of its name."""
        wanted: dict[str, list[TxtRecord]] = {}
        account_of: dict[str, Account] = {}
        for record in records:
            account = self._account(zone, record)
            account_of[account.subdomain] = account
            wanted.setdefault(account.subdomain, []).append(record)
        for subdomain, group in wanted.items():
            self._reserve(account_of[subdomain], group)
            for value in dict.fromkeys(record.value for record in group):
                self._update(account_of[subdomain], value)

    def remove(self, zone: str, records: Sequence[TxtRecord]) -> None:  # noqa: ARG002  there is none to be told
        """Free their places: acme-dns itself overwrites them with the next values."""
        gone = {record.value for record in records}
        with _guard:
            for place, values in list(_in_use.items()):
                if place[0] == self._api.url:
                    _in_use[place] = [value for value in values if value not in gone]

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

    def _account(self, zone: str, record: TxtRecord) -> Account:
        """The account where the record's aliases end; if they cannot be followed here, that of its domain."""
        for account in self._known.values():
            if account.fulldomain.rstrip(".").lower() == record.name:
                return account
        own = self._known.get(record.domain)
        if own is None:
            raise GiveUp(
                f"there is no acme-dns account for {record.domain} in {self._storage}",
                hint="make one, and publish the CNAME that this prints: renewer acme-dns register",
                kind="config",
            )
        if not zone:
            return own
        seen = "is no CNAME" if record.name == record.asked else f"leads to {record.name}"
        raise GiveUp(
            f"{record.asked} {seen}, and its acme-dns account is another place",
            hint=f"publish: {cname(record.asked, own)}",
            kind="config",
        )

    def _reserve(self, account: Account, records: Sequence[TxtRecord]) -> None:
        """Take a place for each value; a third value would push out one that an authority still looks for."""
        values = list(dict.fromkeys(record.value for record in records))
        names = ", ".join(dict.fromkeys(record.asked for record in records))
        if len(values) > SLOTS:
            raise GiveUp(
                f"{len(values)} values are needed at once at {account.fulldomain} ({names}), and acme-dns "
                f"keeps {SLOTS} an account: enough for a name and its wildcard, for no more",
                hint="give each name an account and a CNAME of its own: renewer acme-dns register",
                kind="config",
            )
        with _guard:
            used = _in_use.setdefault((self._api.url, account.subdomain), [])
            new = [value for value in values if value not in used]
            if len(used) + len(new) > SLOTS:
                text = f"another order is using both places of {account.fulldomain} ({names}) just now"
                hint = "names that share an account take turns; accounts of their own need not"
                raise RetryLater(text, hint=hint, kind="busy")
            used += new

    def _update(self, account: Account, value: str) -> None:
        headers = {"X-Api-User": account.username, "X-Api-Key": account.password}
        reply = self._api.post("/update", {"subdomain": account.subdomain, "txt": value}, headers)
        if reply.status != 200:
            raise self._refused(account, reply)

    def _refused(self, account: Account, reply: Reply) -> RenewerError:
        """401 is a wrong key, a wrong subdomain, or an address that may not use the account."""
        if reply.status not in (400, 401, 403):
            return self._api.refused(reply)
        said = str(reply.document.get("error", reply.excerpt))
        hint = "did the server lose its database? Then register anew and publish the new CNAME"
        if reply.status != 400:
            hint = f"may this host's address use the account (allowfrom)? Else: {hint[0].lower()}{hint[1:]}"
        text = f"{self._api} refuses the account {account.fulldomain} ({reply.status}: {said})"
        return GiveUp(text, hint=hint, kind=f"http-{reply.status}")


def cname(asked: str, account: Account) -> str:
    """The record to be published, once, by hand."""
    return f"{asked}. CNAME {account.fulldomain.rstrip('.')}."
