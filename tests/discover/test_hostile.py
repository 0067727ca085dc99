"""Hostile files: read within bounds or said not to be, never waited for, never led elsewhere."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from renewer.model.installed import CertificateUse
from renewer.servers import apache, balancers, databases, mail, nginx
from renewer.servers.reading import LARGEST, Guard

SECRET = "root:$6$not-to-be-seen"
BLOCK = "server {{ listen 443 ssl; server_name a.example.org; ssl_certificate /etc/ssl/a.pem; {} }}"


def _nginx(directory: Path, inside: str) -> tuple[list[CertificateUse], str]:
    """What is read of a main file that includes everything in a directory, and what is said not to be."""
    config = directory / "nginx.conf"
    config.write_text(f"events {{}}\nhttp {{ {BLOCK.format('')} {inside} }}\n")
    with Guard() as guard:
        found = nginx.read(guard, str(config))
        return found, "\n".join(f"{one.place}: {one.text}" for one in guard.unread)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (os.mkfifo, "not a regular file"),
        (lambda path: os.symlink("/dev/zero", path), "not a regular file"),
        (lambda path: Path(path).write_bytes(b"x" * (LARGEST + 1)), "more than"),
        (lambda path: Path(path).write_bytes(b"a" * 10_000_000), "more than"),
        (lambda path: Path(path).write_bytes(b"\0\1\2"), "NUL"),
        (lambda path: os.symlink(path, path), "cannot be read"),
        (lambda path: Path(path).mkdir(), "cannot be read|not a regular file"),
        (lambda path: Path(path).write_text('server "never closed'), "a quote that never ends"),
        (lambda path: Path(path).write_text("server_x; } } }"), "'}' too many"),
        (lambda path: Path(path).write_text("server { listen"), "never ends|without its end"),
    ],
)
def test_one_odd_file_is_told_and_the_others_are_read(
    make: Callable[[str], object], why: str, tmp_path: Path
) -> None:
    """A FIFO, a device, ten megabytes, a loop of links: said with the place, the rest is found."""
    make(str(tmp_path / "odd.conf"))
    (tmp_path / "plain.conf").write_text(BLOCK.format(""))
    begun = time.monotonic()
    found, told = _nginx(tmp_path, "include odd.conf; include plain.conf;")
    assert [use.config for use in found] == [str(tmp_path / "nginx.conf"), str(tmp_path / "plain.conf")]
    assert re.search(why, told), told
    assert time.monotonic() - begun < 15


def test_includes_in_a_circle_end(tmp_path: Path) -> None:
    """A file that includes itself, by two others, is read once and told."""
    (tmp_path / "a.conf").write_text("include b.conf;")
    (tmp_path / "b.conf").write_text(f"include a.conf; {BLOCK.format('')}")
    found, told = _nginx(tmp_path, "include a.conf;")
    assert len(found) == 2
    assert "includes itself" in told


@pytest.mark.slow
def test_includes_that_double_each_time_end(tmp_path: Path) -> None:
    """Thirty files that each include the next one twice would be a billion: bounded, and told."""
    for number in range(30):
        (tmp_path / f"{number}.conf").write_text(f"include {number + 1}.conf; include {number + 1}.conf;")
    (tmp_path / "30.conf").write_text("include_nothing;")
    begun = time.monotonic()
    _, told = _nginx(tmp_path, "include 0.conf;")
    assert "the rest was not read" in told
    assert time.monotonic() - begun < 60


def test_a_link_of_somebody_else_leads_nowhere(tmp_path: Path) -> None:
    """In a directory of another user a link to a secret is not followed; root's own links are."""
    shadow = tmp_path / "shadow"
    shadow.write_text(SECRET)
    shadow.chmod(0o600)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "a.conf").symlink_to(shadow)
    (theirs / "b.conf").write_text(BLOCK.format(""))
    os.chown(theirs, 65534, 65534)
    available = tmp_path / "available.conf"
    available.write_text(BLOCK.format(""))
    (tmp_path / "enabled.conf").symlink_to(available)
    found, told = _nginx(tmp_path, "include theirs/*.conf; include enabled.conf;")
    assert len(found) == 3
    assert "others than root could put one" in told
    assert SECRET not in told


def test_latin_1_is_read_as_it_stands(tmp_path: Path) -> None:
    """Octets that are no UTF-8 spoil neither the file nor the path that they stand in."""
    odd = tmp_path / os.fsdecode(b"caf\xe9.pem")
    odd.write_text("x")
    inside = b"# caf\xe9\nserver { listen 443 ssl; ssl_certificate caf\xe9.pem; }"
    (tmp_path / "latin.conf").write_bytes(inside)
    found, told = _nginx(tmp_path, "include latin.conf;")
    assert found[-1].certificate == str(odd)
    assert told == ""


READERS = {
    "nginx": nginx.read,
    "apache": apache.read,
    "haproxy": balancers.haproxy,
    "lighttpd": balancers.lighttpd,
    "caddy": balancers.caddy,
    "postfix": mail.postfix,
    "dovecot": mail.dovecot,
    "exim": mail.exim,
    "postgresql": databases.postgresql,
    "mariadb": databases.mariadb,
    "prosody": databases.prosody,
}
_WORDS = [
    *(
        "bind :443 ssl crt",
        "load crt",
        "crt-list",
        "include",
        "Include",
        "!include",
        ".include",
        "import",
        "{",
        "}",
    ),
    *(
        "<VirtualHost *:443>",
        "</VirtualHost>",
        "<IfDefine",
        "Use a b",
        "<Macro a $x>",
        "ssl_cert = <",
        "$a ${a}",
    ),
    *(
        '$SERVER["socket"] == ":443" {',
        'VirtualHost "a"',
        "smtp inet n - y - - smtpd",
        "-o a=$a",
        "\\",
        "'",
        '"',
    ),
    *(
        "tls_server_sni_maps = hash:/x",
        "smtpd_tls_cert_file = ${smtpd_tls_cert_file}",
        "ssl = on",
        "[mysqld]",
    ),
    *(
        "tls_certificate = tls_certificate",
        "begin acl",
        "service imap-login {",
        "inet_listener x {",
        "port = 99",
    ),
]


@pytest.mark.parametrize("server", sorted(READERS))
def test_no_reader_fails_on_anything(server: str, tmp_path: Path) -> None:
    """Words of every language in any order, an include of itself, and half a file: no reader raises."""
    import random

    dice = random.Random(server)  # noqa: S311  the same each time
    config = tmp_path / "odd.conf"
    for _ in range(60):
        lines = [" ".join(dice.choices(_WORDS, k=dice.randint(1, 4))) for _ in range(30)]
        lines.insert(dice.randint(0, 30), f"include {config}\n!include {config}\n.include {config}")
        config.write_text("\n".join(lines))
        with Guard() as guard:
            READERS[server](guard, str(config))


@pytest.mark.slow
@pytest.mark.parametrize("server", sorted(READERS))
def test_no_reader_is_slow_on_one_long_line(server: str, tmp_path: Path) -> None:
    """Nearly a mebibyte on one line or on very many ends soon."""
    config = tmp_path / "long.conf"
    for text in (
        "a" * 1_000_000,
        "$" * 1_000_000,
        "{ " * 500_000,
        "a = " * 250_000,
        "\\\n" * 500_000,
        "a\n" * 200_000,
    ):
        config.write_text(text)
        begun = time.monotonic()
        with Guard() as guard:
            READERS[server](guard, str(config))
        assert time.monotonic() - begun < 60
