"""`renewer import certbot`, from what a real certbot left."""

import shutil
from pathlib import Path
from typing import Any

from cryptography import x509

from tests import command
from tests.moving.old import Certbot, Newcomer, copied
from tests.servers.pebble import Pebble

WWW, MAIL, WILD = "www.example.org", "mail_1.example.org", "wild.example.org"


def imported(agent: Newcomer, certbot: Certbot, *more: str, code: int = 0) -> Any:
    """Import, and what was said."""
    return agent.json("import", "certbot", "--from", str(certbot.config), *more, code=code)


def test_certificates_keys_and_account_come_along_and_nothing_is_ordered(
    agent: Newcomer, certbot: Certbot, believing: Pebble
) -> None:
    """All of certbot's certificates are live here with their keys; the runs that follow order nothing."""
    mark = believing.mark()
    said = imported(agent, certbot)
    assert said["refused"] == []
    assert {one["name"]: one["result"] for one in said["certificates"]} == dict.fromkeys(
        (MAIL, WILD, WWW), "imported"
    )
    for name, old in ((WWW, WWW), (MAIL, "Mail_1.example.org")):
        live = certbot.config / "live" / old
        assert agent.key(name) == (live / "privkey.pem").read_bytes()
        assert agent.chain(name) == x509.load_pem_x509_certificates((live / "fullchain.pem").read_bytes())
    assert agent.files_of_config == ["from-certbot.toml"]
    agent.json("run")
    states = {one["name"]: one["state"] for one in agent.json("status")["certificates"]}
    assert states == dict.fromkeys((MAIL, WILD, WWW), "deployed")
    assert believing.orders_created(mark) == 0
    assert not [one for one in believing.requests(mark) if one.path.startswith("/sign-me-up")]
    account = agent.json("account", "show")["accounts"][0]
    regr = next((certbot.config / "accounts").rglob("regr.json")).read_text()
    assert account["status"] == "valid"
    assert account["url"] in regr


def test_settings_come_along(agent: Newcomer, certbot: Certbot) -> None:
    """Challenges, kinds of keys and hooks stand in the new file; the config takes them."""
    text = str(imported(agent, certbot)["text"])
    assert f'challenge = {{ type = "http-01", webroot = "{certbot.webroot}" }}' in text
    assert f'challenge = {{ type = "http-01", listen = "127.0.0.1:{certbot.port}" }}' in text
    assert 'provider = "script"' in text
    assert '["/bin/sh", "-c", "echo $CERTBOT_DOMAIN"]' in text
    assert 'key       = "rsa-2048"' in text
    assert '["/bin/sh", "-c", "echo \\"$RENEWED_LINEAGE\\" >>/dev/null; true"]' in text
    assert f'run        = "{certbot.config}/renewal-hooks/deploy"' in text
    assert agent.cli("config", "check").code in (0, 1)


def test_a_name_that_cannot_be_is_mapped_and_told(agent: Newcomer, certbot: Certbot) -> None:
    """`Mail_1.example.org` is called otherwise here, and that is said."""
    ended = agent.cli("import", "certbot", "--from", str(certbot.config), "--dry-run")
    assert "it is called 'mail_1.example.org' here: 'Mail_1.example.org' cannot be" in ended.out


def test_a_dry_run_changes_nothing(agent: Newcomer, certbot: Certbot) -> None:
    """What would come is shown, with hooks as they will be called; nothing is written."""
    ended = agent.cli("import", "certbot", "--from", str(certbot.config), "--dry-run")
    assert ended.code == 0
    assert f"{WWW}: comes along" in ended.out
    assert "hook: /bin/sh -c 'echo \"$RENEWED_LINEAGE\" >>/dev/null; true'" in ended.out
    assert "nothing was changed" in ended.err
    assert agent.files_of_config == []
    assert not agent.state.exists()


def test_again_is_done(agent: Newcomer, certbot: Certbot) -> None:
    """A second import finds everything there, and writes no second file."""
    imported(agent, certbot)
    before = {name: one for name, one in agent.files().items() if name.startswith("certificates/")}
    said = imported(agent, certbot)
    assert {one["result"] for one in said["certificates"]} == {"there"}
    assert said["file"] is None
    assert agent.files_of_config == ["from-certbot.toml"]
    assert before == {name: one for name, one in agent.files().items() if name.startswith("certificates/")}


def test_one_at_a_time_and_never_over_a_file(agent: Newcomer, certbot: Certbot) -> None:
    """--only takes one; the next import writes a file beside the first."""
    imported(agent, certbot, "--only", WWW)
    first = (agent.directory / "conf.d/from-certbot.toml").read_text()
    said = imported(agent, certbot)
    assert agent.files_of_config == ["from-certbot-2.toml", "from-certbot.toml"]
    assert (agent.directory / "conf.d/from-certbot.toml").read_text() == first
    assert {one["name"]: one["result"] for one in said["certificates"]}[WWW] == "there"
    assert agent.cli("config", "check").code in (0, 1)


def renewer(config: Path, *arguments: str, code: int = 0) -> str:
    """The real command with a config that stands there as it is, or not at all."""
    ended = command.renewer("--config", config, *arguments)
    assert ended.code == code, ended.said
    return ended.said


def test_without_a_configuration_one_is_begun(tmp_path: Path, certbot: Certbot) -> None:
    """Where nothing was configured yet, it is shown what the whole of it would be."""
    config = tmp_path / "etc/config.toml"
    said = renewer(config, "import", "certbot", "--from", str(certbot.config), "--dry-run")
    assert "agree_terms = true" in said
    assert not config.exists()


def test_a_config_that_does_not_read_conf_d(agent: Newcomer, certbot: Certbot) -> None:
    """The line that is missing is named, and nothing is half imported."""
    config = agent.write()
    config.write_text(config.read_text().replace("include", "# include"))
    said = renewer(config, "import", "certbot", "--from", str(certbot.config), code=2)
    assert 'write this at its beginning, then import again: include = ["conf.d/*.toml"]' in said
    assert agent.files_of_config == []
    assert not agent.state.exists()


def test_a_second_client_state_of_a_copy(tmp_path: Path, agent: Newcomer, certbot: Certbot) -> None:
    """A copy of /etc/letsencrypt elsewhere is read from there, whatever its files say of their places."""
    copy = copied(certbot.config, tmp_path / "backup")
    shutil.rmtree(copy / "renewal-hooks")
    said = agent.json("import", "certbot", "--from", str(copy))
    assert len(said["certificates"]) == 3
    assert all(one["files"][0].startswith(str(copy)) for one in said["certificates"])
