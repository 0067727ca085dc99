"""The hook for HAProxy, with real ones."""

import pytest

from tests.hooks.bed import Bed
from tests.hooks.walk import Note, walk
from tests.hooks.web import Haproxy


@pytest.mark.parametrize("api", [False, True], ids=["reload", "runtime API"])
def test_the_walk(bed: Bed, record_property: Note, *, api: bool) -> None:
    """A running HAProxy takes every step of the table, by reload and by its runtime API."""

    def note(name: str, value: object) -> None:
        assert isinstance(value, tuple)
        record_property(name, ("haproxy, runtime API" if api else "haproxy, reload", value[1]))

    bed.serve(Haproxy(bed, api=api))
    walk(bed, note)
