"""What must not or cannot be imported: refused by name, nothing executed, nothing half imported."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from renewer.config.load import load
from renewer.moving import planning
from renewer.moving.clients import CLIENTS
from renewer.moving.reading import Tree
from tests.moving.old import Certbot, Newcomer, copied
from tests.servers.certificates import ServerRoot

WWW, WILD = "www.example.org", "wild.example.org"
Harm = Callable[[Path], None]


def _key_of_another(home: Path) -> None:
    key = home / "live" / WWW / "privkey.pem"
    key.unlink()
    key.symlink_to(f"../../archive/{WILD}/privkey1.pem")


def _link_out(home: Path) -> None:
    key = home / "live" / WWW / "privkey.pem"
    key.unlink()
    key.symlink_to("/etc/shadow")


def _fifo(home: Path) -> None:
    key = home / "archive" / WWW / "privkey1.pem"
    key.unlink()
    os.mkfifo(key)


def _replace(place: str, content: bytes) -> Harm:
    def harm(home: Path) -> None:
        (home / place).write_bytes(content)

    return harm


def _cut(place: str, size: int) -> Harm:
    return lambda home: os.truncate(home / place, size)


def _expired(home: Path) -> None:
    chain = home / "archive" / WWW
    root = ServerRoot("an authority")
    past = datetime.now(UTC) - timedelta(days=100)
    root.issue(home, WWW, stem="old", not_before=past)
    (chain / "fullchain1.pem").write_bytes((home / "old.pem").read_bytes())
    (chain / "privkey1.pem").write_bytes((home / "old.key").read_bytes())


def _writable(home: Path) -> None:
    (home / "renewal" / f"{WWW}.conf").chmod(0o666)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (_key_of_another, "the private key does not belong to the certificate"),
        (_link_out, "leads out of"),
        (_fifo, "is not a regular file"),
        (_replace(f"archive/{WWW}/fullchain1.pem", b"x" * 10_000_000), "10000000 octets, more than"),
        (_replace(f"renewal/{WWW}.conf", b"a = " + b"x" * 10_000_000), "more than"),
        (
            _replace(f"renewal/{WWW}.conf", "renew_hook = gr\xfc\xdfe".encode("latin1")),
            "is not UTF-8 text (line 1)",
        ),
        (_replace(f"renewal/{WWW}.conf", b"[[[[broken"), "cannot be read"),
        (_replace(f"renewal/{WWW}.conf", b""), "has no [renewalparams]"),
        (_cut(f"archive/{WWW}/fullchain1.pem", 300), "fullchain.pem"),
        (_cut(f"archive/{WWW}/privkey1.pem", 100), "the private key cannot be read"),
        (_expired, "expired at"),
        (_writable, "others could change it"),
    ],
)
def test_state_that_is_refused(
    agent: Newcomer, certbot: Certbot, tmp_path: Path, harm: Harm, words: str
) -> None:
    """One certificate is refused with its name and reason; the others come, and nothing of that one does."""
    home = copied(certbot.config, tmp_path / "letsencrypt")
    harm(home)
    found = CLIENTS["certbot"].read(Tree(str(home)))
    plan = planning.plan(load(str(agent.write())), found, datetime.now(UTC))
    assert [one.about for one in plan.refused] == [WWW]
    assert words in plan.refused[0].text
    assert WILD in {one.name for one in plan.coming}
    assert WWW not in plan.text
    assert WWW not in {one.name for one in plan.coming}


def test_a_hook_that_others_can_change(agent: Newcomer, certbot: Certbot, tmp_path: Path) -> None:
    """A directory of hooks with a program of anybody's is refused by name; certificates come all the same."""
    home = copied(certbot.config, tmp_path / "letsencrypt")
    (home / "renewal-hooks/deploy/10-all").chmod(0o777)
    said = agent.json("import", "certbot", "--from", str(home), code=1)
    assert "renewal-hooks/deploy" in said["refused"][0]["name"]
    assert "renewal-hooks/deploy" not in said["text"]
    assert len(said["certificates"]) == 3


LOST = b"\xff\xfe\x00"


class Left(NamedTuple):
    """What a client left: its name, its directory, and the two files of a certificate."""

    client: str
    home: Path
    chain: Path
    key: Path


def _lego_home(place: Path, root: ServerRoot) -> Left:
    home = place / "lego"
    pair = root.issue(home / "certificates", WWW, stem=WWW)
    pair.cert.rename(chain := home / f"certificates/{WWW}.crt")
    key = pair.key
    (home / f"certificates/{WWW}.json").write_text("{}")
    return Left("lego", home, chain, key)


