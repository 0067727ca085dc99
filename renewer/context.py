"""What a run works with: the config, the store, the ledger, the renewal log, and who we are."""

import threading
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Self

import msgspec

from renewer import clock, secrets
from renewer.errors import RenewerError
from renewer.ledger import reserve
from renewer.ledger.contract import Ledger
from renewer.ledger.sqlite import open_ledger
from renewer.logs import Journal, Listener
from renewer.model.decision import EventName
from renewer.model.desired import Authority, Certificate, Config
from renewer.model.facts import Asked, RunRecord, Version, VersionFacts
from renewer.model.value import Value
from renewer.store.contract import Store
from renewer.store.disk import DiskStore
from renewer.store.layout import group_number

if TYPE_CHECKING:
    from renewer.accounts.session import Session


STOPPING = 3.0  # seconds that an order in flight still has when the run is told to stop


class Damaged(Value):
    """A live version that cannot be read: why, and its facts if they are remembered."""

    version: str
    why: str
    remembered: Version | None = None


class Context:
    """One run's equipment; closing it closes all that was opened. `run` is the run's id.

    `stopping` is set when somebody asks the run to end: what is in flight is finished, nothing new begins.
    `deadline` is that of the run, on `clock.monotonic`; `request_timeout` (seconds) bounds each request to an
    authority, `order_limit` (seconds) its validating and its signing. `parsed` are the facts of versions that
    the ledger did not know, `damaged` live versions by certificate, `loose` versions (certificate, id) whose
    files have other rights than configured, `strays` pending directories (certificate, id) of no
    order, and `mended` sentences about what was put right of both. `unclaimed` says of certificates whose
    copies hold a newer one than the state why that is not taken back.
    `distrust` says why this host's clock is not believed, with a hint: then nothing is ordered; `passed_over`
    why authorities are left alone in this run, because their clocks are odd.
    """

    request_timeout = 30.0
    order_limit = 300.0

    def __init__(
        self, config: Config, *, write: bool, run: str = "", listener: Listener | None = None
    ) -> None:
        self.config = config
        self.host = config.agent.host
        self.run = run or run_id(clock.now(), config.agent.host)
        self.store: Store = DiskStore(config.agent.state, group=config.agent.group)
        self.accounts = config.agent.state  # a rehearsal has a state of its own, and the real accounts
        self.stopping = threading.Event()
        self.deadline = clock.monotonic() + config.agent.deadline.total_seconds()
        self._closing = ExitStack()
        self._closing.enter_context(secrets.once())  # a program that prints a secret may ask a vault
        self.ledger: Ledger = open_ledger(config.agent, write=write)
        if write:
            reserve.lay(config.agent.state)
        self._closing.callback(self.ledger.close)
        self.journal = Journal.of(config.agent, run=self.run, listener=listener)
        self._closing.callback(self.journal.close)
        self.parsed: list[VersionFacts] = []
        self.damaged: dict[str, Damaged] = {}
        self.loose: list[tuple[str, str]] = []
        self.mended: list[str] = []
        self.unclaimed: dict[str, str] = {}
        self.distrust: tuple[str, str] | None = None
        self.passed_over: dict[str, tuple[str, str]] = {}
        self.strays: list[tuple[str, str]] = []
        self._sessions: dict[str, Session] = {}
        self._guard = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    @cached_property
    def wake(self) -> timedelta:
        """How long until anybody looks again, as it was when this run began."""
        runs = [record.at for record in self.ledger.load(RunRecord) if record.host == self.host]
        return observed_wake(self.config.agent.wake, max(runs, default=None), clock.now())

    @cached_property
    def group(self) -> int | None:
        """The number of `[agent] group`. Raises StateError if the system does not know it."""
        return group_number(self.config.agent.group)

    def session(self, authority: str) -> "Session":
        """The conversation with an authority: opened when first needed, shared by all threads.

        Raises RetryLater or GiveUp if the account cannot be used.
        """
        from renewer.accounts.session import Session
        from renewer.secrets import resolve

        with self._guard:
            if authority not in self._sessions:
                wish = self.config.authorities[authority]
                hmac = None
                try:
                    hmac = resolve(wish.eab.hmac) if wish.eab else None
                except RenewerError as error:  # needed for registering only: an account that exists works on
                    self.journal.tell(EventName.NOTICE, text=error.text)
                self._sessions[authority] = Session.open(
                    wish, state=self.accounts, eab_hmac=hmac, timeout=self.request_timeout
                )
            return self._sessions[authority]

    def sessions(self) -> "dict[str, Session]":
        """The conversations of this run so far."""
        with self._guard:
            return dict(self._sessions)

    def stop(self) -> None:
        """Begin nothing new, and give what is in flight a moment: the next run takes it up."""
        self.stopping.set()
        self.deadline = min(self.deadline, clock.monotonic() + STOPPING)

    def time_left(self) -> float:
        """Seconds until the run's deadline."""
        return self.deadline - clock.monotonic()


def run_id(at: datetime, host: str) -> str:
    """A run's name: sortable, different on every host and at every microsecond."""
    return f"{at:%Y%m%dT%H%M%SZ}-{zlib.crc32(f'{host} {at.microsecond}'.encode()):08x}"


def asked(wish: Certificate, authorities: Mapping[str, Authority]) -> tuple[Asked, ...]:
    """What this wish asks of each of its authorities.

    The fingerprint changes with anything in either table: then earlier failures count no more.
    """
    return tuple(
        Asked(
            authority=name,
            wish=f"{zlib.crc32(msgspec.json.encode((wish, authorities[name]))):08x}",
            profile=(wish if wish.profile else authorities[name]).profile,
            other_profiles=(wish if wish.profile else authorities[name]).other_profiles,
            directory=authorities[name].directory,
        )
        for name in wish.authorities
    )


def roots_of(config: Config, wish: Certificate, version: Version | None) -> str:
    """What a version must chain to: the `roots` of the authority that issued it, else of the wish's first."""
    issued_by = version.authority if version else None
    known = issued_by is not None and issued_by in config.authorities
    return config.authorities[issued_by if known and issued_by else wish.authorities[0]].roots


def observed_wake(configured: timedelta, last_run: datetime | None, now: datetime) -> timedelta:
    """How long until anybody looks again: the longer of what is configured and what was observed.

    What was observed counts for a day at most: after a month switched off, nobody will be away for a month.
    """
    if last_run is None or last_run > now:
        return configured
    return max(configured, min(now - last_run, timedelta(days=1)))
