"""Which solver answers a challenge of the config: what provisions here beside what speaks to strangers."""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol, runtime_checkable

from renewer.errors import GiveUp, RetryLater
from renewer.model import token as tokens
from renewer.model.desired import Challenge, Dns01, DnsAccount01, DnsPersist01, Http01, TlsAlpn01
from renewer.model.desired import Preflight as Mode
from renewer.model.facts import Debris
from renewer.model.names import IdentifierType
from renewer.model.solver import Presented, Solver, Task
from renewer.model.value import Warn
from renewer.network import verify
from renewer.network.challenges import Listening
from renewer.network.verify.messages import Fetched
from renewer.provisioning import webroot

DNS_RECORD = "dns-01 record"  # Debris.what of dns01, which is imported only when needed


@runtime_checkable
class Publishes(Protocol):
    """A solver that publishes records through somebody."""

    def answers_for(self, debris: Debris) -> bool:
        """Whether a record was published through the same."""


def solver_for(
    challenge: Challenge,
    *,
    left: Iterable[Debris] = (),
    http_port: int = 80,
    until: Callable[[], float] = lambda: math.inf,
) -> Solver:
    """The solver for a challenge; the caller closes it.

    `left` is all debris that the ledger holds, so that a killed run's directories are known for ours.
    `http_port` is where the preflight looks: 80 but for tests (RFC 8555 §8.3). `until` gives the end of all
    waiting, on `clock.monotonic`. Changes nothing yet.
    Raises GiveUp if the challenge says neither where to write nor where to listen.
    """
    match challenge:  # what only one of them needs is imported by those who have it
        case DnsAccount01():  # a Dns01, too
            from renewer.issue.dns01 import DnsAccount01Solver
            from renewer.issue.providers import make

            return DnsAccount01Solver(challenge, provider=partial(make, challenge), until=until)
        case Dns01():
            from renewer.issue.dns01 import Dns01Solver
            from renewer.issue.providers import make

            return Dns01Solver(challenge, provider=partial(make, challenge), until=until)
        case DnsPersist01():
            from renewer.issue.dns_persist01 import DnsPersist01Solver

            return DnsPersist01Solver(challenge, until=until)
        case TlsAlpn01():
            from renewer.provisioning.tlsalpn import TlsAlpn01Solver

            return TlsAlpn01Solver(challenge.listen, serve=partial(Listening, "tls-alpn-01"), until=until)
        case Http01():
            return _http01(challenge, left, http_port)


def _http01(challenge: Http01, left: Iterable[Debris], http_port: int) -> Solver:
    preflight = TokenPreflight(challenge.preflight, port=http_port)
    if challenge.webroot is not None:
        return webroot.WebrootSolver(challenge.webroot, preflight=preflight, left=left)
    if challenge.listen is not None:
        from renewer.provisioning.listener import ListenSolver

        return ListenSolver(
            challenge.listen,
            serve=partial(Listening, "http-01"),
            preflight=preflight,
            before=challenge.before,
            after=challenge.after,
        )
    if challenge.script:
        from renewer.provisioning.script import ScriptSolver

        return ScriptSolver(
            challenge.script,
            preflight=preflight,
            convention=challenge.convention,
            cleanup=challenge.cleanup,
        )
    raise GiveUp(
        "an http-01 challenge needs `webroot`, `listen` or `script`",
        hint='name the directory that the web server serves on port 80, or listen = "[::]:80"',
        kind="config",
    )


def answerable(debris: Debris, solvers: Iterable[Solver]) -> bool:
    """Whether any solver of the present config could remove it at all."""
    if debris.what != DNS_RECORD:
        return True
    return any(one.answers_for(debris) for one in solvers if isinstance(one, Publishes))


def sweep(debris: Debris, solvers: Iterable[Solver] = ()) -> bool:
    """Remove what an earlier run left, also if no certificate uses it any more; whether it is gone.

    `solvers` are those of the present config: a listener's `after` is run by the solver that has it.
    """
    if debris.what == webroot.DEBRIS:
        return webroot.sweep_file(debris)
    if debris.what == DNS_RECORD:  # only who can change the zone can say that it is gone
        tried = [solver.sweep(debris) for solver in solvers if solver.type.startswith("dns-")]
        return any(tried)  # all of them: a zone may be served differently by two servers
    return all(solver.sweep(debris) for solver in solvers)


TIME_LIMIT = 5.0  # seconds for all tasks together, which are fetched at the same time
_HINT = (
    "behind NAT, a proxy or split DNS our own look can be wrong although the authority would see the token: "
    'then set preflight = "off"'
)


class TokenPreflight:
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
