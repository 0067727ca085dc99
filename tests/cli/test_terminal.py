"""Every command on a terminal: nothing that matters is cut or broken, equal causes are told once."""

import re
from collections.abc import Iterator

import click
import pytest
from rich.cells import cell_len

from renewer import clock
from renewer.cli.app import group
from renewer.report import together
from tests.builders import DAY
from tests.cli.terminal import on_terminal, plain
from tests.tell.host import Host

pytestmark = pytest.mark.slow

MANY = 36
NO_TOUCH = 'endpoints = []\nauthority = "nowhere"\n'


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A host with a certificate that is well, and thirty-six that an authority that is away owes it."""
    host = Host(tmp_path_factory.mktemp("terminal"))
    challenge = f'challenge = {{ type = "http-01", webroot = "{host.root}", preflight = "off" }}\n'
    host.configure(
        *(
            f'[certificate.shop-{number:02}]\nnames = ["shop-{number:02}.customers.example.org"]\n'
            f"placeholder = false\n{NO_TOUCH}{challenge}"
            for number in range(MANY)
        )
    )
    now = clock.now()
    host.install(not_before=now - 10 * DAY, not_after=now + 80 * DAY)
    for number in range(5):
        host.install(f"kept-{number}", not_before=now - 10 * DAY, not_after=now + 80 * DAY)
    with host.path.open("a") as file:
        for number in range(5):
            file.write(
                f'[certificate.kept-{number}]\nnames = ["example.org", "www.example.org"]\n'
                f"{NO_TOUCH}{challenge}"
            )
    host.run()
    return host


def _paths(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _paths(below, (*path, name))
    else:
        yield path


TYPED = {  # what must or should be typed behind a command; the others are called as they are
    "check": ("127.0.0.1:9", "a-host-with-a-rather-long-name.customers.example.org:9", "[::1]:9"),
    "doctor": ("www", "--timeout", "0.1"),
    "versions": ("www",),
    "log": ("shop-01",),
    "deploy": ("www",),
    "rollback": ("www",),
    "revoke": ("shop-01", "--yes"),
    "rename": ("www", "shop"),
    "forget": ("nothing",),
    "ack": ("shop-01", "--reason", "we know"),
    "rehearse": ("www",),
    "import": ("certbot", "--dry-run"),
    "takeover": ("certbot",),
    "acme-dns register": ("www",),
    "account rollover": ("--yes",),
    "account deactivate": ("--yes",),
    "account recover": ("nowhere",),
    "challenge show": ("www",),
    "challenge clean": ("www",),
    "hooks show": ("nginx",),
    "hooks test": ("nginx",),
    "hooks copy": ("nginx", "/dev/null/none"),
    "notify test": (),
    "timer install": ("--print",),
    "timer remove": ("--directory", "/nonexistent"),
    "timer show": ("--directory", "/nonexistent"),
    "discover": ("/nonexistent",),
}
VERBATIM = {
    "doctor",
    "discover",
    "config schema",
    "hooks show",
    "challenge snippet",
    "page",
    "timer install",
    "docs",
    "init",
}
COMMANDS = [" ".join(path) for path in _paths(group)]
COLOURS = re.compile(r"\x1b\[([0-9;]*)m")


def broken(drawn: str, columns: int) -> list[str]:
    """Lines that a terminal of that width would break, but those of a single word that has no room."""
    found = []
    for line in plain(re.sub(r"[^\n]*\r(?!\n)", "", drawn.replace("\r\n", "\n"))):
        said = line.strip().removeprefix("→ ").removeprefix("✗ ")
        if cell_len(line) > columns and " " in said:
            found.append(line)
    return found


@pytest.mark.parametrize("columns", [80, 160])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command(command: str, columns: int, host: Host) -> None:
    """No word is broken at the edge, no trace, no colour code shown as text; the same ends the same."""
    code, drawn = on_terminal(host.path, *command.split(), *TYPED.get(command, ()), columns=columns)
    assert code in (0, 1, 2, 3), drawn
    assert drawn.strip()
    assert "Traceback" not in drawn
    assert "a defect of this program" not in drawn
    assert "\ufffd[" not in drawn
    if command not in VERBATIM:
        assert broken(drawn, columns) == []


@pytest.mark.parametrize(
    "command", ["status", "plan", "run", "versions www", "check 127.0.0.1:9", "doctor www"]
)
def test_colours(command: str, host: Host) -> None:
    """They are seen on light and on dark, for none is black, white or bright; without colours all is said."""
    typed = (*command.split(), *(("--timeout", "0.1") if command.startswith("doctor") else ()))
    _, drawn = on_terminal(host.path, *typed)
    codes = {code for match in COLOURS.finditer(drawn) for code in match[1].split(";") if code}
    assert not codes & {"30", "37", *map(str, range(90, 98)), *map(str, range(40, 48)), "38", "48"}
    _, bare = on_terminal(host.path, *typed, env={"NO_COLOR": "1"})
    codes = {code for match in COLOURS.finditer(bare) for code in match[1].split(";") if code}
    assert not codes & set(map(str, range(30, 50)))
    first = plain(drawn)[0]
    assert first.split()[:2] == plain(bare)[0].split()[:2]


def test_plan_folds_what_is_kept_and_says_equal_reasons_once(host: Host) -> None:
    """The number of each step first, then a line a reason, however many certificates have it."""
    _, drawn = on_terminal(host.path, "plan")
    lines = plain(drawn)
    assert lines[0].startswith(f"{MANY + 6} certificates: ")
    told = " ".join(lines)
    assert told.count(f"{MANY} certificates: wait") == 1
    assert "e.g. shop-" in told
    assert len(lines) < 24
    _, drawn = on_terminal(host.path, "-v", "plan")
    assert drawn.count("reason: ") == MANY + 6


def test_status_says_a_cause_once(host: Host) -> None:
    """And its headline again at the end, once the beginning has gone off the screen."""
    _, drawn = on_terminal(host.path, "status")
    lines = plain(drawn)
    told = " ".join(" ".join(lines).split())
    assert told.count("cannot be reached") == 1
    assert re.search(
        rf"{MANY} certificates: \S+ cannot be reached: Connection refused, e\.g\. shop-\d\d", told
    )
    assert (
        lines[0] == [line for line in lines if line][-2 if len(lines[0]) > 78 else -1]
        or told.count("not well") == 2
    )
    _, high = on_terminal(host.path, "status", lines=100)
    assert " ".join(plain(high)).count("not well") == 1


def test_run_ends_with_a_summary(host: Host) -> None:
    """A cause once while it works, once at its end, and the whole run in the last line."""
    code, drawn = on_terminal(host.path, "run", "--force", "--all")
    assert code in (1, 3)
    shown = re.sub(r"[^\n]*\r(?!\n)", "", drawn.replace("\r\n", "\n"))
    told = " ".join(" ".join(plain(shown)).split())
    assert told.count("cannot be reached") <= 2
    last = [line for line in plain(drawn) if line][-1]
    assert re.search(
        rf"^{MANY + 6} certificates: {MANY + 6} failed, in \S+( \S+)?; how they stand: renewer status", last
    )


def test_check_says_why_and_how_many(host: Host) -> None:
    """Each reason once, a total at the end; a long host is never cut."""
    hosts = [f"127.0.0.{number}:9" for number in range(1, 40)]
    code, drawn = on_terminal(host.path, "check", *hosts)
    lines = [line for line in plain(drawn) if line]
    assert code == 1
    assert lines[0] == lines[-1] == "39 ports looked at: 39 not well"
    assert " ".join(lines).count("connection refused") == 1
    assert "error: 39 ports: connection refused, nobody listens there, e.g. 127.0.0.1:9" in " ".join(lines)
    for one in hosts:
        assert one in drawn
    long = "a-host-with-a-rather-long-name.of-a-customer.of-ours.example.org"
    _, drawn = on_terminal(host.path, "check", long)
    assert long in drawn


@pytest.mark.parametrize("columns", [40, 80, 160])
def test_ids_and_dates_are_whole(columns: int, host: Host) -> None:
    """Where a table finds no room there is a paragraph for each row."""
    _, drawn = on_terminal(host.path, "versions", "www", columns=columns)
    assert re.search(r"\d{8}T\d{6}Z-[0-9a-f]{8}", drawn)
    assert len(re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", drawn)) >= 2


def test_causes_are_alike() -> None:
    """What differs by the subject's name alone, or by a moment, is the same; what differs else is not."""
    found = [
        ("a", "a: 404 at http://a.example.org/x until 2026-11-28 09:00:00Z; renewer run a", 1),
        ("b", "b: 404 at http://b.example.org/x until 2026-11-28 10:00Z; renewer run b", 2),
        ("c", "c: 403 at http://c.example.org/x until 2026-11-28 10:00Z; renewer run c", 3),
    ]
    assert [one.names for one in together.by_cause(found, but=("a.example.org", "b.example.org"))] == [
        ["a", "b"],
        ["c"],
    ]
    assert together.line(["a", "b"], "x") == "a, b: x"
    assert together.line(list("abcd"), "x") == "4 certificates: x, e.g. a"
