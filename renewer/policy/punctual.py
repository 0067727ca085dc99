"""Whether runs still come: the watchdog of the agent itself. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from renewer.model.facts import RunRecord
from renewer.policy.backoff import from_the_future

_WAKES = 3  # that may pass without a run that came to its end


def begun(known: Iterable[RunRecord], run: str, host: str, at: datetime) -> RunRecord:
    """The record of a run that begins now."""
    before = next((one for one in known if one.host == host), None)
    return RunRecord(
        certificate="",
        run=run,
        host=host,
        at=at,
        quiet_since=quiet_since(before, at) or at,
        unwell=before.unwell if before else (),
    )


def ended(
    record: RunRecord, at: datetime, code: int, findings: tuple[str, ...], *, all_of_them: bool
) -> RunRecord:
    """The same at its end. One of some certificates says nothing of the timer."""
    quiet = at if all_of_them else record.quiet_since
    return msgspec.structs.replace(record, ended_at=at, exit=code, findings=findings, quiet_since=quiet)


def patience(wake: timedelta, deadline: timedelta) -> timedelta:
    """How long it may take from the end of one run to the end of the next."""
    return max(_WAKES * wake, wake + deadline)


def quiet_since(run: RunRecord | None, now: datetime | None = None) -> datetime | None:
    """Since when no run came to its end; None if there never was one, or it lies in the future.

    A record of an earlier release says only when that run ended.
    """
    if run is None:
        return None
    since = run.quiet_since or run.ended_at or run.at
    return None if now is not None and from_the_future(since, now) else since


def stopped_since(run: RunRecord | None, allowed: timedelta, now: datetime) -> datetime | None:
    """Since when, if that is longer than allowed; None while runs come, or if there never was one."""
    since = quiet_since(run, now)
    return since if since is not None and now - since > allowed else None
