"""Names that a certificate lost."""

import pytest

from renewer.model.names import Identifier
from renewer.policy.serving import lost


@pytest.mark.parametrize(
    ("before", "now", "wished", "gone"),
    [
        ("a b", "a", "a", "b"),
        ("a b", "a", "a b", ""),
        ("a b", "a b c", "a b c", ""),
        ("a b c", "c", "c", "a b"),
        ("*", "a", "a", "*"),
        ("a b", "*", "*", ""),
    ],
)
def test_what_is_lost(before: str, now: str, wished: str, gone: str) -> None:
    """What it had, its successor has not, and nobody wishes for; a wildcard stands for what is below it."""

    def names(text: str) -> tuple[Identifier, ...]:
        return tuple(Identifier.parse(f"{word}.example.org") for word in text.split())

    assert lost(names(before), names(now), names(wished)) == names(gone)
