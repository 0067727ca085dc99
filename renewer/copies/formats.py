"""What the file of each part holds, and when the certificate in such a file ends."""

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


def ends(part: CopyPart, found: bytes, seal: Seal) -> datetime | None:
    """When the certificate in a file ends, whoever put it there; None if none can be read in it."""
    from renewer import x509

    try:
        match part:
            case CopyPart.KEY | CopyPart.KEY_DER | CopyPart.CHAIN:
                return None
            case CopyPart.CERT | CopyPart.FULLCHAIN | CopyPart.COMBINED:
                return x509.leaf(_first(found)).not_after
            case CopyPart.DER:
                return x509.leaf_from_der(found).not_after
            case CopyPart.PKCS12 | CopyPart.JKS:
                inside = seal.inside(part, found)
                return inside.not_after if inside else None
            case _:
                assert_never(part)
    except ValueError:
        return None


def _first(pem: bytes) -> bytes:
    """The first certificate of a file that may hold a key, too."""
    begin = pem.find(_BEGIN)
    end = pem.find(_END, begin)
    return pem[begin : end + len(_END)] if 0 <= begin < end else b""
