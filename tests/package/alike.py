"""What stands inside a booted system: an authority, every server that a hook is for, other people's hooks.

Run by `test_booted.py` as a program in that system; it says in a document how each way to call them went.
"""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from renewer.cli.app import group
from tests import toml
from tests.hooks.apiserver import ApiServer
from tests.hooks.bed import NAME
from tests.hooks.dockerd import Dockerd
from tests.hooks.sshd import Sshd
from tests.hooks.test_docker import CLIENT
from tests.hooks.test_nginx import settings_of
from tests.hooks.test_standing import KINDS, OWNERS, SPOKEN
from tests.hooks.web import Apache, Caddy, Haproxy, Lighttpd, WebServer
from tests.package.debian import CHECKOUT
from tests.servers.certificates import ServerRoot
from tests.servers.foreground import Foreground
from tests.servers.handshake import wait_until
from tests.servers.mariadb import Mariadb
from tests.servers.nginx import Nginx
from tests.servers.pebble import Pebble
from tests.servers.postgresql import USER, Postgresql
from tests.servers.redis import Redis
from tests.servers.tomcat import Tomcat
from tests.servers.unbound import Unbound

BASE = Path("/srv/alike")
CONFIG = Path("/etc/renewer/config.toml")
UNITS = Path("/run/systemd/system")
WAYS = ("hand", "cron", "timer")
_LIMIT = 300  # seconds

SHARED = "/var/tmp/shared"  # noqa: S108  where PrivateTmp= would hide it
FOR_OTHERS = "/tmp/for-others.pem"  # noqa: S108

FOREIGN = {
    "cat-to-etc": 'mkdir -p /etc/lb/certs\ncat "$RENEWED_LINEAGE"/*.pem >/etc/lb/certs/api.pem',
    "install-to-opt": 'install -D -m 640 -o nobody "$RENEWED_LINEAGE/privkey.pem" /opt/app/tls.key',
    "copy-to-srv": 'mkdir -p /srv/share && cp -rL "$RENEWED_LINEAGE" /srv/share/',
    "tar-to-usr-local": "mkdir -p /usr/local/etc/ssl\n"
    'tar -chC "$RENEWED_LINEAGE" . | tar -xC /usr/local/etc/ssl',
    "to-boot-and-root": 'cp "$RENEWED_LINEAGE/cert.pem" /boot/ && cp "$RENEWED_LINEAGE/cert.pem" "$HOME/"',
    "docker-socket": "curl -sf --unix-socket /run/docker.sock "
    "-X POST 'http://d/v1.41/containers/web/kill?signal=HUP'",
    "docker-client": f'"{CLIENT}" kill --signal HUP web',
    "systemctl-restart": "systemctl restart demo.service && systemctl is-active --quiet demo.service",
    "systemctl-edit": "mkdir -p /etc/systemd/system/demo.service.d\n"
    "echo '[Service]\nNice=3' >/etc/systemd/system/demo.service.d/x.conf\nsystemctl daemon-reload",
    "starts-a-daemon": "pkill -F /run/mine.pid 2>/dev/null || true\n"
    "setsid sleep 100000 >/dev/null 2>&1 & echo $! >/run/mine.pid",
    "other-users": "su -s /bin/sh nobody -c 'id -un' && sudo -n -u nobody id -un",
    "setgid-directory": f"mkdir -p {SHARED} && chmod 2770 {SHARED} && touch {SHARED}/x",
    "makes-a-container": "unshare --mount --pid --fork sh -c 'mount -t tmpfs none /mnt && touch /mnt/x'",
    "changes-the-kernel": "sysctl -qw net.ipv4.ip_unprivileged_port_start=80",
    "to-tmp": f'cp "$RENEWED_LINEAGE/cert.pem" {FOR_OTHERS} && logger renewed',
    "32-bits-and-devices": "setarch -R true && mknod -m 600 /run/node c 1 3 2>/dev/null; rm -f /run/node",
}
"""Hooks as certbot's users have them: none of them knows of a unit."""
PLACES = (
    "/etc/lb/certs/api.pem",
    "/opt/app/tls.key",
    "/srv/share/foreign/privkey.pem",
    "/usr/local/etc/ssl/cert.pem",
)
PROBE = r"""#!/bin/sh
# What a program meets that is called: all that differs is what somebody's hook may trip over.
exec >/srv/alike/probe
umask; pwd; id; ulimit -a
env | grep -v '^RENEWER_RUN=\|^RENEWER_CERTIFICATES_FILE=' | sort
grep -E '^(Sig(Blk|Ign)|Cap|NoNewPrivs|Seccomp)' /proc/self/status
for kind in mnt net pid uts ipc user; do readlink "/proc/self/ns/$kind"; done
cat /proc/self/oom_score_adj; nice
[ -t 0 ] || echo 'no terminal'
"""


