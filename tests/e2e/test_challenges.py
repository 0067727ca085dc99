"""Whole runs by the challenges that are answered on a port: directly, and behind servers by the snippets."""

import json
import subprocess
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from renewer.config.hooks import snippets_directory
from renewer.issue.solvers import solver_for
from renewer.ledger.sqlite import SqliteLedger
from renewer.model.desired import Http01
from renewer.model.facts import Debris, Failure
from renewer.model.names import Identifier
from renewer.model.solver import Task
from tests.e2e.conftest import SiteFactory
from tests.e2e.site import Site
from tests.servers.handshake import served_serial
from tests.servers.haproxy import Haproxy, program
from tests.servers.nginx import Nginx
from tests.servers.pebble import Pebble
from tests.servers.ports import free_port, release
from tests.servers.process import Process

MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"


def only(**keys: Any) -> dict[str, dict[str, Any]]:
    """One certificate that no web server serves."""
    return {"www": {"hooks": [], "endpoints": [], **keys}}


def ordered(site: Site, *, code: int = 0) -> Any:
    """One run, and the outcome of its order."""
    document = site.json("run", exit_code=code)
    return next(one for one in document["outcomes"] if one["step"] in ("issue", "resume"))


def left(site: Site, kind: type[Any]) -> list[Any]:
    """What the ledger keeps of a kind."""
    ledger = SqliteLedger.open(str(site.state / "ledger.db"))
    try:
        return list(ledger.load(kind))
    finally:
        ledger.close()


def tls(pebble: Pebble) -> dict[str, Any]:
    """A challenge on the port where Pebble asks."""
    return {"type": "tls-alpn-01", "listen": f"127.0.0.1:{pebble.tls_port}"}


def snippet(name: str, **ports: int) -> str:
    """A shipped snippet with the test's ports in place of its own (`_8402` → …)."""
    text = (Path(snippets_directory()) / name).read_text()
    for old, new in ports.items():
        assert old[1:] in text
        text = text.replace(old[1:], str(new))
    return text


@pytest.fixture
def ports() -> Iterator[list[int]]:
    """Four free ports."""
    taken = [free_port() for _ in range(4)]
    yield taken
    release(*taken)


# --- tls-alpn-01 --------------------------------------------------------------------------------------------


def test_tls_alpn_01(make_site: SiteFactory, pebble: Pebble) -> None:
    """Two names by one listener (RFC 8737); nothing is left behind."""
    names = ["tls.example.org", "www.tls.example.org"]
    site = make_site(certificates=only(names=names, challenge=tls(pebble)))
    assert ordered(site)["result"] == "done"
    assert left(site, Debris) == []
    shown = [one for one in site.events() if one["event"] == "challenge-presented"]
    assert {one["type"] for one in shown} == {"tls-alpn-01"}


def test_an_address_by_tls_alpn_01(make_site: SiteFactory, pebble: Pebble) -> None:
    """An IP identifier is asked for by its reverse-mapped name (RFC 8738 §6), beside a DNS name."""
    names = ["127.0.0.1", "with-address.example.org"]
    site = make_site(certificates=only(names=names, challenge=tls(pebble)))
    assert ordered(site)["result"] == "done"
    shown = [one["where"] for one in site.events() if one["event"] == "challenge-presented"]
    assert any("1.0.0.127.in-addr.arpa" in where for where in shown)


def test_an_address_by_http_01(
    tmp_path: Path, make_site: SiteFactory, pebble: Pebble, ports: list[int]
) -> None:
    """The other challenge for addresses (RFC 8738 §7), by our own listener."""
    listen = f"127.0.0.1:{pebble.http_port}"
    challenge = {"type": "http-01", "listen": listen, "preflight": "off"}
    with Nginx(tmp_path / "elsewhere", http_port=ports[0]) as elsewhere:
        site = make_site(certificates=only(names=["127.0.0.1"], challenge=challenge), shared=elsewhere)
        assert ordered(site)["result"] == "done"


