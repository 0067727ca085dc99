"""`renewer run` (what the timer calls)."""

import signal
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Self

import click

from renewer import words
from renewer.cli import screen
from renewer.cli.limits import complete, limits_of, only_option, steps_option
from renewer.cli.log_story import sentence
from renewer.cli.screen import Setup
from renewer.errors import UsageError
from renewer.model.decision import EventName, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.progress import Progress, TaskID

    from renewer.context import Context
    from renewer.model.decision import RunReport
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
    import sys

    draw = sys.stderr.isatty() and not as_json
    if not setup.verbose and not draw:
        return None

    return Watcher(verbose=setup.verbose > 0, draw=draw)


def _warn(context: "Context") -> None:
    for fault in context.journal.faults:
        screen.say(f"renewer: {fault}; the run went on without it")


def _print(report: "RunReport") -> None:
    """One line when there was nothing to do; else one an outcome, and what to do where it failed."""
    from renewer.cli.log_story import MARKS

    for outcome in report.outcomes:
        mark = MARKS[outcome.result]
        screen.out(f"{mark} {outcome.certificate}: {outcome.step}: {outcome.detail}")
        if outcome.hint:
            screen.out(f"    → {outcome.hint}")
    if not report.outcomes:
        screen.out(_idle(report))
    for finding in report.findings:
        screen.say(f"note: {finding}")


def _complain(report: "RunReport") -> None:
    """What failed goes to stderr too where stdout is not read by a person: cron mails what is said there."""
    from renewer.model.decision import Result

    if screen.is_terminal() or screen.same_place():
        return
    failed = [outcome for outcome in report.outcomes if outcome.result is Result.FAILED]
    for outcome in failed:
        screen.say(f"renewer: {outcome.certificate}: {outcome.step}: {outcome.detail}")
        if outcome.hint:
            screen.say(f"  → {outcome.hint}")
    if report.exit == screen.PERSON and not failed:
        screen.say("renewer: not all is well, and a person must act")
        screen.say("  → renewer status says what it is; renewer ack NAME that you know")


def _idle(report: "RunReport") -> str:
    from renewer.model.decision import Step

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


_ENDS = (EventName.INSTALLED, EventName.FAILED)
_SHOWN = (EventName.FAILED, EventName.RENEWED, EventName.ROLLED_BACK, EventName.NOTICE)


class Watcher:
    """Shows events on stderr: all with -v, else what matters; with a bar when several are ordered at once."""

    def __init__(self, *, verbose: bool, draw: bool) -> None:
        self.verbose = verbose
        self.draw = draw
        self._orders: set[str] = set()
        self._ended: set[str] = set()
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, event: dict[str, object]) -> None:
        """Take one event of the renewal log."""
        if self.draw:
            self._count(event)
        if self.verbose or (self.draw and event.get("event") in _SHOWN):
            self._say(sentence(event, verbose=self.verbose) or "")

    def _count(self, event: dict[str, object]) -> None:
        name = str(event.get("certificate", ""))
        if event.get("event") == EventName.DECIDED and event.get("step") in (Step.ISSUE, Step.RESUME):
            self._orders.add(name)
        elif event.get("event") in _ENDS and name in self._orders:
            self._ended.add(name)
        if len(self._orders) > 1 and event.get("event") != EventName.DECIDED:
            self._show()

    def _show(self) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("certificates"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("orders", total=len(self._orders))
            self._bar.start()
        if self._task is not None:
            self._bar.update(self._task, completed=len(self._ended))

    def _say(self, text: str) -> None:
        from renewer.cli import screen

        if not text:
            return
        if self._bar is not None:
            from rich.text import Text

            self._bar.console.print(Text(words.clean(text)))
        else:
            screen.say(text)
