"""Copies at places that will not take them: each cause has its own words in the report of a whole run."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.copies.host import Host, new_host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host with one version to be deployed."""
    one = new_host(tmp_path)
    one.copies("fullchain", "key")
    one.give(90)
    return one


@pytest.fixture
def ending() -> Iterator[ExitStack]:
    """What is undone at the end, whatever happens."""
    with ExitStack() as stack:
        yield stack


def mount(ending: ExitStack, *argv: str) -> None:
    """Mount something until the test ends."""
    subprocess.run(["/bin/mount", *argv], check=True, timeout=20)
    ending.callback(subprocess.run, ["/bin/umount", argv[-1]], check=True, timeout=20)


def told(host: Host) -> tuple[int, str, str]:
    """The exit code, the words and the hint of a run's one outcome."""
    ended = host.cli("run", "--json")
    outcomes = [one for one in ended.document["outcomes"] if one["step"] == "deploy"]
    (one,) = outcomes
    return ended.code, one["detail"], one["hint"]


def test_a_file_that_is_a_mount_of_its_own(host: Host, ending: ExitStack) -> None:
    """A bind mount of one file cannot be replaced: the hint is to mount its directory."""
    other = host.directory / "other"
    other.write_text("as it was")
    (host.place / "key").write_text("covered")
    mount(ending, "--bind", str(other), str(host.place / "key"))
    code, detail, hint = told(host)
    assert (code, "busy" in detail) == (1, True), detail
    assert "mount its directory instead" in hint
    assert "make room" not in hint
    assert other.read_text() == "as it was"


def test_a_file_system_that_is_read_only(host: Host, ending: ExitStack) -> None:
    """The hint is to mount it writable, or to install newer units."""
    mount(ending, "-t", "tmpfs", "-o", "size=64k", "none", str(host.place))
    subprocess.run(["/bin/mount", "-o", "remount,ro", str(host.place)], check=True, timeout=20)
    code, detail, hint = told(host)
    assert (code, "ead-only" in detail) == (1, True), detail
    assert "mount it writable" in hint
    assert "renewer timer install" in hint
    assert "make room" not in hint


def test_a_file_system_that_is_full(host: Host, ending: ExitStack) -> None:
    """Here, and only here, the hint is to make room."""
    mount(ending, "-t", "tmpfs", "-o", "size=4k", "none", str(host.place))
    (host.place / "big").write_bytes(bytes(4096))
    code, detail, hint = told(host)
    assert (code, "o space" in detail) == (1, True), detail
    assert "make room there" in hint


@pytest.mark.parametrize("mode", [None, "0640"])
def test_an_access_list_and_a_mode(host: Host, mode: str | None) -> None:
    """A list that somebody set on a copy is kept, and said to be dropped where a mode is configured."""
    host.cli("run")
    key = host.place / "key"
    # setfacl -m u:nobody:r: version 2; owner rw, nobody r, group none, mask r, others none
    entries = [
        (1, 6, 0xFFFFFFFF),
        (2, 4, 65534),
        (4, 0, 0xFFFFFFFF),
        (16, 4, 0xFFFFFFFF),
        (32, 0, 0xFFFFFFFF),
    ]
    acl = (2).to_bytes(4, "little") + b"".join(
        tag.to_bytes(2, "little") + bits.to_bytes(2, "little") + who.to_bytes(4, "little")
        for tag, bits, who in entries
    )
    os.setxattr(key, "system.posix_acl_access", acl)
    if mode:
        host.copies("fullchain", "key", mode=mode)
    host.give(120)
    ended = host.cli("run")
    kept = "system.posix_acl_access" in os.listxattr(key)
    assert kept or "access list" in ended.out + ended.err + (host.directory / "renewal.log").read_text()
    assert kept is (mode is None)


def _direct(host: Host) -> Path:
    return host.state / "certificates" / "www" / "live"


def _link(host: Host) -> Path:
    link = host.directory / "link"
    link.symlink_to(host.state)
    return link


def _chain_of_links(host: Host) -> Path:
    (host.directory / "one").symlink_to(host.state / "certificates")
    (host.directory / "two").symlink_to(host.directory / "one")
    return host.directory / "two" / "www"


def _dots(host: Host) -> Path:
    return host.directory / "copies" / ".." / "state" / "tmp"


def _state_behind_a_link(host: Host) -> Path:
    real = host.directory / "elsewhere"
    shutil.move(host.state, real)
    host.state.symlink_to(real)
    return real / "certificates"


@pytest.mark.parametrize("way", [_direct, _link, _chain_of_links, _dots, _state_behind_a_link])
def test_no_copy_into_the_state(host: Host, way: Callable[[Host], Path]) -> None:
    """Links on the way are resolved before it is judged: such a configuration is refused before it harms."""
    target = way(host) / "copy.pem"
    host.tables["certificate.www"]["copies"] = [{"fullchain": target}]
    for command in (("config", "check"), ("run",)):
        ended = host.cli(*command)
        assert ended.code == 2, ended.out + ended.err
        assert "inside the agent's state" in ended.err or ".." in ended.err, ended.err
    assert not os.path.lexists(target)


def test_a_link_at_the_copy_into_the_state(host: Host) -> None:
    """The link itself is replaced, as by a rename: what it led to is as it was."""
    host.cli("run")
    live = host.state / "certificates" / "www" / "live"
    before = (live / "fullchain.pem").read_bytes()
    copy = host.place / "fullchain"
    copy.unlink()
    copy.symlink_to(live.resolve() / "fullchain.pem")
    host.give(120)
    assert host.cli("run").code == 0
    assert not copy.is_symlink()
    versions = sorted((host.state / "certificates" / "www" / "versions").iterdir())
    assert before in [(one / "fullchain.pem").read_bytes() for one in versions]
    assert copy.read_bytes() == (live / "fullchain.pem").read_bytes()


def test_what_an_earlier_release_kept_beside_is_told_once(host: Host) -> None:
    """A `.before-renewer` that a server may load is named, with what to do; by one run, and not moved."""
    assert host.cli("run").code == 0
    kept = host.place / "fullchain.before-renewer"
    kept.write_text("of an earlier release")
    first = host.cli("run")
    said = first.out + first.err
    assert (str(kept) in said, "move it away" in said) == (True, True), said
    second = host.cli("run")
    assert str(kept) not in second.out + second.err
    lines = [json.loads(line) for line in (host.directory / "renewal.log").read_text().splitlines()]
    assert len({line["run"] for line in lines if str(kept) in line.get("text", "")}) == 1
    assert kept.read_text() == "of an earlier release"
