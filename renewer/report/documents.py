"""What happened and how things stand, as documents: the one source of JSON, of screens and of the page. Pure.

The names of the keys are an interface; `docs/json.md` describes them.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from renewer.model.concern import Concern
from renewer.model.decision import Decision, Plan, Step
from renewer.model.facts import EndpointState, Hold, RunRecord, Situation, Version
from renewer.model.outcome import RunReport
from renewer.model.shelf import Contents
from renewer.model.trouble import Kind, Trouble
from renewer.policy.checks import window_of
from renewer.policy.concerns import worst
from renewer.policy.diagnosis import diagnose, failures, last_error
from renewer.policy.health import PERSON, WELL, Health, deploy_pending, health_of
from renewer.policy.wanted import to_serve, wanted
from renewer.policy.watchdog import stopped_since
from renewer.policy.window import renewal_moment, usable

SCHEMA = 1
Document = dict[str, Any]


def plan_document(plan: Plan) -> Document:
    """`plan --json`: the foreseen steps of every certificate, the first is what is done now."""
    return {
        "schema": SCHEMA,
        "at": plan.at,
        "steps": [step for one in plan.decisions for step in _steps(one)],
    }


def run_document(report: RunReport) -> Document:
    """`run --json`: the plan and what came of it."""
    return plan_document(report.plan) | {
        "run": report.run,
        "host": report.host,
        "ended_at": report.ended_at,
        "outcomes": [
            {
                "certificate": outcome.certificate,
                "step": outcome.step,
                "result": outcome.result,
                "detail": outcome.detail,
                "hint": outcome.hint,
                "took_ms": outcome.took_ms,
                "next_attempt": outcome.next_attempt,
            }
            for outcome in report.outcomes
        ],
        "findings": list(report.findings),
        "exit": report.exit,
    }


def status_document(  # noqa: PLR0913  the facts of the page
    situations: Mapping[str, Situation],
    plan: Plan,
    *,
    now: datetime,
    host: str,
    orphans: Sequence[str],
    last_run: RunRecord | None,
    watches: Sequence[Document] = (),
    patience: timedelta | None = None,
    concerns: Sequence[Concern] = (),
    still_served: Sequence[Document] = (),
) -> Document:
    """`status --json`: every certificate, the most urgent first; `watches` are rows of `renewer.watches`.

    With `patience`, how long the next run may be in coming, all is not well if it did not come. `concerns`
    are of the host as a whole, `still_served` certificates that are configured no more and seen at a port.
    """
    stopped = stopped_since(last_run, patience, now) if patience else None
    rows = _rows(situations, plan, now)
    codes = [one["exit"] for one in (*rows, *watches)]
    code = max([PERSON if stopped else WELL, worst(concerns), *codes])
    return {
        "schema": SCHEMA,
        "at": now,
        "host": host,
        "healthy": code == WELL and all(one["healthy"] for one in (*rows, *watches)),
        "exit": code,
        "last_run": last_run.at if last_run else None,
        "stopped_since": stopped,
        "findings": list(last_run.findings) if last_run else [],
        "certificates": rows,
        "watches": list(watches),
        "orphans": list(orphans),
        "concerns": [msgspec.structs.asdict(one) for one in concerns],
        "still_served": list(still_served),
    }


def _rows(situations: Mapping[str, Situation], plan: Plan, now: datetime) -> list[Document]:
    """The certificates, the most urgent first."""
    decisions = {decision.certificate: decision for decision in plan.decisions}
    rows = []
    for name, situation in situations.items():
        troubles = diagnose(situation, now)
        health = health_of(situation, troubles, now)
        rows.append(_certificate(situation, health, troubles, decisions[name], now))
    rows.sort(key=lambda row: (-row["exit"], row["not_after"] or now, row["name"]))
    return rows


def _steps(decision: Decision) -> Iterable[Document]:
    yield {
        "certificate": decision.certificate,
        "step": decision.step,
        "reason": decision.reason,
        "because": decision.because,
        "not_before": decision.not_before or decision.look_again,
    }
    for step in decision.then:
        yield {
            "certificate": decision.certificate,
            "step": step,
            "reason": "follows",
            "because": f"follows {decision.step}",
            "not_before": None,
        }


def _certificate(
    situation: Situation, health: Health, troubles: Sequence[Trouble], decision: Decision, now: datetime
) -> Document:
    live = situation.live_version
    newest = to_serve(situation, now) if situation.holds else wanted(situation, now)
    real = live if live is not None and not live.placeholder else None
    last = last_error(troubles)
    return {
        "name": situation.wish.name,
        "names": [str(name) for name in situation.wish.names],
        "state": health.state,
        "healthy": health.healthy,
        "exit": health.exit,
        "why": health.why,
        "hint": troubles[0].hint if troubles else "",
        "renewal": _renewal(decision, troubles, situation),
        **_waiting(decision),
        **_leaf(real),
        **_renew_at(situation, newest or real),
        "failures": failures(troubles),
        "last_error": last.text if last else None,
        "degraded": bool(live and live.degraded),
        "deploy_pending": deploy_pending(situation, now),
        "wanted": newest.id if newest else None,
        "held": [_held(hold) for hold in situation.holds],
        "live": situation.live,
        "deployments": [
            {
                "host": one.host,
                "hook": one.hook,
                "state": one.state,
                "version": one.version,
                "at": one.at,
                "error": one.error,
            }
            for one in situation.deployments
        ],
        "endpoints": _endpoints(situation),
    }


def _waiting(decision: Decision) -> Document:
    """Why it waits, until when, and what does not wait; all null if it does not."""
    waits = decision.step is Step.WAIT
    return {
        "waits_because": decision.because if waits else None,
        "next_attempt": decision.not_before if waits else None,
        "way_out": decision.way_out or None,
    }


def _leaf(version: Version | None) -> Document:
    leaf = version.leaf if version else None
    return {
        "not_before": leaf.not_before if leaf else None,
        "not_after": leaf.not_after if leaf else None,
        "serial": leaf.serial if leaf else None,
        "fingerprint_sha256": leaf.fingerprint if leaf else None,
        "key": leaf.key if leaf else None,
        "authority": version.authority if version else None,
        "profile": version.profile if version else None,
    }


def _renew_at(situation: Situation, version: Version | None) -> Document:
    if version is None:
        return {"renew_at": None, "renew_reason": None, "renew_explanation": None}
    window = window_of(situation, version)
    moment = renewal_moment(version, window, situation.wish.renew_before)
    return {
        "renew_at": moment.at,
        "renew_reason": moment.reason,
        "renew_explanation": window.explanation_url if window and usable(version, window) else None,
    }


def _renewal(decision: Decision, troubles: Sequence[Trouble], situation: Situation) -> Document | None:
    """What is going on, if anything is."""
    if decision.step is Step.KEEP:
        return None
    order = situation.order
    failing = [one.since for one in troubles if one.kind is Kind.ORDER and one.since]
    since = min(failing + ([order.at] if order else []), default=None)
    step = decision.held if decision.step is Step.WAIT else decision.step
    return {"step": step, "since": since, "next_attempt": decision.not_before}


def _endpoints(situation: Situation) -> list[Document]:
    rows: list[Document] = []
    for endpoint in situation.wish.endpoints:
        seen = [s for s in situation.sightings if s.endpoint == str(endpoint) and s.version == situation.live]
        rows += [
            {
                "endpoint": one.endpoint,
                "address": one.address,
                "state": one.state,
                "serial": one.serial,
                "not_after": one.not_after,
                "at": one.at,
                "error": one.error,
            }
            for one in seen
        ] or [{"endpoint": str(endpoint), "state": EndpointState.UNKNOWN, "serial": None} | _UNSEEN]
    return rows


_UNSEEN: Document = {"address": "", "not_after": None, "at": None, "error": None}


def versions_document(shelf: Contents, now: datetime) -> Document:
    """`versions --json`: each with what changed against the one before it."""
    real = [one for one in shelf.versions if not one.placeholder]
    before = dict(zip((one.id for one in real), real[1:], strict=False))
    return {
        "schema": SCHEMA,
        "at": now,
        "certificate": shelf.certificate,
        "versions": [_version(shelf, one, before.get(one.id), now) for one in shelf.versions],
        "faults": list(shelf.faults),
    }


def _version(shelf: Contents, version: Version, before: Version | None, now: datetime) -> Document:
    hold = next((one for one in shelf.holds if one.version == version.id), None)
    names = [str(name) for name in version.leaf.names]
    former = [str(name) for name in before.leaf.names] if before else None
    served = [one.endpoint for one in shelf.sightings if one.fingerprint == version.leaf.fingerprint]
    states = {
        "live": version.id == shelf.live,
        "served": bool(served),
        "held": hold is not None,
        "revoked": any(one.version == version.id for one in shelf.revoked),
        "expired": version.leaf.not_after <= now,
        "degraded": version.degraded,
        "placeholder": version.placeholder,
    }
    return {
        "id": version.id,
        "made_at": version.made_at,
        **_leaf(version),
        "issuer": version.leaf.issuer,
        "names": names,
        "added": None if former is None else [name for name in names if name not in former],
        "removed": [name for name in former or () if name not in names],
        "state": [word for word, so in states.items() if so],
        "held": _held(hold) if hold else None,
        "served_at": sorted(set(served)),
    }


def _held(hold: Hold) -> Document:
    return {"version": hold.version, "by": hold.by, "at": hold.at, "why": hold.why}
