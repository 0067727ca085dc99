"""Options that several commands share: which certificates, which steps."""

import os
from typing import TYPE_CHECKING

import click

from renewer import words
from renewer.errors import RenewerError, UsageError
from renewer.model.decision import Step

if TYPE_CHECKING:
    from collections.abc import Collection

    from renewer.model.desired import Config
    from renewer.run import Limits


def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:  # noqa: ARG001
    """The certificates whose names begin so, for the shell's completion: so never an error."""
    from renewer.cli.commands import DEFAULT_CONFIG
    from renewer.config.load import load

    root = context.find_root()
    given = root.params.get("config_path") or os.environ.get("RENEWER_CONFIG") or DEFAULT_CONFIG
    try:
        return [name for name in load(str(given)).certificates if name.startswith(begun)]
    except RenewerError:
        return []


only_option = click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    shell_complete=complete,
    help="Only this certificate; may be repeated.",
)
steps_option = click.option(
    "--steps", metavar="STEP,…", help="Take only these: issue,resume,install,deploy,look."
)


def limits_of(
    config: "Config",
    only: tuple[str, ...],
    steps: str | None,
    *,
    force: bool = False,
    ask: bool = False,
    redeploy: bool = False,
    asked: bool = False,
) -> "Limits":
    """The limits of a run, checked. `asked` is whether a person who names certificates wants them now.

    Raises UsageError for an unknown certificate or step.
    """
    from renewer.run import Limits

    for name in only:
        if name not in config.certificates:
            raise no_certificate(name, config)
        here, hosts = config.agent.host, config.certificates[name].hosts
        if here not in hosts:
            raise UsageError(
                f"certificate '{name}' is for {', '.join(hosts)}, and this host is {here}",
                hint="run it there, or correct its `hosts` or [agent] host",
            )
    return Limits(
        only=frozenset(only),
        steps=_steps(steps),
        force=force,
        ask=ask,
        redeploy=redeploy,
        asked=asked and bool(only),
    )


def no_certificate(name: str, config: "Config", also: "Collection[str]" = ()) -> UsageError:
    """That nothing is called so, with what was probably meant; `also` are other names that would do."""
    from difflib import get_close_matches

    known = [*dict.fromkeys((*config.certificates, *also))]
    holding = [one.name for one in config.certificates.values() if name.lower() in map(str, one.names)]
    near = get_close_matches(name, known, 1)
    if holding:
        hint = f"certificates go by the names of their tables: '{name}' stands in {', '.join(holding)}"
    else:
        hint = "there are: " + (words.several(known, 4 if near else 30) or "none")
        hint = f"did you mean {near[0]}? {hint}" if near else hint
    return UsageError(f"there is no certificate '{name}' in {config.path}", hint=hint)


def _steps(text: str | None) -> frozenset[Step]:
    from renewer.policy.terms import ALL_STEPS

    if text is None:
        return ALL_STEPS
    chosen = set()
    for word in text.split(","):
        if word.strip() not in ALL_STEPS:
            known = ", ".join(sorted(ALL_STEPS, key=lambda step: (step is not Step.ISSUE, step)))
            raise UsageError(f"'{word}' is no step", hint=f"steps are: {known}")
        chosen.add(Step(word.strip()))
    if Step.ISSUE in chosen:
        chosen.add(Step.RESUME)  # an order that was begun is part of issuing
    return frozenset(chosen)
