"""How an authority verifies a signed request (RFC 8555, section 6.2), with `cryptography` alone."""

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

Jwk = dict[str, Any]
_CURVES: dict[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm, str]] = {
    "P-256": (ec.SECP256R1(), hashes.SHA256(), "ES256"),
    "P-384": (ec.SECP384R1(), hashes.SHA384(), "ES384"),
}


class BadSignatureError(ValueError):
    """A request that is no JWS, or whose signature is not that of the key."""


def decoded(text: Any) -> bytes:
    """The bytes of base64url without padding."""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (TypeError, ValueError, binascii.Error) as error:
        raise BadSignatureError("not base64url") from error


def encoded(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def thumbprint(jwk: Jwk) -> str:
    """What an account key is known by (RFC 7638)."""
    members = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n")}[jwk["kty"]]
    text = json.dumps({member: jwk[member] for member in members}, sort_keys=True, separators=(",", ":"))
    return encoded(hashlib.sha256(text.encode()).digest())


def opened(document: Any) -> tuple[dict[str, Any], bytes]:
    """The protected header and the payload of a JWS, nothing verified."""
    try:
        return json.loads(decoded(document["protected"])), decoded(document["payload"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadSignatureError("not a JWS") from error


def verify(document: Any, jwk: Jwk) -> None:
    """Raises BadSignatureError unless the key signed it with the algorithm that belongs to it."""
    signed = f"{document['protected']}.{document['payload']}".encode()
    signature, algorithm = decoded(document["signature"]), opened(document)[0].get("alg")
    try:
        if jwk["kty"] == "RSA":
            _expect(algorithm, "RS256")
            numbers = rsa.RSAPublicNumbers(_number(jwk["e"]), _number(jwk["n"]))
            numbers.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
            return
        curve, digest, wanted = _CURVES[jwk["crv"]]
        _expect(algorithm, wanted)
        half = len(signature) // 2
        both = encode_dss_signature(
            int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
        )
        point = ec.EllipticCurvePublicNumbers(_number(jwk["x"]), _number(jwk["y"]), curve)
        point.public_key().verify(both, signed, ec.ECDSA(digest))
    except (InvalidSignature, KeyError) as error:
        raise BadSignatureError("the signature is not that of the key") from error


def verify_binding(binding: Any, secret: bytes, account: Jwk) -> None:
    """An external account binding (RFC 8555, section 7.3.4): the account's key under an HMAC."""
    signed = f"{binding['protected']}.{binding['payload']}".encode()
    good = hmac.digest(secret, signed, "sha256")
    if not hmac.compare_digest(good, decoded(binding["signature"])):
        raise BadSignatureError("the binding's HMAC is wrong")
    if thumbprint(json.loads(decoded(binding["payload"]))) != thumbprint(account):
        raise BadSignatureError("the binding is of another key")


def _expect(algorithm: Any, wanted: str) -> None:
    if algorithm != wanted:
        raise BadSignatureError(f"alg {algorithm} for a key of {wanted}")


def _number(text: str) -> int:
    return int.from_bytes(decoded(text), "big")
