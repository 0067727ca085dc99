"""`renewer copies`: what was written where, and the removal of what the configuration names no more."""

import subprocess
from pathlib import Path

import pytest

from renewer.model.facts import CopyFact
from tests.copies.host import Host, new_host
from tests.copies.pairs import content, pair, password_file


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host with four copies, of which the config then forgets all but the key."""
    made = new_host(tmp_path / "host")
    password_file(made.directory)
    made.give(90)
    made.copies("key", "cert", "chain", "pkcs12")
    made.json("run")
    made.copies("key")
    return made


def states(host: Host, *arguments: str) -> dict[str, tuple[bool, str]]:
    """What the list says: by file, whether it is named, and what is found."""
    document = host.json("copies", "list", *arguments)
    assert set(document) == {"schema", "host", "copies"}
    return {Path(one["path"]).name: (one["named"], one["found"]) for one in document["copies"]}


def names(documents: list[dict[str, str]]) -> list[str]:
    """The files of a document, sorted."""
    return sorted(Path(one["path"]).name for one in documents)


def test_list(host: Host) -> None:
    """Every file that was written, the forgotten ones marked; a run removes none of them."""
    assert states(host) == {
        "cert": (False, "ours"),
        "chain": (False, "ours"),
        "key": (True, "ours"),
        "pkcs12": (False, "ours"),
    }
    ended = host.cli("copies", "list")
    assert ended.code == 0
    assert [line.split()[:4] for line in ended.out.splitlines()[1:]] == [
        ["www", "left", "over", "ours"],
        ["www", "left", "over", "ours"],
        ["www", "in", "use", "ours"],
        ["www", "left", "over", "ours"],
    ]
    assert "renewer copies clean" in ended.err
    host.json("run")
    assert sorted(content(host.place)) == ["cert", "chain", "key", "pkcs12"]


def test_clean(host: Host) -> None:
    """What is ours goes, and is forgotten; what is named stays; a second time there is nothing to do."""
    document = host.json("copies", "clean", "--yes")
    assert (names(document["removed"]), document["left"]) == (["cert", "chain", "pkcs12"], [])
    assert list(content(host.place)) == ["key"]
    assert [Path(fact.path).name for fact in host.remembered(CopyFact)] == ["key"]
    assert host.cli("copies", "clean").out == "nothing is left over\n"
    assert f"the copy {host.place}/cert was removed on request" in host.cli("log", "--json").out
    assert host.json("run")["outcomes"] == []


def test_clean_asks(host: Host) -> None:
    """Without a terminal and without --yes nothing is removed; what would be is named."""
    ended = host.cli("copies", "clean")
    assert ended.code == 2
    assert f"{host.place}/pkcs12" in ended.err
    assert "3 files will be removed for good" in ended.err
    assert len(content(host.place)) == 4


def test_what_is_not_ours_stays(host: Host) -> None:
    """Changed, replaced by a link or a directory, or in a foreign hand: told and left; missing: forgotten."""
    (host.place / "cert").write_bytes(b"an administrator's")
    (host.place / "chain").unlink()
    (host.place / "pkcs12").rename(host.place / "real")
    (host.place / "pkcs12").mkdir()
    assert states(host)["chain"] == (False, "missing")

    ended = host.cli("copies", "clean", "--yes")

    assert ended.code == 0
    assert ended.out.splitlines() == [
        f"left    {host.place}/cert: it is not what we wrote",
        f"left    {host.place}/pkcs12: {host.place}/pkcs12 is not a file that a certificate may replace",
    ]
    assert (host.place / "cert").read_bytes() == b"an administrator's"
    assert sorted(states(host)) == ["cert", "key", "pkcs12"]


def test_link_of_a_stranger(host: Host) -> None:
    """Who may write to the directory cannot have us remove a file elsewhere, be it byte for byte ours."""
    elsewhere = host.directory / "elsewhere"
    (host.place / "cert").rename(elsewhere)
    (host.place / "cert").symlink_to(elsewhere)
    host.place.chmod(0o777)
    document = host.json("copies", "clean", "--yes")
    assert names(document["left"]) == ["cert"]
    assert "symbolic link" in document["left"][0]["note"]
    assert elsewhere.read_bytes() == pair().cert


def test_what_was_there_before_us(host: Host) -> None:
    """It is named, and never removed."""
    host.copies("key", "der")
    (host.place / "der").write_bytes(b"somebody's")
    host.json("run")
    host.copies("key")
    ended = host.cli("copies", "clean", "--yes")
    (kept,) = (host.state / "replaced").glob("*der")
    assert f"left    {kept}: it was there before us" in ended.out.splitlines()
    assert kept.read_bytes() == b"somebody's"
    assert not (host.place / "der").exists()


def test_left_alone_is_never_removed(host: Host) -> None:
    """A later certificate of somebody else, that we had left alone, is not ours to remove."""
    theirs = host.place / "fullchain"
    theirs.write_bytes(pair(300).fullchain)
    host.copies("key", "fullchain")
    host.json("run")
    assert "left alone" in host.cli("copies", "list").out
    host.copies("key")
    assert names(host.json("copies", "clean", "--yes")["left"]) == ["fullchain"]
    assert theirs.read_bytes() == pair(300).fullchain


def test_one_certificate(host: Host) -> None:
    """With a name only its files; also of one that the configuration has lost; an unknown one is told."""
    table = host.tables.pop("certificate.www")
    host.tables["certificate.other"] = table | {"copies": []}
    assert states(host, "www")["key"] == (False, "ours")
    assert states(host, "other") == {}
    assert host.cli("copies", "list", "other").out == "no file was written outside the state directory\n"
    ended = host.cli("copies", "clean", "ohter", "--yes")
    assert (ended.code, "there are: other, www" in ended.err) == (2, True)
    assert names(host.json("copies", "clean", "www", "--yes")["removed"]) == [
        "cert",
        "chain",
        "key",
        "pkcs12",
    ]
    assert content(host.place) == {}


def test_taken_over_by_another_certificate(host: Host) -> None:
    """A path that another certificate writes now is no longer the first one's to remove."""
    table = host.tables["certificate.www"]
    host.tables["certificate.other"] = table | {"copies": [{"cert": str(host.place / "cert")}]}
    assert sorted(states(host)) == ["chain", "key", "pkcs12"]
    host.json("copies", "clean", "--yes")
    assert sorted(content(host.place)) == ["cert", "key"]


def test_directory_that_is_gone(host: Host) -> None:
    """Files whose directory was removed are missing, and forgotten."""
    for path in host.place.iterdir():
        path.unlink()
    host.place.rmdir()
    host.copies()
    document = host.json("copies", "clean", "--yes")
    assert (document["removed"], document["left"], host.remembered(CopyFact)) == ([], [], [])


def test_not_removable(host: Host) -> None:
    """What cannot be removed is told with its reason, stays on record, and the exit code says so."""
    for argv in (["--bind", str(host.place)], ["-o", "remount,ro,bind"]):
        subprocess.run(["/usr/bin/mount", *argv, str(host.place)], check=True)
    try:
        ended = host.cli("copies", "clean", "--yes")
    finally:
        subprocess.run(["/usr/bin/umount", host.place], check=True)
    assert ended.code == 1
    cert = host.place / "cert"
    assert f"left    {cert}: the copy {cert} cannot be written: Read-only file system" in ended.out
    assert len(host.remembered(CopyFact)) == 4
