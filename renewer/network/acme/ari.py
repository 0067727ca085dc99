"""When the authority wants a certificate renewed (RFC 9773)."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import msgspec

from renewer import clock, words
from renewer.errors import RenewerError
from renewer.network.acme import retry_after, wire
from renewer.network.acme.lost import Lost, Unreached
from renewer.network.acme.reply import Reply
from renewer.network.acme.resources import Renewal

# §4.3.3: "On receiving a long-term error, clients MUST make the next renewalInfo request as soon as possible
# after six hours have passed". Those are: Retry-After invalid or absent, an invalid object, a failed DNS
# lookup, a refused connection, any HTTP error that is not 5xx.
LONG_TERM = timedelta(hours=6)
_FIRST_PAUSE = timedelta(minutes=1)


def fetch(get: Callable[[str], Reply], base: str, ari_id: str, failures: int) -> Renewal:
    """Ask for the window of a certificate (§4.1), without authentication; never raises.

    `failures` is how many temporary errors in a row there were before.
    """
    url = f"{base.rstrip('/')}/{ari_id}"
    try:
        reply = get(url)
        if reply.ok:
            return _window(reply.json(), reply)
    except Lost as error:
        if error.timed_out or not isinstance(error, Unreached):
            return _temporary(clock.now(), failures, None, error.text)
        return Renewal(ask_again=clock.now() + LONG_TERM, trouble=error.text)
    except RenewerError as error:
        return Renewal(ask_again=clock.now() + LONG_TERM, trouble=error.text)
    return _refused(reply, failures)


def _refused(reply: Reply, failures: int) -> Renewal:
    problem = reply.problem()
    busy = None
    if reply.status in (429, 503):
        busy = max((reply.retry_after - reply.at).total_seconds(), 0.0) if reply.retry_after else 0.0
    text = f"{problem.detail or 'no reason given'} (HTTP {reply.status})"
    if reply.status >= 500:
        temporary = _temporary(reply.at, failures, reply.retry_after, text)
        return msgspec.structs.replace(temporary, busy=busy)
    # Refused, unknown (404), gone (410); too many requests (429) say themselves when.
    later = reply.retry_after if reply.status == 429 else None
    return Renewal(ask_again=_pace(later, reply.at), trouble=text, busy=busy)


def _window(document: Mapping[str, object], reply: Reply) -> Renewal:
    window = document.get("suggestedWindow")
    window = window if isinstance(window, Mapping) else {}
    start, end = wire.moment(window.get("start")), wire.moment(window.get("end"))
    explanation = words.text_of(document.get("explanationURL"), 500)
    if start is None or end is None:
        return Renewal(ask_again=reply.at + LONG_TERM, trouble="the renewal information has no proper window")
    if end <= start:
        # §4.2: "clients MUST treat one as though they failed to receive any response from the server".
        text = "the suggested window ends before it begins"
        return Renewal(ask_again=reply.at + LONG_TERM, trouble=text)
    return Renewal(
        start=start,
        end=end,
        explanation_url=explanation if explanation.startswith(("https://", "http://")) else None,
        ask_again=_pace(reply.retry_after, reply.at),
    )


def _pace(wanted: datetime | None, now: datetime) -> datetime:
    """§4.3.2: "clients SHOULD set reasonable limits on their checking interval": a minute and a day."""
    return retry_after.clamp(wanted or now + LONG_TERM, now)


def _temporary(now: datetime, failures: int, wanted: datetime | None, text: str) -> Renewal:
    """§4.3.3: timeouts and 5xx are asked again with exponential backoff, up to the long-term pace."""
    pause = min(_FIRST_PAUSE * 2 ** min(failures, 10), LONG_TERM)
    ask_again = retry_after.clamp(wanted, now) if wanted else now + pause
    return Renewal(ask_again=ask_again, failures=failures + 1, trouble=text)
