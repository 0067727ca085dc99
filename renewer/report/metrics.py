"""What monitoring reads: a textfile for node_exporter, in the Prometheus exposition format. Pure.

An agent that a timer calls cannot be scraped; node_exporter reads the file and serves it with its own.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from renewer import __version__
from renewer.model.facts import EndpointState, RunRecord, Standing
from renewer.model.status import CertificateStatus, Status, StillServed

Sample = tuple[str, float]
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})  # in a label's value, and nothing else


def render(document: Status, standings: Mapping[str, Standing], run: RunRecord, wake: timedelta) -> str:
    """Every metric, from the document of `status` and the run that has just ended."""
    rows = [*map(_row, document.certificates), *map(_left, document.still_served)]
    labels = {row.name: _labels(name=row.name, host=document.host) for row in rows}
    lines: list[str] = []
    for name, meaning, value in _OF_A_CERTIFICATE:
        samples = ((labels[row.name], number) for row in rows if (number := value(row)) is not None)
        lines += _family(f"renewer_certificate_{name}", meaning, samples)
    successes = (
        (labels[name], _seconds(one.renewed_at)) for name, one in standings.items() if name in labels
    )
    lines += _family(
        "renewer_certificate_last_success_timestamp_seconds",
        "When a renewal was last complete: deployed, and seen at every port.",
        ((label, at) for label, at in successes if at is not None),
    )
    lines += _family(
        "renewer_certificate_served_matches",
        "Whether every address of the endpoint showed the installed certificate when last looked at.",
        _served(rows, document.host),
    )
    lines += _watches(document)
    lines += _of_the_run(run, wake)
    return "\n".join(lines) + "\n"


class _Row(NamedTuple):
    """What is measured of a certificate; `seen` is each endpoint's state at each of its addresses."""

    name: str
    not_before: datetime | None
    not_after: datetime | None
    renew_at: datetime | None
    next_attempt: datetime | None
    failures: int
    deploy_pending: bool
    degraded: bool
    healthy: bool
    seen: tuple[tuple[str, EndpointState], ...]


def _row(one: CertificateStatus) -> _Row:
    return _Row(
        name=one.name,
        not_before=one.not_before,
        not_after=one.not_after,
        renew_at=one.renew_at,
        next_attempt=one.next_attempt,
        failures=one.failures,
        deploy_pending=one.deploy_pending,
        degraded=one.degraded,
        healthy=one.healthy,
        seen=tuple((each.endpoint, each.state) for each in one.endpoints),
    )


def _left(one: StillServed) -> _Row:
    """A row of a certificate that is configured no more and still served: it stays, and is not well."""
    return _Row(
        name=one.name,
        not_before=None,
        not_after=one.not_after,
        renew_at=None,
        next_attempt=None,
        failures=0,
        deploy_pending=False,
        degraded=False,
        healthy=one.acknowledged,
        seen=tuple((each.endpoint, EndpointState.VERIFIED) for each in one.endpoints),
    )


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment is not None else None


_OF_A_CERTIFICATE: tuple[tuple[str, str, Callable[[_Row], float | None]], ...] = (
    (
        "not_before_timestamp_seconds",
        "When the live certificate's validity began.",
        lambda row: _seconds(row.not_before),
    ),
    (
        "not_after_timestamp_seconds",
        "When the live certificate expires.",
        lambda row: _seconds(row.not_after),
    ),
    (
        "renewal_due_timestamp_seconds",
        "When the certificate is to be renewed: the authority's moment, or its share of the lifetime.",
        lambda row: _seconds(row.renew_at),
    ),
    (
        "next_attempt_timestamp_seconds",
        "When something is tried next: after a failure, else the renewal.",
        lambda row: _seconds(row.next_attempt or row.renew_at),
    ),
    ("consecutive_failures", "Failures in a row, of orders or hooks.", lambda row: row.failures),
    (
        "deploy_pending",
        "Whether a hook, a copy or the link has not followed the newest certificate.",
        lambda row: row.deploy_pending,
    ),
    ("degraded", "Whether names are missing in the live certificate.", lambda row: row.degraded),
    ("healthy", "Whether all is well: the furthest possible is reached.", lambda row: row.healthy),
)


def _served(rows: Iterable[_Row], host: str) -> Iterator[Sample]:
    """One sample an endpoint, whatever number of addresses it has; none while nobody has looked."""
    for row in rows:
        shown: dict[str, bool] = {}
        for endpoint, state in row.seen:
            if state != EndpointState.UNKNOWN:
                shown[endpoint] = shown.get(endpoint, True) and state == EndpointState.VERIFIED
        for endpoint, well in shown.items():
            yield _labels(name=row.name, host=host, endpoint=endpoint), well


def _watches(document: Status) -> list[str]:
    """Certificates that are only watched have an end and nothing else."""
    samples = (
        (_labels(name=one.name, host=document.host, target=one.target), number)
        for one in document.watches
        if (number := _seconds(one.not_after)) is not None
    )
    return _family(
        "renewer_watch_not_after_timestamp_seconds", "When the watched certificate expires.", samples
    )


def _of_the_run(run: RunRecord, wake: timedelta) -> list[str]:
    label = _labels(host=run.host)
    ended = run.ended_at or run.at
    lines = _family(
        "renewer_run_last_completed_timestamp_seconds",
        "When a run last came to its end.",
        [(label, ended.timestamp())],
    )
    lines += _family(
        "renewer_run_last_exit_status",
        "How it ended: 0 all well, 1 it will be retried, 3 a person must act.",
        [(label, run.exit or 0)],
    )
    lines += _family(
        "renewer_run_duration_seconds", "How long it took.", [(label, (ended - run.at).total_seconds())]
    )
    lines += _family(
        "renewer_run_wake_seconds",
        "How often a run is expected: [agent] wake.",
        [(label, wake.total_seconds())],
    )
    return lines + _family(
        "renewer_build_info", "Which renewer this is.", [(_labels(version=__version__), 1)]
    )


def _family(name: str, meaning: str, samples: Iterable[Sample]) -> list[str]:
    """One metric with its samples; nothing at all if there is none."""
    lines = [f"{name}{label} {_number(value)}" for label, value in samples]
    return [f"# HELP {name} {meaning}", f"# TYPE {name} gauge", *lines] if lines else []


def _number(value: float) -> str:
    """As Prometheus reads it: no exponent, to the millisecond where there is a fraction."""
    return f"{value:.0f}" if value == int(value) else f"{value:.3f}"


def _labels(**labels: str) -> str:
    inner = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())
    return f"{{{inner}}}"
