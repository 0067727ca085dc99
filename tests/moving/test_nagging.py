"""While both could run, and while servers read the old paths: doctor, status and notices say so."""

from pathlib import Path

import pytest

from renewer import concerns, wakers
from renewer.config.load import load
from renewer.context import Context
from renewer.moving import callers
from renewer.run import Limits, run
from renewer.servers import sockets
from renewer.servers.sockets import RunningProgram
from renewer.store.lock import Lock
from tests.moving.old import Certbot, Newcomer, copied

WWW = "www.example.org"


@pytest.fixture
def root(agent: Newcomer, alone: Certbot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with certbot in its usual place, its timer enabled, all of it imported by us."""
    agent.json("import", "certbot", "--from", str(alone.config))
    root = tmp_path / "root"
    copied(alone.config, root / "etc/letsencrypt")
    wants = root / "etc/systemd/system/timers.target.wants"
    wants.mkdir(parents=True)
    units = root / "usr/lib/systemd/system"
    units.mkdir(parents=True)
    (units / "certbot.timer").write_text("[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n")
    (wants / "certbot.timer").symlink_to("/usr/lib/systemd/system/certbot.timer")
    monkeypatch.setattr(wakers, "ROOT", str(root))
    return root


def test_timers_and_lines_of_cron(agent: Newcomer, root: Path) -> None:
    """What calls the client is switched off and on again: its timer, and its line of root's crontab."""
    table = root / "var/spool/cron/crontabs/root"
    table.parent.mkdir(parents=True)
    table.write_text("5 4 * * * true\n7 3 * * * certbot -q renew\n@daily /root/.acme.sh/acme.sh --cron\n")
    table.chmod(0o600)
    packaged = root / "etc/cron.d/certbot"
    packaged.parent.mkdir(parents=True)
    packaged.write_text("0 */12 * * * root certbot -q renew\n")
    before = table.read_text()
    with Context(load(str(agent.write())), write=True) as context:
        said = list(callers.off(context, "certbot", None))
        assert any("systemctl" in one and "disable certbot.timer" in one for one in said)
        assert any(f"{packaged} still calls it; switch that off by hand" in one for one in said)
        assert not list((root / "etc/systemd/system").glob("*.wants/*"))
        assert "7 3 * * * certbot" not in table.read_text().replace(f"{callers.MARK}7 3", "")
        assert f"{callers.MARK}7 3 * * * certbot -q renew\n" in table.read_text()
        assert table.stat().st_mode & 0o777 == 0o600
        assert [one.path for one in wakers.calls() if one.client == "certbot"] == [str(packaged)]
        assert list(callers.on(context, "certbot"))
        assert table.read_text() == before
        assert [path.name for path in (root / "etc/systemd/system").glob("*.wants/*")] == ["certbot.timer"]
        assert list(callers.on(context, "certbot")) == []  # done is done


@pytest.mark.usefixtures("root")
def test_notices_nag(agent: Newcomer, tmp_path: Path) -> None:
    """A channel hears of the other client once, not in every run."""
    agent.tables["notify.me"] = {
        "type": "command",
        "run": [str(tmp_path / "tell")],
        "on": ["failed"],
    }
    tell = tmp_path / "tell"
    tell.write_text(f"#!/bin/sh\ncat >>{tmp_path}/told\n")
    tell.chmod(0o755)
    config = load(str(agent.write()))

    def go() -> None:
        with Lock(config.agent.state), Context(config, write=True) as context:
            run(context, Limits())

    go()
    told = (tmp_path / "told").read_text()
    assert "certbot is still called by" in told
    assert "renewer takeover certbot" in told
    go()
    assert (tmp_path / "told").read_text().count("certbot is still called by") == told.count(
        "is still called by"
    )


def test_servers_that_read_certbots_files(
    agent: Newcomer, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that names certbot's file is told, and that purging certbot takes its includes away."""
    home = root / "etc/letsencrypt"
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"events {{}}\nhttp {{ include {home}/options-ssl-nginx.conf;\n"
        f"server {{ listen 443 ssl; server_name {WWW}; ssl_certificate {home}/live/{WWW}/fullchain.pem;\n"
        f"ssl_certificate_key {home}/live/{WWW}/privkey.pem; }} }}\n"
    )
    dpkg = root / "var/lib/dpkg/info"
    dpkg.mkdir(parents=True)
    (dpkg / "certbot.postrm").touch()
    nginx = RunningProgram(1, "nginx", ("nginx", "-c", str(config)), "/")
    monkeypatch.setattr(sockets, "processes", lambda: [nginx])
    with Context(load(str(agent.write())), write=False) as context:
        told = {one.subject: one for one in concerns.old_paths(context)}
    file = f"{home}/live/{WWW}/fullchain.pem"
    assert f"reads certbot's file {file}, not ours: it will expire" in told[f"old file {file}"].text
    assert str(config) in told["purge certbot"].text
    assert "never purge it" in told["purge certbot"].hint


def test_a_takeover_that_was_killed_is_told(agent: Newcomer, root: Path) -> None:
    """Until it is finished or undone nobody renews what servers read there."""
    live = root / "etc/letsencrypt/live"
    (live / f"{WWW}.before-renewer").symlink_to(agent.state / "certificates" / WWW / "live")
    with Context(load(str(agent.write())), write=False) as context:
        (told,) = [one for one in concerns.rivals(context) if one.subject == "takeover"]
    assert (WWW in told.text, told.exit) == (True, 3)
