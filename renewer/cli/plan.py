"""`renewer plan`: the very plan that `run` would carry out."""

from typing import TYPE_CHECKING

import click

from renewer import words
from renewer.cli import screen
from renewer.cli.limits import complete, limits_of, only_option, steps_option
from renewer.cli.screen import Setup
from renewer.report import together

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from renewer.model.decision import Decision, Plan
    from renewer.model.facts import Situation


@click.command("plan")
@click.argument("names", nargs=-1, metavar="[NAME…]", shell_complete=complete)
@only_option
@steps_option
@click.option("--force", is_flag=True, help="As `run --force` would.")
@screen.json_option
@screen.pass_setup
def command(
    setup: Setup,
    *,
    names: tuple[str, ...],
    only: tuple[str, ...],
    steps: str | None,
    force: bool,
    as_json: bool,
) -> int:
    """Show what a run would do now, and why; with NAMEs what `run NAME` would, which waits for less.

    Asks nobody, changes nothing. Exit codes as `status`.
    """
    from renewer import clock, concerns
    from renewer.context import Context
    from renewer.policy.concerns import worst
    from renewer.policy.due import too_many
    from renewer.policy.health import assess, exit_code
    from renewer.run import plan

    config = setup.config()
    limits = limits_of(config, (*names, *only), steps, force=force, asked=True)
    with Context(config, write=False) as context:
        planned, situations = plan(context, limits)
        found = concerns.look_later(context) if not limits.only else ()
    healths = [assess(situation, clock.now()) for situation in situations.values()]
    code = max(exit_code(healths), worst(found))
    many = too_many(planned) if not limits.only else None
    notes = [
        *_notes(situations),
        *([f"note: {many}"] if many else ()),
        *(f"note: {one.text}" for one in found),
    ]
    if as_json:
        from renewer.report.documents import plan_document

        screen.emit(plan_document(planned, notes))
        return code
    _print(planned, notes, verbose=bool(setup.verbose))
    return code


def _print(planned: "Plan", notes: "Sequence[str]", *, verbose: bool) -> None:
    if not planned.decisions:
        screen.out("the configuration has no certificate for this host")
    elif screen.is_terminal() and not verbose and len(planned.decisions) > together.FEW:
        _draw(planned, notes)
        return
    for decision in planned.decisions:
        screen.out(f"{decision.certificate}: {_said(decision)}")
        if verbose:
            screen.out(f"    reason: {decision.reason}")
    for note in notes:
        screen.out(note)


def _said(decision: "Decision") -> str:
    moment = decision.not_before or decision.look_again
    when = f" ({words.stamp(moment)})" if moment else ""
    then = f", then {', '.join(decision.then)}" if decision.then else ""
    out = f"; {decision.way_out}" if decision.way_out else ""
    return f"{decision.step}{then}: {decision.because}{when}{out}"


def _draw(planned: "Plan", notes: "Sequence[str]") -> None:
    """For a person: how many of each step, those with the same reason together, what is kept in a line."""
    from rich.text import Text

    from renewer.cli import drawing
    from renewer.model.decision import Step

    to = drawing.console()
    steps = [one.step for one in planned.decisions]
    counts = ", ".join(f"{step} {steps.count(step)}" for step in dict.fromkeys(steps))
    headline = Text(f"{words.count(len(steps), 'certificate')}: {counts}", style="bold")
    acting = [one for one in planned.decisions if one.step is not Step.KEEP]
    texts = [
        group.line() for group in together.by_cause((one.certificate, _said(one), one) for one in acting)
    ]
    texts += _kept([one for one in planned.decisions if one.step is Step.KEEP])
    lines = [
        part
        for text in (*texts, *notes)
        for part in drawing.hanging(Text(), Text(words.clean(text)), to.width, to)
    ]
    drawing.told(headline, lines, to)


def _kept(kept: "Sequence[Decision]") -> list[str]:
    """What needs nothing: each if they are few, else how many, and what comes next of them."""
    if len(kept) <= together.FEW:
        return [f"{one.certificate}: {_said(one)}" for one in kept]
    moments = [(one.look_again, one.certificate) for one in kept if one.look_again]
    at, name = min(moments, default=(None, ""))
    first = f"; the first of them falls due at {words.stamp(at)} ({name})" if at else ""
    return [f"{words.count(len(kept), 'certificate')}: keep: nothing is due{first}; each: renewer -v plan"]


def _notes(situations: "Mapping[str, Situation]") -> list[str]:
    """What will keep a renewal from coming though nothing of it has failed yet."""
    from renewer import clock
    from renewer.model.trouble import Kind
    from renewer.policy.diagnosis import diagnose

    return [
        f"{name}: {one.text}; {one.hint}"
        for name, situation in situations.items()
        for one in diagnose(situation, clock.now())
        if one.kind is Kind.ACCOUNT
    ]
