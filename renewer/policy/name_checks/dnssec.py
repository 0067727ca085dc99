"""What a zone's DNSSEC means for a renewal: authorities validate it since 2026."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from renewer.model.inspection import Finding, Signed
from renewer.policy.name_checks.words import error, info, warning

SOON = timedelta(days=1)  # signers renew signatures days ahead: less left means that they stopped
_HINTS = {
    "dnssec-expired": "let the signer run again (is its key there, its clock right, its disk full?), "
    "or take the DS records out at the parent",
    "dnssec-ds-mismatch": "publish the DS of a key that the zone has, at the registrar; remove the old one",
    "dnssec-no-keys": "sign the zone, or take the DS records out at the registrar",
    "dnssec-unsigned": "sign the zone at every server, or take the DS records out at the registrar",
    "dnssec-not-yet": "set the clock of the signer right, and sign again",
    "dnssec-bogus": "sign the zone anew; a server that changes records on the way breaks them, too",
}


def judge(zones: Sequence[Signed], now: datetime) -> Iterator[Finding]:
    """A broken zone blocks renewal everywhere; one that is not signed is no finding."""
    for zone in zones:
        for fault in zone.faults:
            yield error(
                fault.code,
                f"the DNSSEC of {zone.zone} is broken: {fault.text}; every authority that validates refuses",
                _HINTS.get(fault.code, "mend the zone's signatures"),
            )
        if zone.refused_from and not zone.faults:
            yield error(
                "dnssec-refused",
                f"the resolver answers for {zone.refused_from} only when told not to check DNSSEC: it is "
                "broken "
                f"there or above, and so for {zone.zone}; every authority that validates refuses",
                f"see what is wrong with {zone.refused_from}: its DS at the parent, its keys, its signatures",
            )
        if not zone.faults and zone.ds and zone.ends and zone.ends - now < SOON:
            yield warning(
                "dnssec-expiring",
                f"a signature of {zone.zone} ends on {zone.ends:%Y-%m-%d %H:%MZ} and was not renewed yet; "
                "after "
                "that no authority issues for it",
                "see whether the zone's signer still runs",
            )
        if zone.keys and not zone.ds:
            yield info(
                "dnssec-no-ds",
                f"{zone.zone} is signed, but its parent has no DS record: nobody checks the signatures",
                "publish the DS at the registrar, if it is meant to be checked",
            )
