"""The hook mariadb and a real MariaDB."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from renewer.hooks import HookVerdict
from tests.hooks.alone import DEPLOY, TEST
from tests.hooks.bed import Bed
from tests.hooks.laid import Laid, laid
from tests.hooks.standing import Standing
from tests.hooks.walk import Note, walk
from tests.servers.foreground import program
from tests.servers.mariadb import USER, Mariadb


class Served(Standing):
    """A MariaDB."""

    hook = "mariadb"
    starttls = "mysql"
    owner = "mysql"


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running MariaDB takes every step of the table."""
    bed.serve(Served(bed, Mariadb))
    walk(bed, record_property)


@pytest.fixture
def stand(place: Path) -> Iterator[Laid[Mariadb]]:
    """A MariaDB, not yet started, and its copies."""
    with laid(place, "mariadb", Mariadb, starttls="mysql", owner=USER) as stand:
        yield stand


def test_an_account_that_may_only_reload(stand: Laid[Mariadb], tmp_path: Path) -> None:
    """RELOAD is enough, and the password comes from an option file; a wrong one is said, and not later."""
    stand.server.start()
    sql = "CREATE USER renewer@localhost IDENTIFIED BY 'sesame'; GRANT RELOAD ON *.* TO renewer@localhost"
    socket = f"--socket={stand.server.env['MARIADB_SOCKET']}"
    subprocess.run(
        [program("mariadb", "mariadb-client"), "--no-defaults", socket, "-e", sql], check=True, timeout=20
    )
    options = tmp_path / "client.cnf"
    options.write_text("[client]\nuser = renewer\npassword = sesame\n")
    new = stand.lay()

    for event in (TEST, DEPLOY):
        result = stand.call(event, MARIADB_DEFAULTS=str(options))
        assert (result.verdict, result.error) == (HookVerdict.DONE, None)
    assert stand.served == new

    options.write_text("[client]\nuser = renewer\npassword = wrong\n")
    result = stand.call(TEST, MARIADB_DEFAULTS=str(options))
    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "Access denied for user 'renewer'" in (result.error or "")


def test_what_it_refuses_is_a_failure(stand: Laid[Mariadb]) -> None:
    """Without the test, too: MariaDB keeps the old pair, and says so."""
    before = stand.lay()
    stand.server.start()
    stand.lay()
    stand.break_it()

    result = stand.call(DEPLOY)

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "Failed to refresh SSL" in (result.error or "")
    assert stand.served == before


@pytest.mark.parametrize("host", [None, "127.0.0.1"])
def test_nobody_there_is_later(stand: Laid[Mariadb], tmp_path: Path, host: str | None) -> None:
    """No socket, or nobody at the port: 75."""
    options = tmp_path / "client.cnf"
    options.write_text(f"[client]\nhost = {host}\nport = {stand.server.port}\n" if host else "[client]\n")
    env = {"MARIADB_SOCKET": ""} if host else {}

    result = stand.call(DEPLOY, MARIADB_DEFAULTS=str(options), **env)

    assert (result.verdict, result.code) == (HookVerdict.LATER, 75), result.output


def test_mysql_has_another_statement(stand: Laid[Mariadb], tmp_path: Path) -> None:
    """A server that is no MariaDB is told ALTER INSTANCE RELOAD TLS (the client here only writes it down)."""
    said = tmp_path / "said"
    client = tmp_path / "mysql"
    client.write_text(
        "#!/bin/sh\n"
        'for last; do :; done; echo "$last" >>' + str(said) + "\n"
        "printf '%s\\n' 8.0.36 /var/lib/mysql/ server-cert.pem server-key.pem\n"
    )
    client.chmod(0o755)

    assert stand.call(DEPLOY, MARIADB=str(client)).verdict is HookVerdict.DONE
    assert said.read_text().splitlines()[1:] == ["ALTER INSTANCE RELOAD TLS"]


def test_no_client_at_all(stand: Laid[Mariadb]) -> None:
    """A missing client is a failure that says what to set."""
    result = stand.call(TEST, MARIADB="/no/such/client")

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "set MARIADB in the hook's env" in (result.error or "")