def _dehydrated_home(place: Path, root: ServerRoot) -> Left:
    home = place / "dehydrated"
    pair = root.issue(home / "certs" / WWW, WWW, stem="x")
    pair.cert.rename(chain := home / "certs" / WWW / "fullchain.pem")
    pair.key.rename(key := home / "certs" / WWW / "privkey.pem")
    (home / "config").write_text("WELLKNOWN=/srv/tokens\n")
    (home / "domains.txt").write_text(f"{WWW}\n")
    return Left("dehydrated", home, chain, key)


def _acme_sh_home(place: Path, root: ServerRoot) -> Left:
    home = place / "acme.sh"
    pair = root.issue(home / WWW, WWW, stem="x")
    pair.cert.rename(chain := home / WWW / "fullchain.cer")
    pair.key.rename(key := home / WWW / f"{WWW}.key")
    (home / WWW / f"{WWW}.conf").write_text("Le_Webroot='/srv/www'\n")
    return Left("acme.sh", home, chain, key)


def _uacme_home(place: Path, root: ServerRoot) -> Left:
    home = place / "uacme"
    pair = root.issue(home / WWW, WWW, stem="x")
    pair.cert.rename(chain := home / WWW / "cert.pem")
    (home / "private" / WWW).mkdir(parents=True)
    pair.key.rename(key := home / "private" / WWW / "key.pem")
    return Left("uacme", home, chain, key)


HOMES = (_lego_home, _dehydrated_home, _acme_sh_home, _uacme_home)


def _linked_out(left: Left) -> None:
    left.key.unlink()
    left.key.symlink_to("/etc/shadow")


def _piped(left: Left) -> None:
    left.chain.unlink()
    os.mkfifo(left.chain)


def _swapped(left: Left) -> None:
    other = ServerRoot("another").issue(left.home, "other.example.org", stem="other")
    left.key.write_bytes(other.key.read_bytes())


def _shortened(left: Left) -> None:
    os.truncate(left.chain, 200)


def _long(left: Left) -> None:
    left.chain.write_bytes(b"x" * 10_000_000)


def _latin(left: Left) -> None:
    left.key.write_bytes("gr\xfc\xdfe".encode("latin1") + LOST)


def _anybodys(left: Left) -> None:
    left.key.chmod(0o666)


@pytest.mark.parametrize("harm", [_linked_out, _piped, _swapped, _shortened, _long, _latin, _anybodys])
@pytest.mark.parametrize("home", HOMES)
def test_the_same_of_other_clients(
    agent: Newcomer,
    tmp_path: Path,
    home: Callable[[Path, ServerRoot], Left],
    harm: Callable[[Left], None],
) -> None:
    """Whatever client left it: what is sound comes, what is not is refused by its name and reason."""
    left = home(tmp_path, ServerRoot("an authority"))
    config = load(str(agent.write()))
    now = datetime.now(UTC)

    def planned() -> planning.ImportPlan:
        return planning.plan(config, CLIENTS[left.client].read(Tree(str(left.home))), now, challenge="x")

    assert [one.old for one in planned().coming] == [WWW]
    harm(left)
    found = planned()
    assert (found.coming, [one.about for one in found.refused]) == ((), [WWW])
    assert str(left.home) in found.refused[0].text
    assert found.text == ""


@pytest.mark.parametrize(
    ("client", "file", "content"),
    [
        ("dehydrated", "config", b"HOOK=$(touch pwned)\n"),
        ("dehydrated", "config", b"WELLKNOWN=" + b"x" * 10_000_000),
        ("dehydrated", "config", "# gr\xfc\xdfe\n".encode("latin1")),
        ("dehydrated", "domains.txt", "gr\xfc\xdfe.example.org\n".encode("latin1")),
    ],
)
def test_a_configuration_that_is_refused(
    agent: Newcomer, tmp_path: Path, client: str, file: str, content: bytes
) -> None:
    """What only a shell understands, or what is no text, ends it with the file's name; nothing is run."""
    place = _dehydrated_home(tmp_path, ServerRoot("an authority")).home
    (place / file).write_bytes(content)
    ended = agent.cli("import", client, "--from", str(place))
    assert ended.code != 0
    assert str(place / file) in ended.out + ended.err
    assert agent.files_of_config == []
    assert not agent.state.exists()
    assert not Path("pwned").exists()
