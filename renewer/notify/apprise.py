"""Notices to whatever services apprise knows: each told by a worker that knows its URL and nothing else."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from renewer import clock, workers
from renewer.errors import RetryLater
from renewer.network.channels import tell_service
from renewer.network.channels.messages import TellService, ToldService
from renewer.notify.message import Message
from renewer.notify.writing import text

LIMIT = 30.0  # seconds for all URLs
PARALLEL = 4
_LONGEST = 8000  # characters; most chats take less and cut it themselves


def deliver(message: Message, urls: Sequence[str], *, limit: float = LIMIT) -> str:
    """Tell every service; if some take it and some do not, that is told, and it is not told again.

    Raises RenewerError if none took it.
    """
    end = clock.monotonic() + limit
    opener, body = workers.apart(), text(message)[:_LONGEST]

    def tell(url: str) -> ToldService | RetryLater:
        left = max(end - clock.monotonic(), min(limit, 1.0))
        request = TellService(url=url, title=message.subject, body=body, limit=left)
        try:
            return tell_service(request, message.channel, opener)
        except RetryLater as error:  # a worker's end, or its want
            return error

    with ThreadPoolExecutor(PARALLEL) as pool:
        answers = list(pool.map(tell, urls))
    if answers and all(isinstance(one, RetryLater) for one in answers):
        raise next(one for one in answers if isinstance(one, RetryLater))
    told = ["failed" if isinstance(one, RetryLater) else one.outcome for one in answers]
    if set(told) == {"late"}:
        raise RetryLater(f"apprise was not done within {limit:g} s", kind="channel")
    words = {
        "unknown": "URL {} is none that apprise knows",
        "failed": "the service of URL {} did not take it",
        "late": f"the service of URL {{}} did not take it within {limit:g} s",
    }
    wrong = [words[one].format(place) for place, one in enumerate(told, 1) if one in words]
    if len(wrong) >= len(urls):
        raise RetryLater(
            f"apprise told nobody: {'; '.join(wrong)}", hint="try it with `apprise -vv`", kind="channel"
        )
    return "; ".join(wrong)