class Shipped:
    """A server, or what stands for one, with the hook that is for it, and how a config names both."""

    def __init__(
        self, hook: str, env: Mapping[str, str], *, port: int = 0, starttls: str | None = None, **more: Any
    ) -> None:
        self.hook = hook
        self.env = dict(env)
        self.port = port
        self.starttls = starttls
        self.more = more  # keys of the certificate


def _pair(directory: Path, owner: str = "root") -> tuple[Path, Path]:
    directory.mkdir(parents=True)
    pair = ServerRoot().issue(directory, NAME, stem="privkey")
    cert, key = directory / "fullchain.pem", directory / "privkey.pem"
    pair.cert.rename(cert)
    if pair.key != key:
        pair.key.rename(key)
    for path in (cert, key):
        shutil.chown(path, owner, owner)
    return cert, key


def _foreground() -> Iterator[Shipped]:
    kinds: dict[str, tuple[type[Foreground], str | None, str]] = {
        hook: (kind, SPOKEN[hook].value, OWNERS.get(hook, "root")) for hook, kind in KINDS.items()
    } | {
        "mariadb": (Mariadb, "mysql", "mysql"),
        "postgresql": (Postgresql, "postgresql", USER),
        "redis": (Redis, None, "redis"),
        "unbound": (Unbound, None, "unbound"),
    }
    for hook, (kind, starttls, owner) in kinds.items():
        place = BASE / hook
        cert, key = _pair(place / "tls", owner)
        server = kind(place / "server", cert, key)
        if hook in {"vsftpd", "opensmtpd"}:
            _as_unit(hook, server)
        else:
            server.start()
        copies = [{"fullchain": cert, "key": key, "owner": owner, "group": owner, "mode": "0600"}]
        yield Shipped(hook, server.env, port=server.port, starttls=starttls, copies=copies)


def _as_unit(hook: str, server: Foreground) -> None:
    """Who can only be started anew, by systemd, is its unit."""
    server.directory.mkdir(parents=True, exist_ok=True)
    server.configure()
    words = " ".join(map(str, server.command()))
    (UNITS / f"{hook}.service").write_text(f"[Service]\nExecStart={words}\nRestart=always\n")
    systemctl("daemon-reload")
    systemctl("start", f"{hook}.service")
    wait_until(lambda: _listens(server.port), what=hook)


def _listens(port: int) -> bool:
    said = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True)
    return bool(said.stdout.strip())


def _web() -> Iterator[Shipped]:
    kinds: dict[str, Any] = {
        "apache": Apache,
        "caddy": Caddy,
        "haproxy": lambda directory, live: Haproxy(directory, live, api=True),
        "lighttpd": Lighttpd,
    }
    for hook, kind in kinds.items():
        cert, key = _pair(BASE / f"{hook}-tls")
        server: WebServer = kind(BASE, BASE / f"{hook}-tls")
        server.start()
        copies = server.copies or [{"fullchain": cert, "key": key}]
        yield Shipped(hook, server.env, port=server.port, copies=copies)
    cert, key = _pair(BASE / "nginx-tls")
    nginx = Nginx(BASE / "nginx", {NAME: (cert, key)}).start()
    yield Shipped("nginx", settings_of(nginx), port=nginx.port, copies=[{"fullchain": cert, "key": key}])


