"""What must not or cannot be imported: refused by name, nothing executed, nothing half imported."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

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
