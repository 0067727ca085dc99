"""Names below the state directory: the words of `docs/state.md`, each in one place."""

import re
from datetime import UTC, datetime

from renewer.errors import StateError

CERTIFICATES = "certificates"
VERSIONS = "versions"
PENDING = "pending"
LIVE = "live"
LINEAGES = "live"  # below the state directory, where certbot has its own
TMP = "tmp"
REFUSED = "refused"
REPLACED = "replaced"
LOCK = "lock"

PRIVKEY = "privkey.pem"
CERT = "cert.pem"
CHAIN = "chain.pem"
FULLCHAIN = "fullchain.pem"
ABOUT = "version.json"
ORDER = "order.json"
REQUEST = "request.der"  # in the place of a pending key: one that is elsewhere

VERSION_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")
PENDING_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def version_id(at: datetime, serial: str) -> str:
    """The name of a version made at that moment (aware): `20261122T093300Z-1a2b3c4d`.

    `serial` is lower-case hex; its first eight digits tell versions of one second apart.
    """
    return f"{moment(at)}-{serial[:8].zfill(8)}"


def made_at(version: str) -> datetime:
    """The moment that a version's name tells, to the second. Raises ValueError if there is none."""
    return datetime.strptime(version[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def moment(at: datetime) -> str:
    """A moment as it stands in names: UTC, to the second, sortable."""
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def group_number(name: str | None) -> int | None:
    """The number of a group, by name or number. Raises StateError if the system does not know it."""
    if name is None:
        return None
    if name.isdecimal():
        return int(name)
    import grp

    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise StateError(
            f"there is no group '{name}' on this host",
            hint=f"make it (groupadd --system {name}), or change [agent] group",
            kind="group",
        ) from None
