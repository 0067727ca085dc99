"""`renewer status`: verdict, picture and plain lines; --watch; --check for monitoring."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from renewer import clock
from renewer.cli import overview, plugin, screen
from renewer.cli.picture import Picture
from renewer.errors import StateError
from renewer.model.facts import Failure, Record, RunRecord
from renewer.model.status import HeldVersion, Status
from tests.builders import DAY, HOUR, NOW
from tests.cli.terminal import CHECKOUT, on_terminal, plain, widest
from tests.command import renewer
from tests.documents import with_first
from tests.tell import fleet
from tests.tell.host import Host

NO_COLOURS = re.compile(r"\x1b\[[0-9;]*(3[0-7]|9[0-7]|38;5)[0-9;]*m")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host whose only certificate is installed, and well; its last run was twelve minutes ago."""
    host = Host(tmp_path)
    host.configure()
    now = clock.now()
    host.install(not_before=now - 10 * DAY, not_after=now + 80 * DAY)
    ran(host, now - timedelta(minutes=12))
    return host


def save(host: Host, *records: Record) -> None:
    """Facts that an earlier run left."""
    ledger = host.ledger()
    ledger.save(*records)
    ledger.close()


def ran(host: Host, at: Any, **changes: Any) -> None:
    """A run at that moment."""
    record = RunRecord(certificate="", run="r", host="web-1", at=at, ended_at=at, exit=0, quiet_since=at)
    save(host, msgspec.structs.replace(record, **changes))


def fails(host: Host) -> None:
    """A name was added, the authority not reached, and the last word on it holds control characters."""
    at, config = clock.now(), host.path.read_text("utf-8")
    host.path.write_text(config.replace('"www.example.org"]', '"www.example.org", "mail.example.org"]'))
    text = "no answer | from\nthe \x1b[31mauthority"
    save(
        host,
        Failure(
            certificate="www", authority="nowhere", wish=wish_of(host), count=2, since=at, at=at, text=text
        ),
    )


def wish_of(host: Host) -> str:
    """The fingerprint of the wish, as the agent makes it."""
    from renewer.config.load import load
    from renewer.context import asked

    config = load(str(host.path))
    return asked(config.certificates["www"], config.authorities)[0].wish


def piped(host: Host, *arguments: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """A command for a script: how it ends, stdout, stderr."""
    ended = renewer("--config", host.path, *arguments, env=env)
    return ended.code, ended.out, ended.err


# --- where nobody looks on --------------------------------------------------------------------------------


def test_plain_lines(host: Host) -> None:
    """The verdict, the names of the columns, a record a line, parted by tabs."""
    code, out, err = piped(host, "status")
    verdict, header, *records = out.splitlines()
    assert (code, err) == (0, "")
    assert re.fullmatch(
        r"all is well: 1 certificate, last run 12m( \d+s)? ago, the next renewal in \d+d \(www\)", verdict
    )
    assert tuple(header.split("\t")) == overview.HEADER
    (record,) = [line.split("\t") for line in records if "\t" in line]  # no timer here: that is a note
    assert (record[0], record[1], len(record)) == ("www", "installed", 6)


def test_text_of_strangers_does_nothing_to_a_terminal(host: Host) -> None:
    """Control characters of an error are shown as what they are not: nothing."""
    fails(host)
    _, out, _ = piped(host, "status")
    assert "\x1b" not in out
    _, drawn = on_terminal(host.path, "status")
    assert "\x1b[31mauthority" not in drawn
    assert "authority" in drawn


def test_output_without_unicode(host: Host) -> None:
    """In an ASCII locale nothing breaks: signs become letters that say the same."""
    fails(host)
    ran(host, clock.now() - 4 * HOUR)
    code, out, err = piped(host, "status", env={"PYTHONIOENCODING": "ascii"})
    assert (code, err) == (3, "")
    assert out.isascii()
    assert "  -> expected every 1h; is the timer on? renewer timer show" in out.splitlines()


def test_answer_that_finds_no_room_is_no_success(host: Host) -> None:
    """A full disk behind stdout: said on stderr, exit 1."""
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "renewer", "--config", str(host.path), "status"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            cwd=CHECKOUT,
        )
    assert ended.returncode == 1
    assert ended.stderr == b"renewer: the answer could not be written: No space left on device\n"


