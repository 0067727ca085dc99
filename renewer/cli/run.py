"""`renewer run` (what the timer calls)."""

import signal
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from renewer import words
from renewer.cli import screen
from renewer.cli.limits import complete, limits_of, only_option, steps_option
from renewer.cli.screen import Setup
from renewer.errors import UsageError
from renewer.model.decision import Result, Step
from renewer.report import together

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from renewer.cli.watcher import Watcher
    from renewer.context import Context
    from renewer.model.decision import Outcome, RunReport
    from renewer.model.desired import Config
    from renewer.run import Limits


@click.command("run")
@click.argument("names", nargs=-1, metavar="[NAME…]", shell_complete=complete)
@only_option
@steps_option
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="All certificates, spelled out on purpose: with --force, or where very many are to be ordered.",
)
@click.option(
    "--force", is_flag=True, help="Issue anew though nothing is due, and overrule the wait after failures."
)
@click.option("--new-key", is_flag=True, help="Issue anew with another key, also where keys are kept.")
@click.option(
    "--ask", is_flag=True, help="Ask for renewal windows now, before the authority's Retry-After is over."
)
@click.option(
    "--wait", "patience", default="0s", metavar="DURATION", help="Wait so long for another run's lock."
)
@screen.json_option
@screen.pass_setup
def command(
    setup: Setup,
    *,
    names: tuple[str, ...],
    only: tuple[str, ...],
    steps: str | None,
    everything: bool,
    force: bool,
    new_key: bool,
    ask: bool,
    patience: str,
    as_json: bool,
) -> int:
    """Do what is needed now: issue, install, deploy, look, tell.

    With NAMEs only for these certificates, and now: waits after failures are overruled, but not what an
    authority asked for (Retry-After, a paused account), deploy windows and holds.

    Safe to kill at any instant and to run again. Exit: 0 all well, 1 something failed and will be retried,
    2 bad usage or configuration, 3 a person must act, 75 another run holds the lock.
    """
    config = setup.config()
    only = (*names, *only)
    if force and not only and not everything and len(config.certificates) > 1:
        raise UsageError(
            f"--force would order {len(config.certificates)} certificates anew",
            hint="name one: renewer run --force NAME, or say --all; "
            "authorities limit how often the same is issued",
        )
    limits = limits_of(config, only, steps, force=force, ask=ask, asked=True)
    if new_key:
        limits = _with_new_key(config, limits)
    if not (only or everything) and sys.stdin.isatty():  # a timer has no terminal: it is never kept waiting
        _demand_reason(config, limits)
    return perform(setup, config, limits, as_json=as_json, patience=screen.seconds(patience))


def _demand_reason(config: "Config", limits: "Limits") -> None:
    """Who types it may not know how much it would order. Raises UsageError if nobody would expect that."""
    from renewer.context import Context
    from renewer.policy.due import too_many
    from renewer.run import plan

    with Context(config, write=False) as context:
        planned, _ = plan(context, limits)
    if text := too_many(planned):
        raise UsageError(
            f"{text}; so many at once are mostly a lost state or a configuration that came out wrong, and "
            "authorities bound what an account may order in some hours",
            hint="look at it: renewer plan; if it is meant: renewer run --all",
        )


def _with_new_key(config: "Config", limits: "Limits") -> "Limits":
    """The same with a new key. Raises UsageError if nobody is named, or if a key is none of ours."""
    from msgspec.structs import replace

    if not limits.only:
        raise UsageError("--new-key goes with names", hint="name them: renewer run NAME --new-key")
    for name in sorted(limits.only):
        if (csr := config.certificates[name].csr) is not None:
            raise UsageError(
                f"the key of '{name}' is not ours: it is that of {csr.path}",
                hint="make a new key and request where the key is, put the request there, and run again",
            )
    return replace(limits, new_key=True)


def perform(
    setup: Setup,
    config: "Config",
    limits: "Limits",
    *,
    as_json: bool,
    patience: float = 0.0,
    more: "Mapping[str, object] | None" = None,
) -> int:
    """One pass under the lock; prints what came of it (with `more` in its document), returns how to exit."""
    from renewer.context import Context
    from renewer.run import run
    from renewer.store.lock import Lock

    watcher = watching(setup, as_json=as_json)
    lock = Lock(config.agent.state, group=config.agent.group).acquire(patience)
    with lock, watcher or nullcontext(), Context(config, write=True, listener=watcher) as context:
        stop_gently(context)
        report = run(context, limits)
        _warn(context)
    for line in screen.separation()[1] if setup.verbose else ():
        screen.say(line)
    if as_json:
        from renewer.report.documents import run_document

        screen.emit(run_document(report), **(more or {}))
    else:
        _print(report)
        _complain(report)
    return report.exit


