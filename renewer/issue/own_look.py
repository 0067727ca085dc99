"""Fetching the token ourselves before the authority does: a misconfigured server is then found for free.

A failed validation costs one of the few failures that an authority allows an hour; a failed look at home
costs milliseconds. But behind NAT or split DNS our look can be wrong, so it only warns unless it is told
to insist, and it can be switched off.
"""

from collections.abc import Sequence

from renewer.errors import RetryLater
from renewer.model import token as tokens
from renewer.model.desired import Preflight as Mode
from renewer.model.names import IdentifierType
from renewer.model.solver import Presented, Task
from renewer.model.value import Warn
from renewer.network import verify
from renewer.network.verify.messages import Fetched

TIME_LIMIT = 5.0  # seconds for all tasks together, which are fetched at the same time
_HINT = (
    "behind NAT, a proxy or split DNS our own look can be wrong although the authority would see the token: "
    'then set preflight = "off"'
)


class Preflight:
    """Our own look at the tokens. `port` is where HTTP is expected: 80 but for tests (RFC 8555 §8.3)."""

    def __init__(self, mode: Mode, *, port: int = 80, time_limit: float = TIME_LIMIT) -> None:
        self._mode = mode
        self._port = port
        self._time_limit = time_limit

    def look(self, presented: Sequence[Presented], warn: Warn) -> None:
        """Fetch all tokens at once; `warn` of those that are not found.

        Raises RetryLater naming them if the config says `require`.
        """
        if self._mode is Mode.OFF:
            return
        wrong = self._wrong([one.task for one in presented])
        if not wrong:
            return
        if self._mode is Mode.REQUIRE:
            raise RetryLater(
                "the authority was not asked, since the challenge could not be fetched by ourselves: "
                + "; ".join(text for _, text in wrong),
                hint=_HINT,
                kind="preflight",
                identifiers=tuple((task.identifier.value, text) for task, text in wrong),
            )
        for _, text in wrong:
            warn(f"our own look does not find the challenge: {text} ({_HINT})")

    def _wrong(self, tasks: Sequence[Task]) -> list[tuple[Task, str]]:
        """The tasks whose token is not found, each with what was found instead."""
        urls = [self._url(task) for task in tasks]
        found = verify.fetch(urls, self._time_limit)
        silent = f"no answer within {self._time_limit:g} s (the name could not be resolved in time)"
        texts = [
            (task, judge(task, found.get(url) or Fetched(trace=url, error=silent)))
            for task, url in zip(tasks, urls, strict=True)
        ]
        return [(task, text) for task, text in texts if text]

    def _url(self, task: Task) -> str:
        host = task.identifier.base
        if task.identifier.type is IdentifierType.IP and ":" in host:
            host = f"[{host}]"
        port = "" if self._port == 80 else f":{self._port}"
        return f"http://{host}{port}{tokens.URL_PATH}{task.token}"


def judge(task: Task, found: Fetched) -> str:
    """What is wrong with what was found, as a sentence; empty if the authority would be content.

    RFC 8555 §8.3: the body must be the key authorization; whitespace at its end is ignored.
    """
    if found.error:
        return f"{found.trace}: {found.error}"
    if found.status == 200 and found.body.rstrip() == task.key_authorization.encode():
        return ""
    said = f"answered {found.status} {found.phrase}".rstrip()
    if found.excerpt:
        said += f" with the body “{found.excerpt}”"
    elif found.elsewhere:
        said += " with something else than the challenge (of another host the body is not shown)"
    elif found.status == 200:
        said += " with an empty body"
    return f"{found.trace} {said}"
