"""What a transaction leaves behind for each certificate: a record a hook, an outcome, a line in the log."""

from renewer import clock
from renewer.deploy.move import Move
from renewer.hooks import HookResult
from renewer.model.decision import Step
from renewer.model.facts import COPIES, Deployment, DeploymentState
from renewer.model.outcome import EventName, Outcome, Result


def deployment(move: Move, hook: str, state: DeploymentState, result: HookResult | None = None) -> Deployment:
    """How a hook stands to the version; failures are counted while version and hook stay the same."""
    fingerprint = dict(move.situation.hooks).get(hook, "")
    former = next((d for d in move.situation.deployments if d.hook == hook), None)
    same = former is not None and former.version == move.version.id and former.fingerprint == fingerprint
    failures = former.failures if former and same else 0
    if state is DeploymentState.FAILED:
        failures += 1
    elif state is DeploymentState.DONE:
        failures = 0
    return Deployment(
        certificate=move.wish.name,
        host=move.context.host,
        hook=hook,
        version=move.version.id,
        state=state,
        at=clock.now(),
        fingerprint=fingerprint,
        failures=failures,
        previous=move.former.id if move.former and move.former.id != move.version.id else None,
        error=(result.error if result and result.error else move.error)
        if state in (DeploymentState.FAILED, DeploymentState.LATER)
        else None,
        output=result.output if result and state is DeploymentState.FAILED else "",
        turned_back=move.turned_back,
    )


def deployments(move: Move) -> list[Deployment]:
    """One record a hook; if all went back, a hook that had worked is pending for the version again."""
    hook_failed = any(
        state is DeploymentState.FAILED and hook not in move.situation.optional
        for hook, (state, _) in move.states.items()
    )
    found = []
    for hook in move.hooks:
        state, result = move.states.get(hook, (DeploymentState.PENDING, None))
        if move.turned_back and state is DeploymentState.DONE:
            state = DeploymentState.PENDING
        if move.error and not hook_failed:
            state = DeploymentState.FAILED  # the port died, or the link did not turn: every hook's turn again
        found.append(deployment(move, hook, state, result))
    return found


def outcome(move: Move, started: float) -> Outcome:
    """What came of it, also told to the renewal log; `started` is on clock.monotonic."""
    took = round((clock.monotonic() - started) * 1000)
    later = [result for state, result in move.states.values() if state is DeploymentState.LATER]
    if move.error:
        stays = "" if move.turned_back else f"; version {move.version.id} stays live"
        back = f"; version {move.former.id} is live again" if move.turned_back and move.former else stays
        move.context.journal.tell(
            EventName.FAILED, move.wish.name, step=Step.DEPLOY, version=move.version.id, error=move.error
        )
        return _ended(move, Result.FAILED, move.error + back, took, hint=move.hint)
    if later:
        text = next(
            (result.error for result in later if result and result.error),
            "a hook asks to be called later",
        )
        return _ended(move, Result.WAITING, text, took)
    failed = {h: result for h, (state, result) in move.states.items() if state is DeploymentState.FAILED}
    done = [hook for hook in move.hooks if hook not in failed and not _left(move, hook)]
    names = ", ".join(done) or "no hook"
    move.context.journal.tell(
        EventName.DEPLOYED, move.wish.name, version=move.version.id, hooks=names, took_ms=took
    )
    text = f"version {move.version.id} is live, deployed by {names}"
    if failed:  # none of them is required, else the move had an error
        why = "; ".join(result.error for result in failed.values() if result and result.error)
        hint = f"it is called again, at once by: renewer deploy {move.wish.name}"
        return _ended(move, Result.FAILED, f"{text}; {why}", took, hint=hint)
    text += "".join(f"; {note}" for note in move.passed_by)
    if move.note:
        move.context.journal.tell(EventName.NOTICE, move.wish.name, text=move.note)
        text += f"; {move.note}"
    return _ended(move, Result.DONE, text, took)


def _left(move: Move, hook: str) -> bool:
    """Whether it is the copies, and some of them were left alone: then not all of it is deployed."""
    return hook == COPIES and bool(move.passed_by)


def _ended(move: Move, result: Result, detail: str, took_ms: int, hint: str = "") -> Outcome:
    return Outcome(
        certificate=move.wish.name,
        step=Step.DEPLOY,
        result=result,
        detail=detail,
        hint=hint,
        took_ms=took_ms,
    )
