"""One Pebble that believes everything, and state that is made once."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.e2e.runner import Runner
from tests.moving.old import Certbot, Dehydrated, Lego, Newcomer, copied
from tests.servers.pebble import Pebble


@pytest.fixture(scope="session")
def believing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """A Pebble that issues without looking."""
    place = tmp_path_factory.mktemp("believing")
    with Pebble(place, always_valid=True, nonce_reject=0, profiles={"default": timedelta(days=90)}) as server:
        yield server


@pytest.fixture(scope="session")
def certbot(tmp_path_factory: pytest.TempPathFactory, believing: Pebble) -> Certbot:
    """What certbot left: three ways to prove names, hooks in its directories and inline."""
    made = Certbot(tmp_path_factory.mktemp("certbot"), believing)
    hook = ("--deploy-hook", 'echo "$RENEWED_LINEAGE" >>/dev/null; true')
    made.certonly("www.example.org", "--webroot", "-w", made.webroot, *hook)
    listen = ("--http-01-address", "127.0.0.1", "--http-01-port", str(made.port))
    made.certonly("Mail_1.example.org", "--standalone", *listen, "--key-type", "rsa", "--pre-hook", "true")
    auth = ("--manual-auth-hook", "echo $CERTBOT_DOMAIN", "--manual-cleanup-hook", "true")
    more = ("--preferred-challenges", "dns", "-d", "*.wild.example.org")
    made.certonly("wild.example.org", "--manual", *more, *auth)
    script = made.config / "renewal-hooks/deploy/10-all"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    return made


@pytest.fixture(scope="session")
def lego(tmp_path_factory: pytest.TempPathFactory, believing: Pebble) -> Path:
    """What Debian's lego left: a name and a name with a wildcard."""
    made = Lego(tmp_path_factory.mktemp("lego"), believing)
    made.run("run")
    for end in ("crt", "key", "json", "issuer.crt"):
        stem = made.home / "certificates"
        (stem / f"a.example.org.{end}").rename(stem / f"_.w.example.org.{end}")
    made.run("run")
    return made.home


@pytest.fixture(scope="session")
def dehydrated(tmp_path_factory: pytest.TempPathFactory, believing: Pebble) -> Path:
    """What Debian's dehydrated left: one certificate of two names, by a well-known directory."""
    made = Dehydrated(tmp_path_factory.mktemp("dehydrated"))
    made.set_up(believing)
    return made.home


@pytest.fixture(scope="session")
def runner() -> Iterator[Runner]:
    """What runs the commands."""
    with Runner() as process:
        yield process


@pytest.fixture
def agent(tmp_path: Path, believing: Pebble, runner: Runner) -> Newcomer:
    """A new agent that knows how to reach Pebble, and looks at no port."""
    return Newcomer.at(tmp_path, believing, runner)


@pytest.fixture
def alone(certbot: Certbot, believing: Pebble, tmp_path: Path) -> Certbot:
    """A copy of certbot's state for this test, with the certificate `www.example.org` alone and no hooks."""
    mine = Certbot(tmp_path / "certbot", believing)
    copied(certbot.config, mine.config)
    for conf in (mine.config / "renewal").iterdir():
        if conf.stem != "www.example.org":
            conf.unlink()
        else:
            conf.write_text(conf.read_text().replace(str(certbot.config), str(mine.config)))
    (mine.config / "renewal-hooks/deploy/10-all").unlink()
    return mine
