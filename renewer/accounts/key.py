"""Keys of accounts: made, loaded, and what they sign (RFC 8555 §6.2). The one door to them.

Nothing else in the package signs requests.
"""

import contextlib
from typing import Any

import msgspec
from acme import jws
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from josepy.errors import DeserializationError, Error
from josepy.json_util import decode_b64jose, encode_b64jose
from josepy.jwa import ES256, ES384, HS256, RS256
from josepy.jwk import JWK, JWKEC, JWKRSA, JWKOct

from renewer import words
from renewer.errors import GiveUp, RetryLater, StateError
from renewer.model.desired import KeyType


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
        return cls(key), _pem(key)

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

    @classmethod
    def of_jwk(cls, text: bytes) -> tuple["AccountKey", bytes] | None:
        """The key of a JWK file (RFC 7517), as certbot keeps it, and its PEM; None if it is none."""
        with contextlib.suppress(Error, ValueError, TypeError, AttributeError, KeyError, RecursionError):
            key = JWK.json_loads(text.decode("ascii")).key
            pem = _pem(getattr(key, "_wrapped", key))
            return cls.load(pem, "the JWK"), pem
        return None

    @classmethod
    def read(cls, data: bytes, what: str) -> tuple["AccountKey", bytes]:
        """The key of a PEM or a JWK, and its PEM. Raises StateError if it is none."""
        return cls.of_jwk(data) or (cls.load(data, what), data)

    @property
    def public(self) -> dict[str, Any]:
        """The public half as a JWK (RFC 7517)."""
        document: dict[str, Any] = self._jwk.public_key().to_partial_json()
        return document

    def take_over(self, old: "AccountKey", account: str, url: str) -> dict[str, Any]:
        """What this new key says to become the account's (RFC 8555 §7.3.5); the old one sends it."""
        said = msgspec.json.encode({"account": account, "oldKey": old.public})
        signed = jws.JWS.sign(said, key=self._jwk, alg=self._alg, nonce=None, url=url, kid=None)
        document: dict[str, Any] = msgspec.json.decode(signed.json_dumps().encode())
        return document

    def sign(self, payload: bytes, nonce: str, url: str, kid: str | None) -> bytes:
        """A signed request (RFC 8555 §6.2): with the account's URL as `kid`, or with the key itself."""
        try:
            decoded = decode_b64jose(nonce)
        except DeserializationError:
            # §6.5.1: what is not base64url must be ignored, so there is nothing to sign with.
            raise RetryLater(
                f"the authority sent a nonce that is none: '{words.text_of(nonce, 40)}'"
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
        key = msgspec.json.encode(self.public)
        signed = jws.JWS.sign(key, JWKOct(key=secret), HS256, None, url, kid)
        document: dict[str, Any] = msgspec.json.decode(signed.json_dumps().encode())
        return document


def _pem(key: Any) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    pem: bytes = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return pem
