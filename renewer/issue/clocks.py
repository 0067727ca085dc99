"""Our clock against the authorities', before anything is ordered: by a wrong one an order does only harm.

Nothing of it is kept: each run compares again, so it ends by itself when the clocks agree.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from renewer import clock, proc
from renewer.errors import RenewerError, RetryLater
from renewer.network.acme.lost import DATES
from renewer.policy import clocks as policy
from renewer.policy.clocks import ClockVerdict, Reading
from renewer.policy.wanted import ASSUMED_LIFETIME

if TYPE_CHECKING:
    from collections.abc import Callable

    from renewer.accounts.session import Session
    from renewer.context import Context
    from renewer.model.facts import Situation

CLOCK = "clock"  # the kind of error that says: no failure of the certificate
_LIMIT = 5.0  # seconds for timedatectl


class Clocks:
    """What the run found of the clocks so far; safe for threads. What it found stands in the context."""

    def __init__(self, context: Context, session: Callable[[str], Session]) -> None:
        self._context = context
        self._session = session
        self._guard = threading.Lock()

    def check(self, authority: str, situation: Situation) -> None:
        """Raise RetryLater with kind "clock" if nothing may be ordered there: no failure of the certificate.

        What else goes wrong with the authority is raised as it is.
        """
        with self._guard:
            self._refuse(authority)
        found = self._ask(authority)
        if found is not None:
            self._judge(found, situation)

    def blame(self, error: RenewerError, authority: str, situation: Situation) -> RenewerError:
        """What an error means that may be our clock's; any other comes back as it is."""
        if error.kind != DATES:
            return error
        try:
            self._judge(_of_tls(authority, error), situation)
        except RetryLater as verdict:
            return verdict
        return error

    def _refuse(self, authority: str) -> None:
        """Raise what the run knows already."""
        if self._context.distrust:
            raise RetryLater(self._context.distrust[0], kind=CLOCK, hint=self._context.distrust[1])
        if authority in self._context.passed_over:
            text, hint = self._context.passed_over[authority]
            raise RetryLater(text, kind=CLOCK, hint=hint)

    def _judge(self, odd: Reading, situation: Situation) -> None:
        live = situation.live_version
        tolerance = policy.tolerated(live.leaf.lifetime if live else situation.lifetime or ASSUMED_LIFETIME)
        if not policy.differs(odd, tolerance):
            return
        with self._guard:
            self._refuse(odd.authority)  # another worker may have found out meanwhile
            others = self._witnesses(odd.authority)
            agreeing = policy.agreeing(odd, others, tolerance)
            verdict = policy.judge(odd, others, tolerance, synchronised=synchronised())
            if verdict is ClockVerdict.DISTRUSTED:
                self._context.distrust = policy.distrusted([odd, *agreeing], clock.now())
            else:
                self._context.passed_over[odd.authority] = policy.passed_over(odd)
            self._refuse(odd.authority)

    def _witnesses(self, but: str) -> list[Reading]:
        """The clocks of the other authorities that certificates are to come from."""
        wishes = self._context.config.certificates.values()
        found = []
        for name in dict.fromkeys(name for one in wishes for name in one.authorities if name != but):
            with suppress(RenewerError):  # who does not answer says nothing
                found.append(self._ask(name))
        return [one for one in found if one is not None]

    def _ask(self, authority: str) -> Reading | None:
        """None if it says no Date."""
        try:
            ahead = self._session(authority).compare_clocks()
        except RenewerError as error:
            if error.kind != DATES:
                raise
            return _of_tls(authority, error)
        return None if ahead is None else policy.reading(authority, ahead)


def _of_tls(authority: str, error: RenewerError) -> Reading:
    return policy.out_of_date(authority, expired="expired" in error.text)


def synchronised() -> bool | None:
    """What the kernel says of our clock; systemd is asked where a sandbox refuses that (ProtectClock=)."""
    said = clock.synchronised()
    if said is not None:
        return said
    with suppress(RenewerError):
        ask = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
        answer = proc.run(ask, env=proc.scrubbed_environment(), timeout=_LIMIT).output.strip()
        return {"yes": True, "no": False}.get(answer)
    return None
