"""The hook redis and a real Redis."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from renewer.hooks import Verdict
from tests.hooks.alone import DEPLOY, ROLLBACK, TEST
from tests.hooks.bed import Bed
from tests.hooks.laid import Laid, laid
from tests.hooks.standing import Standing
from tests.hooks.walk import Note, walk
from tests.servers.redis import PASSWORD, Redis


class Served(Standing):
    """A Redis."""

    hook = "redis"


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running Redis takes every step of the table."""
    bed.serve(Served(bed, Redis))
    walk(bed, record_property)


@pytest.fixture
def place() -> Iterator[Laid]:
    """A Redis, not yet started, and its copies."""
    with laid("redis", Redis) as place:
        yield place


def test_the_password_is_no_argument(place: Laid, tmp_path: Path) -> None:
    """It goes from the file to the client by the environment; nothing says it."""
    place.server.start()
    seen = tmp_path / "seen"
    client = tmp_path / "redis-cli"
    client.write_text(f'#!/bin/sh\necho "$@" >>{seen}\nexec redis-cli "$@"\n')
    client.chmod(0o755)
    new = place.lay()

    results = [place.call(event, REDIS_CLI=str(client)) for event in (TEST, DEPLOY)]

    assert [result.verdict for result in results] == [Verdict.DONE, Verdict.DONE]
    assert place.served == new
    assert f"CONFIG SET tls-cert-file {place.server.cert}" in seen.read_text()
    assert PASSWORD not in seen.read_text()
    assert [result.output for result in results] == ["", ""]


def test_a_wrong_password_is_a_failure(place: Laid) -> None:
    """It is not taken for a server that does not run, and not told."""
    place.server.start()
    place.server.secret.write_text("open barley\n")

    result = place.call(TEST)

    assert (result.verdict, result.code) == (Verdict.FAILED, 1)
    assert "AUTH failed" in (result.error or "")
    assert "barley" not in result.output


def test_by_tls_with_the_certificate_that_is_to_go(place: Laid) -> None:
    """Where there is no socket, its TLS port does."""
    place.server.start()
    new = place.lay()

    arguments = f"-h 127.0.0.1 -p {place.server.port} --tls --insecure"
    result = place.call(DEPLOY, REDIS_SOCKET="", REDIS_ARGS=arguments)

    assert (result.verdict, result.error) == (Verdict.DONE, None)
    assert place.served == new


def test_what_it_refuses_is_a_failure(place: Laid) -> None:
    """Without the test, too: Redis keeps the old pair, and says so."""
    before = place.lay()
    place.server.start()
    place.lay()
    place.break_it()

    result = place.call(DEPLOY)

    assert (result.verdict, result.code) == (Verdict.FAILED, 1)
    assert "Unable to update TLS configuration" in (result.error or "")
    assert place.served == before


@pytest.mark.parametrize("event", [TEST, DEPLOY, ROLLBACK])
def test_nobody_there_is_later(place: Laid, event: str) -> None:
    """No socket, or nobody at the port: 75."""
    place.server.directory.mkdir()
    place.server.configure()
    for env in ({}, {"REDIS_SOCKET": "", "REDIS_ARGS": f"-p {place.server.port}"}):
        result = place.call(event, **env)
        assert (result.verdict, result.code) == (Verdict.LATER, 75), result.output


def test_no_client_at_all(place: Laid) -> None:
    """A missing client is a failure that says what to set."""
    place.server.directory.mkdir()
    place.server.configure()
    result = place.call(TEST, REDIS_CLI="/no/such/client")

    assert (result.verdict, result.code) == (Verdict.FAILED, 1)
    assert "set REDIS_CLI in the hook's env" in (result.error or "")
