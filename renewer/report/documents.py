"""What happened and how things stand, as the values of `renewer.model.status`. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from renewer.model.decision import Decision, Plan, RunReport, Step
from renewer.model.facts import Hold, RunRecord, Situation, Version
from renewer.model.status import (
    CertificateStatus,
    Contents,
    EndpointStatus,
    ForeseenStep,
    HeldVersion,
    HookStatus,
    PlanDocument,
    RunDocument,
    Status,
    StillServed,
    TakenStep,
    UnderWay,
    UnseenEndpoint,
    VersionsDocument,
    VersionStatus,
    WatchStatus,
)
from renewer.model.trouble import Concern, Kind, Trouble
from renewer.policy.checks import window_of
from renewer.policy.concerns import worst
from renewer.policy.diagnosis import diagnose, failures, last_error
from renewer.policy.health import PERSON, WELL, Health, deploy_pending, health_of
from renewer.policy.wanted import to_serve, wanted
from renewer.policy.watchdog import stopped_since
from renewer.policy.window import RenewalMoment, renewal_moment, usable


def plan_document(plan: Plan, notes: Sequence[str] = ()) -> PlanDocument:
    """`plan --json`: the foreseen steps of every certificate, the first is what is done now."""
    return PlanDocument(at=plan.at, steps=_foreseen(plan), notes=tuple(notes))


def run_document(report: RunReport) -> RunDocument:
    """`run --json`: the plan and what came of it."""
    return RunDocument(
        at=report.plan.at,
        steps=_foreseen(report.plan),
        run=report.run,
        host=report.host,
        ended_at=report.ended_at,
        outcomes=tuple(
            TakenStep(
                certificate=outcome.certificate,
                step=outcome.step,
                result=outcome.result,
                detail=outcome.detail,
                hint=outcome.hint,
                took_ms=outcome.took_ms,
                next_attempt=outcome.next_attempt,
            )
            for outcome in report.outcomes
        ),
        findings=report.findings,
        exit=report.exit,
    )


def status_document(  # noqa: PLR0913  the facts of the page
    situations: Mapping[str, Situation],
    plan: Plan,
    *,
    now: datetime,
    host: str,
    orphans: Sequence[str],
    last_run: RunRecord | None,
    watches: Sequence[WatchStatus] = (),
    patience: timedelta | None = None,
    concerns: Sequence[Concern] = (),
    still_served: Sequence[StillServed] = (),
) -> Status:
    """How every certificate stands, the most urgent first; `watches` are of `renewer.watches`.

    With `patience`, how long the next run may be in coming, all is not well if it did not come. `concerns`
    are of the host as a whole, `still_served` certificates that are configured no more and seen at a port.
    """
    stopped = stopped_since(last_run, patience, now) if patience else None
    rows = _rows(situations, plan, now)
    stands: list[CertificateStatus | WatchStatus] = [*rows, *watches]
    code = max([PERSON if stopped else WELL, worst(concerns), *(one.exit for one in stands)])
    return Status(
        at=now,
        host=host,
        healthy=code == WELL and all(one.healthy for one in stands),
        exit=code,
        last_run=last_run.at if last_run else None,
        stopped_since=stopped,
        findings=last_run.findings if last_run else (),
        certificates=tuple(rows),
        watches=tuple(watches),
        orphans=tuple(orphans),
        concerns=tuple(concerns),
        still_served=tuple(still_served),
    )


def _rows(situations: Mapping[str, Situation], plan: Plan, now: datetime) -> list[CertificateStatus]:
    """The certificates, the most urgent first."""
    decisions = {decision.certificate: decision for decision in plan.decisions}
    rows = []
    for name, situation in situations.items():
        troubles = diagnose(situation, now)
        health = health_of(situation, troubles, now)
        rows.append(_certificate(situation, health, troubles, decisions[name], now))
    rows.sort(key=lambda row: (-row.exit, row.not_after or now, row.name))
    return rows


def _foreseen(plan: Plan) -> tuple[ForeseenStep, ...]:
    return tuple(step for one in plan.decisions for step in _steps(one))


def _steps(decision: Decision) -> Iterator[ForeseenStep]:
    yield ForeseenStep(
        certificate=decision.certificate,
        step=decision.step,
        reason=decision.reason,
        because=decision.because,
        not_before=decision.not_before or decision.look_again,
    )
    for step in decision.then:
        yield ForeseenStep(
            certificate=decision.certificate,
            step=step,
            reason="follows",
            because=f"follows {decision.step}",
            not_before=None,
        )


def _certificate(
    situation: Situation, health: Health, troubles: Sequence[Trouble], decision: Decision, now: datetime
) -> CertificateStatus:
    live = situation.live_version
    newest = to_serve(situation, now) if situation.holds else wanted(situation, now)
    real = live if live is not None and not live.placeholder else None
    leaf, last, waits = real.leaf if real else None, last_error(troubles), decision.step is Step.WAIT
    moment, explanation = _renewal_of(situation, newest or real)
    return CertificateStatus(
        name=situation.wish.name,
        names=tuple(str(name) for name in situation.wish.names),
        state=health.state,
        healthy=health.healthy,
        exit=health.exit,
        why=health.why,
        hint=troubles[0].hint if troubles else "",
        renewal=_renewal(decision, troubles, situation),
        waits_because=decision.because if waits else None,
        next_attempt=decision.not_before if waits else None,
        way_out=decision.way_out or None,
        not_before=leaf.not_before if leaf else None,
        not_after=leaf.not_after if leaf else None,
        serial=leaf.serial if leaf else None,
        fingerprint_sha256=leaf.fingerprint if leaf else None,
        key=leaf.key if leaf else None,
        authority=real.authority if real else None,
        profile=real.profile if real else None,
        renew_at=moment.at if moment else None,
        renew_reason=moment.reason if moment else None,
        renew_explanation=explanation,
        failures=failures(troubles),
        last_error=last.text if last else None,
        degraded=bool(live and live.degraded),
        deploy_pending=deploy_pending(situation, now),
        wanted=newest.id if newest else None,
        held=tuple(map(_held, situation.holds)),
        live=situation.live,
        deployments=_hooks(situation),
        endpoints=tuple(_endpoints(situation)),
    )


def _renewal_of(situation: Situation, version: Version | None) -> tuple[RenewalMoment | None, str | None]:
    """When a version is replaced, and where its authority says why."""
    if version is None:
        return None, None
    window = window_of(situation, version)
    moment = renewal_moment(version, window, situation.wish.renew_before)
    return moment, window.explanation_url if window and usable(version, window) else None


def _renewal(decision: Decision, troubles: Sequence[Trouble], situation: Situation) -> UnderWay | None:
    """What is going on, if anything is."""
    if decision.step is Step.KEEP:
        return None
    order = situation.order
    failing = [one.since for one in troubles if one.kind is Kind.ORDER and one.since]
    since = min(failing + ([order.at] if order else []), default=None)
    step = decision.held if decision.step is Step.WAIT else decision.step
    return UnderWay(step=step, since=since, next_attempt=decision.not_before)


def _hooks(situation: Situation) -> tuple[HookStatus, ...]:
    return tuple(
        HookStatus(
            host=one.host, hook=one.hook, state=one.state, version=one.version, at=one.at, error=one.error
        )
        for one in situation.deployments
    )


def _endpoints(situation: Situation) -> Iterable[EndpointStatus | UnseenEndpoint]:
    for endpoint in situation.wish.endpoints:
        seen = [s for s in situation.sightings if s.endpoint == str(endpoint) and s.version == situation.live]
        for one in seen:
            yield EndpointStatus(
                endpoint=one.endpoint,
                address=one.address,
                state=one.state,
                serial=one.serial,
                not_after=one.not_after,
                at=one.at,
                error=one.error,
            )
        if not seen:
            yield UnseenEndpoint(endpoint=str(endpoint))


def versions_document(shelf: Contents, now: datetime) -> VersionsDocument:
    """`versions --json`: each with what changed against the one before it."""
    real = [one for one in shelf.versions if not one.placeholder]
    before = dict(zip((one.id for one in real), real[1:], strict=False))
    return VersionsDocument(
        at=now,
        certificate=shelf.certificate,
        versions=tuple(_version(shelf, one, before.get(one.id), now) for one in shelf.versions),
        faults=shelf.faults,
    )


def _version(shelf: Contents, version: Version, before: Version | None, now: datetime) -> VersionStatus:
    leaf = version.leaf
    hold = next((one for one in shelf.holds if one.version == version.id), None)
    names = tuple(str(name) for name in leaf.names)
    former = tuple(str(name) for name in before.leaf.names) if before else None
    served = {one.endpoint for one in shelf.sightings if one.fingerprint == leaf.fingerprint}
    states = {
        "live": version.id == shelf.live,
        "served": bool(served),
        "held": hold is not None,
        "revoked": any(one.version == version.id for one in shelf.revoked),
        "expired": leaf.not_after <= now,
        "degraded": version.degraded,
        "placeholder": version.placeholder,
    }
    return VersionStatus(
        id=version.id,
        made_at=version.made_at,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        serial=leaf.serial,
        fingerprint_sha256=leaf.fingerprint,
        key=leaf.key,
        authority=version.authority,
        profile=version.profile,
        issuer=leaf.issuer,
        names=names,
        added=None if former is None else tuple(name for name in names if name not in former),
        removed=tuple(name for name in former or () if name not in names),
        state=tuple(word for word, so in states.items() if so),
        held=_held(hold) if hold else None,
        served_at=tuple(sorted(served)),
    )


def _held(hold: Hold) -> HeldVersion:
    return HeldVersion(version=hold.version, by=hold.by, at=hold.at, why=hold.why)
