"""Words that the judges share."""

from collections.abc import Callable, Iterable, Sequence

from renewer.model.inspection import Finding, Severity

Make = Callable[[str, str, str], Finding]


def _maker(severity: Severity) -> Make:
    def make(code: str, text: str, hint: str) -> Finding:
        return Finding(severity=severity, code=code, text=text, hint=hint)

    return make


error, warning, info = _maker(Severity.ERROR), _maker(Severity.WARNING), _maker(Severity.INFO)


def listed(words: Iterable[str], most: int = 4) -> str:
    """Some words for people: a few, then how many more."""
    every = list(dict.fromkeys(words))
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def arrows(chain: Sequence[str]) -> str:
    """A chain of aliases."""
    return " → ".join(chain)
