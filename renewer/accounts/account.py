"""Our account at an authority (RFC 8555 §7.3): a key on disk, made once, and the URL by which it is known.

Below the state directory lies `authorities/<host>/<authority's name>/` with `key.pem` (0600), written for
good before anything is sent, and `account.json`, which only spares a request: lost, the account is found
again by its key. An account that the operator deactivated is remembered as such: nothing takes its place
until the operator says so.
"""

from typing import Any

import msgspec

from renewer import clock
from renewer.accounts.card import ACCOUNT, KEY, about, document, place
from renewer.accounts.door import AuthorityDoor
from renewer.accounts.key import AccountKey
from renewer.accounts.registry import Registry, contacts
from renewer.errors import GiveUp, RenewerError
from renewer.model.desired import Authority
from renewer.network.acme import problems
from renewer.network.acme.lost import Lost
from renewer.network.acme.messages import SignKind
from renewer.network.acme.resources import AccountObject
from renewer.network.protocol import BreachError
from renewer.statedir import StateDirectory, held

_NO_CONTACT = ("invalidContact", "malformed", "unsupportedContact")
_KEPT = ("terms_agreed", "registered_at")  # remembered of an account as long as it is the same


class Account:
    """The account of one authority, as its directory on disk knows it; other processes may use it too."""

    def __init__(self, authority: Authority, state: str, eab_hmac: str | None, door: AuthorityDoor) -> None:
        self.authority = authority
        self.door = door
        self._registry = Registry(authority, eab_hmac, door)
        self._state = state
        self._parts = place(authority)
        self.path = "/".join((state, *self._parts))
        self._key: AccountKey | None = None
        self.made = False  # whether the account was registered just now

    @property
    def key(self) -> AccountKey:
        """The key, once `ensure` has loaded or made it."""
        assert self._key is not None  # noqa: S101  ensure comes first
        return self._key

    def hold(self, key: AccountKey) -> None:
        """Sign with this key from now on."""
        self._key = key

    def ensure(self) -> str:
        """The account's URL: remembered, found again by its key, or registered, in that order.

        Raises GiveUp if terms or credentials are missing or the operator deactivated the account, StateError
        if the disk does not allow it.
        """
        with held(self._state, *self._parts) as folder:
            return self._in(folder)

    def known(self) -> str | None:
        """The account's URL as `ensure` has it, but nothing is registered and no contact changed."""
        with held(self._state, *self._parts) as folder:
            if not self._load(folder):
                return None
            remembered = self._remembered(folder)
            return str(remembered["url"]) if remembered else self._found(folder)

    def forget(self, url: str) -> None:
        """The authority knows that account no more; the key stays."""
        with held(self._state, *self._parts) as folder:
            known = self._remembered(folder)
            if known is not None and known["url"] == url:
                folder.put(ACCOUNT, b"{}\n")

    def is_lost(self, url: str) -> bool:
        """Whether the authority has no such account any more, but perhaps another one for our key.

        Raises RenewerError if nothing can be learnt of it.
        """
        with held(self._state, *self._parts) as folder:
            if not self._load(folder):
                return True
            found = self._registry.existing(self.key)
            return found.unknown or (not found.over and found.url not in (None, url))

    def look(self) -> AccountObject | None:
        """The account as the authority shows it now; None if there is none (RFC 8555 §7.1.2)."""
        url = self.known()
        if url is None:
            return None
        said = self.door.say(SignKind.READ, b"", self.key, url)
        if said.problem is None:
            return said.account
        if said.problem.type == "accountDoesNotExist" or (said.doubtful and self._is_no_more(url)):
            return None
        if said.gone:
            text = f"{self.authority.name} refused to show the account: it knows {url} no more"
            raise GiveUp(text, kind="gone")
        raise problems.error(said.problem, "to show the account", self.authority.name)

    def _is_no_more(self, url: str) -> bool:
        try:
            return self.is_lost(url)
        except BreachError:
            raise
        except RenewerError:  # nothing was learnt; the refusal itself will be told
            return False

    # what an operator asks for ------------------------------------------------------------------------------

    def register(self) -> tuple[str, bool]:
        """The account's URL, and whether it is new: one that was ended gets a successor.

        The authority is asked, whatever lies on disk: it may have lost the account.
        """
        with held(self._state, *self._parts) as folder:
            if not self._load(folder):
                return self._in(folder), True
            known = self._remembered(folder)
            if (known or {}).get("deactivated_at"):
                return self._succeed(folder), True
            found = self._registry.existing(self.key)
            if found.over:
                return self._succeed(folder), True
            if found.url is not None:
                if known is None or known["url"] != found.url:
                    self._remember(folder, found.url)
                return self._in(folder), False
            self._registry.may_register()
            try:
                return self._register(folder)
            except GiveUp as error:
                # With an account on record the key may be that of one that was ended elsewhere.
                if error.kind != "unauthorized" or known is None:
                    raise
            return self._succeed(folder), True

    def _succeed(self, folder: StateDirectory) -> str:
        """A new account with a new key, in the place of one that was ended; the key before is kept aside.

        Until the authority has it, the new key lies where a rollover's does: killed here, it is settled so.
        """
        self._registry.may_register()
        old = self.key
        self._key, pem = AccountKey.generate(self.authority.account_key)
        folder.put(NEXT, pem)
        try:
            url, _ = self._registry.register(self.key)
        except Lost:
            raise
        except RenewerError:
            folder.discard(NEXT)
            folder.sync()
            self._key = old
            raise
        self._put_by(folder)
        folder.rename(NEXT, KEY)
        self._remember(folder, url, terms_agreed=self.door.directory().terms, registered_at=_now())
        return url

    def roll_over(self) -> str:
        """Give the account a new key (RFC 8555 §7.3.5); killed anywhere, the next run goes on."""
        with held(self._state, *self._parts) as folder:
            url = self._in(folder)
            self._must_exist()
            roll(self, folder, url)
            self._remember(folder, url)
            return url

    def deactivate(self) -> str:
        """End the account for good (RFC 8555 §7.3.6); its URL. What it got stays valid."""
        with held(self._state, *self._parts) as folder:
            known = self._load(folder) and (self._remembered(folder) or self._found(folder))
            if not known:
                raise self._unknown("there is no account to deactivate")
            url = known if isinstance(known, str) else str(known["url"])
            words = msgspec.json.encode({"status": "deactivated"})
            said = self.door.say(SignKind.END_ACCOUNT, words, self.key, url)
            if said.problem:
                self._must_exist()
                raise problems.error(said.problem, "to deactivate the account", self.authority.name)
            self._remember(folder, url, deactivated_at=_now())
            return url

    def recover(self, given: bytes | None) -> str:
        """Find the account of our key, or of a `given` one (PEM or JWK), which then takes its place.

        A key that a rollover left unused is tried as well. Raises GiveUp if the authority knows no account.
        """
        with held(self._state, *self._parts) as folder:
            if given is not None:
                return self._adopt(folder, *AccountKey.read(given, "the given key"))
            if self._load(folder) and (url := self._found(folder)):
                return url
            if (pem := folder.peek(UNUSED)) is not None:
                return self._adopt(folder, *AccountKey.read(pem, UNUSED))
            raise self._unknown("no key here opens an account")

    def about(self) -> dict[str, Any]:
        """What lies on disk: the files' names, and what `account.json` says; makes nothing."""
        return about(self._state, self.authority)

    def _adopt(self, folder: StateDirectory, key: AccountKey, pem: bytes) -> str:
        """Make a key ours once the authority has an account for it; the one before is kept aside."""
        self._key = key
        url = self.find()
        if url is None:
            raise self._unknown("the key opens no account")
        if folder.peek(KEY) not in (None, pem):
            self._put_by(folder)
        folder.put(KEY, pem)
        self._remember(folder, url)
        return url

    def _put_by(self, folder: StateDirectory) -> None:
        """Keep a copy of the key before another takes its place."""
        pem = folder.peek(KEY)
        if pem is not None:
            folder.put(f"former-{AccountKey.read(pem, KEY)[0].thumbprint[:8]}.pem", pem)

    def _must_exist(self) -> None:
        if self._registry.existing(self.key).unknown:
            raise self._unknown("there is no account any more")

    def _unknown(self, text: str) -> GiveUp:
        name = self.authority.name
        return GiveUp(
            f"{text} at {name}",
            kind="accountDoesNotExist",
            hint=f"give another key with --key FILE, or make a new account: renewer account register {name}",
        )

    # made, found, remembered --------------------------------------------------------------------------------

    def _load(self, folder: StateDirectory) -> bool:
        """Take our key in hand; False if there is none. A rollover that was killed is settled first."""
        pem = folder.peek(KEY)
        if pem is None:
            return False
        self._key = AccountKey.load(pem, f"{self.path}/{KEY}")
        settle(self, folder)
        return True

    def _in(self, folder: StateDirectory) -> str:
        if not self._load(folder):
            self._registry.may_register()  # before a key is made: a refusal leaves nothing behind
            self._key, pem = AccountKey.generate(self.authority.account_key)
            folder.put(KEY, pem)
            return self._register(folder)[0]
        known = self._remembered(folder)
        if known is None:
            return self._found_or_made(folder)
        if known.get("deactivated_at"):
            raise self._ended(f"was deactivated at {known['deactivated_at']}")
        self._keep_contact(folder, known)
        return str(known["url"])

    def _found(self, folder: StateDirectory) -> str | None:
        """The account that the authority has for our key, remembered from now on."""
        found = self.find()
        if found is not None:
            self._remember(folder, found)
        return found

    def find(self) -> str | None:
        """The URL of the account with our key (RFC 8555 §7.3.1), None if the authority knows none."""
        found = self._registry.existing(self.key)
        if found.refusal is not None:
            raise self._registry.refused(found.refusal, "to find the account")
        return found.url

    def _found_or_made(self, folder: StateDirectory) -> str:
        """The account of our key; registered if the authority has none, in whatever words it says so."""
        found = self._registry.existing(self.key)
        if found.url is not None:
            ended = {"deactivated_at": _now()} if found.over else {}
            self._remember(folder, found.url, **ended)
            if found.over:
                raise self._ended(f"is {found.status}")
            return found.url
        if not found.unknown and found.refusal is not None:
            raise self._registry.refused(found.refusal, "to find the account")
        self._registry.may_register()
        return self._register(folder)[0]

    def _ended(self, how: str) -> GiveUp:
        name = self.authority.name
        hint = f"make a new one: renewer account register {name}"
        return GiveUp(f"the account at {name} {how}", kind="accountDeactivated", hint=hint)

    def _register(self, folder: StateDirectory) -> tuple[str, bool]:
        """The account of our key, made if it is not there; and whether it was made."""
        url, made = self._registry.register(self.key)
        self._remember(folder, url, terms_agreed=self.door.directory().terms, registered_at=_now())
        self.made = made
        return url, made

    def _keep_contact(self, folder: StateDirectory, known: dict[str, Any]) -> None:
        """Tell the authority a contact that was changed in the config (§7.3.2).

        A refusal is remembered, and no reason not to order: the same contact is not said again.
        """
        contact = list(self.authority.contact)
        # Authorities no longer echo contacts, so what we last sent is compared, not what they say.
        if contact in (known.get("contact"), known.get("contact_refused")):
            return
        url = str(known["url"])
        words = msgspec.json.encode({"contact": contacts(self.authority)})
        said = self.door.say(SignKind.CONTACT, words, self.key, url)
        if said.problem is None:
            self._remember(folder, url)
        elif said.problem.type in _NO_CONTACT:
            refused = problems.error(said.problem, "to change the account", self.authority.name)
            self._remember(
                folder, url, contact=known.get("contact"), contact_refused=contact, refusal=refused.text
            )

    def _remembered(self, folder: StateDirectory) -> dict[str, Any] | None:
        """What account.json says, if it is about this key and this directory."""
        known = document(folder.peek(ACCOUNT))
        if not str(known.get("url")).startswith("https://"):
            return None
        ours = (self.authority.directory, self.key.thumbprint)
        return known if (known.get("directory"), known.get("thumbprint")) == ours else None

    def _remember(self, folder: StateDirectory, url: str, **more: object) -> None:
        before = document(folder.peek(ACCOUNT))
        kept = {key: before[key] for key in _KEPT if key in before} if before.get("url") == url else {}
        known: dict[str, Any] = {
            "schema": 1,
            "url": url,
            "directory": self.authority.directory,
            "thumbprint": self.key.thumbprint,
            "contact": list(self.authority.contact),
            **kept,
            **{key: value for key, value in more.items() if value is not None},
        }
        folder.put(ACCOUNT, msgspec.json.format(msgspec.json.encode(known)) + b"\n")


def _now() -> str:
    return clock.now().isoformat(timespec="seconds")


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
