"""`renewer report --readiness`: will every certificate on this host survive short lifetimes?"""

import os

from renewer import report, words
from renewer.cli import screen
from renewer.cli.discover import discover
from renewer.cli.screen import Setup
from renewer.model.installed import Discovery
from renewer.policy.readiness import LIFETIMES, ForeseenRenewal, HostReadiness, assess
from renewer.report import together


def show(setup: Setup, form: str) -> str:
    """The report as text, JSON or HTML."""
    found = discover(setup)
    host = assess(found.certificates, found.at)
    if form == "json":
        from renewer.ledger.contract import encoded

        return encoded(_document(found, host)).decode()
    return _html(found, host) if form == "html" else _text(found, host)


def _document(found: Discovery, host: HostReadiness) -> dict[str, object]:
    return {
        "schema": screen.SCHEMA,
        "at": words.rfc3339(found.at),
        "host": found.host,
        "ready_percent": host.percent,
        "certificates": [
            {
                "fingerprint_sha256": one.certificate.leaf.fingerprint,
                "names": [words.line(str(name)) for name in one.certificate.leaf.names],
                "renewed_by": _keeper(one),
                "ready": dict(one.ready),
                "reasons": [words.line(reason) for reason in one.reasons],
            }
            for one in host.certificates
        ],
        "first": [words.line(step) for step in host.first],
    }


def _keeper(one: ForeseenRenewal) -> str | None:
    return one.certificate.keeper.client if one.certificate.keeper else None


def _name(one: ForeseenRenewal) -> str:
    leaf = one.certificate.leaf
    return words.line(words.several(map(str, leaf.names), 2) if leaf.names else f"serial {leaf.serial}")


def _verdict(found: Discovery, host: HostReadiness) -> str:
    if not host.certificates:
        return f"no certificate was found on {words.line(found.host)}"
    many = words.count(len(host.certificates), "certificate")
    return f"{host.percent} % of {many} on {words.line(found.host)} are ready for 47 days"


def _text(found: Discovery, host: HostReadiness) -> str:
    lines = [_verdict(found, host)]
    if host.first:
        lines += ["", "To do first:", *(f"{n}. {words.line(step)}" for n, step in enumerate(host.first, 1))]
    for group in together.by_cause((_name(one), _alike(one), one) for one in host.certificates):
        one = group.items[0]
        marks = ", ".join(f"{label} {'yes' if one.ready[label] else 'NO'}" for label in LIFETIMES)
        who = ", ".join(group.names) if group.few else words.count(len(group.names), "certificate")
        example = "" if group.few else f", e.g. {group.names[0]}"
        lines += ["", f"{who} ({_keeper(one) or 'nobody'}): {marks}{example}"]
        lines += [f"    {words.line(reason)}" for reason in one.reasons]
    return "\n".join(lines)


def _alike(one: ForeseenRenewal) -> str:
    """What must be the same of those that are told together."""
    own = [str(name) for name in one.certificate.leaf.names]
    reasons = [together.alike(reason, own) for reason in one.reasons]
    return "\0".join((str(_keeper(one)), *(str(one.ready[label]) for label in LIFETIMES), *reasons))


def _html(found: Discovery, host: HostReadiness) -> str:
    from renewer.notify.html import render

    return render(
        os.path.join(os.path.dirname(os.path.abspath(report.__file__)), "templates"),
        "readiness.html.j2",
        verdict=_verdict(found, host),
        lifetimes=list(LIFETIMES),
        first=[words.line(step) for step in host.first],
        rows=[
            {
                "name": _name(one),
                "keeper": _keeper(one) or "nobody",
                "ready": [one.ready[label] for label in LIFETIMES],
                "reasons": "; ".join(map(words.line, one.reasons)),
            }
            for one in host.certificates
        ],
    )
