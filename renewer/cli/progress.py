"""A progress bar for a person who watches a run with several orders; nothing is drawn elsewhere."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

from renewer import words
from renewer.cli.log_story import sentence
from renewer.model.decision import EventName, Step

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_ENDS = (EventName.INSTALLED, EventName.FAILED)
_SHOWN = (EventName.FAILED, EventName.RENEWED, EventName.ROLLED_BACK, EventName.NOTICE)


class Watcher:
    """Shows events on stderr: all with -v, else what matters; with a bar when several are ordered at once."""

    def __init__(self, *, verbose: bool, draw: bool) -> None:
        self.verbose = verbose
        self.draw = draw
        self._orders: set[str] = set()
        self._ended: set[str] = set()
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, event: dict[str, object]) -> None:
        """Take one event of the renewal log."""
        if self.draw:
            self._count(event)
        if self.verbose or (self.draw and event.get("event") in _SHOWN):
            self._say(sentence(event, verbose=self.verbose) or "")

    def _count(self, event: dict[str, object]) -> None:
        name = str(event.get("certificate", ""))
        if event.get("event") == EventName.DECIDED and event.get("step") in (Step.ISSUE, Step.RESUME):
            self._orders.add(name)
        elif event.get("event") in _ENDS and name in self._orders:
            self._ended.add(name)
        if len(self._orders) > 1 and event.get("event") != EventName.DECIDED:
            self._show()

    def _show(self) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("certificates"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("orders", total=len(self._orders))
            self._bar.start()
        if self._task is not None:
            self._bar.update(self._task, completed=len(self._ended))

    def _say(self, text: str) -> None:
        from renewer.cli import screen

        if not text:
            return
        if self._bar is not None:
            from rich.text import Text

            self._bar.console.print(Text(words.clean(text)))
        else:
            screen.say(text)
