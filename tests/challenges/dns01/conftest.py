"""The bed of name servers, shared by the tests of one worker."""

from collections.abc import Iterator

import pytest

from renewer.network.dns import messages
from tests.challenges.dns01.bed import Bed


@pytest.fixture(scope="session")
def started_bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """All the servers."""
    with Bed(tmp_path_factory.mktemp("dns")) as bed:
        yield bed


@pytest.fixture
def bed(started_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> Bed:
    """All the servers, and name servers looked for at their port."""
    monkeypatch.setattr(messages, "PORT", started_bed.port)
    return started_bed
