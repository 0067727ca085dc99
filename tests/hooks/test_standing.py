"""What the hooks of mail, chat and file servers have in common, with real servers."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from renewer.hooks import HookResult, HookVerdict
from renewer.model.desired import Endpoint, HookEvent, Starttls
from renewer.network import verify
from tests.hooks.alone import DEPLOY, DIRECTORY, ROLLBACK, TEST, Shelf
from tests.hooks.bed import NAME
from tests.hooks.test_shipped import LINES
from tests.servers import exim, prosody
from tests.servers.dovecot import Dovecot
from tests.servers.exim import Exim
from tests.servers.foreground import Foreground, program
from tests.servers.handshake import wait_until
from tests.servers.opensmtpd import Opensmtpd
from tests.servers.postfix import Postfix
from tests.servers.prosody import Prosody
from tests.servers.vsftpd import Vsftpd

EVENTS = (TEST, DEPLOY, ROLLBACK)
KINDS: dict[str, type[Foreground]] = {
    "dovecot": Dovecot,
    "exim": Exim,
    "opensmtpd": Opensmtpd,
    "postfix": Postfix,
    "prosody": Prosody,
    "vsftpd": Vsftpd,
}
SPOKEN = {
    "dovecot": Starttls.IMAP,
    "exim": Starttls.SMTP,
    "opensmtpd": Starttls.SMTP,
    "postfix": Starttls.SMTP,
    "prosody": Starttls.XMPP,
    "vsftpd": Starttls.FTP,
}
OWNERS = {"exim": exim.USER, "prosody": prosody.USER}
RESTARTED = {"opensmtpd", "vsftpd"}
"""Those that cannot reload: their `rollback` starts them, for it was their `deploy` that ended them."""
PID_FILES = {
    "dovecot": "run/master.pid",
    "exim": "spool/exim.pid",
    "opensmtpd": "root/run/smtpd.pid",
    "postfix": "queue/pid/master.pid",
    "prosody": "data/prosody.pid",
}
PROGRAMS = {"dovecot": "DOVEADM", "prosody": "PROSODYCTL"}


class Desk:
    """One server, its hook, and a pair of files that both know."""

    def __init__(self, directory: Path, hook: str) -> None:
        self.hook = hook
        self.shelf = Shelf(directory)
        self.tls = directory / "tls"
        self.tls.mkdir()
        self.server = KINDS[hook](directory / "server", self.tls / "fullchain.pem", self.tls / "privkey.pem")
        self.lay()

    def lay(self, *, broken: bool = False) -> str:
        """Put a new pair, or the chain of one and the key of another, where the server reads; its serial."""
        live = self.shelf.put()
        serial = self.shelf.told("www").serial
        shutil.copy(live / "fullchain.pem", self.tls)
        shutil.copy((self.shelf.put() if broken else live) / "privkey.pem", self.tls)
        if self.hook in OWNERS:
            shutil.chown(self.tls / "privkey.pem", OWNERS[self.hook])
        return serial

    def call(self, event: HookEvent, **env: str) -> HookResult:
        """Call the hook as the agent does."""
        return self.shelf.call(self.hook, event, **{**self.server.env, **env})

    def served(self) -> str | None:
        """The serial at the port."""
        endpoint = Endpoint(
            server_name=NAME, port=self.server.port, host="127.0.0.1", starttls=SPOKEN[self.hook]
        )
        (sight,) = verify.look([verify.Target(endpoint=endpoint, roots="any")])
        return sight.serial


@pytest.fixture
def desk(place: Path, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """The desk of the server that the test names."""
    desk = Desk(place, request.param)
    yield desk
    desk.server.close()


everyone = pytest.mark.parametrize("desk", KINDS, indirect=True)


@everyone
def test_a_broken_pair_is_refused(desk: Desk) -> None:
    """`test` names the key that does not fit, and the server goes on with what it has."""
    serial = desk.lay()
    desk.server.start()
    assert desk.served() == serial
    desk.lay(broken=True)

    result = desk.call(TEST)

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    said = "private key does not match" if desk.hook == "prosody" else "privkey.pem is not the key of"
    assert said in (result.error or ""), result.output
    assert desk.server.pid


@everyone
def test_without_a_pair(desk: Desk) -> None:
    """A file that is not there is a failure, not a reason to skip the check."""
    desk.server.start()
    (desk.tls / "privkey.pem").unlink()

    result = desk.call(TEST)

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1), result.output


@everyone
def test_not_running_is_later(desk: Desk) -> None:
    """Whatever a stopped server left as its pid file: 75; only what `deploy` may have ended is started."""
    desk.server.start()
    desk.server.stop()
    events = (TEST, DEPLOY) if desk.hook in RESTARTED else EVENTS
    ended = subprocess.Popen(["/bin/true"])
    ended.wait()
    left: list[str | None] = [None]
    pid_file = desk.server.directory / PID_FILES.get(desk.hook, "none")
    if desk.hook in PID_FILES:
        left += ["", f"{ended.pid}\n", f"{os.getpid()}\n", "words\n"]
    for content in left:
        pid_file.unlink(missing_ok=True)
        if content is not None:
            pid_file.write_text(content)
        for event in events:
            result = desk.call(event)
            assert (result.verdict, result.code) == (HookVerdict.LATER, 75), (content, event, result.output)
            assert "is not running" in (result.error or "")


@pytest.mark.parametrize("desk", ["exim"], indirect=True)
def test_a_turned_link(desk: Desk) -> None:
    """It notices what is written into the directory of its files, not that a link there was turned."""
    versions = [desk.tls.with_name(f"version-{number}") for number in (1, 2)]
    serials = []
    for version in versions:
        serials.append(desk.lay())
        shutil.copytree(desk.tls, version)
        shutil.chown(version / "privkey.pem", OWNERS[desk.hook])
    shutil.rmtree(desk.tls)
    desk.tls.symlink_to(versions[0])
    desk.server.start()
    assert desk.served() == serials[0]
    desk.tls.unlink()
    desk.tls.symlink_to(versions[1])
    assert desk.served() == serials[0]

    assert desk.call(DEPLOY).verdict is HookVerdict.DONE

    wait_until(lambda: desk.served() == serials[1], what="the port")


@pytest.mark.parametrize("desk", sorted(RESTARTED), indirect=True)
def test_rollback_starts_what_deploy_ended(desk: Desk) -> None:
    """A server that cannot reload and did not survive its deployment comes back with the old files."""
    desk.server.start()
    desk.server.stop()
    serial = desk.lay()

    result = desk.call(ROLLBACK)

    assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output
    wait_until(lambda: desk.served() == serial, what="the port")


@pytest.mark.parametrize("desk", sorted(RESTARTED), indirect=True)
def test_a_broken_pair_does_not_end_it(desk: Desk) -> None:
    """`deploy` of a pair that the server would not start with fails before the server is touched."""
    desk.server.start()
    pid, serial = desk.server.pid, desk.served()
    desk.lay(broken=True)

    result = desk.call(DEPLOY)

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1), result.output
    assert (desk.server.pid, desk.served()) == (pid, serial)


@everyone
def test_no_such_program(desk: Desk) -> None:
    """A missing program is a failure that says what to set."""
    variable = PROGRAMS.get(desk.hook, desk.hook.upper())

    result = desk.call(TEST, **{variable: "/no/such/program"})

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert f"set {variable}" in (result.error or "")


@pytest.mark.parametrize("ours", [True, False])
@everyone
def test_systemd_is_asked_only_for_its_own(desk: Desk, place: Path, *, ours: bool) -> None:
    """Its unit is reloaded or restarted if that unit's main process is this very server, else left alone."""
    desk.server.start()
    note = place / "asked"
    systemctl = place / "bin" / "systemctl"
    systemctl.parent.mkdir()
    systemctl.write_text(
        "#!/bin/sh\n"
        f'case $1 in show) echo {desk.server.pid if ours else 1} ;; *) echo "$@" >>{note} ;; esac\n'
    )
    systemctl.chmod(0o755)

    result = desk.call(DEPLOY, PATH=f"{systemctl.parent}:/usr/sbin:/usr/bin:/sbin:/bin")

    assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output
    verb = "restart" if desk.hook in RESTARTED else "reload"
    unit = {"exim": "exim4"}.get(desk.hook, desk.hook)
    expected = f"{verb} {unit}.service\n" if ours and desk.hook != "postfix" else ""
    assert (note.read_text() if note.exists() else "") == expected


@pytest.mark.parametrize("hook", KINDS)
def test_plain_short_sh_with_its_own_events(hook: str) -> None:
    """An event of a later renewer is answered by 42; shellcheck is silent; it is short enough to be read."""
    path = DIRECTORY / hook
    assert subprocess.run([path, "dance"], check=False, timeout=10).returncode == 42
    assert subprocess.run([path], check=False, timeout=10).returncode == 42
    found = subprocess.run(
        [program("shellcheck", "shellcheck"), "--shell=sh", path],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (found.returncode, found.stdout) == (0, "")
    assert len(path.read_text().splitlines()) <= LINES
