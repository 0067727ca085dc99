"""Copies in whole runs of the real command: written, put back, reworded, left alone, turned back."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from renewer.model.facts import CopyFact
from tests.copies.host import ALL, Host
from tests.copies.pairs import PASSWORD, content, pair, password_file, stranger


def is_idle(host: Host) -> bool:
    """Whether a run finds nothing to do, and all is well."""
    document = host.json("run")
    return document["outcomes"] == [] and [one["step"] for one in document["steps"]] == ["keep"]


def opens(path: Path, password: str = PASSWORD) -> bool:
    """Whether openssl opens a PKCS#12 with this password."""
    argv = ["/usr/bin/openssl", "pkcs12", "-in", str(path), "-passin", "env:P", "-noout"]
    return subprocess.run(argv, env={"P": password}, check=False, capture_output=True).returncode == 0


def _in_place(path: Path) -> None:
    path.write_bytes(b"somebody's")


def _same_size_and_time(path: Path) -> None:
    entry = path.stat()
    draft = path.with_name("draft")
    draft.write_bytes(b"x" * entry.st_size)
    os.utime(draft, ns=(entry.st_atime_ns, entry.st_mtime_ns))
    draft.rename(path)


def _emptied(path: Path) -> None:
    os.truncate(path, 0)


CHANGES: dict[str, Callable[[Path], None]] = {
    "missing": Path.unlink,
    "changed": _in_place,
    "another file of that size and time": _same_size_and_time,
    "empty": _emptied,
}


@pytest.mark.parametrize("what", CHANGES)
def test_put_back(host: Host, what: str) -> None:
    """A copy that is missing or was changed is put back by the next run; the one after has nothing to do."""
    host.copies("key", "fullchain", "pkcs12")
    host.json("run")
    before = content(host.place)
    for name in ("key", "pkcs12"):
        CHANGES[what](host.place / name)
    assert host.look()["healthy"] is False
    plan = host.cli("plan", "--json").document["steps"][0]
    assert (plan["step"], plan["reason"]) == ("deploy", "copy-pending")
    assert "was changed or removed" in plan["because"]

    assert host.json("run")["exit"] == 0

    found = content(host.place)
    assert {name: found[name] for name in ("key", "fullchain")} == {
        name: before[name] for name in ("key", "fullchain")
    }
    assert opens(host.place / "pkcs12")
    assert set(found) == set(before)
    assert any((host.state / "replaced").glob("*key")) == (what != "missing")  # it may be worth keeping
    assert is_idle(host)


def test_configured_otherwise(host: Host) -> None:
    """Another mode or group is brought about by the next run, without anything being written anew in vain."""
    host.copies("key", "cert")
    host.json("run")
    host.copies("key", "cert", mode="0640", group="9")
    plan = host.cli("plan", "--json").document["steps"][0]
    assert plan["because"].endswith("is configured otherwise now")
    inode = (host.place / "cert").stat().st_ino

    host.json("run")

    entry = (host.place / "key").stat()
    assert (entry.st_mode & 0o777, entry.st_gid) == (0o640, 9)
    assert (host.place / "cert").stat().st_gid == 9
    assert (host.place / "cert").stat().st_ino != inode
    assert is_idle(host)


def test_part_that_is_new(host: Host) -> None:
    """A file that the config names newly is written by the next run; those beside it stay."""
    host.copies("key")
    host.json("run")
    inode = (host.place / "key").stat().st_ino
    host.copies("key", "der")
    host.json("run")
    assert sorted(content(host.place)) == ["der", "key"]
    assert (host.place / "key").stat().st_ino == inode
    assert is_idle(host)


def test_password_that_changes(host: Host) -> None:
    """A new password file, or another reference, seals keystores anew at the next run."""
    host.copies("pkcs12")
    host.json("run")
    password_file(host.directory, "the second one")
    host.json("run")
    assert (opens(host.place / "pkcs12", "the second one"), opens(host.place / "pkcs12")) == (True, False)
    assert is_idle(host)

    host.tables["certificate.www"]["copies"][0]["password"] = {"env": "KEYSTORE_PASSWORD"}
    env = {"KEYSTORE_PASSWORD": "the third one"}
    assert host.cli("run", env=env).code == 0
    assert opens(host.place / "pkcs12", "the third one")
    assert host.cli("run", env=env).out.startswith("nothing to do")
    env = {"KEYSTORE_PASSWORD": "the fourth one"}  # nobody can tell, until somebody asks
    assert host.cli("run", env=env).out.startswith("nothing to do")
    assert host.cli("deploy", "www", env=env).code == 0
    assert opens(host.place / "pkcs12", "the fourth one")
    assert sorted(content(host.place)) == ["pkcs12"]


