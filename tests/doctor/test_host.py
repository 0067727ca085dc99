"""`renewer doctor --host`: each thing that would stop a renewal is named, with why and what mends it."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.discover.newcomer import CONFIG, NAME, Newcomer
from tests.servers.own_host import emptied

pytestmark = [pytest.mark.real, pytest.mark.slow]
LIVE = Path(f"/var/lib/renewer/certificates/{NAME}/live")
CRON = Path("/etc/cron.d/renewer")
SITES = Path("/etc/nginx/conf.d")
BLOCK = SITES / f"renewer-{NAME}.conf"
OLD = Path("/etc/letsencrypt")


class Doctor:
    """What it says of a host; `usual` are the codes that this host has while nothing is broken."""

    def __init__(self, host: Newcomer) -> None:
        self.host = host
        self.usual: set[str] = set()

    def findings(self) -> list[dict[str, Any]]:
        """All of them; the exit code fits."""
        code, text = self.host.ended("doctor", "--host", "--json")
        document = json.loads(text)
        worst = {one["severity"] for one in document["findings"]}
        assert document["healthy"] is ("error" not in worst) is (code == 0)
        for one in document["findings"]:
            assert one["why"], one
            assert one["text"], one
        return list(document["findings"])

    def new(self) -> dict[str, str]:
        """The codes that are not usual, and what is said to each."""
        return {
            one["code"]: f"{one['severity']} {one['text']} → {one['hint']}"
            for one in self.findings()
            if one["code"] not in self.usual
        }


@pytest.fixture(scope="module")
def doctor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doctor]:
    """A host that `init` and `run` have made well, and that cron calls."""
    with Newcomer(tmp_path_factory.mktemp("host")) as host:
        emptied()
        host.nginx()
        assert "no-configuration" in host.run("doctor", "--host")
        options = ("--name", NAME, "--agree-terms", *host.options, "--write-snippet", "--no-rehearse")
        host.run("init", *options)
        found = Doctor(host)
        assert {"never-run", "no-timer", "no-account", "nobody-told"} <= set(found.new())
        script = Path("/etc/renewer/tell")
        script.write_text("#!/bin/sh\nexit 0\n")
        script.chmod(0o755)
        (CONFIG.parent / "conf.d" / "tell.toml").write_text(
            f'[notify.script]\ntype = "command"\nrun = ["{script}"]\n'
        )
        CRON.parent.mkdir(exist_ok=True)
        CRON.write_text("1 * * * * root /usr/bin/renewer run\n")
        host.run("run")
        found.usual = {"clock-alone"}  # as the machine has it
        yield found


def test_nothing_is_invented(doctor: Doctor) -> None:
    """A host that is well has no finding but of the machine's own clock; the answer is one line."""
    assert doctor.new() == {}
    said = doctor.host.run("doctor", "--host")
    assert said.startswith(("all is well: nothing on ", "nothing on "))


def test_no_caller(doctor: Doctor) -> None:
    """Nothing calls the next run: the command that mends it is told."""
    CRON.rename("/etc/moved")
    assert doctor.new()["no-timer"].endswith("→ renewer timer install")
    Path("/etc/moved").rename(CRON)


