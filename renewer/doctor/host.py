"""Looks at this host as a whole: who else renews here, who calls us, and can the next renewal go well?"""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from renewer import clock, concerns, wakers
from renewer.accounts import card
from renewer.accounts.keeper import Keeper
from renewer.context import Context
from renewer.discover import suggestion
from renewer.doctor import local
from renewer.errors import RenewerError
from renewer.model.desired import Authority, Config
from renewer.model.facts import RunRecord
from renewer.model.inspection import Finding, Severity
from renewer.model.installed import Discovery
from renewer.model.told import Outage, Ping
from renewer.policy import concerns as of_concerns
from renewer.policy import hosthealth as policy


def without_config(found: Discovery) -> tuple[Finding, ...]:
    """What can be said of a host where nothing of ours is configured."""
    missing = policy.said(
        Severity.INFO, "no-configuration", "there is no configuration of ours", "renewer init"
    )
    return policy.sorted_((*_found(found), *_clients(found, None), *_clock(), missing))


def examine(context: Context, found: Discovery, limit: float) -> tuple[Finding, ...]:
    """All that is wrong with this host, the worst first; authorities have `limit` seconds to answer."""
    config = context.config
    findings = [*_found(found), *_clients(found, config), *_clock(), *_servers(found, config)]
    run = next((one for one in context.ledger.load(RunRecord) if one.host == context.host), None)
    agent = config.agent
    findings += policy.runs(wakers.callers(), run, agent.wake, agent.deadline, clock.now())
    findings += _accounts(context, limit)
    findings += _challenges(config)
    findings += _told(context)
    for path in dict.fromkeys((agent.state, os.path.dirname(agent.log_path))):
        findings += _room(path)
    return policy.sorted_(findings)


def _found(found: Discovery) -> Iterator[Finding]:
    yield from policy.of_certificates(found.certificates)
    for one in found.findings:
        yield policy.said(one.severity, one.code, one.text, one.hint)


def _clients(found: Discovery, config: Config | None) -> Iterator[Finding]:
    kept: dict[str, list[str]] = {}
    for one in found.certificates:
        if one.keeper and one.keeper.client != "renewer":
            kept.setdefault(one.keeper.client, []).append(one.keeper.name)
    called = dict(wakers.rivals())
    shared = {} if config is None else concerns.shared(config, called)
    return policy.clients(called, kept, {client: names for client, (_, names) in shared.items()})


def _clock() -> Iterator[Finding]:
    return policy.clock(clock.now(), clock.BUILT, kept=clock.synchronised())


def _servers(found: Discovery, config: Config) -> Iterator[Finding]:
    ours = {name: frozenset(map(str, one.names)) for name, one in config.certificates.items()}
    live = {name: f"{config.agent.state}/certificates/{name}/live" for name in ours}
    yield from policy.foreign(found.certificates, ours, live)
    targets = {one.target for one in config.watches.values()}
    lost = []
    for one in found.certificates:
        if one.keeper and one.keeper.client != "renewer" and (one.uses or one.ports):
            watch = suggestion.watched(one)
            if watch and watch.target not in targets:
                lost.append(watch.target)
    yield from policy.unwatched(lost)


def _accounts(context: Context, limit: float) -> list[Finding]:
    used = dict.fromkeys(n for wish in context.config.certificates.values() for n in wish.authorities)
    asked = [context.config.authorities[name] for name in used]
    if not asked:
        return []
    with ThreadPoolExecutor(len(asked), thread_name_prefix="account") as pool:
        return [
            one for several in pool.map(lambda a: list(_account(context, a, limit)), asked) for one in several
        ]


def _account(context: Context, authority: Authority, limit: float) -> Iterator[Finding]:
    known: bool | None = None
    files, ended, error = False, None, ""
    try:
        keeper = Keeper(authority, state=context.accounts, timeout=limit)
        try:
            disk = keeper.on_disk()
            files, ended = "key.pem" in disk["files"], card.ended(disk)
            if files and not ended:
                seen = keeper.look()
                known = seen is not None
                if seen is not None and seen.status != "valid":
                    ended = f"is {seen.status}"
            elif not files:
                keeper.directory  # noqa: B018  it is asked for, whether it answers
        finally:
            keeper.close()
    except RenewerError as fault:
        error = f"{fault.text}{f' ({fault.hint})' if fault.hint else ''}"
    yield from policy.account(authority.name, files=files, ended=ended, known=known, error=error)


def _challenges(config: Config) -> Iterator[Finding]:
    for name, wish in config.certificates.items():
        if config.agent.host not in wish.hosts:
            continue
        for finding in (*local.findings(wish).values(), *local.mount_findings(wish, config)):
            yield policy.said(finding.severity, finding.code, finding.text, finding.hint, about=name)


def _told(context: Context) -> Iterator[Finding]:
    config = context.config
    yield from policy.told(len(config.channels), heartbeat=config.report.heartbeat is not None)
    found = [(Severity.ERROR, "secret-missing", one) for one in concerns.secrets(context, within_a_run=False)]
    refusing = of_concerns.refusing(context.ledger.load(Outage), config.channels)
    found += [(Severity.ERROR, "channel-refuses", one) for one in refusing]
    unheard = of_concerns.unheard(next(iter(context.ledger.load(Ping)), None))
    found += [(Severity.WARNING, "heartbeat-fails", unheard)] if unheard else []
    for severity, code, one in found:
        yield policy.said(severity, code, one.text, one.hint, about="notices")


def _room(path: str) -> Iterator[Finding]:
    while path != "/" and not os.path.isdir(path):
        path = os.path.dirname(path)
    try:
        entry = os.statvfs(path)
    except OSError:
        return
    entries = entry.f_favail if entry.f_files else None  # some file systems know no number
    yield from policy.room(path, entry.f_bavail * entry.f_frsize, entries)


def of_hooks(failed: Iterable[tuple[str, str]], waiting: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """What the hooks' tests said, each with a hint."""
    for text, hint in failed:
        yield policy.said(Severity.ERROR, "hook-fails", text, hint or "renewer hooks test", about="hooks")
    for text, hint in waiting:
        yield policy.said(Severity.WARNING, "hook-waits", text, hint, about="hooks")
