"""`publish` of every hook that hears it, before anything goes live; who must wait takes no further part."""

from collections.abc import Sequence
from typing import assert_never

import msgspec

from renewer import certs, clock, hooks, words
from renewer.context import Context
from renewer.deploy.move import Move
from renewer.hooks import HookCertificate, HookResult, HookVerdict
from renewer.model.decision import EventName, Outcome, Result, Step
from renewer.model.desired import HookEvent
from renewer.model.facts import DeploymentState, Published
from renewer.policy.deploy_window import closed_until
from renewer.policy.publishing import goes_live_at, may_wait, to_come_first, unpublished
from renewer.policy.terms import Terms


def _state(verdict: HookVerdict) -> DeploymentState:
    match verdict:
        case HookVerdict.DONE | HookVerdict.NOT_MINE:
            return DeploymentState.DONE
        case HookVerdict.LATER:
            return DeploymentState.LATER
        case HookVerdict.FAILED:
            return DeploymentState.FAILED
    assert_never(verdict)


def publish(context: Context, moves: Sequence[Move], terms: Terms) -> tuple[list[Move], list[Outcome]]:
    """Call each hook once with all that it has not published; who goes on, and what came of the others."""
    due = {
        move.wish.name: unpublished(move.situation, move.version, terms.now)
        for move in moves
        if move.turns and move.situation.publishers
    }
    for hook in dict.fromkeys(name for names in due.values() for name in names):
        _call(context, hook, [move for move in moves if hook in due.get(move.wish.name, ())])
    going, outcomes = [], []
    for move in moves:
        waiting = _waiting(move, terms) if move.turns and not terms.redeploy else None
        if waiting is None:
            going.append(move)
        else:
            outcomes.append(waiting)
    return going, outcomes


def _call(context: Context, hook: str, moves: Sequence[Move]) -> None:
    told = [_told(context, move) for move in moves]
    results = hooks.run(
        context.config.hooks[hook], HookEvent.PUBLISH, told, host=context.host, run_id=context.run
    )
    for result in results:
        records = [
            _record(context, hook, move, result) for move in moves if move.wish.name in result.certificates
        ]
        context.ledger.save(*records)
        for move, record in zip(moves, records, strict=True):
            others = tuple(one for one in move.situation.published if one.hook != hook)
            move.situation = msgspec.structs.replace(move.situation, published=(*others, record))
            context.journal.tell(
                EventName.HOOK_RUN,
                move.wish.name,
                hook=hook,
                hook_event=HookEvent.PUBLISH.value,
                result=result.verdict.value,
                code=result.code,
                took_ms=result.took_ms,
                error=result.error,
                output=result.output if result.verdict is HookVerdict.FAILED else None,
            )


def _told(context: Context, move: Move) -> HookCertificate:
    """What will be live, in its own directory, with what tells its key."""
    place = context.store.path(move.wish.name, move.version.id)
    cert = context.store.read(move.wish.name, move.version.id).cert
    return msgspec.structs.replace(
        move.told(move.version),
        live=place,
        privkey=None if move.version.csr else f"{place}/privkey.pem",
        cert=f"{place}/cert.pem",
        chain=f"{place}/chain.pem",
        fullchain=f"{place}/fullchain.pem",
        spki_sha256=certs.spki(cert),
        cert_sha256=move.version.leaf.fingerprint,
    )


def _record(context: Context, hook: str, move: Move, result: HookResult) -> Published:
    state, version = _state(result.verdict), move.version.id
    before = next((one for one in move.situation.published if one.hook == hook), None)
    failures = before.failures if before is not None and before.version == version else 0
    return Published(
        certificate=move.wish.name,
        host=context.host,
        hook=hook,
        version=version,
        state=state,
        at=clock.now(),
        fingerprint=dict(move.situation.publishers)[hook],
        failures=failures + 1 if state is DeploymentState.FAILED else 0,
        error=result.error,
        output=result.output if state is DeploymentState.FAILED else "",
    )


def _waiting(move: Move, terms: Terms) -> Outcome | None:
    """Why a version does not go live in this run, as an outcome; None if it does."""
    situation, version, now = move.situation, move.version, clock.now()
    missing = to_come_first(situation, version, now) if may_wait(situation, version, now) else ()
    names = ", ".join(name for name, _ in situation.publishers)
    if missing := tuple(name for name in missing if name not in situation.optional):
        record = next((one for one in situation.published if one.hook in missing), None)
        why = record.error if record and record.error else f"hook {missing[0]} has not published it"
        name = move.wish.name
        hint = f"its output: renewer log {name}; without waiting for it: renewer deploy {name}"
        failed = record is not None and record.state is DeploymentState.FAILED
        result = Result.FAILED if failed else Result.WAITING
        return _outcome(move, result, f"version {version.id} does not go live yet: {why}", hint)
    if (moment := goes_live_at(situation, version, now)) is not None:
        by = f"published by {names}; " if names else ""
        return _outcome(
            move,
            Result.DONE,
            f"version {version.id} is {by}it waits for deploy_after until {words.stamp(moment)}",
        )
    opens = closed_until(situation, now)
    if opens is not None and situation.publishers and not terms.redeploy:
        text = (
            f"version {version.id} is published by {names}; the deploy window opens at {words.stamp(opens)}"
        )
        return _outcome(move, Result.DONE, text)
    return None


def _outcome(move: Move, result: Result, detail: str, hint: str = "") -> Outcome:
    return Outcome(certificate=move.wish.name, step=Step.DEPLOY, result=result, detail=detail, hint=hint)
