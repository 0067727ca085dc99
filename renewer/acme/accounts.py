"""Our account at an authority (RFC 8555 §7.3): a key on disk, made once, and the URL by which it is known.

Below the state directory lies `authorities/<host>/<authority's name>/` with `key.pem` (0600), written for
good before anything is sent, and `account.json`, which only spares a request: lost, the account is found
again by its key. This module is the one door to keys of accounts; nothing else in the package signs requests.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from acme import jws
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from josepy.errors import DeserializationError
from josepy.json_util import decode_b64jose, encode_b64jose
from josepy.jwa import ES256, ES384, HS256, RS256
from josepy.jwk import JWK, JWKEC, JWKRSA, JWKOct

from renewer import clock
from renewer.acme import problems
from renewer.acme.folder import Folder, locked
from renewer.acme.nouns import Directory
from renewer.acme.reply import Reply
from renewer.errors import GiveUp, RetryLater, StateError
from renewer.model.desired import Authority, KeyType

Post = Callable[..., Reply]
"""post(url, payload, kid=…): a signed request whatever it answers; kid None signs with the key itself."""


class AccountKey:
    """The key that signs our requests. Its repr says nothing of it."""

    def __init__(self, key: Any) -> None:
        elliptic = isinstance(key, ec.EllipticCurvePrivateKey)
        self._jwk: JWK = JWKEC(key=key) if elliptic else JWKRSA(key=key)
        self._alg = RS256
        if elliptic:
            self._alg = ES256 if key.curve.name == "secp256r1" else ES384
        self.thumbprint = encode_b64jose(self._jwk.thumbprint())  # RFC 7638

    def __repr__(self) -> str:
        return "AccountKey(…)"

    @classmethod
    def generate(cls, kind: KeyType) -> tuple["AccountKey", bytes]:
        """A new key, and the PEM of it."""
        key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
        if kind is KeyType.ECDSA_P256:
            key = ec.generate_private_key(ec.SECP256R1())
        elif kind is KeyType.ECDSA_P384:
            key = ec.generate_private_key(ec.SECP384R1())
        else:
            key = rsa.generate_private_key(65537, int(kind.value.removeprefix("rsa-")))
        form = serialization.PrivateFormat.PKCS8
        pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        return cls(key), pem

    @classmethod
    def load(cls, pem: bytes, path: str) -> "AccountKey":
        """The key of a PEM file. Raises StateError if it is none that ACME can use."""
        try:
            key = serialization.load_pem_private_key(pem, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        curves = ("secp256r1", "secp384r1")
        if isinstance(key, rsa.RSAPrivateKey) or (
            isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in curves
        ):
            return cls(key)
        hint = "restore it from a backup, or move it away: then a new account is registered"
        raise StateError(f"{path} holds no key that an account can use", hint=hint, kind="account-key")

    def sign(self, payload: bytes, nonce: str, url: str, kid: str | None) -> bytes:
        """A signed request (RFC 8555 §6.2): with the account's URL as `kid`, or with the key itself."""
        try:
            decoded = decode_b64jose(nonce)
        except DeserializationError:
            # §6.5.1: what is not base64url must be ignored, so there is nothing to sign with.
            raise RetryLater(
                f"the authority sent a nonce that is none: '{problems.clean(nonce, 40)}'"
            ) from None
        signed = jws.JWS.sign(payload, key=self._jwk, alg=self._alg, nonce=decoded, url=url, kid=kid)
        return bytes(signed.json_dumps(), "ascii")

    def binding(self, kid: str, hmac: str, url: str) -> dict[str, Any]:
        """The external account binding (RFC 8555 §7.3.4). Raises GiveUp if the HMAC key is not base64url."""
        text = "".join(hmac.split()).rstrip("=").replace("+", "-").replace("/", "_")
        try:
            secret = decode_b64jose(text)
        except DeserializationError:
            secret = b""
        if not secret:
            hint = "copy the HMAC key as the authority shows it"
            raise GiveUp("the HMAC key of eab is not base64url", kind="externalAccountRequired", hint=hint)
        key = msgspec.json.encode(self._jwk.public_key().to_partial_json())
        signed = jws.JWS.sign(key, JWKOct(key=secret), HS256, None, url, kid)
        document: dict[str, Any] = msgspec.json.decode(signed.json_dumps().encode())
        return document


