"""What the file of each part holds, and which certificate is in such a file."""

from datetime import datetime
from typing import assert_never

from renewer.copies.keystores import Seal
from renewer.model.desired import CopyPart
from renewer.store.contract import Material

_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


def content(  # noqa: PLR0911  one return a part
    part: CopyPart, material: Material, seal: Seal, found: bytes | None
) -> bytes:
    """The bytes for a file; of a keystore those that are `found` there, if they hold the very same."""
    from renewer import x509

    match part:
        case CopyPart.KEY:
            return material.privkey
        case CopyPart.KEY_DER:
            return x509.key_der(material.privkey)
        case CopyPart.CERT:
            return material.cert
        case CopyPart.CHAIN:
            return material.chain
        case CopyPart.FULLCHAIN:
            return material.fullchain
        case CopyPart.COMBINED:  # haproxy's order: leaf, chain, key
            return material.fullchain + material.privkey
        case CopyPart.DER:
            return x509.der(material.cert)
        case CopyPart.PKCS12 | CopyPart.JKS:
            if found is not None and seal.holds(part, found, material):
                return found  # sealed anew it would be other bytes, and nothing else
            return seal.make(part, material)
        case _:
            assert_never(part)


def shown(part: CopyPart, found: bytes, seal: Seal) -> tuple[datetime, str] | None:
    """The end and fingerprint of the certificate in a file, whoever put it there; None if there is none."""
    from renewer import x509

    try:
        match part:
            case CopyPart.KEY | CopyPart.KEY_DER | CopyPart.CHAIN:
                return None
            case CopyPart.CERT | CopyPart.FULLCHAIN | CopyPart.COMBINED:
                leaf = x509.leaf(_first(found))
            case CopyPart.DER:
                leaf = x509.leaf_from_der(found)
            case CopyPart.PKCS12 | CopyPart.JKS:
                inside = seal.inside(part, found)
                return (inside.not_after, inside.certificates[0]) if inside else None
            case _:
                assert_never(part)
    except ValueError:
        return None
    return leaf.not_after, leaf.fingerprint


def _first(pem: bytes) -> bytes:
    """The first certificate of a file that may hold a key, too."""
    begin = pem.find(_BEGIN)
    end = pem.find(_END, begin)
    return pem[begin : end + len(_END)] if 0 <= begin < end else b""
