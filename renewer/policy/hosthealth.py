"""What is wrong with a host: each with why it matters and the command that mends it. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from renewer import words
from renewer.model.facts import RunRecord
from renewer.model.inspection import Finding, Severity
from renewer.model.installed import HostCertificate
from renewer.policy.watchdog import patience, quiet_since

LITTLE, NONE = 64 << 20, 8 << 20
"""Octets that are free in a file system: below the first it is little, below the second none."""

_FEW_ENTRIES = 1000
_WHY = {
    "expired": "every client refuses it",
    "not-yet-valid": "clients refuse it until then; or is this host's clock wrong?",
    "expiring": "who renews it should have done so by now: something holds it up",
    "port-differs": "clients see the old one until it expires, whatever lies on disk",
    "key-readable": "whoever has the key can pass for this server until the certificate has expired",
    "nobody-renews": "it will expire, and nothing on this host prevents that",
    "file-unread": "the server will not start again, or serves without it",
    "rival-timer": "two clients order the same: limits are used up, and the last one to write is served",
    "other-client": "what it renews is not renewed, deployed or looked at by us",
    "foreign-file": "what we renew does not reach its clients: it expires there once the other one stops",
    "purged-with": "apt purge of that client removes the directory that servers read our certificates by",
    "unwatched": "nobody is told when its client stops renewing it",
    "no-timer": "nothing is renewed unless somebody types it",
    "never-run": "whether renewals work here is not known yet",
    "runs-stopped": "nothing is renewed, looked at or told any more",
    "last-run-failed": "what failed in it is tried again, until it is too late",
    "no-account": "it is made by the first order, which then may fail for reasons of its own",
    "account-ended": "the authority refuses every order of it",
    "account-unknown": "the authority knows no account by our key: a run makes another, limits count anew",
    "authority-unreachable": "nothing can be renewed while that is so",
    "challenge-not-ready": "names cannot be proved, so renewals fail",
    "modes-ignored": "others could read the key",
    "hook-fails": "a new certificate would be turned back, and the old one served until it expires",
    "hook-waits": "a new certificate would not be loaded until the server runs",
    "nobody-told": "you learn of a failure from your visitors",
    "channel-refuses": "notices do not reach anybody",
    "secret-missing": "notices or heartbeats cannot be sent",
    "heartbeat-fails": "who watches from outside believes that the runs have stopped",
    "disk-full": "keys and certificates cannot be written, so nothing is renewed",
    "clock-wrong": "renewals come too early or too late, and authorities' answers are not believed",
    "clock-alone": "a clock that nobody keeps right drifts until certificates look expired or not yet valid",
    "no-configuration": "nothing on this host is renewed by us",
}
_ORDER = list(Severity)


def said(  # noqa: PLR0913  each by its name
    severity: Severity, code: str, text: str, hint: str = "", *, about: str = "", why: str = ""
) -> Finding:
    """A finding of a host, with why it matters."""
    return Finding(
        severity=severity, code=code, text=text, hint=hint, about=about, why=why or _WHY.get(code, "")
    )


def sorted_(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each once, the worst first."""
    return tuple(sorted(dict.fromkeys(findings), key=lambda one: _ORDER.index(one.severity)))


def of_certificates(certificates: Iterable[HostCertificate]) -> Iterator[Finding]:
    """What `discover` found wrong, by the names of each; what nobody uses and has expired is left out."""
    for one in certificates:
        names = words.several(map(str, one.leaf.names), 2) if one.leaf.names else f"serial {one.leaf.serial}"
        for finding in one.findings:
            if finding.code != "expired" or one.uses or one.ports or one.keeper:
                yield msgspec.structs.replace(finding, about=names, why=_WHY.get(finding.code, ""))


def foreign(
    certificates: Iterable[HostCertificate], ours: Mapping[str, frozenset[str]], live: Mapping[str, str]
) -> Iterator[Finding]:
    """Servers that read another file for names that we have a certificate for.

    `ours` are the names of our certificates, `live` where each lies.
    """
    for one in certificates:
        if one.keeper is not None and one.keeper.client == "renewer":
            yield from _by_another_path(one)
            continue
        for use in one.uses:
            names = frozenset(use.names) or frozenset(map(str, one.leaf.names))
            mine = next((name for name, all_ in ours.items() if names and names <= all_), None)
            if mine is not None:
                whose = f"{one.keeper.client}'s" if one.keeper else "another"
                yield said(
                    Severity.ERROR,
                    "foreign-file",
                    f"{use.server} ({use.place}) reads {whose} file {use.certificate}, not our {mine}",
                    f"name {live[mine]}/fullchain.pem and privkey.pem there"
                    + (
                        "; or: renewer takeover certbot"
                        if one.keeper and one.keeper.client == "certbot"
                        else ""
                    ),
                    about=mine,
                )


