"""The hook postfix and a real postfix."""

import os
import stat
import subprocess
from functools import partial
from pathlib import Path

import pytest

from renewer import certs
from renewer.hooks import HookVerdict
from tests.hooks.alone import DEPLOY, TEST, Shelf
from tests.hooks.bed import NAME, Bed, shown
from tests.hooks.standing import Standing
from tests.hooks.walk import Note, walk
from tests.servers.certificates import ServerRoot
from tests.servers.foreground import program
from tests.servers.handshake import wait_until
from tests.servers.postfix import Postfix


class Served(Standing):
    """A postfix."""

    hook = "postfix"
    starttls = "smtp"


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running postfix takes every step of the table."""
    bed.serve(Served(bed, Postfix))
    walk(bed, record_property)


class OldStyle(Postfix):
    """As before postfix 3.4: a certificate and a key by names of their own."""

    def settings(self) -> str:
        """What main.cf has on certificates."""
        return f"smtpd_tls_cert_file = {self.cert}\nsmtpd_tls_key_file = {self.key}\n"


class OneFile(Postfix):
    """One file with key and chain."""

    def settings(self) -> str:
        """What main.cf has on certificates."""
        both = self.directory / "both.pem"
        both.write_bytes(self.key.read_bytes() + self.cert.read_bytes())
        return f"smtpd_tls_chain_files = {both}\n"


@pytest.mark.parametrize("kind", [OldStyle, OneFile])
def test_other_ways_to_name_the_pair(place: Path, kind: type[Postfix]) -> None:
    """The pair is found and judged in each form that main.cf has for it."""
    root = ServerRoot()
    good, other = (root.issue(place, NAME, stem=stem) for stem in ("good", "other"))
    shelf = Shelf(place)
    shelf.put()
    with kind(place / "server", good.cert, good.key) as postfix:
        assert shelf.call("postfix", TEST, **postfix.env).verdict is HookVerdict.DONE
        postfix.key = other.key
        postfix.configure()
        result = shelf.call("postfix", TEST, **postfix.env)
    assert result.verdict is HookVerdict.FAILED
    assert "is not the key of" in (result.error or "")


class Lines(Postfix):
    """One with more lines in main.cf, and options of its one service in master.cf."""

    main = ""
    options = ""
    pair = True

    def settings(self) -> str:
        """What main.cf has on certificates."""
        return (super().settings() if self.pair else "") + self.main

    def configure(self) -> None:
        """Write both files."""
        super().configure()
        master = self.config / "master.cf"
        master.write_text(master.read_text().replace("- smtpd\n", f"- smtpd{self.options}\n", 1))

    def serial(self, name: str) -> str:
        """The serial at the port for a name."""
        return shown(self.port, "smtp", name)


def lines(place: Path, *, pair: bool = True) -> tuple[Shelf, Lines]:
    """A certificate, and a postfix with a pair of its own that main.cf may name; a second pair beside it."""
    root = ServerRoot()
    good, _ = (root.issue(place, NAME, stem=stem) for stem in ("good", "other"))
    shelf = Shelf(place)
    shelf.put()
    postfix = Lines(place / "server", good.cert, good.key)
    postfix.pair = pair
    return shelf, postfix


@pytest.mark.parametrize(
    ("main", "options", "said"),
    [
        ("smtpd_tls_chain_files = /no/such.pem\n", "", "there is no /no/such.pem"),
        ("smtpd_tls_eccert_file = {good}\nsmtpd_tls_eckey_file = {other}\n", "", "is not the key of"),
        ("smtpd_tls_cert_file = /no/such.pem\n", "", "/no/such.pem"),
        ("smtpd_tls_dcert_file = /no/such.pem\n", "", "/no/such.pem"),
        (
            "smtpd_tls_cert_file = none\n",
            " -o smtpd_tls_chain_files=/no/such.pem",
            "there is no /no/such.pem",
        ),
        ("", " -o smtpd_tls_cert_file={good} -o smtpd_tls_key_file={other}", "is not the key of"),
        ("tls_server_sni_maps = hash:{good}.sni\n", "", "there is no /no/such.pem"),
    ],
)
def test_whatever_names_a_file_is_read(place: Path, main: str, options: str, said: str) -> None:
    """A file that is missing or does not fit is refused by `test`, wherever postfix would have read it."""
    shelf, postfix = lines(place, pair=False)
    with postfix:
        assert shelf.call("postfix", TEST, **postfix.env).verdict is HookVerdict.DONE
        fill = {"good": postfix.cert, "other": next(place.glob("*other*key*"))}
        Path(f"{postfix.cert}.sni").write_text(f"# none\nsni.example.org {postfix.key},\n  /no/such.pem\n")
        postfix.main, postfix.options = main.format(**fill), options.format(**fill)
        postfix.configure()
        result = shelf.call("postfix", TEST, **postfix.env)
    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert said in result.output


def test_maps_of_names_are_made_anew(place: Path) -> None:
    """What tls_server_sni_maps holds is the new certificate after `deploy`, in a file for root alone."""
    shelf, postfix = lines(place)
    live = shelf.put("sni")
    source = place / "sni"
    source.write_text(f"sni.example.org {live}/privkey.pem {live}/fullchain.pem\n")
    postfix.main = f"tls_server_sni_maps = hash:{source}\n"
    subprocess.run([program("postmap", "postfix"), "-F", f"hash:{source}"], check=True, timeout=30)
    with postfix:
        before = postfix.serial("sni.example.org")
        assert before == shelf.told("sni").serial
        shelf.put("sni")
        for event in (TEST, DEPLOY):
            result = shelf.call("postfix", event, ["sni"], **postfix.env)
            assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output
        serial = shelf.told("sni").serial
        wait_until(lambda: postfix.serial("sni.example.org") == serial, what="the new one")
        assert stat.S_IMODE((place / "sni.db").stat().st_mode) == 0o600
        (live / "privkey.pem").write_bytes((shelf.put("other") / "privkey.pem").read_bytes())
        assert "is not the key of" in (shelf.call("postfix", TEST, ["sni"], **postfix.env).error or "")


def _shows(postfix: Lines, serial: str) -> bool:
    return postfix.serial(NAME) == serial


def test_each_instance_by_itself(place: Path) -> None:
    """Without a directory every instance that runs is tested and reloaded; one that is stopped is told."""
    root = ServerRoot()
    good, other = (root.issue(place, NAME, stem=stem) for stem in ("good", "other"))
    shelf = Shelf(place)
    shelf.put()
    first, second = (Lines(place / name, good.cert, good.key) for name in ("one", "two"))
    first.main = f"multi_instance_directories = {second.config}\nmulti_instance_wrapper = /bin/false\n"
    env = {"MAIL_CONFIG": str(first.config), "POSTFIX": first.env["POSTFIX"]}
    with first:
        with second:
            assert shelf.call("postfix", TEST, **env).verdict is HookVerdict.DONE
            second.key = other.key
            second.configure()
            assert "is not the key of" in (shelf.call("postfix", TEST, **env).error or "")
            assert shelf.call("postfix", TEST, **first.env).verdict is HookVerdict.DONE
            second.key = good.key
            second.configure()
            newer = root.issue(place, NAME, stem="newer")
            good.cert.write_bytes(newer.cert.read_bytes())
            good.key.write_bytes(newer.key.read_bytes())
            assert shelf.call("postfix", DEPLOY, **env).verdict is HookVerdict.DONE
            serial = certs.leaf(newer.cert.read_bytes()).serial
            for postfix in (first, second):
                wait_until(partial(_shows, postfix, serial), what="the new one")
        result = shelf.call("postfix", DEPLOY, **env)
        assert result.verdict is HookVerdict.DONE
        assert f"postfix is not running with {second.config}" in result.output
        assert shelf.call("postfix", DEPLOY, **second.env).verdict is HookVerdict.LATER
    assert shelf.call("postfix", TEST, **env).verdict is HookVerdict.LATER


def test_by_sudo(place: Path) -> None:
    """The way that docs/hooks.md has for an agent without root: a program of root's, three words."""
    pair = ServerRoot().issue(place, NAME)
    shelf = Shelf(place)
    shelf.put()
    for path in (place, *place.parents):
        path.chmod(path.stat().st_mode | 0o011)
    with Postfix(place / "server", pair.cert, pair.key) as postfix:
        ours = place / "renewer-postfix"
        hook = Path(__file__).parents[2] / "hooks" / "postfix"
        ours.write_text(f'#!/bin/sh\nexport POSTFIX_CONF={postfix.config}\nexec {hook} "$1"\n')
        ours.chmod(0o755)
        allowed = ", ".join(f"{ours} {event}" for event in ("test", "deploy", "rollback"))
        rules = Path("/etc/sudoers.d") / f"renewer-test-{os.getpid()}"
        rules.write_text(f"nobody ALL=(root) NOPASSWD: {allowed}\n")
        rules.chmod(0o440)
        try:
            for event in ("test", "deploy", "rollback"):
                assert _sudo(ours, event) == 0
            assert _sudo(ours, "other") == 1
            assert _sudo(hook, "test") == 1
        finally:
            rules.unlink()


def _sudo(script: Path, event: str) -> int:
    """The exit code of a program as nobody calls it by sudo; 1 if sudo does not let him."""
    us = [program("setpriv", "util-linux"), "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    argv = [*us, program("sudo", "sudo"), "-n", str(script), event]
    return subprocess.run(argv, check=False, timeout=60, capture_output=True, cwd="/").returncode
