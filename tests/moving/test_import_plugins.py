"""certbot's plugins: what has a counterpart comes along, secrets apart; what has none is named."""

from datetime import UTC, datetime

import pytest

from renewer.config.load import load
from renewer.moving import planning, plugins
from renewer.moving.clients import CLIENTS
from renewer.moving.reading import Tree
from renewer.servers import sockets
from renewer.servers.sockets import RunningProgram
from tests.moving.old import Certbot, Newcomer

WWW = "www.example.org"


def change(alone: Certbot, *lines: str) -> None:
    """Let certbot have proved the name otherwise."""
    conf = alone.config / f"renewal/{WWW}.conf"
    kept = [
        line
        for line in conf.read_text().splitlines()
        if not line.startswith(("authenticator", "webroot", "[[", WWW))
    ]
    conf.write_text("\n".join([*kept, *lines]) + "\n")


def test_rfc2136(agent: Newcomer, alone: Certbot) -> None:
    """The server, the key's name and algorithm stand in the table, the secret in a file for root alone."""
    secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
    ini = alone.directory / "rfc2136.ini"
    ini.write_text(
        "dns_rfc2136_server = 192.0.2.53\ndns_rfc2136_port = 5353\ndns_rfc2136_name = keyname.\n"
        f"dns_rfc2136_secret = {secret}\ndns_rfc2136_algorithm = HMAC-SHA512\n"
    )
    ini.chmod(0o600)
    change(alone, "authenticator = dns-rfc2136", f"dns_rfc2136_credentials = {ini}")
    said = agent.json("import", "certbot", "--from", str(alone.config))
    assert 'provider = "rfc2136"' in said["text"]
    assert "192.0.2.53:5353" in said["text"]
    assert secret not in said["text"]
    (kept,) = (agent.directory / "secrets").iterdir()
    assert (kept.read_text().strip(), kept.stat().st_mode & 0o777) == (secret, 0o600)
    assert agent.cli("config", "check").code in (0, 1)


def test_a_service_of_lexicon(agent: Newcomer, alone: Certbot) -> None:
    """A token of Cloudflare's goes to lexicon, in a file of its own."""
    ini = alone.directory / "cloudflare.ini"
    ini.write_text("dns_cloudflare_api_token = t0ken\n")
    ini.chmod(0o600)
    change(alone, "authenticator = dns-cloudflare", f"dns_cloudflare_credentials = {ini}")
    said = agent.json("import", "certbot", "--from", str(alone.config))
    assert 'provider = "lexicon"' in said["text"]
    assert "t0ken" not in said["text"]


@pytest.mark.parametrize("plugin", ["dns-hetzner", "dns-route53", "certbot-dns-joker:dns-joker", "postfix"])
def test_a_plugin_without_a_counterpart(agent: Newcomer, alone: Certbot, plugin: str) -> None:
    """It is refused by its name, and it is said what to do; nothing is half imported."""
    change(alone, f"authenticator = {plugin}")
    said = agent.json("import", "certbot", "--from", str(alone.config), code=1)
    assert plugin.rpartition(":")[2] in said["refused"][0]["text"]
    assert "--challenge X" in said["refused"][0]["hint"]
    assert agent.files_of_config == []


REDIRECTED = """server {{ listen 80; server_name {name}; return 301 https://$host$request_uri; }}
server {{ listen 443 ssl; server_name {name}; root {root}; }}"""


@pytest.mark.parametrize(
    ("shown", "block"),
    [
        ("yes", "server {{ listen 80; server_name {name}; root {root}; }}"),
        ("yes", "server {{ listen 80; server_name _; root {root}; }}"),
        ("yes", REDIRECTED),
        ("no", "server {{ listen 80; server_name {name}; root {root}; return 404; }}"),
        ("no", "server {{ listen 80; server_name {name}; location / {{ proxy_pass http://app; }} }}"),
        ("no", "server {{ listen 8080; server_name {name}; root {root}; }}"),
    ],
)
def test_blocks_of_nginx(
    agent: Newcomer, alone: Certbot, monkeypatch: pytest.MonkeyPatch, shown: str, block: str
) -> None:
    """A name that certbot's nginx plugin proved goes where nginx shows files for it, else beside nginx."""
    (root := alone.directory / "shown").mkdir()
    config = alone.directory / "nginx.conf"
    config.write_text(f"events {{}}\nhttp {{\n{block.format(name=WWW, root=root)}\n}}\n")
    change(alone, "authenticator = nginx", "installer = nginx")
    nginx = RunningProgram(1, "nginx", ("nginx", "-c", str(config)), "/")
    monkeypatch.setattr(sockets, "processes", lambda: [nginx])
    plugins._sites.cache_clear()
    found = CLIENTS["certbot"].read(Tree(str(alone.config)))
    plan = planning.plan(load(str(agent.write())), found, datetime.now(UTC))
    plugins._sites.cache_clear()
    assert (f'webroot = "{root}"' in plan.text) is (shown == "yes")
    assert (plugins.BESIDE in plan.text) is (shown == "no")
    assert ("renewer rehearse proves it" in plan.text) is (shown == "yes")
