"""What a person sees while a run is at work: a bar with its phase, and what matters, each cause once."""

from typing import TYPE_CHECKING, Self

from renewer import words
from renewer.cli import screen
from renewer.cli.log_story import sentence
from renewer.model.decision import EventName, Step
from renewer.report import together

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_ENDS = (EventName.INSTALLED, EventName.FAILED)
_SHOWN = (EventName.FAILED, EventName.RENEWED, EventName.ROLLED_BACK, EventName.NOTICE)
_EACH = 12  # orders up to which each renewal is told when it is done
_PHASES = {
    Step.ISSUE: "ordering",
    Step.RESUME: "ordering",
    Step.INSTALL: "installing",
    Step.DEPLOY: "hooks and copies",
    Step.LOOK: "looking at ports",
    Step.WAIT: "waiting",
    Step.KEEP: "ready",
}


class Watcher:
    """Shows events on stderr: all with -v, else what matters; with a bar when several are acted upon."""

    def __init__(self, *, verbose: bool, draw: bool) -> None:
        self.verbose = verbose
        self.draw = draw
        self._orders: set[str] = set()
        self._ended: set[str] = set()
        self._told: set[str] = set()
        self._phase = _PHASES[Step.ISSUE]
        self._batch = (0, 0)  # of the hooks' phase: done, and all
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, event: dict[str, object]) -> None:
        """Take one event of the renewal log."""
        begins = event.get("event") == EventName.DECIDED and not event.get("certificate")
        if self.draw:
            self._count(event)
        if not begins and (self.verbose or (self.draw and self._matters(event))):
            self._say(sentence(event, verbose=self.verbose) or "")

    def _matters(self, event: dict[str, object]) -> bool:
        """Whether it is worth a line: of many the first of each cause, and no single success."""
        kind, name = event.get("event"), str(event.get("certificate", ""))
        if kind not in _SHOWN or (kind == EventName.RENEWED and len(self._orders) > _EACH):
            return False
        cause = together.alike(f"{kind} {event.get('error') or event.get('text') or name}", (name,))
        if kind != EventName.RENEWED and cause in self._told:
            return False
        self._told.add(cause)
        return True

    def _count(self, event: dict[str, object]) -> None:
        kind, name, step = event.get("event"), str(event.get("certificate", "")), event.get("step")
        if kind == EventName.DECIDED and not name:  # a batch begins
            number = event.get("number")
            self._phase = _PHASES[Step(str(step))]
            self._batch = (0, number if isinstance(number, int) and step == Step.DEPLOY else 0)
            self._show()
        elif kind == EventName.DECIDED and step in (Step.ISSUE, Step.RESUME):
            self._orders.add(name)
        elif kind in _ENDS and name in self._orders:
            self._ended.add(name)
        elif kind == EventName.DEPLOYED and self._batch[1]:
            self._batch = (self._batch[0] + 1, self._batch[1])
        if kind != EventName.DECIDED:
            self._show()

    def _show(self) -> None:
        several = len(self._orders) > 1 or self._batch[1] > 1
        if self._bar is None and not several:
            return
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (
                TextColumn("certificates"),
                BarColumn(20),
                MofNCompleteColumn(),
                TextColumn("{task.description}", markup=False),
                TimeElapsedColumn(),
            )
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=len(self._orders))
            self._bar.start()
        if self._task is not None:
            done, all_of_them = self._batch if self._batch[1] else (len(self._ended), len(self._orders))
            total = all_of_them or None
            self._bar.update(self._task, description=self._phase, completed=done, total=total)

    def _say(self, text: str) -> None:
        if not text:
            return
        if self._bar is not None:
            from rich.text import Text

            self._bar.console.print(Text(words.clean(text)))
        else:
            screen.say(text)