def test_behind_nginx_by_the_snippet(
    tmp_path: Path, make_site: SiteFactory, pebble: Pebble, ports: list[int]
) -> None:
    """The stream module of nginx passes acme-tls/1 to the agent and all else to its own TLS."""
    agent, tls_port, between, _ = ports
    challenge = {"type": "tls-alpn-01", "listen": f"127.0.0.1:{agent}"}
    site = make_site(certificates=only(challenge=challenge, names=["127.0.0.1", "stream.example.org"]))
    front = tmp_path / "front"
    front.mkdir()
    text = snippet("nginx-tls-alpn-01.conf", _8403=agent, _8404=between, _8443=tls_port)
    text = text.replace("listen 443;", f"listen 127.0.0.1:{pebble.tls_port};").replace("listen [::]:443;", "")
    own = Nginx(tmp_path / "own")  # makes a self-signed pair that the other server block can use
    with own:
        block = textwrap.dedent(f"""
            load_module {MODULE};
            pid {front}/nginx.pid;
            events {{ worker_connections 64; }}
            http {{
                access_log {front}/access.log;
                {temporary(front)}
                server {{
                    listen 127.0.0.1:{tls_port} ssl proxy_protocol;
                    set_real_ip_from 127.0.0.1;
                    real_ip_header proxy_protocol;
                    ssl_certificate {own.sites["default.invalid"][0]};
                    ssl_certificate_key {own.sites["default.invalid"][1]};
                    location / {{ return 200; }}
                }}
            }}
        """)
        config = front / "nginx.conf"
        config.write_text(block + text)
        argv: list[str | Path] = [
            own.binary,
            "-p",
            f"{front}/",
            "-c",
            config,
            "-e",
            front / "error.log",
            "-g",
            "daemon off;",
        ]
        with Process(argv, log=front / "error.log") as process:
            process.wait_for_port(pebble.tls_port)
            assert ordered(site)["result"] == "done"
            assert served(pebble.tls_port) == own.serial("default.invalid")


def test_behind_haproxy_by_the_snippet(
    tmp_path: Path, make_site: SiteFactory, pebble: Pebble, ports: list[int]
) -> None:
    """HAProxy passes acme-tls/1 to the agent, and ends all other TLS itself as before."""
    agent = ports[0]
    challenge = {"type": "tls-alpn-01", "listen": f"127.0.0.1:{agent}"}
    site = make_site(certificates=only(challenge=challenge, names=["balanced.example.org"]))
    text = snippet("haproxy-tls-alpn-01.cfg", _8403=agent)
    text = text.replace("bind :443", f"bind 127.0.0.1:{pebble.tls_port}").replace(
        "    bind [::]:443 v6only\n", ""
    )
    with Nginx(tmp_path / "own") as own:
        chain, key = own.sites["default.invalid"]
        pair = tmp_path / "pair.pem"
        pair.write_bytes(chain.read_bytes() + key.read_bytes())
        unique = f"renewer-tls-{agent}"
        text = text.replace("abns@renewer-tls", f"abns@{unique}") + textwrap.dedent(f"""
            frontend tls
                mode http
                timeout client 5s
                bind abns@{unique} accept-proxy ssl crt {pair}
                http-request return status 200
        """)
        with Haproxy(tmp_path, text, pebble.tls_port):
            assert ordered(site)["result"] == "done"
            assert served(pebble.tls_port) == own.serial("default.invalid")


def served(port: int) -> str:
    """What an ordinary client gets at a port."""
    return served_serial(port, "default.invalid")


def temporary(directory: Path) -> str:
    """Where nginx may put temporary files."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return "\n".join(f"{kind}_temp_path {directory}/spool-{kind};" for kind in kinds)


# --- http-01 for several servers ----------------------------------------------------------------------------


def test_one_webroot_for_two_servers(tmp_path: Path) -> None:
    """Two nginx serve one webroot on shared storage: each answers what one agent wrote, until it goes."""
    token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
    task = Task(
        certificate="www",
        identifier=Identifier.parse("www.example.org"),
        type="http-01",
        token=token,
        key_authorization=f"{token}.thumbprint",
    )
    servers = [Nginx(tmp_path / name) for name in ("first", "second")]
    for server in servers:
        server.webroot = tmp_path / "shared"
    solver = solver_for(Http01(webroot=str(tmp_path / "shared")))

    def answers() -> list[tuple[int, bool]]:
        path = f"/.well-known/acme-challenge/{token}"
        found = [requests.get(f"http://127.0.0.1:{one.http_port}{path}", timeout=30) for one in servers]
        return [(one.status_code, one.text == task.key_authorization) for one in found]

    with ExitStack() as running:
        for server in servers:
            running.enter_context(server)
        assert answers() == [(404, False)] * 2
        solver.present(task)
        assert answers() == [(200, True)] * 2
        assert solver.clean_up(task) is None
        assert answers() == [(404, False)] * 2
    assert list((tmp_path / "shared").iterdir()) == []


def behind(site_port: int, agent: int) -> str:
    """The challenge's path as the snippet for nginx has it, in a server block."""
    rules = textwrap.indent(snippet("nginx-http-01.conf", _8402=agent), "    ")
    listen = f"    listen 127.0.0.1:{site_port};\n    location / {{ return 301 https://$host/; }}\n"
    return f"server {{\n{listen}{rules}}}\n"


