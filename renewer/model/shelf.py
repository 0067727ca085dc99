"""What lies on a certificate's shelf, as people look at it."""

from renewer.model.facts import Hold, Revoked, Sighting, Version
from renewer.model.value import Value


class Contents(Value):
    """All that is known of a certificate's versions, newest first; `faults` are of those that are no good."""

    certificate: str
    live: str | None
    versions: tuple[Version, ...]
    holds: tuple[Hold, ...] = ()
    revoked: tuple[Revoked, ...] = ()
    sightings: tuple[Sighting, ...] = ()
    faults: tuple[str, ...] = ()
