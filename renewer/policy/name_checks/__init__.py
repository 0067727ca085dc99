"""What follows from what was seen of a name: findings, each with what breaks and what to do. Pure."""

from datetime import datetime

from renewer.model.inspection import Finding, NameAsked, NameSeen, Severity
from renewer.policy.name_checks import addresses, proof, records, servers

_ORDER = (Severity.ERROR, Severity.WARNING, Severity.INFO)
_PARTS = {
    "resolved": "what the resolver says",
    "host": "the name's servers",
    "caa": "CAA",
    "proof": "the place of the challenge's record",
    "dnssec": "DNSSEC",
    "ports": "the ports",
}


def judge(seen: NameSeen, asked: NameAsked, now: datetime) -> tuple[Finding, ...]:
    """Everything worth saying, the worst first, nothing twice."""
    found = [
        *addresses.judge(seen, asked),
        *servers.judge(seen),
        *records.judge_caa(seen.caa, asked),
        *records.judge_signatures(seen.signed, now),
        *proof.judge(seen, asked, now),
        *addresses.judge_ports(seen.ports, asked),
        *_unfinished(seen),
    ]
    return tuple(sorted(dict.fromkeys(found), key=lambda one: _ORDER.index(one.severity)))


def _unfinished(seen: NameSeen) -> list[Finding]:
    if not seen.unfinished:
        return []
    parts = ", ".join(_PARTS.get(part, part) for part in dict.fromkeys(seen.unfinished))
    return [
        Finding(
            severity=Severity.WARNING,
            code="unfinished",
            text=f"{seen.name}: the time was over before all was seen ({parts}): somebody is slow or silent",
            hint="the other findings say who; --timeout gives more time",
        )
    ]
