"""A dead man's switch, as healthchecks has it: pinged when a run starts and how it ended; silence is alarm.

A ping that fails is told in the renewal log and changes nothing else.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

from renewer import clock, words
from renewer.context import Context
from renewer.errors import RenewerError, RetryLater
from renewer.model.decision import EventName, RunReport
from renewer.model.told import Ping
from renewer.secrets import proxy, resolve

LIMIT = 5.0  # seconds for one ping
_LONGEST = 10_000  # bytes; what healthchecks keeps of a body
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}


class Heartbeat:
    """The pings of one run. `ended` is given the report; without one the run broke off."""

    def __init__(self, context: Context, limit: float = LIMIT) -> None:
        self._context = context
        self._limit = limit
        self._report: RunReport | None = None
        self._start: threading.Thread | None = None

    def began(self) -> None:
        """Ping that a run starts; nobody waits for it."""
        self._start = threading.Thread(target=self._ping, args=("/start", b""), name="heartbeat", daemon=True)
        self._start.start()

    def ended(self, report: RunReport) -> None:
        """Remember how it went."""
        self._report = report

    def end(self) -> None:
        """Ping how the run ended: success, its exit status, or that it broke off."""
        if self._start is not None:
            self._start.join(self._limit)  # so that the pings arrive in their order
        if self._report is None:
            error = self._ping("/fail", f"run {self._context.run} on {self._context.host} broke off".encode())
        else:
            code, body = self._report.exit, summary(self._report).encode("utf-8", "replace")
            error = self._ping(f"/{code}" if code else "", body[:_LONGEST])
        with suppress(RenewerError):  # the ledger's trouble is told elsewhere
            self._remember(error)

    def _remember(self, error: str) -> None:
        """That it did not get through is a fact, and that it does again ends that fact."""
        ledger, now = self._context.ledger, clock.now()
        before = next(iter(ledger.load(Ping)), None)
        if not error:
            ledger.drop(before) if before else None
            return
        since, failures = (before.since, before.failures) if before else (now, 0)
        ledger.save(Ping(certificate="", since=since, at=now, error=error, failures=failures + 1))

    def _ping(self, what: str, body: bytes) -> str:
        """Send one; returns what went wrong, "" if nothing did."""
        url = ""
        try:
            wish = self._context.config.report.heartbeat
            if wish is None:
                return ""
            url = resolve(wish)
            from renewer.network.channels import Courier

            given = self._context.config.agent.proxy
            way = proxy(given) if given else None
            address = _address(url, what, self._context.run)
            status = Courier(of="heartbeat").post(address, body, _TEXT.items(), limit=self._limit, proxy=way)
            if not 200 <= status < 300:
                raise RetryLater(f"it answered {status}")  # noqa: TRY301  told like the others
        except RenewerError as error:
            told = error.text.replace(url, "…") if url else error.text
            self._context.journal.tell(EventName.NOTICE, text=f"heartbeat: {told}", hint=error.hint)
            return told
        except Exception as error:  # noqa: BLE001  whatever it is: the run matters more
            self._context.journal.tell(EventName.NOTICE, text=f"heartbeat: {type(error).__name__}")
            return type(error).__name__
        return ""


@contextmanager
def beating(context: Context, *, quiet: bool = False) -> Iterator[Heartbeat | None]:
    """A run with its pings around it, if the config asks for them and it is not to be `quiet`."""
    if context.config.report.heartbeat is None or quiet:
        yield None
        return
    heartbeat = Heartbeat(context)
    heartbeat.began()
    try:
        yield heartbeat
    finally:
        heartbeat.end()


def rid(run: str) -> str:
    """The run's id as the UUID that healthchecks wants: the same run, the same UUID."""
    import uuid

    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:renewer:run:{run}"))


def summary(report: RunReport) -> str:
    """How a run went, for who looks at the ping."""
    seconds = (report.ended_at - report.at).total_seconds()
    lines = [f"run {report.run} on {report.host}: exit {report.exit}, {seconds:.1f} s"]
    lines += [
        f"{one.result} {one.certificate}: {one.step}: {words.sentence(one.detail)}" for one in report.outcomes
    ] or [f"nothing to do for {len(report.plan.decisions)} certificates"]
    lines += [f"note: {words.sentence(finding)}" for finding in report.findings]
    return "\n".join(lines) + "\n"


def _address(url: str, what: str, run: str) -> str:
    parts = urlsplit(url)
    query = f"{parts.query}&rid={rid(run)}" if parts.query else f"rid={rid(run)}"
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + what, query=query))
