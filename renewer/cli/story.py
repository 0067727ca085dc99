"""Events of the renewal log as sentences for people: `run` at a terminal, and `renewer log`."""

from collections.abc import Mapping

from renewer.model.outcome import EventName, Result

MARKS = {Result.DONE: "✓", Result.WAITING: "…", Result.FAILED: "✗"}
_QUIET = (EventName.RUN_STARTED, EventName.RUN_FINISHED, EventName.DECIDED)


def sentence(event: Mapping[str, object], *, verbose: bool) -> str | None:
    """One event for somebody who watches; None if it tells nothing new without -v."""
    name = event.get("event")
    if not verbose and name in _QUIET:
        return None
    certificate = f"{event['certificate']}: " if event.get("certificate") else ""
    return f"{certificate}{words(event)}"


def words(event: Mapping[str, object]) -> str:  # noqa: C901, PLR0911, PLR0912  one sentence an event
    """What happened, without when and to whom."""
    say = event.get
    match say("event"):
        case EventName.RUN_STARTED:
            return f"run {say('run')} started"
        case EventName.RUN_FINISHED:
            return f"run {say('run')} finished with exit code {say('exit')}"
        case EventName.DECIDED:
            until = f" until {say('not_before')}" if say("not_before") else ""
            out = f"; {say('way_out')}" if say("way_out") else ""
            return f"decided: {say('step')}{until}, because {say('because')} [{say('reason')}]{out}"
        case EventName.ORDERED:
            text = "goes on with the order" if say("resumed") else f"ordered at {say('authority')}"
            profile = f", profile {say('profile')}" if say("profile") else ""
            refused = (
                f"; `replaces` was refused: {say('replaces_refused')}" if say("replaces_refused") else ""
            )
            return f"{text}{profile}: {say('url')}{refused}"
        case EventName.CHALLENGE_PRESENTED:
            return f"{say('type')} for {say('identifier')} presented at {say('where')}"
        case EventName.VALIDATED:
            return f"control proven of {say('names')}"
        case EventName.ISSUED:
            return f"{say('authority')} issued it ({say('took_ms')} ms)"
        case EventName.INSTALLED:
            return (
                f"installed version {say('version')}, serial {say('serial')}, valid until {say('not_after')}"
            )
        case EventName.HOOK_RUN:
            error = f": {say('error')}" if say("error") else ""
            return f"hook {say('hook')} {say('hook_event')}: {say('result')} ({say('took_ms')} ms){error}"
        case EventName.DEPLOYED:
            return f"version {say('version')} is live, deployed by {say('hooks')}"
        case EventName.VERIFIED:
            return f"seen at {say('endpoints')}: serial {say('serial')}"
        case EventName.RENEWED:
            where = "renewed, and seen at its ports" if say("seen") else "renewed"
            return f"{where}: serial {say('serial')}, valid until {say('not_after')}"
        case EventName.FAILED:
            hint = f" → {say('hint')}" if say("hint") else ""
            return f"FAILED to {say('step')}: {say('error')}{hint}"
        case EventName.RECOVERED:
            return f"well again; it had failed since {say('since')}"
        case EventName.TOLD:
            about = say("text") or say("topic")
            return f"told {say('channel')}: {about}" + (
                f" ({say('stage')})" if say("stage") is not None else ""
            )
        case EventName.ROLLED_BACK:
            return f"turned back to version {say('to')}"
        case _:
            return str(say("text") or say("event"))