class Account:
    """The account of one authority, as its directory on disk knows it; other processes may use it too."""

    def __init__(self, authority: Authority, state: str, eab_hmac: str | None) -> None:
        self._authority = authority
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

    def ensure(self, directory: Callable[[], Directory], post: Post) -> str:
        """The account's URL: remembered, found again by its key, or registered, in that order.

        Raises GiveUp if terms or credentials are missing, StateError if the disk does not allow it.
        """
        with locked(self._state, self._parts) as folder:
            return self._in(folder, directory, post)

    def forget(self, url: str) -> None:
        """The authority knows that account no more; the key stays."""
        with locked(self._state, self._parts) as folder:
            known = self._remembered(folder)
            if known is not None and known["url"] == url:
                folder.write("account.json", b"{}\n")

    def _in(self, folder: Folder, directory: Callable[[], Directory], post: Post) -> str:
        pem = folder.read("key.pem")
        if pem is None:
            self._may_register(directory())  # before a key is made: a refusal leaves nothing behind
            self._key, pem = AccountKey.generate(self._authority.account_key)
            folder.write("key.pem", pem)
            return self._register(folder, directory(), post)
        self._key = AccountKey.load(pem, f"{self.path}/key.pem")
        known = self._remembered(folder)
        if known is not None:
            url = str(known["url"])
            # Authorities no longer echo contacts, so what we last sent is compared, not what they say.
            if known.get("contact") != list(self._authority.contact):
                self._change_contact(folder, url, post)
            return url
        found = self.find(directory(), post)
        if found is not None:
            self._remember(folder, found)
            return found
        self._may_register(directory())
        return self._register(folder, directory(), post)

    def find(self, directory: Directory, post: Post) -> str | None:
        """The URL of the account with our key (RFC 8555 §7.3.1), None if the authority knows none."""
        reply = post(directory.new_account, {"onlyReturnExisting": True}, kid=None)
        if reply.ok and reply.headers.get("Location"):
            return str(reply.headers["Location"])
        problem = reply.problem()
        if problem.type == "accountDoesNotExist":
            return None
        raise problems.error(problem, "to find the account", self._authority.name)

    def _may_register(self, directory: Directory) -> None:
        name = self._authority.name
        if directory.terms and not self._authority.agree_terms:
            raise GiveUp(
                f"the terms of service of {name} are not agreed to: {directory.terms}",
                kind="agreementRequired",
                hint=f"read them, then set agree_terms = true in [authority.{name}] or [defaults]",
            )
        if self._authority.eab is not None and self._eab_hmac is None:
            raise GiveUp(f"the HMAC key of {name}'s eab is missing", kind="externalAccountRequired")
        if directory.eab_required and self._authority.eab is None:
            where = f" (see {directory.website})" if directory.website else ""
            raise GiveUp(
                f"{name} registers accounts only with external account credentials",
                kind="externalAccountRequired",
                hint=f"get them from the authority{where} and set in [authority.{name}]: "
                'eab = { kid = "…", hmac = { file = "…" } }',
            )

    def _register(self, folder: Folder, directory: Directory, post: Post) -> str:
        request: dict[str, Any] = {"contact": _contacts(self._authority)}
        if directory.terms:
            request["termsOfServiceAgreed"] = True
        if self._authority.eab is not None and self._eab_hmac is not None:
            eab = self._authority.eab
            request["externalAccountBinding"] = self.key.binding(
                eab.kid, self._eab_hmac, directory.new_account
            )
        reply = post(directory.new_account, request, kid=None)
        url = reply.headers.get("Location")
        if not reply.ok or not url:
            raise problems.error(reply.problem(), "to register the account", self._authority.name)
        self._remember(folder, url, terms=directory.terms)
        return str(url)

    def _change_contact(self, folder: Folder, url: str, post: Post) -> None:
        reply = post(url, {"contact": _contacts(self._authority)}, kid=url)
        if not reply.ok:
            raise problems.error(reply.problem(), "to change the account", self._authority.name)
        self._remember(folder, url)

    def _remembered(self, folder: Folder) -> dict[str, Any] | None:
        """What account.json says, if it is about this key and this directory."""
        try:
            known = msgspec.json.decode(folder.read("account.json") or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        if not isinstance(known, dict) or not isinstance(known.get("url"), str):
            return None
        ours = (self._authority.directory, self.key.thumbprint)
        return known if (known.get("directory"), known.get("thumbprint")) == ours else None

    def _remember(self, folder: Folder, url: str, *, terms: str | None = None) -> None:
        known: dict[str, Any] = {
            "schema": 1,
            "url": url,
            "directory": self._authority.directory,
            "thumbprint": self.key.thumbprint,
            "contact": list(self._authority.contact),
        }
        if terms is not None:
            known |= {"terms_agreed": terms, "registered_at": clock.now().isoformat(timespec="seconds")}
        folder.write("account.json", msgspec.json.format(msgspec.json.encode(known)) + b"\n")


def _contacts(authority: Authority) -> list[str]:
    return [text if ":" in text else f"mailto:{text}" for text in authority.contact]
