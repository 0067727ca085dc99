"""A certificate's shelf, configured or not: every version, for people; renamed, or thrown away."""

from collections.abc import Collection, Sequence

from renewer import clock, verify
from renewer.errors import RenewerError, UsageError
from renewer.kit import Kit
from renewer.model.desired import Endpoint
from renewer.model.facts import CopyFact, Hold, Revoked, Sighting
from renewer.model.outcome import EventName
from renewer.model.shelf import Contents


def contents(kit: Kit, name: str) -> Contents:
    """Look at a shelf. Raises UsageError if nothing is known of that name."""
    if new := kit.store.alias(name):
        raise UsageError(f"{name} is called {new} now", hint=f"renewer versions {new}")
    shelf = kit.store.shelf(name)
    if not shelf.found and name not in kit.config.certificates:
        raise UsageError(f"nothing is on disk of a certificate '{name}'", hint=_there_are(kit.store.names()))
    versions, faults = [], []
    for found in shelf.found:
        try:
            versions.append(kit.store.about(name, found.id))
        except RenewerError as error:
            faults.append(error.text)
    versions.sort(key=lambda one: (one.made_at, one.id), reverse=True)
    return Contents(
        certificate=name,
        live=shelf.live,
        versions=tuple(versions),
        holds=tuple(kit.ledger.load(Hold, name)),
        revoked=tuple(kit.ledger.load(Revoked, name)),
        sightings=tuple(one for one in kit.ledger.load(Sighting, name) if one.host == kit.host),
        faults=tuple(faults),
    )


def rename(kit: Kit, old: str, new: str) -> None:
    """Let versions and memory of a certificate follow its new name in the config; done before is done.

    Raises UsageError if the config does not have the new name alone, StateError if that has its own versions.
    """
    if new not in kit.config.certificates:
        hint = f"rename its table to [certificate.{new}] first, then say this again"
        raise UsageError(f"{kit.config.path} has no certificate '{new}'", hint=hint)
    if old in kit.config.certificates:
        hint = f"take [certificate.{old}] out: its versions are to be those of {new}"
        raise UsageError(f"{kit.config.path} still has a certificate '{old}'", hint=hint)
    if old not in kit.store.names() and kit.store.alias(old) != new:
        raise UsageError(f"nothing is on disk of a certificate '{old}'", hint=_there_are(kit.store.names()))
    kit.store.rename(old, new)
    kit.ledger.rename(old, new)
    kit.journal.tell(EventName.NOTICE, new, text=f"{old} is called {new} from now on")


def is_left(kit: Kit, name: str) -> bool:
    """Whether something is left of a certificate that the config names no more: on disk, or of its ports."""
    left = name in kit.store.names() or bool(kit.ledger.load(Sighting, name))
    return left and name not in kit.config.certificates


def why_not_forget(kit: Kit, name: str, *, though_served: bool = False) -> tuple[str, str] | None:
    """Why a certificate must not be thrown away, and what to do; None if it may be.

    What the config names is renewed; what a port still shows is needed, whatever the config says.
    """
    if kit.store.alias(name):
        return None  # a link only, which may even be in the way of a certificate of that name
    if name in kit.config.certificates:
        return f"{name} is in {kit.config.path} and is renewed", f"take [certificate.{name}] out first"
    if not is_left(kit, name):
        return f"nothing is on disk of a certificate '{name}'", _there_are(kit.store.names())
    if any(not one.done for one in kit.ledger.load(Revoked, name)):
        text = f"the authority has not agreed yet to revoke a version of {name}, which takes what is on disk"
        return text, "let the next run ask it again: renewer run; or say --even-if-served"
    return None if though_served or name not in kit.store.names() else _where_served(kit, name)


def _where_served(kit: Kit, name: str) -> tuple[str, str] | None:
    ours = {one.leaf.fingerprint for one in contents(kit, name).versions}
    for sighting in kit.ledger.load(Sighting, name):
        if _is_served(sighting, ours):
            text = f"{sighting.endpoint} ({sighting.address}) still serves a certificate of {name}"
            return text, "point that server to another one first; or say --yes"
    return None


def forget(kit: Kit, name: str) -> list[str]:
    """Throw away all that is on disk of a certificate, keys too, and the memory of it but its history.

    Returns the paths of copies elsewhere, which stay. Killed in between, it leaves something to be forgotten.
    """
    left = [] if kit.store.alias(name) else [one.path for one in kit.ledger.load(CopyFact, name)]
    kit.ledger.forget(name)
    kit.store.forget(name)
    kit.journal.tell(EventName.NOTICE, name, text="forgotten: what was on disk of it is deleted")
    return left


def _is_served(sighting: Sighting, ours: Collection[str]) -> bool:
    """Whether a port where it was seen shows it still; one that cannot be asked, as it was last seen."""
    address, _, port = sighting.address.rpartition(":")
    if not address:
        return False  # its name had none
    place, _, server_name = sighting.endpoint.partition("/")
    server_name = server_name or place.rpartition(":")[0].strip("[]")
    endpoint = Endpoint(server_name=server_name, port=int(port), host=address.strip("[]"))
    seen: Sequence[verify.Sight] = verify.look(
        [verify.Target(endpoint=endpoint, roots="any", family=sighting.family)]
    )
    for sight in seen:
        if sight.completed:
            return sight.fingerprint in ours
        if not sight.connected:
            return False
    recent = (clock.now() - sighting.at).total_seconds() < _RECENT
    return recent and sighting.fingerprint in ours


_RECENT = 86400.0  # seconds: a port behind STARTTLS was looked at by the last runs


def _there_are(names: Sequence[str]) -> str:
    return "there are: " + ", ".join(names) if names else "nothing was issued yet"
