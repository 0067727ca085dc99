"""Looking at ports has an end, however many there are and however silent."""

from typing import Any

import pytest

from renewer import clock
from renewer.model.desired import Endpoint
from renewer.network import verify
from renewer.network.verify import handshake, looks


def test_nothing_is_looked_at_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not looked at in time has no sight: the next run looks at it."""
    now = [0.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    real = handshake.see

    def slow(*given: Any) -> verify.Sight:
        now[0] += 10
        return real(*given)

    monkeypatch.setattr(looks, "see", slow)
    targets = [
        verify.Target(endpoint=Endpoint(server_name="a.example.org", port=1, host=f"127.0.0.{number}"))
        for number in range(1, 9)
    ]

    seen = verify.look(targets, workers=1, until=25.0)

    assert [one.address for one in seen] == ["127.0.0.1:1", "127.0.0.2:1", "127.0.0.3:1"]
