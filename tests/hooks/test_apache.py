"""The hook for Apache, with real ones."""

import os
import signal
from pathlib import Path

import pytest

from renewer.hooks import HookVerdict
from tests.hooks.alone import DEPLOY, TEST, Shelf
from tests.hooks.bed import NAME, Bed
from tests.hooks.walk import Note, walk
from tests.hooks.web import Apache
from tests.servers.certificates import ServerRoot
from tests.servers.handshake import served_serial, wait_until


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running Apache takes every step of the table."""
    bed.serve(Apache(bed.directory, bed.live))
    walk(bed, record_property)


def site(cert: Path, key: Path | None) -> str:
    """Another site of the same Apache."""
    named = f'  sslCertificateKeyFile  "{key}"\n' if key else ""
    return (
        "<VirtualHost *:${APACHE_PORT}>\nServerName other.example.org\nSSLEngine on\n"
        f"{named}  SSLCertificateFile {cert}\n</VirtualHost>"
    )


def test_why_we_look_ourselves(tmp_path: Path) -> None:
    """Apache's own check is content with a key that does not fit, and the graceful restart ends Apache."""
    shelf = Shelf(tmp_path)
    apache = Apache(tmp_path, shelf.put())
    try:
        apache.start()
        (shelf.put() / "privkey.pem").write_bytes((shelf.put("other") / "privkey.pem").read_bytes())
        assert apache.check().returncode == 0
        os.kill(apache.pid, signal.SIGUSR1)
        wait_until(lambda: apache.process is not None and not apache.process.alive, what="its end")
    finally:
        apache.stop()


def test_no_signal_for_a_pair_that_does_not_fit(tmp_path: Path) -> None:
    """Neither `test` nor `deploy` lets a graceful restart come to a mixed pair at `live`."""
    shelf = Shelf(tmp_path)
    apache = Apache(tmp_path, shelf.put())
    try:
        apache.start()
        (shelf.put() / "privkey.pem").write_bytes((shelf.put("other") / "privkey.pem").read_bytes())
        for event in (TEST, DEPLOY):
            result = shelf.call("apache", event, **apache.env)
            assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
            told = (
                f"error: {apache.key} is not the key of {apache.cert}: the graceful restart would end Apache"
            )
            assert told in (result.error or "")
        assert "graceful restart" not in apache.log.read_text()
    finally:
        apache.stop()


def test_a_foreign_pair_that_does_not_fit(tmp_path: Path) -> None:
    """Half-done work of somebody else on another site is noticed before our restart would end them all."""
    shelf, others = Shelf(tmp_path), ServerRoot()
    pair = others.issue(tmp_path, "other.example.org")
    apache = Apache(tmp_path, shelf.put(), site(pair.cert, pair.key))
    try:
        apache.start()
        assert shelf.call("apache", DEPLOY, **apache.env).verdict is HookVerdict.DONE
        pair.cert.write_bytes(others.issue(tmp_path, "other.example.org", stem="next").cert.read_bytes())
        result = shelf.call("apache", TEST, **apache.env)
        assert f"{pair.key} is not the key of {pair.cert}" in (result.error or "")
    finally:
        apache.stop()


def test_a_backslash_hides_nothing(tmp_path: Path) -> None:
    """What ends the output of `echo` may stand in Apache's config before the pairs."""
    shelf = Shelf(tmp_path)
    apache = Apache(tmp_path, shelf.put())
    apache.lines.insert(3, r"ServerAdmin CORP\carol@example.org")
    try:
        apache.start()
        (shelf.put() / "privkey.pem").write_bytes((shelf.put("other") / "privkey.pem").read_bytes())
        for event in (TEST, DEPLOY):
            result = shelf.call("apache", event, **apache.env)
            assert f"{apache.key} is not the key of {apache.cert}" in (result.error or ""), result.output
    finally:
        apache.stop()


@pytest.mark.parametrize(
    "log", ["ErrorLog syslog:local1", "ErrorLog /dev/null", 'ErrorLog "|/bin/cat"', "deleted", "renamed"]
)
def test_a_log_that_tells_nothing(tmp_path: Path, log: str) -> None:
    """Where the awaited line cannot be seen, `deploy` looks for a second whether Apache lives on."""
    shelf = Shelf(tmp_path)
    apache = Apache(tmp_path, shelf.put())
    if " " in log:
        apache.lines = [line for line in apache.lines if not line.startswith("ErrorLog")] + [log]
    try:
        apache.start()
        if log == "deleted":
            apache.log.unlink()
        elif log == "renamed":
            apache.log.rename(tmp_path / "log.1")
        shelf.put()
        result = shelf.call("apache", DEPLOY, **apache.env)
        assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output
        serial = shelf.told("www").serial.lstrip("0")
        wait_until(lambda: served_serial(apache.port, NAME) == serial, what="the new one")
    finally:
        apache.stop()


