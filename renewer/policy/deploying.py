"""Checks about servers: has each loaded what is live, has each port been seen?"""

from collections.abc import Collection
from datetime import datetime

from renewer.model.decision import Reason, Step
from renewer.model.facts import (
    COPIES,
    Deployment,
    DeploymentState,
    EndpointState,
    Sighting,
    Situation,
    Version,
)
from renewer.model.trouble import Kind
from renewer.policy.authority import Choice
from renewer.policy.backoff import deploy_again, redeploy_stale
from renewer.policy.checks import Facts, Need
from renewer.policy.deploy_window import closed_until, serves_well
from renewer.policy.diagnosis import diagnose
from renewer.policy.publishing import goes_live_at, may_wait, to_come_first
from renewer.policy.terms import Terms
from renewer.words import stamp


def the_wanted_version_is_not_live(facts: Facts) -> Need | None:
    """The version to be served is on disk, and another is what servers load."""
    version = facts.serve
    if version is None or version.id == facts.situation.live or facts.situation.blocked:
        return None
    failed = [
        deploy_again(record, version.leaf.lifetime, facts.terms.now, urgent=_is_urgent(facts))
        for record in facts.situation.deployments
        if _counts(facts, record, version)
    ]
    held = max(failed, default=None)
    if held is not None and facts.live is None:
        held = None  # nothing is served at all: there is nothing to wait for
    elif held is not None and facts.live is not None:
        held = _not_beyond_the_last_wakes(facts, facts.live, version, held)
    live = facts.situation.live or "nothing"
    part = ", without the names that do not validate," if version.degraded else ""
    text = f"version {version.id}{part} is to be served, {live} is live" + _last_error(facts, version)
    return _known_first(facts, version, text) or _deploy(facts, Reason.NOT_LIVE, text, held)


def _known_first(facts: Facts, version: Version, text: str) -> Need | None:
    """A version that hooks have not published yet, or that was published too short a while ago."""
    situation, now = facts.situation, facts.terms.now
    if facts.terms.redeploy or not may_wait(situation, version, now):
        return None
    if missing := to_come_first(situation, version, now):
        known = dict(situation.publishers)
        failed = [
            deploy_again(record, version.leaf.lifetime, now)
            for record in situation.published
            if record.hook in missing
            and record.version == version.id
            and record.fingerprint == known.get(record.hook)
            and record.state in (DeploymentState.FAILED, DeploymentState.LATER)
        ]
        held = None if facts.terms.urged else max(failed, default=None)
        text = f"{text}; hook {missing[0]} is to publish it first"
        return Need(step=Step.DEPLOY, reason=Reason.NOT_LIVE, because=text, not_before=held)
    moment = goes_live_at(situation, version, now)
    if moment is None:
        return None
    return Need(
        step=Step.DEPLOY,
        reason=Reason.NOT_LIVE,
        because=f"{text}; it waits for deploy_after until {stamp(moment)}",
        not_before=moment,
        since=moment,
        waits_for=Reason.DEPLOY_AFTER,
    )


def _not_beyond_the_last_wakes(facts: Facts, live: Version, version: Version, held: datetime) -> datetime:
    """A wait ends when the live version's last two wakes begin: from then on it need not be turned back."""
    begin = live.leaf.not_after - 2 * facts.terms.wake
    tried = [record.at for record in facts.situation.deployments if _counts(facts, record, version)]
    return min(held, begin) if all(at < begin for at in tried) else held


def a_hook_is_pending(facts: Facts) -> Need | None:
    """The live version was not brought to every server: a hook failed, was put off, or is newly named."""
    version = _deployed_version(facts)
    if version is None:
        return None
    waiting = [(hook, moment) for hook, moment in _hook_moments(facts, version) if hook != COPIES]
    if not waiting:
        return None
    hook, moment = min(waiting, key=lambda pair: (pair[1] is not None, pair[1] or facts.terms.now))
    text = f"hook {hook} has not deployed version {version.id}" + _last_error(facts, version)
    return _deploy(facts, Reason.HOOK_PENDING, text, moment)


