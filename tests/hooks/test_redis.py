"""The hook redis and a real Redis."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from renewer.hooks import HookVerdict
from renewer.model.desired import HookEvent
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
def stand(place: Path) -> Iterator[Laid[Redis]]:
    """A Redis, not yet started, and its copies."""
    with laid(place, "redis", Redis) as stand:
        yield stand


def test_the_password_is_no_argument(stand: Laid[Redis], tmp_path: Path) -> None:
    """It goes from the file to the client by the environment; nothing says it."""
    stand.server.start()
    seen = tmp_path / "seen"
    client = tmp_path / "redis-cli"
    client.write_text(f'#!/bin/sh\necho "$@" >>{seen}\nexec redis-cli "$@"\n')
    client.chmod(0o755)
    new = stand.lay()

    results = [stand.call(event, REDIS_CLI=str(client)) for event in (TEST, DEPLOY)]

    assert [result.verdict for result in results] == [HookVerdict.DONE, HookVerdict.DONE]
    assert stand.served == new
    assert f"CONFIG SET tls-cert-file {stand.server.cert}" in seen.read_text()
    assert PASSWORD not in seen.read_text()
    assert [result.output for result in results] == ["", ""]


def test_a_wrong_password_is_a_failure(stand: Laid[Redis]) -> None:
    """It is not taken for a server that does not run, and not told."""
    stand.server.start()
    stand.server.secret.write_text("open barley\n")

    result = stand.call(TEST)

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "AUTH failed" in (result.error or "")
    assert "barley" not in result.output


def test_by_tls_with_the_certificate_that_is_to_go(stand: Laid[Redis]) -> None:
    """Where there is no socket, its TLS port does."""
    stand.server.start()
    new = stand.lay()

    arguments = f"-h 127.0.0.1 -p {stand.server.port} --tls --insecure"
    result = stand.call(DEPLOY, REDIS_SOCKET="", REDIS_ARGS=arguments)

    assert (result.verdict, result.error) == (HookVerdict.DONE, None)
    assert stand.served == new


def test_what_it_refuses_is_a_failure(stand: Laid[Redis]) -> None:
    """Without the test, too: Redis keeps the old pair, and says so."""
    before = stand.lay()
    stand.server.start()
    stand.lay()
    stand.break_it()

    result = stand.call(DEPLOY)

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "Unable to update TLS configuration" in (result.error or "")
    assert stand.served == before


@pytest.mark.parametrize("event", [TEST, DEPLOY, ROLLBACK])
def test_nobody_there_is_later(stand: Laid[Redis], event: HookEvent) -> None:
    """No socket, or nobody at the port: 75."""
    stand.server.directory.mkdir()
    stand.server.configure()
    for env in ({}, {"REDIS_SOCKET": "", "REDIS_ARGS": f"-p {stand.server.port}"}):
        result = stand.call(event, **env)
        assert (result.verdict, result.code) == (HookVerdict.LATER, 75), result.output


def test_no_client_at_all(stand: Laid[Redis]) -> None:
    """A missing client is a failure that says what to set."""
    stand.server.directory.mkdir()
    stand.server.configure()
    result = stand.call(TEST, REDIS_CLI="/no/such/client")

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "set REDIS_CLI in the hook's env" in (result.error or "")
