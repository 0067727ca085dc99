"""What is said at the door to who changes records, with the secrets of one provider and no others."""

from renewer.model.challenges import Dns01
from renewer.model.dns_options import Rules
from renewer.model.dns_provider import AcmeDnsAccount, TxtRecord
from renewer.network.protocol import DoorMessage, Trust

RECORDS = 200
"""How many of them go into one message at most."""


class Describe(DoorMessage):
    """What a provider takes, which somebody else's package ships."""

    provider: str


class Described(DoorMessage):
    """The answer to `Describe`."""

    rules: Rules
    needs_zone: bool


class Employ(DoorMessage):
    """The provider from now on: its table with secrets in their places, without references to any.

    Said after what it trusts (`Trust`). `key` is the secret that DNS updates are signed with, as base64.
    """

    challenge: Dns01
    key: str = ""


class Prepare(DoorMessage):
    """Whether the provider has what it needs for these names."""

    names: tuple[str, ...]


class Publish(DoorMessage):
    """Add records of one zone; `accounts` are those of an acme-dns server, one a record, in their order."""

    zone: str
    records: tuple[TxtRecord, ...]
    accounts: tuple[AcmeDnsAccount, ...] = ()


class Remove(DoorMessage):
    """Remove exactly these values."""

    zone: str
    records: tuple[TxtRecord, ...]


class Register(DoorMessage):
    """Make an account at an acme-dns server."""


class Registered(DoorMessage):
    """The account."""

    account: AcmeDnsAccount


class Dismiss(DoorMessage):
    """Let go of connections."""


OfProvider = Trust | Describe | Employ | Prepare | Dismiss
OfRecords = Publish | Remove | Register