def test_password_is_told_to_nobody(host: Host) -> None:
    """Not to the log, the ledger, the screen, the state directory: also when a deployment fails."""
    host.copies("pkcs12", "jks")
    said = [host.cli("-v", "run")]
    password_file(host.directory, "five5")  # keytool wants six
    said.append(host.cli("-v", "run"))
    assert said[-1].code == 1
    assert "fewer than 6 characters" in said[-1].out + said[-1].err
    said += [host.cli("status", "--json"), host.cli("log", "--json"), host.cli("copies", "list", "--json")]
    texts = [one.out + one.err for one in said] + [(host.directory / "config.toml").read_text()]
    files = [
        path.read_bytes() for path in host.directory.rglob("*") if path.is_file() and path.name != "password"
    ]
    for secret in (PASSWORD, "five5"):
        assert [text for text in texts if secret in text] == []
        assert [data for data in files if secret.encode() in data] == []
    assert list((host.state / "tmp").iterdir()) == []


def test_later_one_is_left_alone_and_shown(host: Host) -> None:
    """Told by every run and by status, not counted as ill, and no reason to deploy again and again."""
    host.copies("key", "fullchain")
    host.json("run")
    theirs = stranger(300)
    (host.place / "fullchain").write_bytes(theirs.fullchain)
    (host.place / "key").write_bytes(theirs.privkey)
    finding = (
        f"www: {host.place}/fullchain holds a certificate that ends later than ours: this copy is left alone"
    )

    document = host.json("run")
    assert [one["step"] for one in document["outcomes"]] == ["deploy"]
    assert document["findings"] == [finding]
    assert (host.place / "key").read_bytes() == theirs.privkey
    for _ in range(2):
        assert is_idle(host)
        assert host.json("status")["findings"] == [finding]
    assert f"note: {finding}" in host.cli("status").out
    assert host.look()["healthy"]

    (host.place / "fullchain").unlink()  # an answer to the note
    assert host.json("run")["findings"] == []
    assert content(host.place)["fullchain"] == pair().fullchain
    assert content(host.place)["key"] == pair().privkey


def test_ours_over_theirs_once_it_ends_later(host: Host) -> None:
    """The next version of ours that ends later takes the place again; theirs is kept beside."""
    host.copies("key", "pkcs12")
    theirs = host.place / "pkcs12"
    given = host.directory / "given"
    their = stranger(120)
    given.write_bytes(their.fullchain + their.privkey)
    argv = [
        "/usr/bin/openssl",
        "pkcs12",
        "-export",
        "-in",
        str(given),
        "-out",
        str(theirs),
        "-passout",
        "env:P",
    ]
    subprocess.run(argv, env={"P": PASSWORD}, check=True, capture_output=True)
    before = theirs.read_bytes()
    host.json("run")
    assert content(host.place) == {"pkcs12": before}
    host.give(200)
    assert host.json("run")["findings"] == []
    (kept,) = (host.state / "replaced").glob("*pkcs12")
    assert kept.read_bytes() == before
    assert content(host.place)["key"] == pair(200).privkey


def test_turned_back_to_the_last_byte(host: Host) -> None:
    """A hook that fails: every format as it was, salts and all; once it works, they are the new one's."""
    host.copies(*ALL)
    hook = host.hook("exit 0")
    host.json("run")
    before = content(host.place)
    host.give(91)
    hook.write_text("#!/bin/sh\nexit 1\n")

    document = host.json("run", code=1)

    assert "is live again" in document["outcomes"][-1]["detail"]
    assert content(host.place) == before
    hook.write_text("#!/bin/sh\nexit 0 # mended\n")
    host.json("run")
    found = content(host.place)
    assert [name for name in ALL if found[name] == before[name]] == ["chain"]
    assert found["key"] == pair(91).privkey
    assert is_idle(host)


def test_what_is_remembered(host: Host) -> None:
    """One record a file: what we wrote and where, and of a password only where it comes from, hashed."""
    host.copies("key", "pkcs12")
    host.json("run")
    facts = {Path(fact.path).name: fact for fact in host.remembered(CopyFact)}
    assert sorted(facts) == ["key", "pkcs12"]
    assert {len(fact.wish) for fact in facts.values()} == {8}
    assert {fact.note for fact in facts.values()} == {""}
