"""`renewer takeover certbot` and its way back, with the real certbot before and afterwards."""

import os
from pathlib import Path

import pytest

from renewer import concerns, wakers
from renewer.config.load import load
from renewer.context import Context
from tests.moving.old import Certbot, Newcomer, call, copied
from tests.servers.pebble import Pebble

WWW = "www.example.org"


@pytest.fixture
def taken(tmp_path: Path, certbot: Certbot, believing: Pebble) -> Certbot:
    """A copy of certbot's state of this test's own, for certbot to work on."""
    mine = Certbot(tmp_path / "certbot", believing)
    copied(certbot.config, mine.config)
    for conf in (mine.config / "renewal").iterdir():
        conf.write_text(conf.read_text().replace(str(certbot.config), str(mine.config)))
    return mine


def verbs(certbot: Certbot) -> None:
    """Everything that certbot can be told about a certificate of this name; how it ends does not matter."""
    for words in (
        ("renew", "--force-renewal", "--no-random-sleep-on-renew"),
        ("delete", "--cert-name", WWW),
        ("revoke", "--cert-name", WWW, "--delete-after-revoke"),
        ("update_symlinks",),
        ("certonly", "--cert-name", WWW, "-d", WWW, "--webroot", "-w", certbot.webroot, "--force-renewal"),
    ):
        certbot.run(*words, code=None)


def ours(agent: Newcomer) -> dict[str, bytes]:
    """Our versions and links."""
    found = {name: one for name, one in agent.files().items() if name.startswith("certificates/")}
    links = {str(path): os.readlink(path).encode() for path in agent.state.rglob("live") if path.is_symlink()}
    return found | links


def test_certbot_cannot_touch_ours_and_gets_the_newest_back(
    agent: Newcomer, taken: Certbot, believing: Pebble
) -> None:
    """Its path leads to ours, none of its verbs reaches it; after the undo it renews on from our newest."""
    at = ("--from", str(taken.config))
    path = taken.config / "live" / WWW
    agent.json("import", "certbot", *at)
    before = (path / "fullchain.pem").read_bytes()
    said = agent.cli("takeover", "certbot", *at)
    assert said.code == 0, said.out + said.err
    assert path.is_symlink()
    assert (path / "fullchain.pem").read_bytes() == before
    assert agent.cli("takeover", "certbot", *at).code == 0  # done before is done
    kept = ours(agent)
    verbs(taken)
    assert ours(agent) == kept
    assert path.is_symlink()
    assert agent.json("run", WWW, "--force")["exit"] in (0, 1)
    renewed = agent.chain(WWW)[0]
    assert (path / "fullchain.pem").read_bytes() != before
    kept = ours(agent)
    undone = agent.cli("takeover", "certbot", *at, "--undo")
    assert undone.code == 0, undone.out + undone.err
    assert not path.is_symlink()
    assert os.readlink(path / "privkey.pem").startswith(f"../../archive/{WWW}/privkey")
    said_by = call("openssl", "x509", "-noout", "-serial", "-in", path / "fullchain.pem")
    assert int(said_by.strip().partition("=")[2], 16) == renewed.serial_number
    env = ("--force-renewal", "--no-random-sleep-on-renew", "--cert-name", WWW)
    mark = believing.mark()
    taken.run("renew", *env)
    assert believing.orders_created(mark) == 1
    assert ours(agent) == kept


def test_what_was_not_imported_is_not_taken(agent: Newcomer, taken: Certbot) -> None:
    """Nothing is exchanged, and it is said what to do first."""
    ended = agent.cli("takeover", "certbot", "--from", str(taken.config))
    assert ended.code == 1
    assert "was not imported: renewer import certbot" in ended.out
    assert not (taken.config / "live" / WWW).is_symlink()


def test_a_hook_that_says_no_exchanges_it_back(agent: Newcomer, taken: Certbot) -> None:
    """A server whose test fails keeps what it had, and certbot may renew on."""
    agent.json("import", "certbot", "--from", str(taken.config))
    (taken.config / "renewal-hooks/deploy/10-all").write_text("#!/bin/sh\nexit 1\n")
    ended = agent.cli("takeover", "certbot", "--from", str(taken.config))
    assert ended.code == 1
    assert ended.out.count("was exchanged back: hook certbot-deploy") == 3
    assert not any(path.is_symlink() for path in (taken.config / "live").iterdir())
    assert len(list((taken.config / "renewal").glob("*.conf"))) == 3


def test_a_client_that_is_still_called_is_told(
    agent: Newcomer, certbot: Certbot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While certbot's timer is on and it has what is ours, that is told; not once it was taken over."""
    agent.json("import", "certbot", "--from", str(certbot.config))
    root = tmp_path / "root"
    copied(certbot.config, root / "etc/letsencrypt")
    wants = root / "etc/systemd/system/timers.target.wants"
    wants.mkdir(parents=True)
    unit = root / "usr/lib/systemd/system/certbot.timer"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Timer]\n")
    (wants / "certbot.timer").symlink_to(unit)
    monkeypatch.setattr(wakers, "ROOT", str(root))
    with Context(load(str(agent.write())), write=False) as context:
        (told,) = concerns.rivals(context)
        assert f"certbot is still called by {wants}/certbot.timer" in told.text
        assert WWW in told.text
        for conf in (root / "etc/letsencrypt/renewal").iterdir():
            conf.rename(f"{conf}.before-renewer")
        assert concerns.rivals(context) == []
