"""`renewer doctor`: would the names of the certificates be validated?"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click
import msgspec

from renewer import clock, words
from renewer.cli import screen
from renewer.cli.limits import complete, limits_of
from renewer.cli.screen import Setup
from renewer.errors import RenewerError
from renewer.model.desired import Config
from renewer.model.inspection import Checkup, Finding, Severity
from renewer.model.trouble import Concern
from renewer.report import together

if TYPE_CHECKING:
    from renewer.model.desired import Certificate


@click.command("doctor")
@click.argument("names", nargs=-1, metavar="[NAME…]", shell_complete=complete)
@click.option(
    "--timeout", type=click.FloatRange(1, 600), default=20.0, show_default=True, help="Seconds, for all."
)
@click.option("--host", is_flag=True, help="Look at this host as a whole instead.")
@screen.json_option
@screen.pass_setup
def command(setup: Setup, names: tuple[str, ...], timeout: float, host: bool, as_json: bool) -> int:
    """Look at the names of certificates as an authority would: DNS, CAA, DNSSEC, ports. Changes nothing.

    And at what their challenges need on this host: webroots, programs, secrets.

    NAME is a certificate; without one, all of them. With --host: other clients, certificates in use, timer,
    accounts, challenges, hooks' tests, channels, room and clock of this host. Exit: 0 no errors (there may be
    warnings), 3 something will stop the validation of a name, or a renewal.
    """
    if host:
        from renewer.cli import doctor_host

        return doctor_host.show(setup, timeout, as_json=as_json)
    from renewer.doctor.examination import examine

    config = setup.config()
    limits_of(config, names, None)
    wishes = [config.certificates[name] for name in dict.fromkeys(names or config.certificates)]
    looked = examine(config, wishes, state=config.agent.state, limit=timeout)
    checkups = [one for wish in wishes for one in _with_local(config, wish, looked)]
    healthy = not _of(checkups, Severity.ERROR)
    notes = _notes(config, [wish.name for wish in wishes])
    if as_json:
        documents = [_document(one) for one in checkups]
        document = {"schema": screen.SCHEMA, "at": clock.now(), "names": documents, "healthy": healthy}
        if separated := screen.separation(tried=True)[0]:
            document["separation"] = separated
        screen.emit(document)
    else:
        _print(checkups)
        for one in notes:
            screen.out(f"note: {one.text}")
            screen.out(f"    → {one.hint}")
        for line in screen.separation(tried=True)[1]:
            screen.out(line)
    return screen.OK if healthy else screen.PERSON


def _with_local(config: Config, wish: "Certificate", checkups: Sequence[Checkup]) -> Iterator[Checkup]:
    """The names of a certificate, with what is missing for them on this host in front."""
    from renewer.doctor import local

    missing = local.findings(wish)
    ended = (*local.mount_findings(wish, config), *local.session_findings(wish, config.hooks))
    for one in checkups:
        if one.certificate == wish.name:
            new = (missing[one.name],) if one.name in missing else ()
            yield msgspec.structs.replace(one, findings=new + one.findings + ended)


def _notes(config: Config, names: Sequence[str]) -> tuple[Concern, ...]:
    """Whether anything will call the next run, which authorities only test, whether the state is older."""
    from renewer import concerns
    from renewer.context import Context

    try:
        with Context(config, write=False) as context:
            found = concerns.look_later(context)
            tests = (one for one in found if one.subject.startswith("test "))
            return (
                *concerns.behind(context, names),
                *tests,
                *concerns.uncalled(context),
                *concerns.rivals(context),
                *concerns.old_paths(context),
            )
    except RenewerError:  # whose state may not be read looks at names all the same
        return ()


def _document(checkup: Checkup) -> dict[str, object]:
    findings = [
        {"severity": one.severity, "code": one.code, "text": one.text, "hint": one.hint}
        for one in checkup.findings
    ]
    return {"name": checkup.name, "certificate": checkup.certificate, "findings": findings}


def _of(checkups: Sequence[Checkup], severity: Severity) -> list[Finding]:
    found = (one for checkup in checkups for one in checkup.findings if one.severity is severity)
    return list(dict.fromkeys(found))


def verdict(checkups: Sequence[Checkup]) -> str:
    """The one line that answers the question."""
    count = len({one.name for one in checkups})
    names = words.count(count, "name")
    errors, warnings = (len(_of(checkups, severity)) for severity in (Severity.ERROR, Severity.WARNING))
    if not errors and not warnings:
        return f"all is well: nothing would stop the validation of {names}"
    several = ", ".join(
        words.count(number, word) for number, word in ((errors, "error"), (warnings, "warning")) if number
    )
    if errors:
        from renewer.doctor.local import MOUNT as KEYS

        local = all(one.code == KEYS for one in _of(checkups, Severity.ERROR))
        what = "writing the key" if local else "validation"
        return f"YOU MUST ACT: {several} at {names}; {what} would fail"
    return f"nothing would surely stop the validation of {names}, but there are doubts: {several}"


def _print(checkups: Sequence[Checkup]) -> None:
    """The verdict, then the findings by name, the worst first; what goes for several names is said once."""
    screen.out(verdict(checkups))
    told: set[tuple[str, ...]] = set()
    whose: dict[tuple[str, ...], dict[str, None]] = {}
    for checkup in checkups:
        for one in checkup.findings:
            whose.setdefault(_cause(one, checkup), {})[checkup.name] = None
    for checkup in sorted(checkups, key=_urgency):
        new = [one for one in checkup.findings if _cause(one, checkup) not in told]
        told.update(_cause(one, checkup) for one in new)
        if new:
            screen.out(f"{checkup.name} ({checkup.certificate})")
        for one in new:
            others = [name for name in sorted(whose[_cause(one, checkup)]) if name != checkup.name]
            also = f" [also {words.several(others)}]" if others else ""
            rest = f" {one.code}: {one.text}{also}"
            screen.coloured(("  ", ""), (one.severity.value, screen.severity_style(one.severity)), (rest, ""))
            if one.hint:
                screen.out(f"    → {one.hint}")


def _urgency(checkup: Checkup) -> int:
    order = list(Severity)
    return min((order.index(one.severity) for one in checkup.findings), default=len(order))


def _cause(one: Finding, checkup: Checkup) -> tuple[str, ...]:
    """What goes for another name, too, if it says the same of that one."""
    own = (checkup.name, checkup.name.removeprefix("*."))
    return (one.severity, one.code, together.alike(one.text, own), together.alike(one.hint, own))