def _others() -> Iterator[Shipped]:
    tomcat = Tomcat(_made(BASE / "tomcat" / "server"), BASE / "tomcat" / "tls.p12")
    cert, key = _pair(BASE / "tomcat" / "tls")
    seal: list[str | Path] = [
        "openssl",
        "pkcs12",
        "-export",
        "-in",
        cert,
        "-inkey",
        key,
        "-out",
        tomcat.keystore,
    ]
    subprocess.run([*seal, "-passout", f"file:{tomcat.keystore_secret}"], check=True)
    tomcat.start()
    copies = [{"pkcs12": tomcat.keystore, "password": {"file": tomcat.keystore_secret}, "mode": "0600"}]
    yield Shipped("tomcat", tomcat.env, port=tomcat.port, copies=copies)

    api = ApiServer(BASE / "api").start()
    yield Shipped("kubernetes", {"KUBECONFIG": str(api.kubeconfig)})
    sshd = Sshd(BASE / "ssh").start()
    yield Shipped("ssh", sshd.env | {"SSH_TO": str(_made(BASE / "there"))})
    yield Shipped("copy", {"COPY_TO": str(_made(Path("/opt/copies")))})
    ensure = str(CHECKOUT / ".venv/cockpit/cockpit-certificate-ensure")
    certs = _made(Path("/etc/cockpit/ws-certs.d"))
    yield Shipped("cockpit", {"COCKPIT_DIR": str(certs), "COCKPIT_ENSURE": ensure})
    yield Shipped("systemd", {"SYSTEMD_UNITS": "demo.service", "SYSTEMD_ACTION": "restart"})
    yield Shipped("docker", {"DOCKER": str(CLIENT), "DOCKER_CONTAINER": "web", "DOCKER_TO": "/certs"})


def _made(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def systemctl(*words: str) -> None:
    """Have systemd do something."""
    subprocess.run(["systemctl", *words], check=True, timeout=_LIMIT)


class Host:
    """All of it, and the configuration."""

    def __init__(self) -> None:
        BASE.mkdir(mode=0o755)
        (UNITS / "demo.service").parent.mkdir(exist_ok=True)
        (UNITS / "demo.service").write_text("[Service]\nExecStart=/bin/sleep 100000\n")
        systemctl("daemon-reload")
        systemctl("start", "demo.service")
        self.pebble = Pebble(BASE / "pebble", always_valid=True).start()
        dockerd = Dockerd(BASE / "d")
        dockerd.socket = Path("/run/docker.sock")
        dockerd.start()
        self.shipped = [*_foreground(), *_web(), *_others()]
        for name, body in FOREIGN.items():
            _script(name, "#!/bin/sh\nset -e\n" + body + "\n")
        _script("fails", "#!/bin/sh\necho 'told to fail' >&2\n[ \"$1\" = test ]\n")
        _script("probe", PROBE)
        CONFIG.parent.mkdir(exist_ok=True)
        (BASE / "roots.pem").write_text(self.pebble.root_pem())

    def configure(self, number: int) -> None:
        """Write the config; another number makes every certificate due."""
        tables: dict[str, dict[str, Any]] = {
            "agent": {"preflight": "off"},
            "authority.pebble": {
                "directory": self.pebble.directory,
                "ca_bundle": self.pebble.ca_bundle,
                "roots": BASE / "roots.pem",
                "agree_terms": True,
                "contact": ["ops@example.org"],
            },
            "defaults": {"authority": "pebble", "challenge": {"type": "http-01", "webroot": BASE}},
        }
        for one in self.shipped:
            endpoint = {"host": "127.0.0.1", "port": one.port, "server_name": NAME}
            if one.starttls:
                endpoint["starttls"] = one.starttls
            tables[f"certificate.{one.hook}"] = {
                "names": _names(one.hook, number),
                "profile": "default",
                "hooks": [one.hook],
                "endpoints": [endpoint] if one.port else [],
                **one.more,
            }
            tables[f"hook.{one.hook}"] = {"env": one.env}
        others = {"foreign": [*FOREIGN, "probe"], "broken": ["fails"]}
        for name, hooks in others.items():
            tables[f"certificate.{name}"] = {
                "names": _names(name, number),
                "profile": "default",
                "hooks": hooks,
                "endpoints": [],
            }
        for name in FOREIGN:
            tables[f"hook.{name}"] = {"run": f"/usr/local/sbin/{name}", "convention": "certbot"}
        for name in ("fails", "probe"):
            tables[f"hook.{name}"] = {"run": f"/usr/local/sbin/{name}", "events": ["test", "deploy"]}
        CONFIG.write_text(toml.tables(tables))
        CONFIG.chmod(0o600)


def _names(first: str, number: int) -> list[str]:
    """One more each time, so that it is ordered anew, and none that goes while a port still shows it."""
    return [NAME, *(f"{first}-{each}.example.org" for each in range(number + 1))]


def _script(name: str, text: str) -> None:
    path = Path("/usr/local/sbin", name)
    path.write_text(text)
    path.chmod(0o755)


# --- the ways to call them --------------------------------------------------------------------------------

RENEWER = [sys.executable, "-P", "-m", "renewer", "--config", str(CONFIG)]


def call(way: str) -> str:
    """One run; what was said."""
    words = " ".join(RENEWER)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT)}
    match way:
        case "hand":  # a person's shell, with what is usual there and what is not
            argv = [
                "sh",
                "-c",
                f"umask 077; ulimit -n 4096; ulimit -c 0; trap '' HUP USR1; exec {words} run --all",
            ]
            environment |= {
                "LANG": "de_DE.UTF-8",
                "EDITOR": "vi",
                "TMPDIR": "/nowhere",
                "HOME": "/home/somebody",
            }
        case "cron":
            argv = ["sh", "-c", f"cd /root; exec nice -n 0 {words} run --wait 300s"]
        case _:
            argv = ["systemctl", "start", "renewer.service"]
    ended = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=_LIMIT, check=False)
    return f"{ended.returncode}\n{ended.stdout}\n{ended.stderr}"


