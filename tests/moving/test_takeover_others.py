"""`renewer takeover` of lego, dehydrated and acme.sh by copies at their paths, and the way back."""

from pathlib import Path

import pytest

from tests.moving.old import LATER_LEGO, Certbot, Dehydrated, Lego, Newcomer, acme_sh, copied
from tests.servers.pebble import Pebble


def ours(agent: Newcomer) -> dict[str, bytes]:
    """Our versions."""
    return {name: one for name, one in agent.files().items() if name.startswith("certificates/")}


def renewed(agent: Newcomer, name: str, chain: Path, key: Path) -> None:
    """Renew it here: the client's paths follow."""
    before = chain.read_bytes()
    said = agent.json("run", name, "--force")
    assert said["exit"] == 0, said
    assert chain.read_bytes() != before
    assert key.read_bytes() == agent.key(name)


def took(agent: Newcomer, client: str, home: Path, *options: str) -> str:
    """What a takeover that went well said."""
    ended = agent.cli("takeover", client, "--from", str(home), *options)
    assert ended.code == 0, ended.out + ended.err
    return ended.out + ended.err


@pytest.mark.parametrize("program", ["lego", LATER_LEGO], ids=["4.9", "later"])
def test_lego(agent: Newcomer, believing: Pebble, tmp_path: Path, program: str | Path) -> None:
    """Its files follow ours; what it does there never reaches ours; handed back it renews on."""
    old = Lego(tmp_path / "lego", believing, program)
    old.home.mkdir()
    old.run("run")
    chain, key = (old.home / f"certificates/a.example.org.{end}" for end in ("crt", "key"))
    agent.tables["challenge.web"] = {"type": "http-01", "webroot": str(old.home)}
    agent.json("import", "lego", "--from", str(old.home), "--challenge", "web")
    assert f"{chain} and what belongs to it are copies of ours" in took(agent, "lego", old.home)
    took(agent, "lego", old.home)  # done before is done
    assert not chain.is_symlink()
    kept = ours(agent)
    old.renew()
    old.run("revoke", code=None)
    assert ours(agent) == kept
    agent.json("run", code=0)  # what it took away is there again
    renewed(agent, "a.example.org", chain, key)
    newest, kept = chain.read_bytes(), ours(agent)
    key.write_bytes(b"lost")
    there = sorted(path.name for path in key.parent.iterdir())
    assert "from-lego.toml.handed-back" in took(agent, "lego", old.home, "--undo")
    assert chain.read_bytes() == newest
    assert key.read_bytes() == agent.key("a.example.org")
    assert sorted(path.name for path in key.parent.iterdir()) == there
    assert newest.endswith((key.parent / "a.example.org.issuer.crt").read_bytes())
    assert agent.files_of_config == ["from-lego.toml.handed-back"]
    mark = believing.mark()
    old.renew()
    assert believing.orders_created(mark) == 1
    assert ours(agent) == kept


def test_dehydrated(agent: Newcomer, dehydrated: Path, believing: Pebble, tmp_path: Path) -> None:
    """It passes over the certificate, and has it in its own form when it is handed back."""
    home = copied(dehydrated, tmp_path / "dehydrated")
    config = home / "config"
    config.write_text(config.read_text().replace(str(dehydrated), str(home)))
    old, chain = Dehydrated(home), home / "certs/shop/fullchain.pem"
    agent.json("import", "dehydrated", "--from", str(home))
    took(agent, "dehydrated", home)
    assert "#renewer# d.example.org www.d.example.org > shop\nother.example.org\n" in (
        (home / "domains.txt").read_text()
    )
    kept, mark = ours(agent), believing.mark()
    (home / "domains.txt").write_text((home / "domains.txt").read_text().replace("other.example.org\n", ""))
    assert "Signing" not in old.run("-c", "-x")
    old.run("-c", "-x", "-d", "d.example.org www.d.example.org > shop")  # named by hand it goes on
    assert believing.orders_created(mark) == 1
    old.run("-gc")
    old.run("-r", home / "certs/shop/cert.pem", code=None)
    assert ours(agent) == kept
    agent.json("run")
    renewed(agent, "shop", chain, home / "certs/shop/privkey.pem")
    newest = chain.read_bytes()
    took(agent, "dehydrated", home, "--undo")
    assert (home / "domains.txt").read_text() == "d.example.org www.d.example.org > shop\n"
    assert chain.is_symlink()
    assert chain.read_bytes() == newest
    mark = believing.mark()
    assert "Skipping renew!" in old.run("-c")
    old.run("-c", "-x")
    assert believing.orders_created(mark) == 1


def test_acme_sh(agent: Newcomer, certbot: Certbot, believing: Pebble, tmp_path: Path) -> None:
    """Its own files and those that it installed follow ours; what it goes by is aside meanwhile."""
    home = acme_sh(tmp_path / "acme.sh", certbot, believing, "Le_ReloadCmd='true'")
    here = home / "shop.example.org_ecc"
    agent.tables["challenge.web"] = {"type": "http-01", "webroot": str(home)}
    agent.json("import", "acme.sh", "--from", str(home), "--challenge", "web")
    took(agent, "acme.sh", home)
    assert not (here / "shop.example.org.conf").exists()  # without it acme.sh knows of no certificate
    assert (home / "installed.key").read_bytes() == agent.key("shop.example.org_ecc")
    renewed(agent, "shop.example.org_ecc", here / "fullchain.cer", here / "shop.example.org.key")
    assert (home / "installed.pem").read_bytes() == (here / "fullchain.cer").read_bytes()
    took(agent, "acme.sh", home, "--undo")
    assert (here / "shop.example.org.conf").exists()
    assert agent.json("import", "acme.sh", "--from", str(home), "--dry-run")["certificates"]


def test_files_that_would_not_follow(
    agent: Newcomer, certbot: Certbot, believing: Pebble, tmp_path: Path
) -> None:
    """Without copies at its paths nothing is taken, and it is said what to write."""
    home = acme_sh(tmp_path / "acme.sh", certbot, believing)
    agent.json("import", "acme.sh", "--from", str(home))
    (path,) = (agent.directory / "conf.d").iterdir()
    lines = [line for line in path.read_text().splitlines() if not line.startswith("copies")]
    path.write_text("\n".join(lines))
    ended = agent.cli("takeover", "acme.sh", "--from", str(home))
    assert ended.code == 1
    assert "write copies = [{ fullchain =" in ended.out
    assert (home / "shop.example.org_ecc/shop.example.org.conf").exists()
