"""`renewer discover --watch`: what others renew is watched, so that one screen answers for the whole host."""

import json
import os
import shutil
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.discover.newcomer import CONFIG, NAME, Newcomer

pytestmark = pytest.mark.real
FILE = CONFIG.parent / "conf.d" / "discovered.toml"
OLD = datetime.now(UTC) - timedelta(days=100)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Newcomer]:
    """Certbot's certificate is served by nginx; one that nobody renews has expired, in a usual place."""
    with Newcomer(tmp_path) as newcomer:
        pair = newcomer.issue(NAME)
        old = Path("/etc/letsencrypt")
        shutil.rmtree(old, ignore_errors=True)
        (old / "live" / NAME).mkdir(parents=True)
        (old / "renewal").mkdir()
        (old / "renewal" / f"{NAME}.conf").write_text("version = 2.1.0\n")
        served = old / "live" / NAME
        shutil.copy(pair.cert, served / "fullchain.pem")
        shutil.copy(pair.key, served / "privkey.pem")
        shutil.copy(newcomer.issue("old.example.org", not_before=OLD).cert, "/etc/ssl/private/old.pem")
        newcomer.nginx(
            f"server {{ listen 80; listen 443 ssl; server_name {NAME};\n"
            f"ssl_certificate {served}/fullchain.pem; ssl_certificate_key {served}/privkey.pem; }}\n"
        )
        yield newcomer


def test_one_screen_answers_for_the_machine(host: Newcomer, tmp_path: Path) -> None:
    """Status, page, metrics and notices know what others renew; said again, nothing changes."""
    told = tmp_path / "told"
    told.touch(0o600)
    script = tmp_path / "tell"
    script.write_text(f"#!/bin/sh\ncat >> {told}\n")
    script.chmod(0o755)
    CONFIG.parent.mkdir()
    CONFIG.write_text(
        'include = ["conf.d/*.toml"]\n'
        f'[report]\nmetrics = "{tmp_path}/r.prom"\npage = "{tmp_path}/r.html"\n'
        f'[notify.script]\ntype = "command"\nrun = ["{script}"]\n'
    )
    FILE.parent.mkdir()

    said = host.run("discover", "--watch")

    assert "+ watch.www-example-org: 127.0.0.1:443/www.example.org" in said
    assert "+ watch.old-example-org: /etc/ssl/private/old.pem" in said
    assert "# renewed by certbot; " in FILE.read_text()
    host.run("run", code=3)  # one has expired
    status = json.loads(host.run("status", "--json", code=3))
    states = {one["name"]: one["state"] for one in status["watches"]}
    assert states == {"www-example-org": "ok", "old-example-org": "expired"}
    assert 'target="127.0.0.1:443/www.example.org"' in (tmp_path / "r.prom").read_text()
    page = (tmp_path / "r.html").read_text()
    assert "www-example-org" in page
    assert "old-example-org" in page
    assert "old-example-org" in told.read_text()
    assert "www-example-org" not in told.read_text()
    before = FILE.read_text()
    again = host.run("discover", "--watch")
    assert "+ " not in again
    assert FILE.read_text() == before


def test_it_begins_and_follows_what_is_there(host: Newcomer) -> None:
    """Without a configuration one begins; what is gone goes, what another file watches is left to that."""
    host.run("discover", "--watch")
    assert set(tomllib.loads(FILE.read_text())["watch"]) == {"www-example-org", "old-example-org"}
    own = FILE.with_name("own.toml")
    own.write_text('[watch.archive]\nfile = "/etc/ssl/private/old.pem"\n')
    said = host.run("discover", "--watch")
    assert "- watch.old-example-org: not found any more, or another file watches it" in said
    assert set(tomllib.loads(FILE.read_text())["watch"]) == {"www-example-org"}
    own.unlink()
    os.unlink("/etc/ssl/private/old.pem")
    assert "old-example-org" not in host.run("discover", "--watch")
    assert "watched www-example-org (127.0.0.1:443/www.example.org)" in host.run("status")


def test_nothing_of_anybody_is_overwritten(host: Newcomer) -> None:
    """A file of that name that somebody wrote stays, and so does a configuration that includes nothing."""
    CONFIG.parent.mkdir()
    CONFIG.write_text("[agent]\n")
    assert 'include = ["conf.d/*.toml"]' in host.run("discover", "--watch", code=2)
    CONFIG.write_text('include = ["conf.d/*.toml"]\n')
    FILE.parent.mkdir()
    FILE.write_text("# mine\n")
    assert "was not written by renewer: it stays" in host.run("discover", "--watch", code=2)
    assert FILE.read_text() == "# mine\n"
    assert CONFIG.read_text() == 'include = ["conf.d/*.toml"]\n'


def test_toml_for_what_was_found(host: Newcomer) -> None:
    """`--toml` fits the configuration: a watch for what certbot renews, one for what nobody uses."""
    text = host.run("discover", "--toml")
    found = tomllib.loads(text)
    assert found["watch"]["www-example-org"]["endpoint"]["port"] == 443
    assert found["watch"]["old-example-org"] == {"file": "/etc/ssl/private/old.pem"}
    (Path("/etc/letsencrypt/renewal") / f"{NAME}.conf").unlink()
    text = host.run("discover", "--toml")
    assert tomllib.loads(text)["certificate"]["www-example-org"] == {"names": [NAME], "hooks": ["nginx"]}
    CONFIG.parent.mkdir()
    CONFIG.write_text(
        '[defaults]\nauthority = "letsencrypt"\nagree_terms = true\n'
        f'challenge = {{ type = "http-01", webroot = "/var/www/html" }}\n{text}'
    )
    assert "1 certificate, 1 authority, 1 hook: fine" in host.run("config", "check")
