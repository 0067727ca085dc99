"""How things stand, as values: what `--json` prints, and what screens, page, metrics and summary read.

The names of the fields are the keys of the documents, in their order: an interface, which docs/json.md
describes. A field that nothing is known of is null, never left out.
"""

from datetime import datetime

from renewer.model.decision import Reason, Result, State, Step, WatchState
from renewer.model.desired import KeyType
from renewer.model.facts import DeploymentState, EndpointState, Hold, Revoked, Sighting, Version
from renewer.model.trouble import Concern
from renewer.model.value import Printed, Value

SCHEMA = 1


# --- status -------------------------------------------------------------------------------------------------


class UnderWay(Printed):
    """What is going on with a certificate: the step, since when it is tried, and when next."""

    step: Step | None
    since: datetime | None
    next_attempt: datetime | None


class HeldVersion(Printed):
    """A version that somebody rolled back behind."""

    version: str
    by: str
    at: datetime
    why: str


class HookStatus(Printed):
    """What one hook on one host did for the newest version it was told of."""

    host: str
    hook: str
    state: DeploymentState
    version: str
    at: datetime
    error: str | None


class EndpointStatus(Printed):
    """What was last seen at one address of an endpoint."""

    endpoint: str
    address: str
    state: EndpointState
    serial: str | None
    not_after: datetime | None
    at: datetime | None
    error: str | None


class UnseenEndpoint(Printed):
    """The same of an endpoint that was not looked at since the live version was put there."""

    endpoint: str
    state: EndpointState = EndpointState.UNKNOWN
    serial: str | None = None
    address: str = ""
    not_after: datetime | None = None
    at: datetime | None = None
    error: str | None = None


class CertificateStatus(Printed):
    """A certificate; `exit` is how a process should exit that says how it stands.

    From `not_before` to `profile` it is the live version's, if that is no placeholder. `waits_because` and
    `next_attempt` say why it waits and until when, `way_out` what does not wait.
    """

    name: str
    names: tuple[str, ...]
    state: State
    healthy: bool
    exit: int
    why: str
    hint: str
    renewal: UnderWay | None
    waits_because: str | None
    next_attempt: datetime | None
    way_out: str | None
    not_before: datetime | None
    not_after: datetime | None
    serial: str | None
    fingerprint_sha256: str | None
    key: KeyType | None
    authority: str | None
    profile: str | None
    renew_at: datetime | None
    renew_reason: Reason | None
    renew_explanation: str | None
    failures: int
    last_error: str | None
    degraded: bool
    deploy_pending: bool
    wanted: str | None
    held: tuple[HeldVersion, ...]
    live: str | None
    deployments: tuple[HookStatus, ...]
    endpoints: tuple[EndpointStatus | UnseenEndpoint, ...]


class WatchStatus(Printed):
    """A certificate that is only looked at."""

    name: str
    target: str
    state: WatchState
    healthy: bool
    exit: int
    why: str
    not_before: datetime | None
    not_after: datetime | None
    serial: str | None
    fingerprint_sha256: str | None
    issuer: str | None
    names: tuple[str, ...]
    at: datetime | None
    error: str | None


class LastSeen(Printed):
    """Where a certificate that is configured no more was seen."""

    endpoint: str
    address: str
    at: datetime


class StillServed(Printed):
    """A certificate that is configured no more and seen at a port; `acknowledged` by a person."""

    name: str
    acknowledged: bool
    not_after: datetime | None
    endpoints: tuple[LastSeen, ...]


class Status(Printed, kw_only=True):
    """Everything, certificates and watches with the most urgent first.

    `stopped_since` is when a run last came to its end, if none does any more. `unread` are sentences about
    what of the state cannot be read: then what is well may only seem so.
    """

    schema: int = SCHEMA
    at: datetime
    host: str
    healthy: bool
    exit: int
    last_run: datetime | None
    stopped_since: datetime | None
    findings: tuple[str, ...]
    certificates: tuple[CertificateStatus, ...]
    watches: tuple[WatchStatus, ...]
    orphans: tuple[str, ...]
    concerns: tuple[Concern, ...]
    still_served: tuple[StillServed, ...]
    unread: tuple[str, ...] = ()

    @property
    def rows(self) -> tuple[CertificateStatus | WatchStatus, ...]:
        """All that has a state."""
        return (*self.certificates, *self.watches)


# --- plan and run -------------------------------------------------------------------------------------------


class ForeseenStep(Printed):
    """One step of a plan; `follows` as its reason says that it comes after the one before it."""

    certificate: str
    step: Step
    reason: str
    because: str
    not_before: datetime | None


class _Planned(Printed, kw_only=True):
    schema: int = SCHEMA
    at: datetime
    steps: tuple[ForeseenStep, ...]


class PlanDocument(_Planned, kw_only=True):
    """The foreseen steps of every certificate; `notes` are what will keep a renewal from coming."""

    notes: tuple[str, ...] = ()


class TakenStep(Printed):
    """How a step ended."""

    certificate: str
    step: Step
    result: Result
    detail: str
    hint: str
    took_ms: int
    next_attempt: datetime | None


class RunDocument(_Planned, kw_only=True):
    """The plan that a run began with, and what came of it."""

    run: str
    host: str
    ended_at: datetime
    outcomes: tuple[TakenStep, ...]
    findings: tuple[str, ...]
    exit: int


# --- versions -----------------------------------------------------------------------------------------------


class Contents(Value):
    """All that is known of a certificate's versions, newest first; `faults` are of those that are no good."""

    certificate: str
    live: str | None
    versions: tuple[Version, ...]
    holds: tuple[Hold, ...] = ()
    revoked: tuple[Revoked, ...] = ()
    sightings: tuple[Sighting, ...] = ()
    faults: tuple[str, ...] = ()


class VersionStatus(Printed):
    """A version of a certificate; `added` and `removed` are its names against the version before it."""

    id: str
    made_at: datetime
    not_before: datetime
    not_after: datetime
    serial: str
    fingerprint_sha256: str
    key: KeyType | None
    authority: str | None
    profile: str | None
    issuer: str | None
    names: tuple[str, ...]
    added: tuple[str, ...] | None
    removed: tuple[str, ...]
    state: tuple[str, ...]
    held: HeldVersion | None
    served_at: tuple[str, ...]


class VersionsDocument(Printed, kw_only=True):
    """All versions of a certificate, the newest first; `faults` are of those that cannot be read."""

    schema: int = SCHEMA
    at: datetime
    certificate: str
    versions: tuple[VersionStatus, ...]
    faults: tuple[str, ...]