def test_defect_that_finds_no_room_for_its_trace(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When no file takes the trace, where it happened is told in a line."""

    def full(**_: object) -> tuple[int, str]:
        raise OSError(28, "No space left on device")

    def lost() -> None:
        raise KeyError("lost")

    monkeypatch.setattr(tempfile, "mkstemp", full)
    monkeypatch.setattr(screen, "_STATES", [])
    with pytest.raises(KeyError) as caught:
        lost()
    assert screen.defect(caught.value, as_json=False) == 1
    err = capsys.readouterr().err
    assert re.search(r"KeyError: 'lost' at test_status\.py:\d+ \(its trace found no room: No space left", err)
    assert "Traceback" not in err


# --- runs that stopped --------------------------------------------------------------------------------------


def test_runs_that_stopped_are_said_first(host: Host) -> None:
    """No run for more than three wakes: the first line says so, with what to do; a person must act."""
    ran(host, clock.now() - 3 * DAY - HOUR / 2)
    code, out, _ = piped(host, "status")
    first, hint, *_ = out.splitlines()
    assert code == 3
    assert first.startswith("RUNS STOPPED: none has come to its end for 3d 30m, since ")
    assert hint == "  → expected every 1h; is the timer on? renewer timer show"
    document = json.loads(piped(host, "status", "--json")[1])
    assert (document["healthy"], document["exit"]) == (False, 3)
    assert document["stopped_since"] == document["last_run"]
    code, drawn = on_terminal(host.path, "status")
    assert plain(drawn)[0].startswith("✗ RUNS STOPPED")


def test_runs_that_are_killed_each_time_count_as_stopped(host: Host) -> None:
    """One began a minute ago, but none came to its end since yesterday."""
    now = clock.now()
    ran(host, now - timedelta(minutes=1), ended_at=None, exit=None, quiet_since=now - DAY)
    assert piped(host, "status")[1].startswith("RUNS STOPPED: none has come to its end for 1d")


def test_a_run_by_hand_of_one_certificate_does_not_hide_it(host: Host) -> None:
    """`run --only` says nothing of the timer; a run of all of them ends the alarm."""
    ran(host, clock.now() - DAY)
    assert piped(host, "run", "--only", "www")[0] == 0
    assert piped(host, "status")[1].startswith("RUNS STOPPED")
    assert piped(host, "run")[0] == 0
    assert piped(host, "status")[1].startswith("all is well: 1 certificate, last run ")


# --- the picture --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [160, 80, 40, 20])
def test_no_line_is_broken(host: Host, columns: int) -> None:
    """Whatever the width, every line fits, and name and time left are there."""
    fails(host)
    code, drawn = on_terminal(host.path, "status", columns=columns)
    assert code == 1
    assert widest(drawn) <= columns
    row = next(line for line in plain(drawn) if line.startswith("! www"))
    assert "79d" in row
    assert ("━" in row) == (columns >= 40)
    assert ("2026" in row or "2027" in row) == (columns == 160)


@pytest.mark.parametrize("columns", [160, 80, 40])
@pytest.mark.parametrize("number", [1, 17, 400])
def test_every_state_fits(columns: int, number: int) -> None:
    """Well, failing, stale, absent, watched, held back, many: no line is wider than the screen."""
    found = everything(number)
    drawn = draw(found, columns=columns)
    assert widest(drawn) <= columns
    assert "YOU MUST ACT" in drawn


def everything(number: int) -> Status:
    """A fleet with one of each trouble."""
    found = fleet.document([fleet.one(each, NOW, well=False) for each in range(number)], NOW)
    found = with_first(
        found,
        held=(HeldVersion(version="v1", by="anna", at=NOW - HOUR, why="a client broke"),),
        waits_because="it waits for its window, Sat 02:00-04:00",
        renew_explanation="https://example.com/incident",
    )
    return msgspec.structs.replace(
        found,
        watches=fleet.watches(NOW),
        orphans=("old-shop",),
        findings=("the clock is behind",),
        exit=3,
        healthy=False,
    )


def draw(found: Status, *, columns: int = 80, lines: int = 40, **how: Any) -> str:
    """The picture, without colours."""
    console = Console(width=columns, height=lines, record=True, file=open(os.devnull, "w"), highlight=False)  # noqa: SIM115
    console.print(Picture(found, overview.alarm(found, HOUR), **how))
    text = console.export_text()
    console.file.close()
    return text


def test_of_many_only_what_matters() -> None:
    """Of 2,000 those that are not well and those that end next fit on few screens; the others are counted."""
    found = fleet.document([fleet.one(each, NOW, well=False) for each in range(2000)], NOW)
    ill = sum(1 for one in found.certificates if not one.healthy)
    drawn = plain(draw(found, columns=120))
    assert len(drawn) < 80
    assert f"  … and {ill - 50:,} more, not well" in drawn
    assert f"  … and {2000 - ill - 5:,} more, well, ending later: renewer status --all" in drawn
    assert len(plain(draw(found, columns=120, all_of_them=True))) > 2000


def test_same_trouble_is_told_once() -> None:
    """An authority that is down is one line, not a thousand."""
    found = fleet.document([fleet.one(each, NOW, well=False) for each in range(2000)], NOW)
    (note,) = [note for note in overview.notes(found) if note.text == "there is no certificate yet"]
    assert re.fullmatch(r"\S+, \S+, \S+ and \d+ more", note.who)


@pytest.mark.parametrize(
    ("env", "well"),
    [
        ({"NO_COLOR": "1"}, lambda drawn: not NO_COLOURS.search(drawn) and "━" in drawn),
        ({"TERM": "dumb"}, lambda drawn: "\x1b" not in drawn),
        ({"PYTHONIOENCODING": "ascii"}, lambda drawn: drawn.isascii() and "=---" in "\n".join(plain(drawn))),
        ({}, lambda drawn: NO_COLOURS.search(drawn) and "✓ www" in "\n".join(plain(drawn))),
    ],
    ids=["NO_COLOR", "TERM=dumb", "ASCII", "usual"],
)
def test_what_the_terminal_cannot_do(host: Host, env: dict[str, str], well: Callable[[str], bool]) -> None:
    """Without colour, without control sequences, without Unicode: the same is said."""
    code, drawn = on_terminal(host.path, "status", env=env)
    assert code == 0
    assert well(drawn)
    assert "installed" in drawn


# --- --watch ------------------------------------------------------------------------------------------------


def test_watch_draws_again_until_ctrl_c(host: Host) -> None:
    """On a screen of its own, which is left as it was; the cursor is there again; exit 0."""
    code, drawn = on_terminal(
        host.path, "status", "--watch", "0.2", until=lambda text: text.count("Ctrl-C") >= 3
    )
    assert code == 0
    assert (drawn.count("\x1b[?1049h"), drawn.count("\x1b[?1049l")) == (1, 1)
    assert drawn.rindex("\x1b[?25h") > drawn.rindex("\x1b[?25l")
    assert "Traceback" not in drawn


def test_watch_goes_on_while_the_configuration_is_being_edited(host: Host) -> None:
    """A fault is shown instead of the picture, until it is mended."""
    good = host.path.read_text()

    def edited(text: str) -> bool:
        if "www" in text and "nonsense" not in host.path.read_text():
            host.path.write_text(good + "\n[nonsense]\n")
        return "is not a known key" in text

    code, drawn = on_terminal(host.path, "status", "www", "--watch=0.1", until=edited)
    assert (code, "Traceback" in drawn) == (0, False)


def test_watch_needs_a_terminal(host: Host) -> None:
    """In a pipe it is refused, with what to do instead."""
    assert piped(host, "status", "--watch")[::2] == (
        2,
        "renewer: --watch draws on a terminal\n  → scripts call renewer status --json again\n",
    )


# --- --check ------------------------------------------------------------------------------------------------

LINE = re.compile(r"RENEWER (OK|WARNING|CRITICAL|UNKNOWN) - [^|\n]+( \| (\S+=-?\d+s?(;[\d:]*){0,3} ?)+)?\n")


def checked(host: Host, *arguments: str) -> tuple[int, str]:
    """The code and the one line, whose form is looked at."""
    code, out, err = piped(host, "status", "--check", *arguments)
    assert (LINE.fullmatch(out) is not None, err) == (True, ""), out
    return code, out.rstrip("\n")


def test_check_ok(host: Host) -> None:
    """All is well: 0, and numbers with their thresholds."""
    code, line = checked(host)
    text, _, data = line.partition(" | ")
    assert (code, text) == (0, "RENEWER OK - 1 certificate well; nearest expiry in 79d; last run 12m ago")
    values = dict(one.split("=") for one in data.split())
    assert (values["certificates"], values["not_well"], values["must_act"]) == ("1;;;0", "0;0;;0", "0;;0;0")
    assert re.fullmatch(r"69119\d\ds;2592000:;1296000:", values["nearest_expiry"])
    assert re.fullmatch(r"72\ds;;10800;0", values["last_run_age"])


def test_check_warning(host: Host) -> None:
    """What will be tried again: 1; and no text of a stranger breaks the line."""
    fails(host)
    code, line = checked(host)
    assert code == 1
    assert line.startswith(
        "RENEWER WARNING - 1 of 1 certificate, tried again: www (no answer / from the �[31m"
    )


def test_check_critical(host: Host, tmp_path: Path) -> None:
    """What expired, or an agent that nobody calls: 2."""
    ran(host, clock.now() - 5 * HOUR)
    assert checked(host)[0] == 2
    assert "runs stopped 5h ago, nothing is renewed: renewer timer show" in checked(host)[1]
    (tmp_path / "other").mkdir()
    other = Host(tmp_path / "other")
    other.configure()
    other.install(not_before=clock.now() - 90 * DAY, not_after=clock.now() - HOUR)
    ran(other, clock.now())
    code, line = checked(other)
    assert code == 2
    assert "1 of 1 certificate, a person must act: www (it expired at " in line
    assert "nearest_expiry=-36" in line


def test_check_without_any_run(tmp_path: Path) -> None:
    """Set up, and nobody calls it: a warning with what to type."""
    host = Host(tmp_path)
    host.configure()
    code, line = checked(host)
    assert (code, "no run yet: renewer timer install" in line) == (1, True)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            lambda host: host.path.write_text("[certificate.www]\nnames = 1\n"),
            "the configuration has faults: ",
        ),
        (lambda host: host.path.unlink(), "does not exist"),
        (lambda host: host.path.chmod(0o666), "can be written"),
        (lambda host: (host.state / "ledger.db").write_bytes(b"rubbish" * 1000), "ledger"),
    ],
    ids=["broken config", "no config", "unsafe config", "damaged ledger"],
)
def test_check_unknown(host: Host, spoil: Callable[[Host], object], says: str) -> None:
    """When nothing can be seen, nothing is claimed: 3, and still one line on stdout."""
    spoil(host)
    code, line = checked(host)
    assert (code, says in line) == (3, True)


def test_check_of_a_wrong_command_line(host: Host) -> None:
    """Also a name that is not there, an option that is none, and --json beside it."""
    assert checked(host, "mail")[0] == 3
    assert checked(host, "--bogus") == (3, "RENEWER UNKNOWN - No such option '--bogus'.")
    assert checked(host, "--json")[0] == 3


@pytest.mark.parametrize("error", [StateError("a | b\nc"), ZeroDivisionError("x | y")])
def test_check_of_a_defect(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    """A defect of ours is no state of any certificate: UNKNOWN, in one line."""

    def look() -> tuple[Status, timedelta]:
        raise error

    assert plugin.answer(look, alone=True) == 3
    assert LINE.fullmatch(capsys.readouterr().out)


def test_check_of_thousands_is_one_short_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Names are cut short, numbers are not."""
    found = everything(2000)
    assert plugin.answer(lambda: (found, 3 * HOUR), alone=True) == 2
    out = capsys.readouterr().out
    assert LINE.fullmatch(out)
    assert len(out) < 1200
    assert "certificates=2003;" in out
