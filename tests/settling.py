"""Ten seconds of waiting for a reload in one: for ports of which a test knows that nothing will change."""

import pytest

from renewer import clock
from renewer.network.verify import settling
from renewer.network.verify.sight import TargetAddress

HASTE = 10


class _Hasty:
    """The clock of who waits; a connection has its own time as before, for the machine may be busy."""

    @staticmethod
    def monotonic() -> float:
        return clock.monotonic() * HASTE

    @staticmethod
    def sleep(seconds: float) -> None:
        clock.sleep(seconds)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stays as it is at a port is given up after a tenth of the time."""
    monkeypatch.setattr(settling, "clock", _Hasty)
    monkeypatch.setattr(settling._Watch, "_timeout", _patience)


def _patience(_watch: object, place: TargetAddress, _deadline: float) -> float:
    return place.patience
