"""Opens a PKCS#12 in a process of its own: how long that takes is up to whoever wrote it.

`{"data", "password"}` as JSON on stdin; on stdout what is in it (`keystores.Inside`), or null. No key
leaves it.
"""

import hashlib
import sys

import msgspec

from renewer import certs, x509
from renewer.copies.keystores import Inside


class KeystoreJob(msgspec.Struct):
    """What stands on stdin; the data in base64."""

    data: bytes
    password: str


def opened(job: KeystoreJob) -> Inside | None:
    """What is in a keystore; None if it cannot be opened."""
    try:
        alias, key, certificates = x509.open_keystore(job.data, job.password)
        not_after = certs.leaf_from_der(certificates[0]).not_after
    except ValueError:
        return None
    return Inside(
        alias=alias,
        key=hashlib.sha256(key).hexdigest(),
        certificates=tuple(hashlib.sha256(one).hexdigest() for one in certificates),
        not_after=not_after,
    )


if __name__ == "__main__":
    sys.stdout.write(
        msgspec.json.encode(opened(msgspec.json.decode(sys.stdin.buffer.read(), type=KeystoreJob))).decode()
    )
