"""What is known of an authority without asking for anything: its directory, and our account on disk."""

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
    account = ""
    try:
        keeper = Keeper(authority, state=state, timeout=timeout)
    except RenewerError:
        return Candidate(name=name, identities=identities, public=_public(authority))
    try:
        account = _account(keeper, authority)
        said = (one.lower().rstrip(".") for one in keeper.directory.caa)
        identities = tuple(dict.fromkeys((*filter(_DOMAIN.fullmatch, said), *identities)))
    except RenewerError:
        pass  # it does not answer: what is known of it has to do
    finally:
        keeper.close()
    return Candidate(name=name, identities=identities, account=account, public=_public(authority))


def _account(keeper: Keeper, authority: Authority) -> str:
    disk = keeper.on_disk()
    if disk.get("directory") != authority.directory or disk.get("deactivated_at"):
        return ""
    return str(disk.get("url") or "")


def _public(authority: Authority) -> bool:
    """Whether it surely looks from the internet: a private one may look from anywhere."""
    return authority.directory in IDENTITIES
