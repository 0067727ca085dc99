"""`renewer import` of lego, dehydrated and acme.sh; Caddy, mod_md and Traefik are watched."""

import json
import shutil
from pathlib import Path

import pytest

from tests.moving.old import Certbot, Newcomer, acme_sh
from tests.servers.pebble import Pebble


def test_lego(agent: Newcomer, lego: Path, believing: Pebble) -> None:
    """Keys, certificates and the account come; how names are proved is asked for; copies are at its paths."""
    said = agent.json("import", "lego", "--from", str(lego), code=1)
    assert [one["text"] for one in said["refused"]] == ["lego does not keep how its names are proved"] * 2
    assert "--challenge X" in said["refused"][0]["hint"]
    assert agent.files_of_config == []
    agent.tables["challenge.web"] = {"type": "http-01", "listen": "127.0.0.1:8402"}
    mark = believing.mark()
    told = agent.cli("import", "lego", "--from", str(lego), "--challenge", "web", "--dry-run")
    assert "nothing was changed" in told.err
    said = agent.json("import", "lego", "--from", str(lego), "--challenge", "web")
    assert {one["name"] for one in said["certificates"]} == {"a.example.org", "wildcard.w.example.org"}
    assert said["accounts"] == [{"authority": "pebble", "result": "taken"}]
    again = agent.json("import", "lego", "--from", str(lego))
    told = agent.cli("import", "lego", "--from", str(lego))
    assert "then: renewer takeover lego" in told.err
    assert {one["result"] for one in again["certificates"]} == {"there"}
    assert agent.key("a.example.org") == (lego / "certificates/a.example.org.key").read_bytes()
    agent.json("run")
    assert believing.orders_created(mark) == 0
    assert agent.json("account", "show")["accounts"][0]["status"] == "valid"
    assert not (lego / "certificates/a.example.org.crt").is_symlink()


def test_lego_5_keeps_its_accounts_otherwise(agent: Newcomer, lego: Path, tmp_path: Path) -> None:
    """The newer layout: the account's key lies beside what is known of it."""
    home = tmp_path / "lego5"
    shutil.copytree(lego, home)
    (old,) = home.glob("accounts/*/*")
    new = old.parent / "main"
    old.rename(new)
    (new / f"keys/{old.name}.key").rename(new / "main.key")
    (new / "keys").rmdir()
    agent.tables["challenge.web"] = {"type": "http-01", "listen": "127.0.0.1:8402"}
    said = agent.json("import", "lego", "--from", str(home), "--challenge", "web")
    assert said["accounts"] == [{"authority": "pebble", "result": "taken"}]


def test_dehydrated(agent: Newcomer, dehydrated: Path, believing: Pebble) -> None:
    """The certificate under its alias, the account, and tokens where they went before."""
    mark = believing.mark()
    said = agent.json("import", "dehydrated", "--from", str(dehydrated))
    assert [(one["name"], one["names"]) for one in said["certificates"]] == [
        ("shop", ["d.example.org", "www.d.example.org"])
    ]
    assert f'"{dehydrated}/tokens"' in said["text"]
    # without the curve, which OpenSSL writes as a block of its own before the key
    assert (dehydrated / "certs/shop/privkey.pem").read_bytes().endswith(agent.key("shop"))
    agent.json("run")
    assert believing.orders_created(mark) == 0
    assert agent.json("account", "show")["accounts"][0]["status"] == "valid"
    assert agent.json("run", "--force", "--all")["exit"] == 0  # the way to prove names works, too
    assert believing.orders_created(mark) == 1
    assert (dehydrated / "certs/shop/privkey.pem").read_bytes() == agent.key("shop")


def test_acme_sh(agent: Newcomer, tmp_path: Path, certbot: Certbot, believing: Pebble) -> None:
    """Its files are read as data: webroot, reload command, installed copies; nothing is executed."""
    home = acme_sh(tmp_path / "acme.sh", certbot, believing)
    said = agent.json("import", "acme.sh", "--from", str(home))
    assert 'webroot = "/srv/www"' in said["text"]
    assert f'fullchain = "{home}/installed.pem"' in said["text"]
    assert said["certificates"][0]["hooks"] == [["/bin/sh", "-c", "touch /tmp/it's-not; true"]]
    assert not (tmp_path / "pwned").exists()


def test_secrets_of_acme_sh_get_files_of_their_own(
    agent: Newcomer, tmp_path: Path, certbot: Certbot, believing: Pebble
) -> None:
    """A DNS program of acme.sh's goes on, its secret lies in a file for root and never in the config."""
    home = acme_sh(tmp_path / "acme.sh", certbot, believing, "Le_Webroot='dns_cf'")
    (home / "dnsapi").mkdir()
    (home / "dnsapi/dns_cf.sh").write_text("dns_cf_add() { :; }\n")
    said = agent.json("import", "acme.sh", "--from", str(home))
    assert 'provider = "script"' in said["text"]
    assert "s3cret" not in said["text"]
    secret = agent.directory / "secrets/acme-sh-cf_token"
    assert (secret.read_text(), secret.stat().st_mode & 0o777) == ("s3cret\n", 0o600)


@pytest.mark.parametrize(
    "line",
    [
        "Le_X=$(touch {pwned})",
        "Le_X=`touch {pwned}`",
        "touch {pwned}",
        "Le_X='a'; touch {pwned}",
        'Le_X="$(touch {pwned})"',
        "Le_X=" + "a" * 100_000,
    ],
)
def test_shell_in_files_of_acme_sh(
    agent: Newcomer, tmp_path: Path, certbot: Certbot, believing: Pebble, line: str
) -> None:
    """What only a shell could understand is refused by name and never run."""
    pwned = tmp_path / "pwned"
    home = acme_sh(tmp_path / "acme.sh", certbot, believing, line.format(pwned=pwned))
    said = agent.json("import", "acme.sh", "--from", str(home), code=1)
    assert said["refused"][0]["name"] == "shop.example.org_ecc"
    assert "line 8" in said["refused"][0]["text"]
    assert not pwned.exists()
    assert agent.files_of_config == []


def test_servers_that_renew_by_themselves_are_watched(
    agent: Newcomer, tmp_path: Path, certbot: Certbot
) -> None:
    """Caddy's and mod_md's files and Traefik's ports become watches; their keys stay where they are."""
    chain = (certbot.config / "live/www.example.org/fullchain.pem").read_bytes()
    caddy = tmp_path / "caddy/certificates/acme/www.example.org"
    caddy.mkdir(parents=True)
    (caddy / "www.example.org.crt").write_bytes(chain)
    md = tmp_path / "md/domains/www.example.org"
    md.mkdir(parents=True)
    (md / "pubcert.pem").write_bytes(chain)
    traefik = tmp_path / "traefik"
    traefik.mkdir()
    document = {"le": {"Certificates": [{"domain": {"main": "t.example.org"}, "certificate": "", "key": ""}]}}
    (traefik / "acme.json").write_text(json.dumps(document))
    for name in ("caddy", "mod_md", "traefik"):
        place = tmp_path / {"mod_md": "md"}.get(name, name)
        assert len(agent.json("import", name, "--from", str(place))["watches"]) == 1
        assert agent.json("import", name, "--from", str(place))["file"] is None
    assert agent.files_of_config == ["from-caddy.toml", "from-mod-md.toml", "from-traefik.toml"]
    watched = {one["name"]: one["target"] for one in agent.json("status")["watches"]}
    assert watched["caddy-www.example.org"] == str(caddy / "www.example.org.crt")
    assert watched["traefik-t.example.org"] == "t.example.org:443"
