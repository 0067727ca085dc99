"""A whole host that means harm: found or told within bounds; nothing is started, written or waited for."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers.certificates import ServerRoot
from tests.servers.own_host import emptied, own_host
from tests.servers.process import Process

pytestmark = pytest.mark.real
SECRET = "root:$6$not-to-be-seen"
PORTS = {
    443: b"",
    8443: b"",
    25: b"",
    465: b"\x15\x03\x01" * 9,
    993: b"\xff" * 65536,
    9100: b"",
    5432: b"N" * 99,
}
ASKED_NOTHING = 9100  # a printer: whoever speaks to it makes it print


STRANGERS = """
import os, socket, sys, threading
def answer(connection, port, octets):
    with connection:
        try:
            connection.sendall(octets)
            while heard := connection.recv(4096):
                with open(f"{sys.argv[1]}/{port}", "ab") as file:
                    file.write(heard)
        except OSError:
            pass
def serve(listener, port, octets):
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0], port, octets), daemon=True).start()
for port, octets in %r.items():
    listener = socket.create_server(("127.0.0.1", port))
    threading.Thread(target=serve, args=(listener, port, octets)).start()
"""
"""Listeners that accept and never greet, or answer with rubbish; what each was sent is kept in a file."""


@contextmanager
def strangers(heard: Path) -> Iterator[None]:
    """Those listeners, in a process of their own."""
    heard.mkdir()
    script = heard / "strangers.py"
    script.write_text(STRANGERS % PORTS)
    process = Process([sys.executable, script, heard], log=heard / "log")
    try:
        for port in PORTS:
            process.wait_for_port(port)
        yield
    finally:
        process.stop()


NGINX = """\
events {}
http {
    include fifo.conf; include zero.conf; include long.conf; include loop.conf; include latin.conf;
    server { listen 443 ssl; listen 8443 ssl; server_name a.example.org;
        ssl_certificate /etc/tls/good.pem; ssl_certificate_key /etc/tls/good.key; }
    server { listen 443 ssl; server_name zero.example.org; ssl_certificate /dev/zero; }
    server { listen 443 ssl; server_name fifo.example.org; ssl_certificate /etc/tls/fifo; }
    server { listen 443 ssl; server_name theirs.example.org; ssl_certificate /srv-theirs/shadow; }
    server { listen 443 ssl; server_name "$(touch /etc/ran)"; ssl_certificate "|touch /etc/ran"; }
}
"""
LIGHTTPD = """\
server.port = 443
include_shell "touch /etc/ran"
ssl.engine = "enable"
ssl.pemfile = "/etc/tls/good.pem"
"""
EXIM = "tls_certificate = ${run{/bin/touch /etc/ran}{/etc/tls/good.pem}}\ndaemon_smtp_ports = 25\n"
ACME_SH = "Le_Domain='a'\nLe_ReloadCmd=$(touch /etc/ran)\nLe_Webroot=`touch /etc/ran`\n"


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A host of the test's own, with files that were laid to harm who reads them."""
    place = tmp_path / "scratch"
    place.mkdir()
    with own_host(place):
        emptied()
        _lay(Path("/etc/nginx"), Path("/etc/tls"), tmp_path)
        yield place


def _lay(nginx: Path, tls: Path, outside: Path) -> None:
    shutil.rmtree(nginx, ignore_errors=True)
    for directory in (nginx, tls, Path("/etc/lighttpd"), Path("/etc/exim4"), Path("/etc/acme.sh/a")):
        directory.mkdir(parents=True)
    theirs = outside / "theirs"
    theirs.mkdir()
    (outside / "secret").write_text(SECRET)
    (theirs / "shadow").symlink_to(outside / "secret")
    os.chown(theirs, 65534, 65534)
    pair = ServerRoot().issue(tls, "a.example.org", stem="good")
    shutil.move(pair.cert, tls / "good.pem")
    shutil.move(pair.key, tls / "good.key")
    (nginx / "nginx.conf").write_text(NGINX.replace("/srv-theirs", str(theirs)))
    os.mkfifo(nginx / "fifo.conf")
    os.mkfifo(tls / "fifo")
    (nginx / "zero.conf").symlink_to("/dev/zero")
    (nginx / "long.conf").write_bytes(b"a" * 10_000_000)
    (nginx / "loop.conf").write_text("include loop.conf;")
    (nginx / "latin.conf").write_bytes(b"# caf\xe9\nserver { listen 443 ssl; server_name caf\xe9; }\n")
    Path("/etc/lighttpd/lighttpd.conf").write_text(LIGHTTPD)
    Path("/etc/exim4/exim4.conf").write_text(EXIM)
    Path("/etc/acme.sh/a/a.conf").write_text(ACME_SH)


def _discovered(*arguments: str) -> Any:
    argv = [sys.executable, "-m", "renewer", "--config", "/nonexistent", "discover", "--json", *arguments]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=180, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    return json.loads(ended.stdout)


def _tree(place: Path) -> dict[str, tuple[int, int]]:
    """What was ever written to this host's own files: what the layer above the machine's holds."""
    found = {}
    for name in ("etc", "var"):
        for path in (place / name / "upper").rglob("*"):
            entry = path.lstat()
            found[str(path)] = (entry.st_size, entry.st_mtime_ns)
    return found


def test_files_and_sockets_that_mean_harm(scratch: Path, tmp_path: Path) -> None:
    """What can be read is found, the rest is told with its place, and nobody is asked who was not named."""
    before = _tree(scratch)
    with strangers(tmp_path / "heard"):
        document = _discovered()
    assert _tree(scratch) == before, "nothing was written, so nothing was run"
    text = json.dumps(document)
    assert SECRET not in text
    (good,) = [one for one in document["certificates"] if one["names"] == ["a.example.org"]]
    assert good["ports"] == [], "nobody there spoke TLS"
    assert {one["server"] for one in good["servers"]} >= {"nginx", "lighttpd"}
    told = "\n".join(f"{one['place']}: {one['text']}" for one in document["unread"])
    for word in ("fifo.conf", "zero.conf", "long.conf", "includes itself", "/dev/zero", "/etc/tls/fifo"):
        assert word in told, told
    assert "others than root could put one" in told
    assert "what a program prints is not read" in told
    codes = [one["code"] for one in document["findings"]]
    assert set(codes) == {"file-unread"}
    asked = {path.name for path in (tmp_path / "heard").iterdir()}
    assert str(ASKED_NOTHING) not in asked
    assert "443" in asked, "where a configuration says TLS somebody is asked"


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
def test_places_that_are_named_by_hand(make: Callable[[str], object], scratch: Path) -> None:
    """A PATH that is a FIFO, or leads to a device, is no reason to wait."""
    odd = f"{scratch}/odd.pem"
    make(odd)
    assert _discovered(odd)["certificates"]
