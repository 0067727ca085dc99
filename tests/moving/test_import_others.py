"""`renewer import` of lego, dehydrated and acme.sh; Caddy, mod_md and Traefik are watched."""

import base64
import json
import shutil
from pathlib import Path

import pytest

from tests.moving.old import Certbot, Newcomer, call
from tests.servers.pebble import Pebble


@pytest.fixture(scope="module")
def lego(tmp_path_factory: pytest.TempPathFactory, believing: Pebble) -> Path:
    """What Debian's lego left: a name and a name with a wildcard."""
    home = tmp_path_factory.mktemp("lego")
    script = home / "dns"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    common = ("--path", home, "--server", believing.directory, "--email", "ops@example.org", "--accept-tos")
    env = {
        "LEGO_CA_CERTIFICATES": str(believing.ca_bundle),
        "EXEC_PATH": str(script),
        "EXEC_PROPAGATION_TIMEOUT": "1",
        "EXEC_POLLING_INTERVAL": "1",
    }
    http = ("--http", "--http.webroot", home)
    call("lego", *common, *http, "--domains", "a.example.org", "run", env=env)
    (home / "certificates/a.example.org.crt").rename(home / "certificates/_.w.example.org.crt")
    for end in ("key", "json", "issuer.crt"):
        (home / f"certificates/a.example.org.{end}").rename(home / f"certificates/_.w.example.org.{end}")
    call("lego", *common, *http, "--domains", "a.example.org", "run", env=env)
    return home


@pytest.fixture(scope="module")
def dehydrated(tmp_path_factory: pytest.TempPathFactory, believing: Pebble) -> Path:
    """What Debian's dehydrated left: one certificate of two names, by a well-known directory."""
    home = tmp_path_factory.mktemp("dehydrated")
    (home / "tokens").mkdir()
    (home / "config").write_text(
        f'CA="{believing.directory}"\nBASEDIR={home}\nWELLKNOWN="${{BASEDIR}}/tokens"\n'
        f'CONTACT_EMAIL=ops@example.org\nCURL_OPTS="--cacert {believing.ca_bundle}"\nKEY_ALGO=prime256v1\n'
    )
    (home / "domains.txt").write_text("d.example.org www.d.example.org > shop\n")
    call("dehydrated", "-f", home / "config", "--register", "--accept-terms")
    call("dehydrated", "-f", home / "config", "-c")
    return home


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
    assert "switch it off where it is called" in told.err
    assert "takeover" not in told.out + told.err  # which there is for certbot alone
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


def acme_sh(home: Path, certbot: Certbot, believing: Pebble, *lines: str) -> Path:
    """What acme.sh would have left, as its documentation says, with certbot's certificate and account."""
    here = home / "shop.example.org_ecc"
    here.mkdir(parents=True)
    live = certbot.config / "live/www.example.org"
    (here / "shop.example.org.key").write_bytes((live / "privkey.pem").read_bytes())
    (here / "fullchain.cer").write_bytes((live / "fullchain.pem").read_bytes())
    reload = base64.b64encode(b"touch /tmp/it's-not; true").decode()
    usual = [
        "Le_Domain='shop.example.org'",
        f"Le_API='{believing.directory}'",
        "Le_Keylength='ec-256'",
        "Le_Webroot='/srv/www'",
        f"Le_ReloadCmd='__ACME_BASE64__START_{reload}__ACME_BASE64__END_'",
        f"Le_RealFullChainPath='{home}/installed.pem'",
        f"Le_RealKeyPath='{home}/installed.key'",
    ]
    (here / "shop.example.org.conf").write_text("\n".join([*usual, *lines]) + "\n")
    (home / "account.conf").write_text("SAVED_CF_Token='s3cret'\nUSER_PATH='/usr/bin'\n")
    return home


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
