"""Who could not follow a link from certbot's directory to ours gets copies instead; and the way back."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from renewer.moving import readers
from renewer.moving.reading import Tree
from renewer.servers import sockets
from tests.moving.old import Certbot, Newcomer
from tests.servers.handshake import wait_until
from tests.servers.pebble import Pebble

WWW = "www.example.org"


@contextmanager
def running(*argv: str | Path) -> Iterator[int]:
    """A program that runs meanwhile; its process."""
    process = subprocess.Popen([str(one) for one in argv], stdin=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def served(alone: Certbot, tmp_path: Path) -> Path:
    """A configuration of nginx that names certbot's files."""
    live = alone.config / "live" / WWW
    config = tmp_path / "nginx.conf"
    config.write_text(
        "events {}\nhttp { server { listen 127.0.0.1:443 ssl; server_name www.example.org;\n"
        f"ssl_certificate {live}/fullchain.pem; ssl_certificate_key {live}/privkey.pem; }} }}\n"
    )
    return config


def test_a_server_of_another_user(agent: Newcomer, alone: Certbot, served: Path, believing: Pebble) -> None:
    """Its files are copies of ours, with the rights that certbot's had; certbot gets them back as its own."""
    at, live = ("--from", str(alone.config)), alone.config / "live" / WWW
    key = (live / "privkey.pem").resolve()
    os.chown(key, 0, 65534)
    key.chmod(0o640)
    agent.json("import", "certbot", *at)
    title = f"$0 = 'nginx: master process nginx -c {served}'; sleep 600"  # as nginx rewrites its own
    us = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    with running(*us, "perl", "-e", title) as pid:
        wait_until(lambda: Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"nginx"), what="its title")
        said = agent.cli("takeover", "certbot", *at)
    assert said.code == 0, said.out + said.err
    assert f"nginx ({served}:3) runs as nobody, who could not read ours" in said.err
    assert f"{live}/fullchain.pem and what belongs to it are copies of ours" in said.out
    copy = (live / "privkey.pem").lstat()
    assert (copy.st_mode, copy.st_gid) == (0o100640, 65534)
    assert alone.run("delete", "--cert-name", WWW, code=None)
    assert "No renewals were attempted" in alone.run("renew", code=None)
    assert agent.json("run", WWW, "--force")["exit"] == 0
    assert (live / "privkey.pem").read_bytes() == agent.key(WWW)
    assert agent.cli("takeover", "certbot", *at).code == 0
    assert agent.cli("takeover", "certbot", *at, "--undo").code == 0
    assert os.readlink(live / "privkey.pem") == f"../../archive/{WWW}/privkey2.pem"
    assert (live / "privkey.pem").read_bytes() == agent.key(WWW)
    mark = believing.mark()
    alone.run("renew", "--force-renewal", "--no-random-sleep-on-renew")
    assert believing.orders_created(mark) == 1


def test_a_container_that_mounts_certbots_directory(agent: Newcomer, alone: Certbot, tmp_path: Path) -> None:
    """A process with certbot's directory mounted, and without our state, would find dangling links."""
    at = ("--from", str(alone.config))
    agent.json("import", "certbot", *at)
    there = tmp_path / "there"
    there.mkdir()
    script = 'mount --bind "$1" "$2" && mount -t tmpfs none "$3" && touch "$2/ready" && exec sleep 600'
    with running("unshare", "-m", "sh", "-c", script, "sh", alone.config, there, agent.state):
        wait_until((alone.config / "ready").exists, what="the mount")
        said = agent.cli("takeover", "certbot", *at)
    assert said.code == 0, said.out + said.err
    assert f"has {alone.config} mounted, and not our state; so its files there will be copies" in said.err
    assert not (alone.config / "live" / WWW).is_symlink()


def test_without_readers_there_are_links(agent: Newcomer, alone: Certbot) -> None:
    """A table that the import did not write is not changed: it is said what to write there."""
    at, live = ("--from", str(alone.config)), alone.config / "live" / WWW
    agent.json("import", "certbot", *at)
    (agent.directory / "conf.d/from-certbot.toml").rename(agent.directory / "conf.d/mine.toml")
    (live / "privkey.pem").resolve().chmod(0o644)
    said = agent.cli("takeover", "certbot", *at)
    assert said.code == 1
    assert f"others than root may read {live}/privkey.pem: write into [certificate.{WWW}]: copies" in said.out
    assert not live.is_symlink()
    assert agent.cli("takeover", "certbot", *at, "--links-anyway").code == 0
    assert live.is_symlink()


def test_apparmor(alone: Certbot, served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A confined server whose profile does not name our state is doubt; one whose profile does is none."""
    live = tmp_path / "state/certificates/x/live"
    live.mkdir(parents=True)
    (live / "privkey.pem").touch()
    place = tmp_path / "proc/77/attr/apparmor"
    place.mkdir(parents=True)
    (place / "current").write_text("/usr/sbin/nginx (enforce)\n")
    (tmp_path / "proc/77/status").write_text("Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t0\n")
    sleeper = sockets.RunningProgram(77, "nginx", ("nginx", "-c", str(served)), "/")
    monkeypatch.setattr(readers, "PROC", str(tmp_path / "proc"))
    monkeypatch.setattr(readers, "_PROFILES", str(tmp_path / "apparmor.d"))
    monkeypatch.setattr(sockets, "processes", lambda: [sleeper])
    key = str(alone.config / "live" / WWW / "privkey.pem")
    found = readers.Readers(Tree(str(alone.config)), str(tmp_path / "state")).doubt(WWW, key, str(live))
    assert found is not None
    assert "is confined by AppArmor (/usr/sbin/nginx), which does not name" in found
    (tmp_path / "apparmor.d/local").mkdir(parents=True)
    (tmp_path / "apparmor.d/local/usr.sbin.nginx").write_text(f"{tmp_path}/state/** r,\n")
    assert (
        readers.Readers(Tree(str(alone.config)), str(tmp_path / "state")).doubt(WWW, key, str(live)) is None
    )