def a_copy_is_pending(facts: Facts) -> Need | None:
    """A file that follows the live version is missing, is of another version, or was changed by others."""
    version = _deployed_version(facts)
    if version is None:
        return None
    copy = next((c for c in facts.situation.copies if c.version != version.id or not c.intact), None)
    moments = dict(_hook_moments(facts, version))
    if copy is None or COPIES not in moments:
        return None
    found = "was changed or removed" if copy.version == version.id else "was not written"
    if copy.reworded:
        found = "is configured otherwise now"
    text = f"the copy {copy.path} of version {version.id} {found}"
    held = None if facts.terms.redeploy or facts.terms.urged else moments[COPIES]
    return Need(step=Step.DEPLOY, reason=Reason.COPY_PENDING, because=text, not_before=held)


def _stale(situation: Situation, version: Version) -> list[Sighting]:
    """The ports of this host that were seen with an older certificate than that version."""
    return [
        sighting
        for sighting in situation.sightings
        if sighting.state is EndpointState.STALE and sighting.local and sighting.version == version.id
    ]


def a_port_serves_an_older_one(facts: Facts) -> Need | None:
    """A port of this host shows an older version of ours though every hook was done."""
    version = _deployed_version(facts)
    if version is None or not facts.situation.hooks:
        return None
    stale = _stale(facts.situation, version)
    if not stale:
        return None
    worst = max(stale, key=lambda sighting: sighting.failures)
    text = f"{worst.endpoint} ({worst.address}) still serves an older certificate, serial {worst.serial}"
    done = [record.at for record in facts.situation.deployments if record.version == version.id]
    last, lifetime = max(done, default=None), version.leaf.lifetime
    again = redeploy_stale(worst, last, lifetime, facts.terms.now, urgent=_is_urgent(facts))
    return _deploy(facts, Reason.SERVED_STALE, text, again)


def _deploy(facts: Facts, reason: Reason, because: str, held: datetime | None) -> Need:
    """A deployment that touches servers: after its backoff, and inside the window if there is one."""
    if facts.terms.redeploy:
        return Need(step=Step.DEPLOY, reason=reason, because=because)
    held = None if facts.terms.urged else held
    opens = closed_until(facts.situation, facts.terms.now)
    if opens is None:
        return Need(step=Step.DEPLOY, reason=reason, because=because, not_before=held)
    if held is not None and held >= opens:  # a wait is cut short a little, but not into a closed window
        return Need(step=Step.DEPLOY, reason=reason, because=because, not_before=held, since=opens)
    windows = facts.situation.wish.deploy_windows
    names = " or ".join(window.text for window in windows)
    when = (
        "opens at"
        if any(not window.fault for window in windows)
        else "is of an unknown time zone: not before"
    )
    return Need(
        step=Step.DEPLOY,
        reason=reason,
        because=f"{because}; the deploy window ({names}) {when} {stamp(opens)}",
        not_before=opens,
        since=opens,
        waits_for=Reason.DEPLOY_WINDOW,
    )


def somebody_asks_for_deployment(facts: Facts) -> Need | None:
    """`renewer deploy NAME`: the servers shall load it again though nothing is pending."""
    version = _deployed_version(facts)
    if version is None or not facts.terms.redeploy:
        return None
    return Need(
        step=Step.DEPLOY, reason=Reason.FORCED, because=f"deployment of version {version.id} was asked for"
    )


def an_endpoint_was_not_seen(facts: Facts) -> Need | None:
    """A port was not looked at since the live version was deployed."""
    version = _deployed_version(facts)
    if version is None:
        return None
    seen = {sighting.endpoint for sighting in facts.situation.sightings if sighting.version == version.id}
    unseen = next((e for e in facts.situation.wish.endpoints if str(e) not in seen), None)
    if unseen is None:
        return None
    return Need(
        step=Step.LOOK,
        reason=Reason.NOT_SEEN,
        because=f"{unseen} was not looked at since the last deployment",
    )


