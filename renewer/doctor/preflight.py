"""The look at the names before the first order of a certificate: it warns, and never stops the order.

A first order fails mostly for DNS, a firewall or CAA, and each failure at the authority counts against a
limit. All such looks of a run share a few seconds: a run with a hundred new certificates loses no more.
"""

import threading
from typing import TYPE_CHECKING

from renewer import clock
from renewer.context import Context
from renewer.errors import RenewerError
from renewer.model.decision import EventName
from renewer.model.desired import FirstLook
from renewer.model.facts import Situation
from renewer.model.inspection import Severity
from renewer.network.dns import NameServers

if TYPE_CHECKING:
    from renewer.doctor.examination import Doors

LIMIT = 4.0  # seconds for all of a run
_LEAST = 0.5  # seconds without which nothing is begun
_RESOLVER = 1.5  # seconds for the resolver to show that there is one


class FirstOrders:
    """Those of one run; called from its workers. `found` has what would break it, by certificate."""

    def __init__(self, context: Context, *, doors: "Doors | None" = None) -> None:
        self._context = context
        self._doors = doors
        self._guard = threading.Lock()
        self._end: float | None = None
        self.found: dict[str, tuple[str, ...]] = {}

    def look(self, situation: Situation) -> None:
        """Tell the renewal log what is wrong with the names, if the certificate never had a version."""
        wish = situation.wish
        if self._context.config.agent.preflight is FirstLook.OFF:
            return
        if any(not version.placeholder for version in situation.versions):
            return
        if (left := self._time_left()) < _LEAST:
            return
        from renewer.doctor.examination import examine

        try:
            found = examine(
                self._context.config, [wish], state=self._context.accounts, limit=left, doors=self._doors
            )
        except RenewerError as error:
            self._tell(wish.name, f"the names could not be looked at before the first order: {error.text}")
            return
        except Exception as error:  # noqa: BLE001  a defect of ours in a kindness must not stop the order
            self._tell(wish.name, f"the look before the first order broke: {type(error).__name__}")
            return
        for checkup in found:
            for one in checkup.findings:
                if one.severity is not Severity.INFO and one.code != "unfinished":
                    self._tell(wish.name, one.text, severity=one.severity, code=one.code, hint=one.hint)
        worst = [one for checkup in found for one in checkup.findings if one.severity is Severity.ERROR]
        self.found[wish.name] = tuple(dict.fromkeys(f"{one.text}; {one.hint}" for one in worst))

    def _time_left(self) -> float:
        """What the first to come did not use up; nothing if DNS does not work on this host at all."""
        with self._guard:
            if self._end is None:
                self._end = clock.monotonic() + min(LIMIT, self._context.time_left())
                if silent := self._silent():
                    self._end = 0.0
                    self._tell("", f"the names were not looked at before the first order: {silent}")
            return self._end - clock.monotonic()

    def _silent(self) -> str:
        try:
            servers = NameServers(self._context.config.agent.resolvers).silent(_RESOLVER)
        except RenewerError as error:
            return error.text
        return f"no DNS resolver answers ({', '.join(servers)})" if servers else ""

    def _tell(self, certificate: str, text: str, **details: str) -> None:
        self._context.journal.tell(EventName.NOTICE, certificate, text=text, **details)