def outcome() -> dict[str, Any]:
    """What the run left: the state of every certificate and of each of its hooks."""
    said = subprocess.run(
        [*RENEWER, "status", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=_ours(),
        timeout=_LIMIT,
    )
    found = {}
    for one in json.loads(said.stdout)["certificates"]:
        hooks = {each["hook"]: each["state"] for each in one["deployments"] if each.get("hook")}
        found[one["name"]] = {"state": one["state"], "hooks": hooks}
    return found


def _ours() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(CHECKOUT)}


def written() -> dict[str, bool]:
    """Whether each file that others' hooks write holds something of what is live; what else they did."""
    live = Path("/var/lib/renewer/certificates/foreign/live")
    parts = [(live / name).read_bytes() for name in ("privkey.pem", "cert.pem")]
    found = {path: any(part in _content(path) for part in parts) for path in PLACES}
    pid = _content("/run/mine.pid").decode().strip()
    found["daemon lives"] = bool(pid) and os.path.exists(f"/proc/{pid}")
    found["tmp is everybody's"] = os.path.exists(FOR_OTHERS)
    found["setgid"] = os.path.exists(SHARED) and bool(os.stat(SHARED).st_mode & stat.S_ISGID)
    active = subprocess.run(["systemctl", "is-active", "--quiet", "demo"], check=False)
    return found | {"demo is active": active.returncode == 0}


def _content(path: str) -> bytes:
    return Path(path).read_bytes() if os.path.exists(path) else b""


def trials(names: Sequence[str]) -> dict[str, bool]:
    """What `hooks test` says of each, by hand."""
    found = {}
    for name in names:
        words = ["--config", str(CONFIG), "hooks", "test", name, "--json"]
        found[name] = CliRunner().invoke(group, words, standalone_mode=False).return_value == 0
    return found


def main(out: str) -> None:
    """Play all ways, and write the document."""
    host = Host()
    document: dict[str, Any] = {
        "ways": {},
        "shipped": [one.hook for one in host.shipped],
        "foreign": [*FOREIGN],
    }
    host.configure(0)
    installed = subprocess.run(
        [*RENEWER, "timer", "install"], env=_ours(), capture_output=True, text=True, check=False
    )
    document["installed"] = installed.stdout + installed.stderr
    assert installed.returncode == 0, document["installed"]
    systemctl("stop", "renewer.timer")  # called by ourselves, at the moment that we want
    unit = Path("/etc/systemd/system/renewer.service")
    # what a checkout needs that an installed one does not
    unit.write_text(
        re.sub(r"(?m)^ExecStart=", f"Environment=PYTHONPATH={CHECKOUT}\n\\g<0>", unit.read_text())
    )
    systemctl("daemon-reload")
    for number, way in enumerate(WAYS):
        host.configure(number)
        said = call(way)
        document["ways"][way] = {
            "said": said,
            "outcome": outcome(),
            "written": written(),
            "probe": (BASE / "probe").read_text(),
        }
    document["trials"] = trials([*document["shipped"], *FOREIGN, "probe", "fails"])
    rehearsal = subprocess.run(
        [*RENEWER, "rehearse", "--all", "--authority", "pebble", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=_ours(),
        timeout=_LIMIT,
    )
    document["rehearsal"] = rehearsal.stdout or rehearsal.stderr
    document["journal"] = subprocess.run(
        ["journalctl", "--no-pager", "-u", "renewer.service"], capture_output=True, text=True, check=False
    ).stdout
    Path(out).write_text(json.dumps(document))


if __name__ == "__main__":
    main(sys.argv[1])