def hooks_to_run(situation: Situation, version: Version, terms: Terms) -> tuple[str, ...]:
    """The hooks that a deployment of this version runs now, in the config's order.

    All, if the link must turn or somebody asks; else those that have not done it and whose backoff is over,
    and if a port is stale those whose server may be the one behind it. Outside the deploy window what is
    live is only copied.
    """
    names = tuple(name for name, _ in situation.hooks)
    facts = Facts(
        situation=situation,
        terms=terms,
        wanted=version,
        serve=version,
        live=situation.live_version,
        choice=Choice("", None, None),
    )
    if version.id != situation.live or terms.redeploy:
        return names
    moments = _hook_moments(facts, version)
    pending = tuple(hook for hook, at in moments if at is None or at <= terms.reached or terms.urged)
    if closed_until(situation, terms.now) is not None:  # a copy is put back at any time, and touches nobody
        return tuple(hook for hook in pending if hook == COPIES)
    if not a_port_serves_an_older_one(facts):
        return pending
    behind = _behind(situation, {sighting.endpoint for sighting in _stale(situation, version)})
    return tuple(hook for hook in names if hook in pending or hook in behind)


def _behind(situation: Situation, endpoints: Collection[str]) -> Collection[str]:
    """The hooks whose server may stand behind these endpoints: not those whose ports are others.

    All, if every hook has other ports: somebody must bring the port to its certificate.
    """
    stale = {endpoint.port for endpoint in situation.wish.endpoints if str(endpoint) in endpoints}
    known = dict(situation.ports)
    names = {name for name, _ in situation.hooks}
    servers = {name for name in names - {COPIES} if name not in known or stale & set(known[name])}
    return servers | {COPIES} if servers else names


def _deployed_version(facts: Facts) -> Version | None:
    """The live version, if it is the one to be served: only then do hooks and ports concern it."""
    live = facts.live
    if live is None or live.placeholder or (facts.serve and facts.serve.id != live.id):
        return None
    if live.id in facts.situation.revoked:
        return None  # it stays where it is served until another takes its place, and goes nowhere else
    return live if live.leaf.not_after > facts.terms.now else None


def _hook_moments(facts: Facts, version: Version) -> list[tuple[str, datetime | None]]:
    """Each hook that has not done this version, with the moment until which it is held back."""
    moments: list[tuple[str, datetime | None]] = []
    records = {record.hook: record for record in facts.situation.deployments}
    copied = all(copy.version == version.id and copy.intact for copy in facts.situation.copies)
    for hook, _ in facts.situation.hooks:
        record = records.get(hook)
        done = record is not None and record.version == version.id and record.state is DeploymentState.DONE
        if copied if hook == COPIES else done:
            continue
        moment = None
        if record and _counts(facts, record, version):
            moment = deploy_again(record, version.leaf.lifetime, facts.terms.now, urgent=_is_urgent(facts))
        moments.append((hook, moment))
    return moments


def _counts(facts: Facts, record: Deployment, version: Version) -> bool:
    """Whether an earlier failure (or a stopped server) holds this version's deployment back."""
    if record.version != version.id or record.state not in (DeploymentState.FAILED, DeploymentState.LATER):
        return False
    fingerprint = dict(facts.situation.hooks).get(record.hook)
    return fingerprint is not None and record.fingerprint == fingerprint


def _is_urgent(facts: Facts) -> bool:
    """Whether visitors are badly served meanwhile, or soon will be: then servers are asked twice an hour."""
    live = facts.live
    return (
        live is not None and not live.placeholder and not serves_well(facts.situation, live, facts.terms.now)
    )


def _last_error(facts: Facts, version: Version) -> str:
    """What a hook said of this very version when it was called last."""
    for one in diagnose(facts.situation, facts.terms.now):
        if one.kind in (Kind.HOOK, Kind.LATER) and one.mark == version.id:
            return f"; last time: {one.text}"
    return ""
