"""What a port shows, against what it should."""

from collections.abc import Collection

import pytest

from renewer.model.facts import EndpointState
from renewer.policy.serving import judge


@pytest.mark.parametrize(
    ("shown", "trusted", "name_matches", "expected"),
    [
        pytest.param("live", True, True, EndpointState.VERIFIED, id="The leaf that should be there"),
        pytest.param("live", None, None, EndpointState.VERIFIED, id="The leaf, where no root is asked for"),
        pytest.param("live", False, True, EndpointState.UNTRUSTED, id="The leaf, its chain incomplete"),
        pytest.param("live", True, False, EndpointState.UNTRUSTED, id="The leaf, for another name"),
        pytest.param("older", True, True, EndpointState.STALE, id="An older one of ours"),
        pytest.param("older", False, False, EndpointState.STALE, id="An older one, not trusted either"),
        pytest.param("theirs", True, True, EndpointState.FOREIGN, id="Somebody else's"),
        pytest.param(None, None, None, EndpointState.UNREACHABLE, id="No certificate at all"),
    ],
)
def test_what_is_served(
    shown: str | None,
    trusted: bool | None,  # noqa: FBT001
    name_matches: bool | None,  # noqa: FBT001
    expected: EndpointState,
) -> None:
    """The leaf decides, then whether clients would believe it."""
    ours: Collection[str] = {"live", "older"}
    found = judge(
        completed=True,
        fingerprint=shown,
        trusted=trusted,
        name_matches=name_matches,
        live="live",
        ours=ours,
    )

    assert found is expected


def test_a_handshake_that_fails_is_unreachable() -> None:
    """Whatever leaf was seen before it broke."""
    found = judge(
        completed=False, fingerprint="live", trusted=True, name_matches=True, live="live", ours=("live",)
    )

    assert found is EndpointState.UNREACHABLE
