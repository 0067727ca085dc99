"""What is known of an authority without asking for anything: its directory, and our account on disk."""

import base64
import contextlib
import hashlib
import re

from renewer.acme.keeper import Keeper
from renewer.errors import RenewerError
from renewer.model.desired import Authority, Config
from renewer.model.inspection import Candidate
from renewer.policy.names.caa import IDENTITIES

_DOMAIN = re.compile(r"[a-z0-9.-]{1,253}")


def candidate(config: Config, name: str, state: str, timeout: float) -> Candidate:
    """The authority as CAA knows it: its identities (RFC 8555 §9.7.6) and our account's URL. Never raises."""
    authority = config.authorities[name]
    identities = IDENTITIES.get(authority.directory, ())
    public = authority.directory in IDENTITIES  # a private one may look from anywhere
    account, thumbprint = _on_disk(authority, state)
    prefix = None
    with contextlib.suppress(RenewerError):  # if it does not answer, what is known of it has to do
        keeper = Keeper(authority, state=state, timeout=timeout)
        try:
            directory = keeper.directory
            said = [*directory.issuers, *(one.lower().rstrip(".") for one in directory.caa)]
            prefix = directory.account_hash_prefix
        finally:
            keeper.close()
        identities = tuple(dict.fromkeys((*filter(_DOMAIN.fullmatch, said), *identities)))
    return Candidate(
        name=name,
        identities=identities,
        account=account,
        hash_prefix=prefix,
        thumbprint=thumbprint,
        public=public,
    )


def account_on_disk(authority: Authority, state: str) -> str:
    """The URL of our account, "" if there is none or it was deactivated. Never raises."""
    return _on_disk(authority, state)[0]


def _on_disk(authority: Authority, state: str) -> tuple[str, str]:
    """The URL of our account and its key's thumbprint, as they are remembered; "" for what is not."""
    try:
        keeper = Keeper(authority, state=state)
        disk = keeper.on_disk()
        keeper.close()
    except RenewerError:
        return "", ""
    if disk.get("directory") != authority.directory or disk.get("deactivated_at"):
        return "", ""
    return str(disk.get("url") or ""), str(disk.get("thumbprint") or "")


def account_label(account: str) -> str:
    """The name of dns-account-01's record before the host name (draft-ietf-acme-dns-account-label §3.1)."""
    digest = hashlib.sha256(account.encode()).digest()[:10]
    return f"_{base64.b32encode(digest).decode().lower()}._acme-challenge"
