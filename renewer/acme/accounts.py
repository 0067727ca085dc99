"""Our account at an authority (RFC 8555 §7.3): a key on disk, made once, and the URL by which it is known.

Below the state directory lies `authorities/<host>/<authority's name>/` with `key.pem` (0600), written for
good before anything is sent, and `account.json`, which only spares a request: lost, the account is found
again by its key. An account that the operator deactivated is remembered as such: nothing takes its place
until the operator says so.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from renewer import clock
from renewer.acme import problems, rollover
from renewer.acme.account_key import AccountKey
from renewer.acme.folder import ACCOUNT, KEY, Folder, locked, peek
from renewer.acme.nouns import Directory
from renewer.acme.reply import Reply
from renewer.decoding import UndecodableError, decode
from renewer.errors import GiveUp
from renewer.model.desired import Authority

_KEPT = ("terms_agreed", "registered_at")  # remembered of an account as long as it is the same

Ask = Callable[[], Directory]
"""The authority's directory, fetched when first needed."""

Post = Callable[..., Reply]
"""post(url, payload, kid=…): a signed request whatever it answers; kid None signs with the key itself."""


class Account:
    """The account of one authority, as its directory on disk knows it; other processes may use it too."""

    def __init__(self, authority: Authority, state: str, eab_hmac: str | None) -> None:
        self.authority = authority
        self._eab_hmac = eab_hmac
        self._state = state
        host = re.sub(r"[^a-z0-9.-]", "_", urlsplit(authority.directory).netloc.lower())
        name = re.sub(r"[^A-Za-z0-9._-]", "_", authority.name).lstrip(".") or "_"
        self._parts = ("authorities", host, name)
        self.path = "/".join((state, *self._parts))
        self._key: AccountKey | None = None

    @property
    def key(self) -> AccountKey:
        """The key, once `ensure` has loaded or made it."""
        assert self._key is not None  # noqa: S101  ensure comes first
        return self._key

    def hold(self, key: AccountKey) -> None:
        """Sign with this key from now on."""
        self._key = key

    def ensure(self, directory: Ask, post: Post) -> str:
        """The account's URL: remembered, found again by its key, or registered, in that order.

        Raises GiveUp if terms or credentials are missing or the operator deactivated the account, StateError
        if the disk does not allow it.
        """
        with locked(self._state, self._parts) as folder:
            return self._in(folder, directory, post)

    def known(self, directory: Ask, post: Post) -> str | None:
        """The account's URL as `ensure` has it, but nothing is registered and no contact changed."""
        with locked(self._state, self._parts) as folder:
            if not self._load(folder, directory, post):
                return None
            remembered = self._remembered(folder)
            return str(remembered["url"]) if remembered else self._found(folder, directory, post)

    def forget(self, url: str) -> None:
        """The authority knows that account no more; the key stays."""
        with locked(self._state, self._parts) as folder:
            known = self._remembered(folder)
            if known is not None and known["url"] == url:
                folder.write(ACCOUNT, b"{}\n")

    # what an operator asks for ------------------------------------------------------------------------------

    def register(self, directory: Ask, post: Post) -> tuple[str, bool]:
        """The account's URL, and whether it is new: one that was deactivated gets a successor."""
        with locked(self._state, self._parts) as folder:
            if not self._load(folder, directory, post):
                return self._in(folder, directory, post), True
            if not self._is_over(folder, directory, post):
                was_known = self._remembered(folder) is not None or self._found(folder, directory, post)
                return self._in(folder, directory, post), not was_known
            self._may_register(directory())
            self._put_by(folder)
            self._key, pem = AccountKey.generate(self.authority.account_key)
            folder.write(KEY, pem)
            return self._register(folder, directory(), post), True

    def roll_over(self, directory: Ask, post: Post) -> str:
        """Give the account a new key (RFC 8555 §7.3.5); killed anywhere, the next run goes on."""
        with locked(self._state, self._parts) as folder:
            url = self._in(folder, directory, post)
            rollover.roll(self, folder, directory, url, post)
            self._remember(folder, url)
            return url

    def deactivate(self, directory: Ask, post: Post) -> str:
        """End the account for good (RFC 8555 §7.3.6); its URL. What it got stays valid."""
        with locked(self._state, self._parts) as folder:
            known = self._load(folder, directory, post) and (
                self._remembered(folder) or self._found(folder, directory, post)
            )
            if not known:
                raise self._unknown("there is no account to deactivate")
            url = known if isinstance(known, str) else str(known["url"])
            reply = post(url, {"status": "deactivated"}, kid=url)
            if not reply.ok:
                raise problems.error(reply.problem(), "to deactivate the account", self.authority.name)
            self._remember(folder, url, deactivated_at=_now())
            return url

    def recover(self, directory: Ask, post: Post, given: bytes | None) -> str:
        """Find the account of our key, or of a `given` one (PEM or JWK), which then takes its place.

        A key that a rollover left unused is tried as well. Raises GiveUp if the authority knows no account.
        """
        with locked(self._state, self._parts) as folder:
            if given is not None:
                return self._adopt(folder, directory, post, *_read_key(given, "the given key"))
            if self._load(folder, directory, post) and (url := self._found(folder, directory, post)):
                return url
            if (pem := folder.read(rollover.UNUSED)) is not None:
                return self._adopt(folder, directory, post, *_read_key(pem, rollover.UNUSED))
            raise self._unknown("no key here opens an account")

    def about(self) -> dict[str, Any]:
        """What lies on disk: the files' names, and what `account.json` says; makes nothing."""
        folder = peek(self._state, self._parts)
        if folder is None:
            return {"files": []}
        with folder:
            return {"files": folder.names(), **_document(folder.read(ACCOUNT))}

    def _adopt(self, folder: Folder, directory: Ask, post: Post, key: AccountKey, pem: bytes) -> str:
        """Make a key ours once the authority has an account for it; the one before is kept aside."""
        self._key = key
        url = self.find(directory(), post)
        if url is None:
            raise self._unknown("the key opens no account")
        if folder.read(KEY) not in (None, pem):
            self._put_by(folder)
        folder.write(KEY, pem)
        self._remember(folder, url)
        return url

    def _put_by(self, folder: Folder) -> None:
        """Keep a copy of the key before another takes its place."""
        pem = folder.read(KEY)
        if pem is not None:
            folder.write(f"former-{_read_key(pem, KEY)[0].thumbprint[:8]}.pem", pem)

    def _is_over(self, folder: Folder, directory: Ask, post: Post) -> bool:
        """Whether the account was deactivated, by us or at the authority."""
        if (self._remembered(folder) or {}).get("deactivated_at"):
            return True
        reply = post(directory().new_account, {"onlyReturnExisting": True}, kid=None)
        if not reply.ok:
            # §7.3.6: refused with "unauthorized"; other refusals say nothing of the account.
            return reply.problem().type == "unauthorized"
        return bool(reply.json().get("status") in ("deactivated", "revoked"))

    def _unknown(self, text: str) -> GiveUp:
        name = self.authority.name
        return GiveUp(
            f"{text} at {name}",
            kind="accountDoesNotExist",
            hint=f"give another key with --key FILE, or make a new account: renewer account register {name}",
        )

    # made, found, remembered --------------------------------------------------------------------------------

    def _load(self, folder: Folder, directory: Ask, post: Post) -> bool:
        """Take our key in hand; False if there is none. A rollover that was killed is settled first."""
        pem = folder.read(KEY)
        if pem is None:
            return False
        self._key = AccountKey.load(pem, f"{self.path}/{KEY}")
        rollover.settle(self, folder, directory, post)
        return True

    def _in(self, folder: Folder, directory: Ask, post: Post) -> str:
        if not self._load(folder, directory, post):
            self._may_register(directory())  # before a key is made: a refusal leaves nothing behind
            self._key, pem = AccountKey.generate(self.authority.account_key)
            folder.write(KEY, pem)
            return self._register(folder, directory(), post)
        known = self._remembered(folder)
        if known is None:
            if found := self._found(folder, directory, post):
                return found
            self._may_register(directory())
            return self._register(folder, directory(), post)
        if known.get("deactivated_at"):
            name = self.authority.name
            text = f"the account at {name} was deactivated at {known['deactivated_at']}"
            hint = f"make a new one: renewer account register {name}"
            raise GiveUp(text, kind="accountDeactivated", hint=hint)
        url = str(known["url"])
        # Authorities no longer echo contacts, so what we last sent is compared, not what they say.
        if known.get("contact") != list(self.authority.contact):
            self._change_contact(folder, url, post)
        return url

    def _found(self, folder: Folder, directory: Ask, post: Post) -> str | None:
        """The account that the authority has for our key, remembered from now on."""
        found = self.find(directory(), post)
        if found is not None:
            self._remember(folder, found)
        return found

    def find(self, directory: Directory, post: Post) -> str | None:
        """The URL of the account with our key (RFC 8555 §7.3.1), None if the authority knows none."""
        reply = post(directory.new_account, {"onlyReturnExisting": True}, kid=None)
        if reply.ok and reply.headers.get("Location"):
            return str(reply.headers["Location"])
        problem = reply.problem()
        if problem.type == "accountDoesNotExist":
            return None
        raise problems.error(problem, "to find the account", self.authority.name)

    def _may_register(self, directory: Directory) -> None:
        name = self.authority.name
        if directory.terms and not self.authority.agree_terms:
            raise GiveUp(
                f"the terms of service of {name} are not agreed to: {directory.terms}",
                kind="agreementRequired",
                hint=f"read them, then set agree_terms = true in [authority.{name}] or [defaults]",
            )
        if self.authority.eab is not None and self._eab_hmac is None:
            secret = self.authority.eab.hmac
            where = f"{secret.source.value} {secret.argument[0]}"
            raise GiveUp(
                f"the HMAC key of {name}'s eab cannot be read: {where}",
                kind="externalAccountRequired",
                hint=f"put it there for the agent to read, or correct hmac in [authority.{name}]",
            )
        if directory.eab_required and self.authority.eab is None:
            where = f" (see {directory.website})" if directory.website else ""
            raise GiveUp(
                f"{name} registers accounts only with external account credentials",
                kind="externalAccountRequired",
                hint=f"get them from the authority{where} and set in [authority.{name}]: "
                'eab = { kid = "…", hmac = { file = "…" } }',
            )

    def _register(self, folder: Folder, directory: Directory, post: Post) -> str:
        request: dict[str, Any] = {"contact": _contacts(self.authority)}
        if directory.terms:
            request["termsOfServiceAgreed"] = True
        if self.authority.eab is not None and self._eab_hmac is not None:
            eab = self.authority.eab
            request["externalAccountBinding"] = self.key.binding(
                eab.kid, self._eab_hmac, directory.new_account
            )
        reply = post(directory.new_account, request, kid=None)
        url = reply.headers.get("Location")
        if not reply.ok or not url:
            raise problems.error(reply.problem(), "to register the account", self.authority.name)
        self._remember(folder, url, terms_agreed=directory.terms, registered_at=_now())
        return str(url)

    def _change_contact(self, folder: Folder, url: str, post: Post) -> None:
        reply = post(url, {"contact": _contacts(self.authority)}, kid=url)
        if not reply.ok:
            raise problems.error(reply.problem(), "to change the account", self.authority.name)
        self._remember(folder, url)

    def _remembered(self, folder: Folder) -> dict[str, Any] | None:
        """What account.json says, if it is about this key and this directory."""
        known = _document(folder.read(ACCOUNT))
        if not str(known.get("url")).startswith("https://"):
            return None
        ours = (self.authority.directory, self.key.thumbprint)
        return known if (known.get("directory"), known.get("thumbprint")) == ours else None

    def _remember(self, folder: Folder, url: str, **more: str | None) -> None:
        before = _document(folder.read(ACCOUNT))
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
        folder.write(ACCOUNT, msgspec.json.format(msgspec.json.encode(known)) + b"\n")


def _document(data: bytes | None) -> dict[str, Any]:
    """The object in account.json; empty if there is none."""
    try:
        known = decode(data or b"")
    except UndecodableError:
        return {}
    return known if isinstance(known, dict) else {}


def _read_key(data: bytes, what: str) -> tuple[AccountKey, bytes]:
    """A key from PEM or JWK, and its PEM. Raises StateError if it is none."""
    return AccountKey.of_jwk(data) or (AccountKey.load(data, what), data)


def _now() -> str:
    return clock.now().isoformat(timespec="seconds")


def _contacts(authority: Authority) -> list[str]:
    return [text if ":" in text else f"mailto:{text}" for text in authority.contact]
