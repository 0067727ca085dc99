"""Brings facts up to date before anything is decided: the authorities' windows, the ports, old debris."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

import msgspec

from renewer import clock, network, secrets
from renewer.accounts import card
from renewer.context import Context
from renewer.copies import files
from renewer.copies.leftovers import beside
from renewer.decoding import UndecodableError, decode
from renewer.errors import RenewerError, StateError
from renewer.model.decision import EventName, Outcome, Plan, Step
from renewer.model.facts import CopyFact, Debris, Order, Owed, Parked, Revoked, Situation
from renewer.policy.backoff import from_the_future
from renewer.policy.budget import seen_by
from renewer.policy.challenge import challenges_of
from renewer.policy.freshness import chain_to_ask, longest_unasked_first, to_ask, to_look
from renewer.policy.orders import forgotten
from renewer.policy.watchdog import debris_ends
from renewer.questions import Questions

PARALLEL_KEYS = 8
SHARE = 0.25  # of the run's time: ports or authorities that do not answer must not take that of renewals


def windows(context: Context, situations: Iterable[Situation], *, anyway: bool = False) -> set[str]:
    """Ask for every renewal window that is due to be asked (RFC 9773 §4); returns whose facts changed.

    An authority that does not answer is no failure: it is asked again later; the lifetime's share decides.
    """
    now = clock.now()
    asking = [
        (situation, version)
        for situation in situations
        if (version := to_ask(situation, now, anyway=anyway))
        and version.authority in context.config.authorities
    ]
    if not asking:
        return set()
    end = min(clock.monotonic() + context.time_left() * SHARE, context.deadline)
    answers = Questions(context, end).ask(longest_unasked_first(asking))
    context.ledger.save(*answers)
    return {answer.certificate for answer in answers}


def ports(context: Context, situations: Sequence[Situation]) -> set[str]:
    """Look at every port whose hour has come, the longest unseen first; returns whose facts changed."""
    now, agent = clock.now(), context.config.agent
    due = [one for one in situations if to_look(one, now, agent.look_every, agent.wake)]
    if not due:
        return set()
    from renewer.observe import look

    due.sort(key=lambda situation: min(sighting.at for sighting in situation.sightings))
    found = look(context, due, patience=context.time_left() * SHARE)
    found.save()
    found.outcomes()
    return {situation.wish.name for situation in due}


def budgets(context: Context, situations: Iterable[Situation]) -> set[str]:
    """Note in the order budgets that our clock is back from a time to come; returns whose facts changed."""
    noted = [record for situation in situations for record in seen_by(situation, clock.now())]
    with suppress(StateError):  # then it counts as now once more
        context.ledger.save(*noted)
    return {record.certificate for record in noted}


def debris(context: Context, situations: Iterable[Situation]) -> None:
    """Remove what earlier runs left behind: keys, and what challenges did. What nobody can remove is told."""
    known = {situation.wish.name: situation for situation in situations}
    _keys(context, known)
    _relics(context, known.values())
    left = context.ledger.load(Debris)
    if not left:
        return
    gone, kept = swept(context, left)
    now = clock.now()
    for item, answered in kept:
        if debris_ends(item, answered=answered) <= now:
            text = (
                f"{item.where} ({item.what}), left behind by a challenge, is tried no more: remove it by hand"
            )
            context.journal.tell(EventName.NOTICE, item.certificate, text=text)
            gone.append(item)
        elif from_the_future(item.at, now):
            context.ledger.save(msgspec.structs.replace(item, at=now))
    context.ledger.drop(*gone)


def swept(context: Context, left: Sequence[Debris]) -> tuple[list[Debris], list[tuple[Debris, bool]]]:
    """Try once to remove each: what is gone, and what is not, with whether the config still has who could."""
    from renewer.issue.solvers import answerable, solver_for, sweep

    used = {challenge for wish in context.config.certificates.values() for challenge in challenges_of(wish)}
    solvers = [solver_for(challenge, left=left, until=lambda: context.deadline) for challenge in used]
    gone = [item for item in left if sweep(item, solvers)]
    kept = [(item, answerable(item, solvers)) for item in left if item not in gone]
    for solver in solvers:
        solver.close()
    return gone, kept


def posts(context: Context) -> list[Outcome]:
    """Call the post hooks that an earlier run owes, before anything else: it may have stopped a server."""
    left = [record for record in context.ledger.load(Owed) if record.host == context.host]
    if not left:
        return []
    from renewer import pre_post

    return pre_post.settle(context, left)


def orders(context: Context, situations: Iterable[Situation]) -> set[str]:
    """Forget orders that have long been over, with their keys; returns whose facts changed."""
    late = [one for one in situations if forgotten(one, clock.now())]
    if late:
        from renewer.issue.orders import forget

        forget(context, late)
    return {one.wish.name for one in late}


def revocations(context: Context) -> None:
    """Ask again for what earlier runs could not have revoked."""
    left = [fact for fact in context.ledger.load(Revoked) if not fact.done]
    if left:
        from renewer import revoke

        revoke.finish(context, left)


def chains(context: Context, situations: Iterable[Situation]) -> set[str]:
    """Ask again for preferred chains that could not be had; returns whose facts changed."""
    now = clock.now()
    due = [(one, version) for one in situations if (version := chain_to_ask(one, now))]
    if not due:
        return set()
    from renewer.issue import chains as issued

    return issued.again(context, due)


def strayed(situations: Iterable[Situation]) -> bool:
    """Whether a copy is there that is not as we left it: it may hold a version that we do not have."""
    return any(not one.intact and files.stamp(one.path) for s in situations for one in s.copies)


def contacts(context: Context) -> None:
    """Tell authorities a contact that was changed in the config, rather than at the next order."""
    for name, authority in context.config.authorities.items():
        try:
            if card.contact_to_tell(card.about(context.accounts, authority), authority):
                _ = context.session(name).account  # says it, if it was not said
        except RenewerError as error:
            text = f"the contact that changed did not reach {name}: {error.text}"
            context.journal.tell(EventName.NOTICE, text=text, hint=error.hint)


def versions(context: Context) -> None:
    """Remember the facts of versions that had to be parsed, so that the next run need not."""
    if context.parsed:
        context.ledger.save(*context.parsed)
        context.parsed.clear()


def repairs(context: Context, situations: Mapping[str, Situation]) -> set[str]:
    """Put damaged live versions again, where their other files tell what they held; whose facts changed."""
    changed: set[str] = set()
    damaged = [(name, one) for name, one in context.damaged.items() if name in situations]
    context.damaged.clear()
    for name, one in damaged:
        try:
            key_mode = situations[name].wish.key_mode
            done = context.store.repair(name, one.version, remembered=one.remembered, key_mode=key_mode)
        except RenewerError as error:
            context.journal.tell(EventName.NOTICE, name, text=error.text, hint=error.hint)
            continue
        if done:
            changed.add(name)
            _mended(context, name, f"{one.why}: it was put right from its other files")
    return changed


def _keys(context: Context, known: Collection[str]) -> None:
    """Remove keys that a killed run left: on the workbench, and of orders that there are none of."""
    strays = dict.fromkeys(context.strays)
    context.strays.clear()
    try:
        context.store.sweep()
        strays |= dict.fromkeys(_beyond(context, known))
        for name, pending in strays:
            context.store.clear(name, pending)
    except RenewerError as error:
        context.journal.tell(EventName.NOTICE, text=error.text, hint=error.hint)


def _beyond(context: Context, known: Collection[str]) -> Iterator[tuple[str, str]]:
    """Pending directories of no order, of certificates that this run is not about.

    One that is configured may still be continued after a lost ledger, by what lies beside the key: a run
    that is about it decides that. So may any, in the run that found the ledger damaged.
    """
    for name in context.store.names():
        if name in known or not (waiting := context.store.shelf(name).pending):
            continue
        orders = {order.pending for order in context.ledger.load(Order, name)}
        claimed = orders | {parked.key for parked in context.ledger.load(Parked, name)}
        ours = name in context.config.certificates and not orders
        for one in waiting:
            if one in claimed:
                continue
            if not (ours or context.ledger.notes) or not _readable(context.store.pending(name, one).order):
                yield name, one


def _readable(order: bytes) -> bool:
    """Whether what lies beside a key tells what it was for."""
    try:
        decode(order, Order)
    except UndecodableError:
        return False
    return True


def _relics(context: Context, situations: Iterable[Situation]) -> None:
    """Tell once of files that earlier releases kept beside copies, where a server may load them."""
    for situation in situations:
        found = {
            one.path: kept
            for one in situation.copies
            if one.version and not one.relic and (kept := beside(one.path))
        }
        if not found:
            continue
        for kept in found.values():
            text = (
                f"{kept} was kept by an earlier release; a server that reads its whole directory loads it: "
                f"look at it, and move it away"
            )
            context.journal.tell(EventName.NOTICE, situation.wish.name, text=text)
            context.mended.append(text)
        records = context.ledger.load(CopyFact, situation.wish.name)
        told = [msgspec.structs.replace(one, relic=True) for one in records if one.path in found]
        context.ledger.save(*[one for one in told if one.host == context.host])


def rights(context: Context, situations: Mapping[str, Situation]) -> set[str]:
    """Give versions the mode and group that the configuration says now; whose facts changed."""
    loose = dict.fromkeys(pair for pair in context.loose if pair[0] in situations)
    context.loose.clear()
    changed: set[str] = set()
    for name, version in loose:
        situation = situations[name]
        try:
            context.store.settle(name, version, key_mode=situation.wish.key_mode)
        except RenewerError as error:
            context.journal.tell(EventName.NOTICE, name, text=error.text, hint=error.hint)
            continue
        changed.add(name)
        if version == situation.live:
            for text in situation.modes:
                _mended(
                    context,
                    name,
                    f"{text}: it was put right; if somebody has read it, revoke it: renewer revoke",
                )
    context.loose.clear()
    return changed


def _mended(context: Context, name: str, text: str) -> None:
    context.mended.append(f"{name}: {text}")


def placeholders(context: Context, situations: Iterable[Situation]) -> set[str]:
    """Lay a self-signed version where nothing stands at all, so that servers can start; whose it was.

    Before anything is ordered, and also by a run that may not order: a web server that names the paths must
    be up to answer for its names.
    """
    bare = [
        situation
        for situation in situations
        if _needs_placeholder(situation) and (not situation.fault or _is_dark(context, situation))
    ]
    if bare:
        from concurrent.futures import ThreadPoolExecutor  # making an RSA key takes a core for seconds

        with ThreadPoolExecutor(PARALLEL_KEYS, thread_name_prefix="placeholder") as pool:
            list(pool.map(lambda situation: _placeholder(context, situation), bare))
    return {situation.wish.name for situation in bare}


def _placeholder(context: Context, situation: Situation) -> None:
    from renewer import install

    try:
        install.placeholder(context, situation)
    except RenewerError as error:  # one certificate's trouble is not the others'
        context.journal.tell(EventName.NOTICE, situation.wish.name, text=error.text, hint=error.hint)


def _needs_placeholder(situation: Situation) -> bool:
    """Whether nothing stands where the server's config points, or nothing that it could start with.

    A placeholder that is not live is one of a run that was killed before it turned the link.
    """
    return (
        situation.wish.placeholder
        and situation.live_version is None
        and situation.blocked is None
        and all(version.placeholder for version in situation.versions)
    )


def _is_dark(context: Context, situation: Situation) -> bool:
    """Whether no port of this host takes a connection at this moment: a placeholder cannot make it worse.

    A server that is down cannot start without a pair, and without it nobody may answer for the names. One
    that runs has the pair in memory, and a reload would have it show the placeholder instead.
    """
    damaged = situation.live is not None and not situation.unread  # not merely out of our sight
    if not damaged or not situation.wish.endpoints or context.time_left() <= 0:
        return False
    from renewer.network import verify
    from renewer.observe import targets_of

    ours = [
        sight for sight in verify.look(targets_of(context, situation), reads=secrets.roots) if sight.local
    ]
    return bool(ours) and not any(sight.connected for sight in ours)


def announce(plan: Plan, situations: Mapping[str, Situation]) -> None:
    """Who will be asked is made ready while this process imports what acts."""
    acting = [decision for decision in plan.decisions if decision.acts]
    duties = ["acme"] if any(decision.step in (Step.RESUME, Step.ISSUE) for decision in acting) else []
    duties += ["looks"] if any(situations[one.certificate].wish.endpoints for one in acting) else []
    if duties:
        network.expect(*duties)