def _by_another_path(one: HostCertificate) -> Iterator[Finding]:
    for use in one.uses:
        if use.certificate.startswith("/etc/letsencrypt/"):
            text = f"{use.server} ({use.place}) reads our certificate by {use.certificate}"
            hint = "never purge certbot as long as that is so (apt remove is harmless)"
            yield said(Severity.INFO, "purged-with", text, hint, about=use.certificate)


def clients(
    called: Mapping[str, str], kept: Mapping[str, Sequence[str]], shared: Mapping[str, Sequence[str]]
) -> Iterator[Finding]:
    """Other clients that are called here: by which file, what they renew, and what of it is ours, too."""
    for client, path in called.items():
        if names := shared.get(client):
            text = f"{client} is called by {path} and would renew {words.several(names)}, as we do"
            hint = "renewer takeover certbot" if client == "certbot" else f"switch it off in {path}"
            yield said(Severity.ERROR, "rival-timer", text, hint, about=client)
            continue
        many = words.count(len(kept[client]), "certificate") if kept.get(client) else "nothing"
        text = f"{client} is called by {path} and renews {many} here"
        hint = f"renewer discover --watch has them watched; renewer import {client} brings them along"
        yield said(Severity.INFO, "other-client", text, hint if kept.get(client) else "", about=client)


def unwatched(targets: Sequence[str]) -> Iterator[Finding]:
    """What others renew and no watch looks at."""
    if targets:
        text = f"{words.count(len(targets), 'certificate')} that others renew is not watched: "
        hint = "renewer discover --watch"
        yield said(Severity.INFO, "unwatched", text + words.several(targets), hint)


def runs(
    callers: Sequence[str] | None, run: RunRecord | None, wake: timedelta, deadline: timedelta, now: datetime
) -> Iterator[Finding]:
    """Whether something calls the next run, and how the last one went."""
    if callers is not None and not callers:
        text = "nothing on this host calls renewer run: there is no systemd timer and no line for cron"
        yield said(Severity.ERROR, "no-timer", text, "renewer timer install", about="timer")
    since = quiet_since(run, now)
    if run is None or since is None:
        yield said(Severity.WARNING, "never-run", "there was no run yet", "renewer run", about="timer")
    elif now - since > patience(wake, deadline):
        text = f"the last run ended {words.exact((now - since).total_seconds())} ago"
        hint = "systemctl status renewer.timer; or: renewer timer install"
        yield said(Severity.ERROR, "runs-stopped", text, hint, about="timer")
    elif run.exit:
        severity = Severity.WARNING if run.exit == 1 else Severity.ERROR
        text = f"the last run ended with exit code {run.exit}"
        yield said(severity, "last-run-failed", text, "renewer status", about="timer")


def account(
    authority: str, *, files: bool, ended: str | None, known: bool | None, error: str
) -> Iterator[Finding]:
    """The account at an authority; `known` is None if it was not asked or gave no answer."""
    if ended:
        text, hint = f"the account at {authority} {ended}", f"renewer account register {authority}"
        yield said(Severity.ERROR, "account-ended", text, hint, about=authority)
    elif error:
        text = f"{authority} was asked for our account: {error}"
        yield said(
            Severity.ERROR,
            "authority-unreachable",
            text,
            f"renewer account show {authority}",
            about=authority,
        )
    elif not files:
        text = f"there is no account at {authority} yet"
        yield said(
            Severity.INFO, "no-account", text, f"renewer account register {authority}", about=authority
        )
    elif known is False:
        text = f"{authority} knows no account by our key"
        yield said(
            Severity.ERROR, "account-unknown", text, f"renewer account register {authority}", about=authority
        )


def room(path: str, free: int, entries: int | None) -> Iterator[Finding]:
    """Whether there is room where we write; `entries` are the files that could still be made, if known."""
    few = entries is not None and entries < _FEW_ENTRIES
    if free >= LITTLE and not few:
        return
    much = f"{free >> 20} MiB" if free < LITTLE else f"room for {entries} files"
    severity = Severity.ERROR if free < NONE or entries == 0 else Severity.WARNING
    yield said(severity, "disk-full", f"{much} are left at {path}", f"df -h {path}; df -i {path}", about=path)


def told(channels: int, *, heartbeat: bool) -> Iterator[Finding]:
    """Whether anybody is told of failures."""
    if not channels and not heartbeat:
        text = "no [notify.X] and no heartbeat is configured"
        hint = "write [notify.mail] (docs/notices.md), then: renewer notify test"
        yield said(Severity.WARNING, "nobody-told", text, hint, about="notices")


def clock(now: datetime, built: datetime, *, kept: bool | None) -> Iterator[Finding]:
    """Whether this host's clock can be believed; `kept` is what the kernel says of it, if it does."""
    if now < built:
        text = f"the clock shows {words.stamp(now)}, before this program was made"
        yield said(Severity.ERROR, "clock-wrong", text, "timedatectl set-ntp true", about="clock")
    elif kept is False:
        text = "the kernel says that nobody keeps this host's clock right"
        yield said(Severity.WARNING, "clock-alone", text, "timedatectl set-ntp true", about="clock")
