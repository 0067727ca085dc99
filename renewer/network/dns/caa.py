"""The relevant CAA records of a name (RFC 8659 §3), as a resolver sees them."""

import dns.name
import dns.rdatatype

from renewer import words
from renewer.model.inspection import Caa, CaaRecord
from renewer.network.dns.ask import records, said, text
from renewer.network.dns.resolvers import Lookups

MAX_RECORDS = 100


def relevant(lookups: Lookups, name: str) -> Caa:
    """The records of the name, or of the nearest name above that has some.

    RFC 8659 §3: aliases are followed at each name, but never climbed: from an alias the way leads to its own
    parent, not to that of its target. The root is not asked.
    """
    current = dns.name.from_text(name)
    while current != dns.name.root:
        answer = lookups.resolve(current, dns.rdatatype.CAA)
        if trouble := said(answer):
            return Caa(owner=text(current), trouble=f"the resolver {trouble}")
        found = [
            CaaRecord(
                flags=record.flags,
                tag=words.output(record.tag).lower(),
                value=words.output(record.value),
            )
            for one in records(answer, current, dns.rdatatype.CAA)
            for record in one
        ]
        if found:
            return Caa(owner=text(current), records=tuple(found[:MAX_RECORDS]))
        current = current.parent()
    return Caa()
