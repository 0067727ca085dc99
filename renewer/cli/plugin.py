"""`renewer status --check`: one line, performance data and an exit code, as Nagios and Icinga read them.

The codes are those of monitoring plugins (monitoring-plugins.org, development guidelines), not ours.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

from renewer import words
from renewer.cli import screen
from renewer.cli.overview import tone
from renewer.errors import ConfigError, RenewerError
from renewer.model.status import CertificateStatus, Status, WatchStatus

OK, WARNING, CRITICAL, UNKNOWN = range(4)
_WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
_MOST = 1000  # characters of the text: of more, some versions of Nagios show nothing
_TEXT = 200  # of one reason


def answer(look: Callable[[], tuple[Status, timedelta]], *, alone: bool) -> int:
    """Look, and print the line; returns the code. Whatever goes wrong on the way is UNKNOWN."""
    if not alone:
        return unknown("--check stands alone: without --json and --watch")
    try:
        code, text, data = judged(*look())
    except ConfigError as error:
        first = error.faults[0]
        more = f" and {len(error.faults) - 1} more" if len(error.faults) > 1 else ""
        place = ": ".join(text for text in (first.file, first.path, first.text) if text)
        return unknown(f"the configuration has faults: {place}{more}")
    except RenewerError as error:
        return unknown(error.text)
    except Exception as error:  # noqa: BLE001  a defect of ours is no state of any certificate
        return unknown(f"a defect of this program: {type(error).__name__}: {error}")
    screen.out(f"RENEWER {_WORDS[code]} - {_one_line(text)} | {' '.join(data)}")
    return code


def unknown(text: str) -> int:
    """Nothing can be said; why."""
    screen.out(f"RENEWER {_WORDS[UNKNOWN]} - {_one_line(text)}")
    return UNKNOWN


def judged(document: Status, patience: timedelta) -> tuple[int, str, list[str]]:
    """The code, the text, and the performance data; `patience` is how long a run may be in coming."""
    everything = document.rows
    texts = list(_texts(document, everything))
    if document.exit == 3:
        code = CRITICAL
    elif document.unread:  # then what is well may only seem so
        code = UNKNOWN
    else:
        code = WARNING if document.exit or (everything and document.last_run is None) else OK
    return code, "; ".join(texts), list(_data(document, patience))


def _texts(document: Status, everything: Sequence[CertificateStatus | WatchStatus]) -> Iterator[str]:
    now = document.at
    count = words.count(len(everything), "certificate")
    yield from document.unread
    if since := document.stopped_since:
        yield f"runs stopped {words.brief(now - since)} ago, nothing is renewed: renewer timer show"
    concerns = [one for one in document.concerns if one.exit]
    yield from (one.text[:_TEXT] for one in sorted(concerns, key=lambda one: -one.exit))
    ill = [one for one in everything if not one.healthy]
    for kind, how in (("bad", "a person must act"), ("warn", "tried again")):
        those = [one for one in ill if tone(one) == kind]
        if those:
            why = those[0].why or str(those[0].state)
            names = words.several([one.name for one in those])
            yield f"{len(those)} of {count}, {how}: {names} ({why[:_TEXT]})"
    if not ill and (everything or not concerns):
        yield f"{count} well"
    ends = [one.not_after for one in everything if one.not_after]
    if ends:
        yield f"nearest expiry in {words.brief(min(ends) - now)}"
    last = document.last_run
    yield f"last run {words.brief(now - last)} ago" if last else "no run yet: renewer timer install"


def _data(document: Status, patience: timedelta) -> Iterator[str]:
    """`label=value[unit];warning;critical;minimum`; a range `N:` alarms below N."""
    now = document.at
    everything = document.rows
    ill = [one for one in everything if not one.healthy]
    yield f"certificates={len(everything)};;;0"
    yield f"not_well={len(ill)};0;;0"
    yield f"must_act={sum(1 for one in ill if tone(one) == 'bad')};;0;0"
    ends = [(one.not_after, number) for number, one in enumerate(everything) if one.not_after]
    if ends:
        end, number = min(ends)
        first = everything[number]
        left = int((end - now).total_seconds())
        due = first.renew_at if isinstance(first, CertificateStatus) else None
        allowed = int((end - due).total_seconds()) if due and due < end else None
        yield f"nearest_expiry={left}s;" + (f"{allowed}:;{allowed // 2}:" if allowed is not None else ";")
    if last := document.last_run:
        yield f"last_run_age={int((now - last).total_seconds())}s;;{int(patience.total_seconds())};0"


def _one_line(text: str) -> str:
    """Text that ends neither the line nor the part before the data, and does nothing to a screen."""
    found = words.clean(" ".join(text.replace("|", "/").split()))
    return found if len(found) <= _MOST else f"{found[: _MOST - 1]}…"
