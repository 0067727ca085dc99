"""Asking authorities for renewal windows (RFC 9773 §4), many at a time and none too hard."""

import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from renewer import clock
from renewer.context import Context
from renewer.errors import RenewerError
from renewer.model.decision import EventName
from renewer.model.facts import Situation, Version, Window
from renewer.policy.checks import window_of
from renewer.policy.freshness import ask_after

if TYPE_CHECKING:
    from renewer.network.acme.resources import Renewal

PARALLEL = 8
LONG_PAUSE = timedelta(
    hours=6
)  # until an authority without renewal information is asked whether it has it now
FIRST_PAUSE = 1.0  # seconds, after an authority said that it is asked too much; doubled each time it says so
LONGEST_PAUSE = 60.0  # who asks for more is asked by a later run
PATIENCE = 5  # times in a row that it may say so in one run
_Pair = tuple[Situation, Version]


class Questions:
    """The questions of one run, until `end` on clock.monotonic.

    An authority that says it is asked too much (503, 429) is asked one at a time from then on, with the pause
    that it wants; one that does not answer is left alone. Who got no turn has no answer and is first next
    time.
    """

    def __init__(self, context: Context, end: float) -> None:
        self._context = context
        self._end = end
        self._silent: set[str] = set()
        self._busy: dict[str, float] = {}
        self._refused: dict[str, list[Window]] = {}  # what is on record of those that met a busy one
        self._guard = threading.Lock()

    def ask(self, asking: Sequence[_Pair]) -> list[Window]:
        """The answers, as facts; in the order given, as far as time allows.

        Who has a window is asked for only once all others were: side by side, they could take what an
        authority that soon has enough still answers.
        """
        if len(asking) == 1:
            first = [self._ask(asking[0])]
        else:
            from concurrent.futures import ThreadPoolExecutor  # brings logging: 10 ms for who asks, no other

            known = [bool((window := window_of(*pair)) and window.start) for pair in asking]
            start = known.index(True) if True in known else len(asking)
            with ThreadPoolExecutor(PARALLEL, thread_name_prefix="window") as pool:
                first = list(pool.map(self._ask, asking[:start]))
                first += pool.map(self._ask, asking[start:])
        late = [pair for pair, answer in zip(asking, first, strict=True) if answer is None]
        return [answer for answer in first if answer] + self._one_at_a_time(late)

    def _one_at_a_time(self, late: Sequence[_Pair]) -> list[Window]:
        """Those whose authority was busy, after a pause each."""
        answers: list[Window] = []
        refused: dict[str, int] = {}
        for pair in late:
            authority = pair[1].authority or ""
            while authority in self._busy and authority not in self._silent:
                pause = max(self._busy[authority], FIRST_PAUSE * 2 ** refused.get(authority, 0))
                over = pause > LONGEST_PAUSE or clock.monotonic() + pause > self._end
                if over or refused.get(authority, 0) >= PATIENCE or self._context.stopping.is_set():
                    self._silent.add(authority)
                    answers += self._refused.get(authority, [])[-1:]
                    break
                clock.sleep(pause)
                self._busy[authority] = 0.0
                if (answer := self._ask(pair, patiently=True)) is not None:
                    answers.append(answer)
                    refused[authority] = 0
                    break
                refused[authority] = refused.get(authority, 0) + 1
        return answers

    def _ask(self, pair: _Pair, *, patiently: bool = False) -> Window | None:
        """One question; None if it was not asked, or is to be asked again because the authority is busy."""
        situation, version = pair
        before, authority = window_of(situation, version), version.authority or ""
        with self._guard:
            spared = authority in self._silent or (authority in self._busy and not patiently)
        if spared or clock.monotonic() > self._end:
            return None
        failures = before.failures if before else 0
        blank = Window(
            certificate=situation.wish.name,
            serial=version.leaf.serial,
            asked_at=clock.now(),
            ask_again=clock.now() + LONG_PAUSE,
        )
        later = msgspec.structs.replace(
            before or blank,
            asked_at=blank.asked_at,
            ask_again=clock.now() + ask_after(failures),
            failures=failures + 1,
        )
        try:
            answer = self._context.session(authority).renewal_info(version.leaf.ari_id or "", failures)
        except RenewerError as error:
            with self._guard:
                self._silent.add(authority)
            _tell_none(self._context, situation, authority, error.text)
            return later
        if answer is None:
            return blank  # this authority has no renewal information at all
        if answer.start is None:
            return self._without(pair, answer, later)
        return _window(self._context, before, blank, answer)

    def _without(self, pair: _Pair, answer: "Renewal", later: Window) -> Window | None:
        situation, authority = pair[0], pair[1].authority or ""
        _tell_none(self._context, situation, authority, answer.trouble or "")
        refused = msgspec.structs.replace(later, ask_again=answer.ask_again, failures=answer.failures)
        with self._guard:
            if answer.busy is not None and answer.busy <= LONGEST_PAUSE:
                self._busy[authority] = max(answer.busy, self._busy.get(authority, 0.0))
                self._refused.setdefault(authority, []).append(refused)
                return None
            if answer.failures:
                self._silent.add(authority)
        return refused


def _tell_none(context: Context, situation: Situation, authority: str, why: str) -> None:
    text = f"no renewal window of {authority}: {why}"
    context.journal.tell(EventName.NOTICE, situation.wish.name, text=text)


def _window(context: Context, before: Window | None, blank: Window, answer: "Renewal") -> Window:
    """What the authority said; a window that moved is told with its explanation (RFC 9773 §4.2)."""
    window = msgspec.structs.replace(
        blank,
        start=answer.start,
        end=answer.end,
        explanation_url=answer.explanation_url,
        ask_again=answer.ask_again,
    )
    if before and (before.start, before.end) != (window.start, window.end):
        context.journal.tell(
            EventName.NOTICE,
            window.certificate,
            text="the authority moved the renewal window",
            window_start=window.start,
            window_end=window.end,
            explanation=window.explanation_url,
        )
    return window