def stop_gently(context: "Context") -> None:
    """SIGTERM and the first Ctrl-C: finish what is in flight, begin nothing new; the next run goes on."""

    def stop(number: int, frame: object) -> None:  # noqa: ARG001  the signature of handlers
        if context.stopping.is_set():
            raise KeyboardInterrupt
        context.stop()
        screen.say("renewer: stopping; what is in flight is finished, the next run goes on")

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def watching(setup: Setup, *, as_json: bool) -> "Watcher | None":
    """With -v, or for a person at a terminal; a timer's run stays quiet."""
    draw = sys.stderr.isatty() and not as_json
    if not setup.verbose and not draw:
        return None
    from renewer.cli.watcher import Watcher

    return Watcher(verbose=setup.verbose > 0, draw=draw)


def _warn(context: "Context") -> None:
    for fault in context.journal.faults:
        screen.say(f"renewer: {fault}; the run went on without it")


def _print(report: "RunReport") -> None:
    """One line when there was nothing to do; else what came of it, and what to do where it failed."""
    from renewer.cli.log_story import MARKS

    concerned = list(dict.fromkeys(outcome.certificate for outcome in report.outcomes))
    if screen.is_terminal() and len(concerned) > together.FEW:
        _draw(report)
    else:
        for outcome in report.outcomes:
            mark = MARKS[outcome.result]
            screen.out(f"{mark} {outcome.certificate}: {outcome.step}: {outcome.detail}")
            if outcome.hint:
                screen.out(f"    → {outcome.hint}")
    if not report.outcomes:
        screen.out(_idle(report))
    elif len(concerned) > 1:
        screen.out(summary(report))
    for finding in report.findings:
        screen.say(f"note: {finding}")


def _draw(report: "RunReport") -> None:
    """Of many certificates: those that share what came of them together, what failed last."""
    from renewer.cli.log_story import MARKS

    ends = [(name, *end) for name, end in _ends(report.outcomes).items()]
    for result in (Result.DONE, Result.WAITING, Result.FAILED):
        found = [(name, text, hint) for name, how, text, hint in ends if how is result]
        for group in together.by_cause(found):
            screen.out(f"{MARKS[result]} {group.line()}")
            if hint := group.items[0]:
                screen.out(f"    → {hint}")


_DONE = {
    Step.ISSUE: "issued",
    Step.RESUME: "issued",
    Step.INSTALL: "installed",
    Step.DEPLOY: "deployed",
    Step.LOOK: "seen at its ports",
    Step.WAIT: "waits",
    Step.KEEP: "kept",
}


def _ends(outcomes: "Iterable[Outcome]") -> "dict[str, tuple[Result, str, str]]":
    """What came of each certificate: the last failure that nothing mended, else a wait, else what is done."""
    steps: dict[str, dict[Step, Outcome]] = {}
    for one in outcomes:
        mine = steps.setdefault(one.certificate, {})
        mine.pop(one.step, None)
        mine[one.step] = one
    found = {}
    for name, mine in steps.items():
        for result in (Result.FAILED, Result.WAITING):
            bad = [one for one in mine.values() if one.result is result]
            if bad:
                found[name] = (result, f"{bad[-1].step}: {bad[-1].detail}", bad[-1].hint)
                break
        else:
            done = dict.fromkeys(_DONE[step] for step in mine)
            found[name] = (Result.DONE, ", ".join(done), "")
    return found


def summary(report: "RunReport") -> str:
    """The whole run in a line."""
    ends = [result for result, _, _ in _ends(report.outcomes).values()]
    names = ((Result.DONE, "done"), (Result.WAITING, "waiting"), (Result.FAILED, "failed"))
    parts = [f"{ends.count(result)} {word}" for result, word in names if result in ends]
    took = words.exact((report.ended_at - report.at).total_seconds())
    ways = "; how they stand: renewer status" if report.exit else ""
    return f"{words.count(len(ends), 'certificate')}: {', '.join(parts)}, in {took}{ways}"


def _complain(report: "RunReport") -> None:
    """What failed goes to stderr too where stdout is not read by a person: cron mails what is said there."""
    if screen.is_terminal() or screen.same_place():
        return
    failed = [outcome for outcome in report.outcomes if outcome.result is Result.FAILED]
    told = [(outcome.certificate, f"{outcome.step}: {outcome.detail}", outcome.hint) for outcome in failed]
    for group in together.by_cause(told):
        screen.say(f"renewer: {group.line()}")
        if hint := group.items[0]:
            screen.say(f"  → {hint}")
    if report.exit == screen.PERSON and not failed:
        screen.say("renewer: not all is well, and a person must act")
        screen.say("  → renewer status says what it is; renewer ack NAME that you know")


def _idle(report: "RunReport") -> str:
    waiting = [decision for decision in report.plan.decisions if decision.step is Step.WAIT]
    all_of_them = words.count(len(report.plan.decisions), "certificate")
    if waiting:
        first = waiting[0]
        moment = f" until {words.stamp(first.not_before)}" if first.not_before else ""
        held = f"{first.certificate} waits{moment} to {first.held}: {first.because}"
        return f"{held} ({len(waiting)} of {all_of_them}); {first.way_out}"
    moments = [decision.look_again for decision in report.plan.decisions if decision.look_again]
    following = f"; the next renewal is at {words.stamp(min(moments))}" if moments else ""
    if report.exit:
        return f"nothing to do now for {all_of_them}, yet not all is well: see renewer status"
    return f"nothing to do for {all_of_them}{following}"
