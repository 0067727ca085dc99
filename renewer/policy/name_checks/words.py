"""Words that the judges share."""

from collections.abc import Callable, Iterable, Sequence

from renewer.model.inspection import Finding, Severity
from renewer.words import several

Make = Callable[[str, str, str], Finding]


def _maker(severity: Severity) -> Make:
    def make(code: str, text: str, hint: str) -> Finding:
        return Finding(severity=severity, code=code, text=text, hint=hint)

    return make


error, warning, info = _maker(Severity.ERROR), _maker(Severity.WARNING), _maker(Severity.INFO)


def listed(words: Iterable[str], most: int = 4) -> str:
    """Some words for people: a few, then how many more."""
    return several(dict.fromkeys(words), most)


def arrows(chain: Sequence[str]) -> str:
    """A chain of aliases."""
    return " → ".join(chain)
