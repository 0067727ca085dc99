"""`renewer plan`: the very plan that `run` would carry out."""

from typing import TYPE_CHECKING

import click

from renewer import words
from renewer.cli import screen
from renewer.cli.limits import complete, limits_of, only_option, steps_option
from renewer.cli.screen import Setup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from renewer.model.decision import Plan
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
    for decision in planned.decisions:
        moment = decision.not_before or decision.look_again
        when = f" ({words.stamp(moment)})" if moment else ""
        then = f", then {', '.join(decision.then)}" if decision.then else ""
        out = f"; {decision.way_out}" if decision.way_out else ""
        screen.out(f"{decision.certificate}: {decision.step}{then}: {decision.because}{when}{out}")
        if verbose:
            screen.out(f"    reason: {decision.reason}")
    for note in notes:
        screen.out(note)


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