def test_http_behind_nginx_by_the_snippet(
    tmp_path: Path, make_site: SiteFactory, pebble: Pebble, ports: list[int]
) -> None:
    """A server that sends everything to HTTPS passes the challenge's path to the agent's listener."""
    agent = ports[0]
    challenge = {"type": "http-01", "listen": f"127.0.0.1:{agent}", "preflight": "off"}
    with ExitStack() as stack:
        front = stack.enter_context(
            Nginx(tmp_path / "front", http_port=ports[1], extra=(behind(pebble.http_port, agent),))
        )
        assert front.test().returncode == 0
        site = make_site(certificates=only(challenge=challenge), shared=front)
        assert ordered(site)["result"] == "done"


def test_http_behind_haproxy_by_the_snippet(
    tmp_path: Path, make_site: SiteFactory, pebble: Pebble, ports: list[int]
) -> None:
    """The same with HAProxy before the servers: as its comments say, and the backend as it is."""
    agent = ports[0]
    text = snippet("haproxy-http-01.cfg", _8402=agent)
    rules = [line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#      ")]
    lines = [rule for rule in rules if rule.startswith(("use_backend", "http-request"))]
    assert len(lines) == 2
    frontend = f"frontend web\n mode http\n timeout client 5s\n bind 127.0.0.1:{pebble.http_port}\n"
    text = frontend + "".join(f" {line}\n" for line in reversed(lines)) + text
    challenge = {"type": "http-01", "listen": f"127.0.0.1:{agent}", "preflight": "off"}
    with Nginx(tmp_path / "unused", http_port=ports[1]) as unused, Haproxy(tmp_path, text, pebble.http_port):
        site = make_site(certificates=only(challenge=challenge), shared=unused)
        assert ordered(site)["result"] == "done"


def test_http_through_apache_by_the_snippet(
    tmp_path: Path, make_site: SiteFactory, pebble: Pebble, ports: list[int]
) -> None:
    """The same with Apache; `apache2 -t` is content with it, too."""
    agent = ports[0]
    modules = ("mpm_event", "authz_core", "proxy", "proxy_http")
    lines = [
        f"ServerRoot {tmp_path}",
        f"PidFile {tmp_path}/apache.pid",
        f"ErrorLog {tmp_path}/apache.log",
        f"DefaultRuntimeDir {tmp_path}",
        "ServerName localhost",
        f"Listen 127.0.0.1:{pebble.http_port}",
        *(f"LoadModule {one}_module /usr/lib/apache2/modules/mod_{one}.so" for one in modules),
        snippet("apache-http-01.conf", _8402=agent),
    ]
    config = tmp_path / "apache.conf"
    config.write_text("\n".join(lines))
    argv = [program("apache2", "apache2-bin"), "-f", str(config)]
    tested = subprocess.run([*argv, "-t"], capture_output=True, text=True, timeout=30, check=False)
    assert tested.returncode == 0, tested.stderr
    challenge = {"type": "http-01", "listen": f"127.0.0.1:{agent}", "preflight": "off"}
    with (
        Nginx(tmp_path / "elsewhere", http_port=ports[1]) as elsewhere,
        Process([*argv, "-DFOREGROUND"], log=tmp_path / "apache.out") as process,
    ):
        process.wait_for_port(pebble.http_port)
        site = make_site(certificates=only(challenge=challenge), shared=elsewhere)
        assert ordered(site)["result"] == "done"


def test_http_through_caddy_by_the_snippet(
    tmp_path: Path, make_site: SiteFactory, pebble: Pebble, ports: list[int]
) -> None:
    """The same with Caddy."""
    agent = ports[0]
    text = snippet("caddy-http-01.caddyfile", _8402=agent)
    options = "{\n\tadmin off\n\tauto_https off\n}\n"
    config = tmp_path / "Caddyfile"
    config.write_text(options + f"http://:{pebble.http_port} {{\n\tbind 127.0.0.1\n{text}\n}}\n")
    argv: list[str | Path] = [program("caddy", "caddy"), "run", "--adapter", "caddyfile", "--config", config]
    challenge = {"type": "http-01", "listen": f"127.0.0.1:{agent}", "preflight": "off"}
    env = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    with (
        Nginx(tmp_path / "elsewhere", http_port=ports[1]) as elsewhere,
        Process(argv, log=tmp_path / "caddy.log", env=env) as process,
    ):
        process.wait_for_port(pebble.http_port)
        site = make_site(certificates=only(challenge=challenge), shared=elsewhere)
        assert ordered(site)["result"] == "done"


SCRIPT = """#!/usr/bin/python3
import json, os, sys
told = json.load(sys.stdin)
assert told["event"] == sys.argv[-1] == os.environ["RENEWER_EVENT"], told
with open("{calls}", "a") as calls:
    words = sys.argv[1:] + [one["identifier"] for one in told["challenges"]]
    calls.write(" ".join(words) + chr(10))
for one in told["challenges"]:
    path = "{webroot}" + one["path"]
    if told["event"] == "present":
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(one["key_authorization"])
    elif os.path.exists(path):
        os.unlink(path)
"""


def test_http_01_by_a_script(tmp_path: Path, make_site: SiteFactory) -> None:
    """A program puts the tokens where they are served, a certificate a call, and takes them away."""
    site = make_site()
    script = tmp_path / "put"
    script.write_text(SCRIPT.format(calls=tmp_path / "calls", webroot=site.nginx.webroot))
    script.chmod(0o755)
    names = ["script.example.org", "www.script.example.org"]
    site.change(
        names=names,
        challenge={"type": "http-01", "script": [script, "-v"], "preflight": "off"},
        hooks=[],
        endpoints=[],
    )
    assert ordered(site)["result"] == "done"
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [sorted(call.split()) for call in calls] == [
        sorted(["-v", "present", *names]),
        sorted(["-v", "clean_up", *names]),
    ]
    assert left(site, Debris) == []


# --- several ways in order ----------------------------------------------------------------------------------


def test_the_next_way_after_a_failure(make_site: SiteFactory, pebble: Pebble, tmp_path: Path) -> None:
    """The first challenge fails at the authority; the next attempt takes the second."""
    empty = tmp_path / "empty"
    empty.mkdir()
    ways = [{"type": "http-01", "webroot": empty, "preflight": "off"}, tls(pebble)]
    site = make_site(certificates=only(names=["second-way.example.org"], challenge=ways))
    failed = ordered(site, code=1)
    assert "http-01" in failed["detail"]
    (failure,) = left(site, Failure)
    assert failure.tried == (("second-way.example.org", 0),)
    assert not failure.final

    site.age()
    assert ordered(site)["result"] == "done"
    shown = [one["type"] for one in site.last_events() if one["event"] == "challenge-presented"]
    assert shown == ["tls-alpn-01"]
    assert left(site, Failure) == []


def test_what_cannot_be_tried_is_not_final(make_site: SiteFactory, pebble: Pebble, tmp_path: Path) -> None:
    """A webroot that is gone is seen before anything is ordered; with another way the same run takes that."""
    ways = [{"type": "http-01", "webroot": tmp_path / "gone", "preflight": "off"}, tls(pebble)]
    site = make_site(certificates=only(names=["no-webroot.example.org"], challenge=ways))
    mark = pebble.mark()
    assert ordered(site)["result"] == "done"
    assert (left(site, Failure), pebble.orders_created(mark)) == ([], 1)


def test_each_name_takes_what_fits_it(make_site: SiteFactory, pebble: Pebble) -> None:
    """Of a list an address takes the first that can prove one."""
    ways = [
        {"type": "dns-persist-01", "experimental": True, "propagation": {"resolvers": ["127.0.0.1:9"]}},
        tls(pebble),
    ]
    site = make_site(certificates=only(names=["127.0.0.1"], challenge=ways))
    assert ordered(site)["result"] == "done"


def test_what_authorities_will_look_at(make_site: SiteFactory, pebble: Pebble) -> None:
    """`challenge show` names the URL and the server name; nobody is asked for it."""
    ways = [{"type": "http-01", "listen": "[::1]:80"}, tls(pebble)]
    site = make_site(certificates=only(names=["127.0.0.1", "a.example.org"], challenge=ways))
    document = site.json("challenge", "show", "www")
    where = {(one["name"], one["type"]): one["where"] for one in document["challenges"]}
    assert where["a.example.org", "http-01"] == "http://a.example.org/.well-known/acme-challenge/…"
    assert "1.0.0.127.in-addr.arpa" in where["127.0.0.1", "tls-alpn-01"]
    assert site.cli("challenge", "show", "none").code == 2


def test_snippets_are_listed_and_printed(make_site: SiteFactory) -> None:
    """`challenge snippet` has every shipped one, as text and as JSON."""
    site = make_site(certificates=only())
    listed = site.json("challenge", "snippet")["snippets"]
    assert len(listed) == 6
    for name, path in listed.items():
        assert site.cli("challenge", "snippet", name).out.strip() == Path(path).read_text().strip()
    assert site.json("challenge", "snippet", "nginx-http-01")["text"].startswith("# HTTP-01")
    assert json.loads(json.dumps(listed)) == listed
    assert site.cli("challenge", "snippet", "nope").code == 2
