"""When the authority wants a certificate renewed (RFC 9773)."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from renewer import clock
from renewer.acme import problems, retry_after, wire
from renewer.acme.nouns import Renewal
from renewer.acme.reply import Reply
from renewer.errors import RenewerError, RetryLater

# §4.3.3: "clients MUST retry after 6 hours" following a long-term error.
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
    except RetryLater as error:
        return _temporary(clock.now(), failures, error.not_before, error.text)
    except RenewerError as error:
        return Renewal(ask_again=clock.now() + LONG_TERM, trouble=error.text)
    problem = reply.problem()
    text = f"{problem.detail or 'no reason given'} (HTTP {reply.status})"
    if reply.status == 429 or reply.status >= 500:
        return _temporary(reply.at, failures, reply.retry_after, text)
    return Renewal(ask_again=reply.at + LONG_TERM, trouble=text)  # refused, unknown (404) or gone (410)


def _window(document: Mapping[str, object], reply: Reply) -> Renewal:
    window = document.get("suggestedWindow")
    window = window if isinstance(window, Mapping) else {}
    start, end = wire.moment(window.get("start")), wire.moment(window.get("end"))
    explanation = problems.clean(document.get("explanationURL"), 500)
    if start is None or end is None:
        return Renewal(ask_again=reply.at + LONG_TERM, trouble="the renewal information has no proper window")
    if end <= start:
        # §4.2: "If the end timestamp is ... not after the start, the client MUST NOT ... treat as absent".
        text = "the suggested window ends before it begins"
        return Renewal(ask_again=reply.at + LONG_TERM, trouble=text)
    return Renewal(
        start=start,
        end=end,
        explanation_url=explanation if explanation.startswith(("https://", "http://")) else None,
        # §4.3.2: Retry-After is the pace; bounded, so that neither a second nor a year is obeyed.
        ask_again=retry_after.clamp(reply.retry_after or reply.at + LONG_TERM, reply.at),
    )


def _temporary(now: datetime, failures: int, wanted: datetime | None, text: str) -> Renewal:
    """§4.3.3: temporary errors are retried with exponential backoff, "with a capped maximum"."""
    pause = min(_FIRST_PAUSE * 2 ** min(failures, 10), LONG_TERM)
    ask_again = retry_after.clamp(wanted, now) if wanted else now + pause
    return Renewal(ask_again=ask_again, failures=failures + 1, trouble=text)
