"""What is wrong with this host's renewing as a whole, rather than with one certificate. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from renewer.model.facts import RunRecord, Sighting
from renewer.model.told import Ack, LeftName, Outage, Ping
from renewer.model.trouble import PERSON, RETRIED, WELL, Concern
from renewer.policy.watchdog import quiet_since
from renewer.words import several, stamp

IN_A_ROW = 3  # times that a ping or a notice was refused: then it is no passing trouble


def empty(configured: int, held: Sequence[str], path: str) -> Concern | None:
    """No certificate is configured for this host, though its state holds or held some."""
    if configured or not held:
        return None
    names = several(held)
    return Concern(
        subject="empty",
        text=f"no certificate is configured for this host, and its state knows {names}: nothing is renewed",
        hint=f"is {path} as it should be? If they are not needed any more: renewer forget NAME",
    )


def is_known(seen: Sequence[Sighting], ack: Ack | None, now: datetime) -> bool:
    """Whether somebody said that what is still served is meant to be; never once it has expired."""
    if ack is None or any(one.not_after is not None and one.not_after <= now for one in seen):
        return False
    return ack.until is None or now < ack.until


def still_served(name: str, seen: Sequence[Sighting], ack: Ack | None, now: datetime) -> Concern | None:
    """A certificate that nobody renews any more was last seen at a port."""
    if not seen:
        return None
    places = ", ".join(dict.fromkeys(one.endpoint for one in seen))
    ends = min((one.not_after for one in seen if one.not_after), default=None)
    over = ends is not None and ends <= now
    until = f" and {'expired' if over else 'expires'} at {stamp(ends)}" if ends else ""
    known = is_known(seen, ack, now)
    return Concern(
        subject=f"served {name}",
        text=f"{name} is not configured for this host any more, is still served at {places}{until}: "
        "nobody renews it" + (f"; {ack.by} knows" if ack and known else ""),
        hint=f"put [certificate.{name}] back; or let that server use another, then: renewer forget {name}; "
        f"it is meant to be so? renewer ack {name}",
        exit=WELL if known else PERSON if over else RETRIED,
    )


def left_names(left: Sequence[LeftName]) -> list[Concern]:
    """Names that were taken out of certificates, and that servers of this host still serve with them."""
    found: dict[str, list[LeftName]] = {}
    for one in left:
        found.setdefault(one.certificate, []).append(one)
    return [
        Concern(
            subject=f"left {certificate}",
            text=f"{certificate}: no longer in it, and still served with it: "
            + ", ".join(f"{one.name} (at {one.address})" for one in names),
            hint="end that at the server, or put it into `names`: clients who ask for it refuse the answer",
            exit=WELL,
        )
        for certificate, names in found.items()
    ]


def for_tests(authorities: Mapping[str, Iterable[str]]) -> list[Concern]:
    """Authorities that only test, each with the certificates that it is to issue."""
    return [
        Concern(
            subject=f"test {name}",
            text=f"{name} is an authority for tests, no client trusts what it signs: {', '.join(used)}",
            hint="for the public name another: authority = … in the configuration",
            exit=WELL,
        )
        for name, used in authorities.items()
    ]


def unheard(ping: Ping | None) -> Concern | None:
    """The heartbeat does not get through."""
    if ping is None or not ping.failures:
        return None
    times = f"{ping.failures} times in a row, since {stamp(ping.since)}"
    return Concern(
        subject="heartbeat",
        text=f"the heartbeat could not be sent ({times}): {ping.error}",
        hint="correct [report] heartbeat, or what answers there: until then it says nothing of the runs",
        exit=RETRIED if ping.failures >= IN_A_ROW else WELL,
    )


def refusing(outages: Iterable[Outage], channels: Iterable[str]) -> list[Concern]:
    """Channels of notices that have taken nothing for a while; what each says is a finding of the run."""
    known = set(channels)
    return [
        Concern(
            subject=f"channel {one.channel}",
            text=f"the channel {one.channel} has taken no notices since {stamp(one.since)}: {one.error}",
            hint=one.hint or "put it right, then try it with: renewer notify test",
        )
        for one in outages
        if one.channel in known and one.failures >= IN_A_ROW
    ]


def of_the_run(unwell: Iterable[str]) -> list[Concern]:
    """What only a run can find out: what it could not write or read for those who are told."""
    return [Concern(subject="run", text=text, hint="each run tries it again") for text in unwell]


def uncalled(
    callers: Sequence[str] | None, run: RunRecord | None, wake: timedelta, now: datetime
) -> Concern | None:
    """Nothing on this host will call the next run, as far as files say; `callers` is None if they do not.

    A note at first, for somebody may call it from elsewhere; not well once two wakes have passed in silence.
    """
    since = quiet_since(run, now)
    if callers is None or callers or since is None:
        return None
    silent = now - since > 2 * wake
    return Concern(
        subject="timer",
        text="nothing on this host will call the next run: there is no systemd timer and no line for cron",
        hint="renewer timer install; or is it called from elsewhere? then nothing is missing while runs come",
        exit=PERSON if silent else WELL,
    )


_TAKEN = ("certbot", "acme.sh", "lego", "dehydrated")
_END_IT = {client: f"renewer takeover {client}; or switch it off there" for client in _TAKEN}


def rivals(shared: Mapping[str, tuple[str, Sequence[str]]]) -> list[Concern]:
    """Other clients that are still called, each with the file that does it and what both would renew."""
    return [
        Concern(
            subject=f"rival {client}",
            text=f"{client} is still called by {path} and would renew {several(names)}, too",
            hint=_END_IT.get(client, "switch it off there"),
            exit=WELL,
        )
        for client, (path, names) in shared.items()
    ]


def half_taken(names: Sequence[str]) -> list[Concern]:
    """Certificates of certbot's whose takeover was begun: nobody renews what servers read there."""
    if not names:
        return []
    text = f"the takeover from certbot was begun and not finished: {several(names)}"
    hint = "renewer takeover certbot finishes it, renewer takeover certbot --undo gives it back"
    return [Concern(subject="takeover", text=text, hint=hint, exit=PERSON)]


def old_files(found: Iterable[tuple[str, str, str]]) -> list[Concern]:
    """Servers (name, place, file) that read a file of certbot's for a certificate that is ours by now."""
    return [
        Concern(
            subject=f"old file {path}",
            text=f"{server} ({place}) reads certbot's file {path}, not ours: it will expire",
            hint="renewer takeover certbot; or name our files there",
            exit=RETRIED,
        )
        for server, place, path in found
    ]


def purge(home: str, named: Sequence[str]) -> list[Concern]:
    """Configurations that name certbot's directory, which goes with its package."""
    if not named:
        return []
    text = f"apt purge certbot would remove {home}, which is named by {several(named)}"
    hint = "never purge it before they name it no more; apt remove is harmless"
    return [Concern(subject="purge certbot", text=text, hint=hint, exit=WELL)]


def worst(concerns: Iterable[Concern]) -> int:
    """How a process should exit that says so."""
    return max((one.exit for one in concerns), default=WELL)
