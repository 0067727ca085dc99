"""Would clients accept it? Judged before a version goes live in place of one that they do accept.

What was found is kept, so that a run with nothing to do judges nothing: it holds as long as the roots are the
same and the chain does not end.
"""

import os
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from renewer import clock
from renewer.context import Context, roots_of
from renewer.errors import RenewerError
from renewer.model.facts import Acceptance, Situation, Version
from renewer.policy.wanted import acceptance, to_compare

ASK_AGAIN = timedelta(days=1)  # a refusal may depend on more than the roots: on the hour, on OpenSSL itself


def judge(context: Context, situations: Iterable[Situation]) -> set[str]:
    """Judge whatever must be known and is not; returns whose facts changed."""
    now, situations = clock.now(), list(situations)
    found = [
        _judge(context, situation, version, now)
        for situation in situations
        for version in to_compare(situation, now)
        if not _holds(acceptance(situation, version), roots_of(context.config, situation.wish, version), now)
    ]
    if found:
        context.ledger.save(*found)
        context.ledger.drop(*(one for situation in situations for one in _of_none(situation)))
    return {one.certificate for one in found}


def _of_none(situation: Situation) -> list[Acceptance]:
    """What is on record of versions that are gone."""
    there = {version.id for version in situation.versions}
    return [one for one in situation.acceptances if one.version not in there]


def _holds(record: Acceptance | None, roots: str, now: datetime) -> bool:
    """Whether what is on record can be relied upon; what could not be judged is tried again each time."""
    if record is None or record.accepted is None or record.roots != roots:
        return False
    until = record.until or record.at
    return record.at <= now < until and record.stamp == _stamp(record.places)


def _judge(context: Context, situation: Situation, version: Version, now: datetime) -> Acceptance:
    roots, name = roots_of(context.config, situation.wish, version), situation.wish.name
    blank = Acceptance(certificate=name, version=version.id, roots=roots, at=now)
    try:
        return _judged(context, situation, version, blank)
    except (
        RenewerError,
        ValueError,
    ) as error:  # what cannot be read does not go live either: soundness looks
        why = error.text if isinstance(error, RenewerError) else str(error)
        return Acceptance(certificate=name, version=version.id, roots=roots, at=now, why=why)


def _judged(context: Context, situation: Situation, version: Version, blank: Acceptance) -> Acceptance:
    from renewer import certs
    from renewer.network import tls
    from renewer.network.verify import in_memory
    from renewer.store import soundness

    material = context.store.read(situation.wish.name, version.id)
    places = tls.system_places() if blank.roots == tls.SYSTEM else (blank.roots,)
    begins, ends = certs.span(material.fullchain)
    timely = begins <= blank.at + soundness.CLOCK_TOLERANCE and blank.at < ends
    if version.csr:
        found = in_memory.judge_without_key(material.fullchain, situation.wish.names, blank.roots, blank.at)
    else:
        host = str(situation.wish.names[0]).removeprefix("*.")
        found = in_memory.judge(material.privkey + material.fullchain, host, blank.roots, timely=timely)
    accepted, why = found.accepted, found.error
    if accepted is False and (strange := certs.unfamiliar(material.fullchain)) is not None:
        accepted, why = None, strange  # whoever ordered it knows for whom
    if (unfit := certs.unfit(material.cert)) is not None:
        accepted, why = False, unfit
    return msgspec.structs.replace(
        blank,
        accepted=accepted,
        why=why,
        hint="" if accepted else _hint(context, situation, version, unfit=unfit is not None),
        places=places,
        stamp=_stamp(places),
        until=ends if accepted and timely else blank.at + ASK_AGAIN,
    )


def _hint(context: Context, situation: Situation, version: Version, *, unfit: bool) -> str:
    """What a person can do; the good one stays live meanwhile."""
    authority, name = version.authority or situation.wish.authorities[0], situation.wish.name
    anyway = f"to serve it all the same: renewer deploy {name}"
    if unfit:
        return f"ask {authority} for another profile, or another authority; {anyway}"
    if (
        authority in context.config.authorities
        and "staging" in context.config.authorities[authority].directory
    ):
        return f"{authority} is for tests only: name another authority in [certificate.{name}]; {anyway}"
    return f"for a private authority set `roots` in [authority.{authority}] to its root's file; {anyway}"


def _stamp(places: Iterable[str]) -> tuple[int, ...]:
    found: list[int] = []
    for place in places:
        try:
            status = os.stat(place)
        except OSError:
            found += (0, 0, 0)
        else:
            found += (status.st_ino, status.st_size, status.st_mtime_ns)
    return tuple(found)
