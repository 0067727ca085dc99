"""The one answer to "what is wrong with this certificate?". Pure.

Health, history, notices, documents and decisions all filter what stands here; a certificate is well if, and
only if, nothing does. A failure counts while its step is needed, and only if it does not lie in the future: a
record of a hook or an authority that is named no more says nothing, nor does one of a clock that was ahead.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from renewer.model.facts import DeploymentState, EndpointState, Failure, Sighting, Situation, Version
from renewer.model.trouble import PERSON, RETRIED, Kind, Trouble
from renewer.policy import serving
from renewer.policy.authority import relevant
from renewer.policy.backoff import from_the_future
from renewer.policy.checks import window_of
from renewer.policy.progress import (
    deployment_is_needed,
    in_warning_window,
    issue_is_needed,
    needed_since,
    overdue,
    required_hooks,
    unseen,
    waits_for_its_window,
)
from renewer.policy.wanted import acceptance, behind_the_holds, to_serve, wanted, withheld
from renewer.policy.window import renewal_moment
from renewer.words import stamp

NOTHING_YET = "there is no certificate yet"
SERVED_WRONGLY = (EndpointState.STALE, EndpointState.FOREIGN, EndpointState.UNTRUSTED)


Check = Callable[[Situation, datetime], Iterable[Trouble]]


def diagnose(situation: Situation, now: datetime) -> tuple[Trouble, ...]:
    """All that is wrong, the most telling first; nothing if the certificate is as well as it can be."""
    found = tuple(trouble for check in READINESS for trouble in check(situation, now))
    return found or tuple(_on_its_way(situation, now))


def failures(troubles: Iterable[Trouble]) -> int:
    """The longest series of failures in a row, of orders, hooks and copies."""
    counted = (Kind.ORDER, Kind.HOOK, Kind.LATER)
    return max((one.count for one in troubles if one.kind in counted), default=0)


def last_error(troubles: Iterable[Trouble]) -> Trouble | None:
    """What failed last, of orders and hooks."""
    timed = [(one.at, number, one) for number, one in enumerate(troubles) if one.at and one.kind in _TIMED]
    return max(timed, key=lambda item: (item[0], -item[1]))[2] if timed else None


_TIMED = (Kind.ORDER, Kind.HOOK, Kind.LATER)


def _the_disk(situation: Situation, now: datetime) -> Iterator[Trouble]:  # noqa: ARG001  as every check
    """Something on disk cannot be read: that version is as good as absent. Or no link can be turned."""
    if situation.blocked is not None:
        name, place = situation.wish.name, situation.blocked.partition(" is a ")[0]
        yield Trouble(
            kind=Kind.DISK,
            text=situation.blocked,
            mark=situation.blocked,
            hint=f"move it away: mv {place} {place}.restored; then: renewer run {name}",
            exit=PERSON,
        )
    if situation.fault is not None:
        yield Trouble(
            kind=Kind.DISK,
            text=situation.fault,
            mark=situation.fault,
            hint="a version that cannot be read is as good as absent: restore it, or let it be issued anew",
            exit=PERSON if _real(situation) is None else RETRIED,
        )


def _accounts(situation: Situation, now: datetime) -> Iterator[Trouble]:  # noqa: ARG001  as every check
    """No authority of the wish has an account of ours any more: well now, it will not be renewed."""
    ended, names = dict(situation.ended), situation.wish.authorities
    if ended and all(name in ended for name in names):
        told = " and ".join(f"the account at {name} {ended[name]}" for name in names)
        text = f"nothing can be renewed there: {told}"
        hint = f"make a new one: renewer account register {names[0]}"
        yield Trouble(kind=Kind.ACCOUNT, where=names[0], text=text, hint=hint, exit=PERSON)


def _orders(situation: Situation, now: datetime) -> Iterator[Trouble]:
    """Failures to get it from authorities that are named, since it was needed."""
    if not situation.failures or not issue_is_needed(situation, now):
        return
    version = wanted(situation, now)
    begun = needed_since(situation, version, now) if version else None
    for one in relevant(situation).values():
        if not from_the_future(one.at, now) and (begun is None or one.at >= begun):
            yield _order(one)


def _order(failure: Failure) -> Trouble:
    return Trouble(
        kind=Kind.ORDER,
        where=failure.authority,
        text=failure.text,
        hint=failure.hint,
        exit=PERSON if failure.final else RETRIED,
        since=failure.since,
        at=failure.at,
        count=failure.count,
        more="; ".join(f"{name}: {why}" for name, why in failure.identifiers if name not in failure.text),
    )


def _hooks(situation: Situation, now: datetime) -> Iterator[Trouble]:
    """Hooks that are named, failed, and are still to be run as they are now."""
    named = dict(situation.hooks)
    for state, kind in ((DeploymentState.FAILED, Kind.HOOK), (DeploymentState.LATER, Kind.LATER)):
        for one in situation.deployments:
            if one.state is not state or named.get(one.hook) != one.fingerprint:
                continue
            if from_the_future(one.at, now) or not deployment_is_needed(situation, one.hook, now):
                continue
            verb = "failed" if kind is Kind.HOOK else "asks to be called later"
            back = "; the version before it is live again" if one.turned_back else ""
            yield Trouble(
                kind=kind,
                where=one.hook,
                mark=one.version,
                text=one.error or f"hook {one.hook} {verb}",
                hint="put right what the hook complains of; it is called again",
                since=one.at,
                at=one.at,
                count=one.failures,
                more=back,
                output=one.output,
            )


def _publishers(situation: Situation, now: datetime) -> Iterator[Trouble]:
    """Hooks that could not let others know of the version that is to go live: it waits for them."""
    serve, named = to_serve(situation, now), dict(situation.publishers)
    for one in situation.published:
        if serve is None or one.version != serve.id or one.state is DeploymentState.DONE:
            continue
        if named.get(one.hook) != one.fingerprint or from_the_future(one.at, now):
            continue
        yield Trouble(
            kind=Kind.HOOK if one.state is DeploymentState.FAILED else Kind.LATER,
            where=one.hook,
            mark=one.version,
            text=one.error or f"hook {one.hook} has not published version {one.version}",
            hint="put right what the hook complains of; it is called again",
            since=one.at,
            at=one.at,
            count=one.failures,
            output=one.output,
        )


def _posts(situation: Situation, now: datetime) -> Iterator[Trouble]:  # noqa: ARG001  as every check
    """Post hooks that failed: what a pre hook stopped may still be down."""
    for one in situation.owed:
        text = one.error or f"hook {one.hook} is still to be called"
        yield Trouble(
            kind=Kind.POST, where=one.hook, text=text, hint="the next run calls it again; or run it by hand"
        )


def _refused(situation: Situation, now: datetime) -> Iterator[Trouble]:
    """Clients would refuse the version that is to be served, so that the good one stays live."""
    version, live = withheld(situation, now), situation.live_version
    found = acceptance(situation, version) if version else None
    if version is not None and live is not None and found is not None:
        yield Trouble(
            kind=Kind.REFUSED,
            mark=version.id,
            text=f"clients would refuse version {version.id}: {found.why}; {live.id} stays live",
            hint=found.hint,
            exit=PERSON,
            since=version.made_at,
            at=found.at,
        )


def _ports(situation: Situation, now: datetime) -> Iterator[Trouble]:
    """Ports that were seen with something else since the live version was deployed, or not at all."""
    for seen in situation.sightings:
        well = seen.state is EndpointState.VERIFIED or seen.version != situation.live
        if not well and not from_the_future(seen.at, now):
            yield Trouble(
                kind=Kind.PORT,
                where=seen.endpoint,
                mark=f"{seen.state} {seen.version}",
                text=seen.error or f"{seen.endpoint} is {seen.state}",
                hint=_port_hint(situation, seen),
                exit=PERSON if _needs_a_person(seen, now) else RETRIED,
                since=seen.since or seen.at,
                at=seen.at,
                count=seen.failures,
                not_after=seen.not_after,
                state=seen.state,
                shown=seen.fingerprint or "",
            )


def _needs_a_person(seen: Sighting, now: datetime) -> bool:
    expired = seen.not_after is not None and seen.not_after <= now
    return seen.state in SERVED_WRONGLY and (seen.failures > 1 or expired)


def _port_hint(situation: Situation, seen: Sighting) -> str:
    live = _real(situation)
    if seen.state is EndpointState.UNTRUSTED and live and is_of_a_test(live, situation):
        return _TEST_HINT
    return serving.hint(seen)


def _windows(situation: Situation, now: datetime) -> Iterator[Trouble]:  # noqa: ARG001  as every check
    """A window whose time nobody on this host can tell: nothing is deployed in it but in an emergency."""
    for window in situation.wish.deploy_windows:
        if window.fault:
            yield Trouble(
                kind=Kind.WINDOW,
                where=window.text,
                mark=window.fault,
                text=f"its deploy window ({window.text}) never opens: {window.fault}; unless it has another, "
                "it is deployed in an emergency only",
                hint="write a zone that this host knows, or UTC, or install tzdata",
                exit=PERSON,
            )


def _what_is_live(situation: Situation, now: datetime) -> Iterator[Trouble]:
    """The live version itself: there is none, it is revoked, not for all names, has ended, or is late."""
    live = _real(situation)
    if live is None:
        yield Trouble(kind=Kind.ABSENT, text=NOTHING_YET)
        return
    leaf = live.leaf
    if live.id in situation.revoked:
        yield Trouble(
            kind=Kind.REVOKED,
            mark=live.id,
            text=f"the live certificate, serial {leaf.serial}, is revoked",
            hint="it is being replaced; until then clients may refuse it",
            exit=PERSON,
        )
    if live.degraded:
        missing = ", ".join(str(name) for name in situation.wish.names if name not in leaf.names)
        yield Trouble(
            kind=Kind.DEGRADED,
            mark=live.id,
            text=f"degraded: it serves without {missing}",
            hint="let these names validate again, or take them out of the configuration",
            exit=PERSON,
            since=live.made_at,
        )
    if leaf.not_after <= now:
        text = f"it expired at {stamp(leaf.not_after)}"
        yield _ending(Kind.EXPIRED, live, text, PERSON)
        return
    urgent = in_warning_window(situation, live, now)
    if urgent or (overdue(situation, live, now) and not _is_kept_on_purpose(situation, live, now)):
        planned = renewal_moment(live, window_of(situation, live), situation.wish.renew_before).at
        text = f"its renewal is overdue: planned for {stamp(planned)}, it expires at {stamp(leaf.not_after)}"
        yield _ending(Kind.OVERDUE, live, text, PERSON if urgent else RETRIED)


def _ending(kind: Kind, live: Version, text: str, code: int) -> Trouble:
    return Trouble(kind=kind, mark=live.leaf.fingerprint, text=text, exit=code, not_after=live.leaf.not_after)


def _is_kept_on_purpose(situation: Situation, live: Version, now: datetime) -> bool:
    """Whether a newer one lies ready, and waits for the deploy window or is held back by somebody."""
    if waits_for_its_window(situation, live, now):
        return True
    held = behind_the_holds(situation, now)
    return held is not None and held.id == live.id


def _modes(situation: Situation, now: datetime) -> Iterator[Trouble]:  # noqa: ARG001  as every check
    """Files of the live version that others may read than the configuration says."""
    for text in situation.modes:
        yield Trouble(kind=Kind.MODES, text=text, hint="the next run puts it right")


def _of_a_test(situation: Situation, now: datetime) -> Iterator[Trouble]:  # noqa: ARG001  as every check
    """No client trusts what an authority for tests has signed, whatever the ports show."""
    live = _real(situation)
    if live is not None and is_of_a_test(live, situation):
        text = f"it is from {live.authority or live.directory}, an authority for tests: no client trusts it"
        yield Trouble(kind=Kind.TEST, mark=live.id, text=text, hint=_TEST_HINT)


_TEST_HINT = "name the authority that is meant for the public: authority = … in the configuration"


def is_of_a_test(version: Version, situation: Situation) -> bool:
    """Whether a version was issued by an authority that only tests."""
    return version.authority in situation.tests or version.directory in situation.tests


def _on_its_way(situation: Situation, now: datetime) -> Iterator[Trouble]:
    """Nothing failed, and yet it is not everywhere."""
    live = _real(situation)
    if live is None:
        return
    serve = to_serve(situation, now)
    what = None
    turns = serve is not None and serve.id != live.id and not waits_for_its_window(situation, live, now)
    if serve is not None and turns:
        what = f"version {serve.id} is to be served and not live"
    elif waiting := required_hooks(situation, live):
        what = f"{waiting[0]} has not followed version {live.id}"
    elif (endpoint := next(unseen(situation, live), None)) is not None:
        what = f"{endpoint} was not looked at since the last deployment"
    elif seen := _not_seen_well(situation, live):
        what = f"{seen[0]} is to be looked at again"
    if what is not None:
        yield Trouble(kind=Kind.PENDING, text=f"it is not everywhere yet: {what}")


def _not_seen_well(situation: Situation, live: Version) -> tuple[str, ...]:
    """Endpoints whose last look says nothing good, and lies in the future."""
    sightings = (one for one in situation.sightings if one.version == live.id)
    return tuple(one.endpoint for one in sightings if one.state is not EndpointState.VERIFIED)


def _real(situation: Situation) -> Version | None:
    live = situation.live_version
    return None if live is None or live.placeholder else live


READINESS: tuple[Check, ...] = (
    _the_disk,
    _accounts,
    _orders,
    _hooks,
    _publishers,
    _posts,
    _refused,
    _ports,
    _what_is_live,
    _windows,
    _modes,
    _of_a_test,
)
