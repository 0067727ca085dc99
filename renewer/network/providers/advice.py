"""What a refused DNS update means and what to do: an advice a code (RFC 2136 §2.2, RFC 8945 §5.2)."""

from renewer.model.value import Value

UNSIGNED = "unsigned answer"  # no code of the protocol: a success that nobody has signed


class Advice(Value):
    """A sentence on the meaning, one on the remedy, with {zone} {key} {algorithm}; may it pass by itself?"""

    meaning: str
    remedy: str
    passes: bool = False


UNKNOWN = Advice(meaning="it gave no reason", remedy="its log says why", passes=True)
_ANOTHER_SERVER = "is this the right server? Not every one takes updates, and hosted ones seldom do"

ADVICE = {
    "SERVFAIL": Advice(
        meaning="it could not carry it out",
        remedy="often it cannot write its zone file or journal (who owns the directory?), or it is a "
        "secondary and its primary is away: its log says which",
        passes=True,
    ),
    "NOTAUTH": Advice(
        meaning="it does not serve {zone} as a zone that the key {key} may change",
        remedy="is it the primary of {zone}? Knot says so also for updates without a key",
    ),
    "REFUSED": Advice(
        meaning="its policy does not allow it (key: {key})",
        remedy="BIND wants update-policy {{ grant {key} zonesub TXT; }}; in the zone {zone}; Knot an acl "
        "with this key, action: update, update-type: [TXT]. Without a key hardly any server takes updates",
    ),
    "BADSIG": Advice(
        meaning="the signature is wrong, so it knows the key {key} with another secret",
        remedy="compare the secrets on both sides, to the last = sign",
    ),
    "BADKEY": Advice(
        meaning="it knows no key {key} for {algorithm}",
        remedy="name and algorithm must be exactly those of the server's config; Knot says so also if no acl "
        "of the zone names the key",
    ),
    "BADTIME": Advice(
        meaning="its clock and ours are more than 5 minutes apart (RFC 8945 §5.2.3)",
        remedy="set both by NTP; `timedatectl` shows this host's",
        passes=True,
    ),
    "BADTRUNC": Advice(
        meaning="it wants another length of signatures",
        remedy="allow whole ones for the key {key} on the server",
    ),
    "NOTIMP": Advice(meaning="it takes no updates", remedy=_ANOTHER_SERVER),
    "FORMERR": Advice(meaning="it does not understand updates", remedy=_ANOTHER_SERVER),
    "NOTZONE": Advice(
        meaning="a name does not lie in its zone {zone}",
        remedy="it cuts the zone otherwise than the rest of the world: compare the delegations",
    ),
    UNSIGNED: Advice(
        meaning="its answer is not signed by the key {key}, so anybody may have given it",
        remedy="is something between us and the server, or has it another secret?",
    ),
}