def test_a_key_in_the_certificates_file(tmp_path: Path) -> None:
    """A site without SSLCertificateKeyFile has its key beside the certificate, which fits."""
    shelf = Shelf(tmp_path)
    pair = ServerRoot().issue(tmp_path, "other.example.org")
    pair.cert.write_bytes(pair.cert.read_bytes() + pair.key.read_bytes())
    apache = Apache(tmp_path, shelf.put(), site(pair.cert, None))
    try:
        apache.start()
        result = shelf.call("apache", DEPLOY, **apache.env)
        assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output
        pair.cert.write_bytes(pair.cert.read_bytes().partition(b"-----BEGIN PRIVATE")[0])
        assert shelf.call("apache", TEST, **apache.env).verdict is HookVerdict.FAILED
    finally:
        apache.stop()


def test_it_returns_when_the_files_are_read(tmp_path: Path) -> None:
    """When `deploy` returns, Apache has read key and certificate: they may change at once."""
    shelf = Shelf(tmp_path)
    apache = Apache(tmp_path, shelf.put())
    try:
        apache.start()
        for _ in range(5):
            shelf.put()
            result = shelf.call("apache", DEPLOY, **apache.env)
            assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output
            (tmp_path / "other").mkdir(exist_ok=True)
            apache.key.write_bytes(shelf.root.issue(tmp_path / "other", NAME).key.read_bytes())
        assert apache.process is not None
        assert apache.process.alive
        assert apache.log.read_text().count("resuming normal operations") == 6
    finally:
        apache.stop()


def test_what_is_tested_is_what_is_reloaded(tmp_path: Path) -> None:
    """A second instance, told by its -d alone, is tested with its own config, not with that of the first."""
    shelf, pair = Shelf(tmp_path), ServerRoot().issue(tmp_path, "other.example.org")
    home = tmp_path / "second"
    home.mkdir()
    one, two = Apache(tmp_path, shelf.put()), Apache(home, shelf.put(), site(pair.cert, pair.key))
    two.conf = two.home / "apache2.conf"
    two.argv = [two.binary, "-d", two.home, "-DFOREGROUND", "-k", "start"]
    env = {"APACHE": two.binary, "APACHE_PID": str(two.pid_file)}
    try:
        one.start()
        two.start()
        assert shelf.call("apache", DEPLOY, **env).verdict is HookVerdict.DONE
        pair.key.write_bytes(one.key.read_bytes())
        for event in (TEST, DEPLOY):
            result = shelf.call("apache", event, **env)
            assert f"{pair.key} is not the key of {pair.cert}" in (result.error or ""), result.output
        assert shelf.call("apache", DEPLOY, **one.env).verdict is HookVerdict.DONE
        mixed = {**one.env, "APACHE_PID": str(two.pid_file)}
        assert "is of another Apache" in (shelf.call("apache", DEPLOY, **mixed).error or "")
        assert two.process is not None
        assert two.process.alive
    finally:
        one.stop()
        two.stop()


def test_why_its_config_is_refused(tmp_path: Path) -> None:
    """Apache says where in one line and why in the next: both are told."""
    shelf = Shelf(tmp_path)
    apache = Apache(tmp_path, shelf.put())
    try:
        apache.start()
        apache.conf.write_text("SSLCertificateFil /x\n" + apache.conf.read_text())
        told = shelf.call("apache", TEST, **apache.env).error or ""
        assert f"Syntax error on line 1 of {apache.conf}" in told
        assert "Invalid command 'SSLCertificateFil'" in told
    finally:
        apache.stop()


def test_an_instance_by_its_unit(tmp_path: Path) -> None:
    """APACHE_UNIT alone says which Apache is meant: its unit's main process."""
    shelf = Shelf(tmp_path)
    apache = Apache(tmp_path, shelf.put())
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.parent.mkdir()
    env = {
        "APACHE": apache.binary,
        "APACHE_UNIT": "apache2@site.service",
        "PATH": f"{systemctl.parent}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }
    try:
        apache.start()
        for pid, verdict in ((apache.pid, HookVerdict.DONE), (0, HookVerdict.LATER)):
            systemctl.write_text(f"#!/bin/sh\n[ \"$1 $5\" = 'show apache2@site.service' ] && echo {pid}\n")
            systemctl.chmod(0o755)
            assert shelf.call("apache", TEST, **env).verdict is verdict
        assert "of apache2@site.service" in (shelf.call("apache", TEST, **env).error or "")
    finally:
        apache.stop()
