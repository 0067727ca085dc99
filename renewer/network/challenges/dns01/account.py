"""DNS-ACCOUNT-01: as DNS-01, under a name that only our account asks for (draft-ietf-acme-dns-account-label).

So several accounts and clients prove one name without meeting, and each can be delegated on its own.
"""

import base64
import hashlib

from renewer.errors import OurFault
from renewer.model.solver import Task
from renewer.network.challenges.dns01.solver import PREFIX, Dns01Solver


class DnsAccount01Solver(Dns01Solver):
    """The solver of DNS-01 but for the name."""

    type = "dns-account-01"

    def asked(self, task: Task) -> str:
        """The name that the authority asks for."""
        if task.account is None:
            raise OurFault("dns-account-01 needs the account's URL, and the task has none")
        return record_name(task.account, task.identifier.base)


def record_name(account: str, name: str) -> str:
    """`_` + lowercase(base32(SHA-256(account URL)[0:10])) + `._acme-challenge.` + name (§3.2)."""
    digest = hashlib.sha256(account.encode("ascii")).digest()[:10]
    label = base64.b32encode(digest).decode().lower()  # ten octets are sixteen letters, without padding
    return f"_{label}.{PREFIX}.{name}"
