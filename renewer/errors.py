"""What can go wrong, said so that the program and the person know what to do next.

Three classes carry the whole policy of failure: `RetryLater` (the world may change by itself),
`GiveUp` (nothing changes until the operator changes something) and `OurFault` (a defect of this
program). Every message says what happened and why; `hint` says what to do.
"""

from datetime import datetime


class RenewerError(Exception):
    """Something went wrong; `text` is for people, `hint` says what they can do about it.

    `kind` is a short stable word, for an ACME problem its type without the URN prefix (RFC 8555 §6.7).
    `identifiers` names those that failed, each with what was said of it. `not_before` (aware UTC) is set if
    somebody said when to come back.
    """

    def __init__(
        self,
        text: str,
        *,
        hint: str = "",
        kind: str = "",
        identifiers: tuple[tuple[str, str], ...] = (),
        not_before: datetime | None = None,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint
        self.kind = kind
        self.identifiers = identifiers
        self.not_before = not_before


class RetryLater(RenewerError):
    """It failed now and may work later."""


class GiveUp(RenewerError):
    """It fails until the operator changes something: told at once, tried again daily only."""


class OurFault(RenewerError):
    """A defect of this program, or an authority that breaks the protocol; goes to the log with a trace."""

    @classmethod
    def of(cls, error: Exception) -> "OurFault":
        """What nobody foresaw, as an error that can be told."""
        said = " ".join(str(error).split())[:200]
        return cls(
            f"a defect of this program: {type(error).__name__}" + (f": {said}" if said else ""),
            hint="please report it with the renewal log, which has its trace",
            kind="defect",
        )


class Fault:
    """One thing wrong in a config: where (file, line, dotted path), what, and what was probably meant."""

    __slots__ = ("file", "hint", "line", "path", "text")

    def __init__(
        self, *, path: str, text: str, line: int | None = None, hint: str = "", file: str = ""
    ) -> None:
        self.path = path
        self.text = text
        self.line = line
        self.hint = hint
        self.file = file

    def __repr__(self) -> str:
        return f"Fault({self.file}:{self.line} {self.path}: {self.text})"


class ConfigError(RenewerError):
    """The configuration cannot be used; `faults` is everything that is wrong with it, not just the first."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(f"{fault.path}: {fault.text}" for fault in faults), kind="config")
        self.faults = faults


class UsageError(RenewerError):
    """The command line asks for something that makes no sense; nothing was done."""


class StateError(RenewerError):
    """The state directory cannot be used as it is (missing rights, foreign owner, disk full)."""


class LockHeld(RenewerError):
    """Another run is at work; the text says which and since when."""