def test_another_client_and_a_server_that_reads_its_file(doctor: Doctor) -> None:
    """Certbot is called for the same certificate, and nginx reads its file: both are told, with the line."""
    (OLD / "live" / NAME).mkdir(parents=True)
    (OLD / "renewal").mkdir()
    pair = doctor.host.issue(NAME)
    shutil.copy(pair.cert, OLD / "live" / NAME / "fullchain.pem")
    shutil.copy(pair.key, OLD / "live" / NAME / "privkey.pem")
    (OLD / "live" / NAME / "privkey.pem").chmod(0o600)
    (OLD / "renewal" / f"{NAME}.conf").write_text("version = 2.1.0\n")
    wants = Path("/etc/systemd/system/timers.target.wants/certbot.timer")
    wants.parent.mkdir(parents=True, exist_ok=True)
    unit = Path("/etc/systemd/system/certbot.timer")
    unit.write_text("[Timer]\nOnCalendar=daily\n")
    wants.symlink_to(unit)
    other = SITES / "other.conf"
    text = BLOCK.read_text().replace(str(LIVE), f"{OLD}/live/{NAME}").replace("443", "8443")
    other.write_text(text)
    try:
        found = doctor.new()
        assert set(found) == {"rival-timer", "foreign-file", "unwatched"}
        assert found["rival-timer"].startswith(f"error certbot is called by {wants} and would renew {NAME}")
        assert f"nginx ({other}:" in found["foreign-file"]
        assert f"reads certbot's file {OLD}/live/{NAME}/fullchain.pem" in found["foreign-file"]
        assert "renewer discover --watch" in found["unwatched"]
        (OLD / "renewal" / f"{NAME}.conf").unlink()
        assert set(doctor.new()) == {"other-client", "foreign-file", "nobody-renews"}
    finally:
        other.unlink()
        wants.unlink()
        unit.unlink()
        shutil.rmtree(OLD)


def test_a_key_for_everybody(doctor: Doctor) -> None:
    """A key that nginx reads and everybody may: an error, with the chmod."""
    pair = doctor.host.issue("other.example.org")
    key = Path("/etc/ssl/other.key")
    shutil.copy(pair.key, key)
    shutil.copy(pair.cert, "/etc/ssl/other.crt")
    key.chmod(0o644)
    site = SITES / "other.conf"
    site.write_text(
        "server { listen 8443 ssl; server_name other.example.org;\n"
        "ssl_certificate /etc/ssl/other.crt; ssl_certificate_key /etc/ssl/other.key; }\n"
    )
    found = doctor.new()
    site.unlink()
    key.unlink()
    Path("/etc/ssl/other.crt").unlink()
    assert set(found) == {"key-readable", "nobody-renews"}
    assert "chmod o-rwx /etc/ssl/other.key" in found["key-readable"]


def test_challenges_hooks_secrets_and_room(doctor: Doctor) -> None:
    """What the next renewal needs: the webroot, nginx's own test, a secret, room for the log."""
    shutil.rmtree("/var/www/html")
    (SITES / "broken.conf").write_text("server { listen 8443; root /x; nonsense; }\n")
    more = CONFIG.parent / "conf.d" / "mail.toml"
    more.write_text(
        '[notify.mail]\ntype = "email"\nto = ["a@example.org"]\nfrom = "a@example.org"\n'
        'server = "127.0.0.1:25"\nsecurity = "starttls"\nusername = "a"\n'
        'password = { file = "/etc/missing" }\n'
    )
    log = Path("/var/log/small")
    log.mkdir()
    subprocess.run(["/usr/bin/mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(log)], check=True)
    text = CONFIG.read_text()
    CONFIG.write_text(f'{text}\n[agent]\nlog = "{log}/renewal.log"\n')
    try:
        found = doctor.new()
        assert set(found) == {"challenge-not-ready", "hook-fails", "secret-missing", "disk-full"}
        assert "/var/www/html" in found["challenge-not-ready"]
        assert "nonsense" in found["hook-fails"]
        assert "/etc/missing" in found["secret-missing"]
        assert f"df -h {log}" in found["disk-full"]
    finally:
        CONFIG.write_text(text)
        subprocess.run(["/usr/bin/umount", str(log)], check=True)
        more.unlink()
        (SITES / "broken.conf").unlink()
        Path("/var/www/html").mkdir()


def test_the_account(doctor: Doctor) -> None:
    """An authority that forgot us, then one that does not answer: each with the command that looks."""
    doctor.host.authority.stop()
    assert "renewer account show own" in doctor.new()["authority-unreachable"]
    doctor.host.authority.start()
    assert "renewer account register own" in doctor.new()["account-unknown"]
