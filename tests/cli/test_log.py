"""`renewer log`: what is asked for of a log in several files, and the story of a renewal."""

import gzip
import json
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from renewer.cli import log_story
from tests.builders import DAY, MINUTE, NOW
from tests.cli.terminal import on_terminal, plain, widest
from tests.command import renewer
from tests.tell.host import Host

Event = dict[str, Any]
SECOND = timedelta(seconds=1)


def event(kind: str, at: timedelta, run: str = "r1", certificate: str = "www", **details: object) -> Event:
    """A line of the log, so long after NOW."""
    when = (NOW + at).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = {"at": when, "host": "web-1", "run": run, "certificate": certificate, "event": kind}
    return head | details


def renewal(at: timedelta, run: str, serial: str) -> list[Event]:
    """One that goes well."""
    return [
        event("decided", at, run, step="issue", reason="lifetime-share", because="a third is left"),
        event("ordered", at + SECOND, run, authority="letsencrypt", url="https://acme.example/order/1"),
        event("issued", at + 3 * SECOND, run, authority="letsencrypt", took_ms=2000),
        event("installed", at + 3 * SECOND, run, version=f"v{serial}", serial=serial, not_after="2027"),
        event(
            "hook-run", at + 4 * SECOND, run, hook="nginx", hook_event="deploy", result="done", took_ms=900
        ),
        event("verified", at + 5 * SECOND, run, endpoints="www.example.org:443", serial=serial),
        event("renewed", at + 5 * SECOND, run, serial=serial, seen=True, not_after="2027"),
        event("told", at + 6 * SECOND, run, channel="ops", text="renewed"),
    ]


FIRST, SECOND_ONE = renewal(timedelta(0), "r1", "aa"), renewal(60 * DAY, "r9", "bb")
FAILING = [
    event("decided", 50 * DAY, "r2", step="issue", reason="lifetime-share", because="a third is left"),
    event("failed", 50 * DAY + SECOND, "r2", step="issue", error="the authority is down", hint="wait"),
    *(
        event("decided", 50 * DAY + number * MINUTE, f"w{number}", step="wait", because="it failed just now")
        for number in range(1, 10)
    ),
    event("notice", 51 * DAY, "r3", text="the authority moved the renewal window"),
    event("failed", 52 * DAY, "r4", step="look", error="www.example.org:443 is stale"),
]


def told(events: list[Event]) -> list[str]:
    """The lines of the story of the last renewal."""
    found = log_story.last(events)
    assert found is not None
    lines = [
        log_story.headline(found, "www", NOW + 70 * DAY),
        *log_story.lines(found),
        *log_story.ending(found),
    ]
    return [f"{line.at} {line.gap} {line.text}".strip() for line in lines]


# --- the story --------------------------------------------------------------------------------------------


def test_story_of_a_renewal() -> None:
    """Headline, a run with its steps and how long each took, who served what before and now."""
    assert told([*FIRST, *SECOND_ONE]) == [
        "www: renewed, in 5.0s and 1 run",
        "",
        "2027-01-21, run r9 on web-1, 6.0s",
        "12:00:00  decided: issue, because a third is left [lifetime-share]",
        "12:00:01 +1.0s ordered at letsencrypt: https://acme.example/order/1",
        "12:00:03 +2.0s letsencrypt issued it (2000 ms)",
        "12:00:03 +0ms installed version vbb, serial bb, valid until 2027",
        "12:00:04 +1.0s hook nginx deploy: done (900 ms)",
        "12:00:05 +1.0s seen at www.example.org:443: serial bb",
        "12:00:05 +0ms renewed, and seen at its ports: serial bb, valid until 2027",
        "12:00:06 +1.0s told ops: renewed",
        "",
        "before  serial aa at www.example.org:443, seen 2026-11-22 12:00:05Z",
        "now     serial bb at www.example.org:443, seen 2027-01-21 12:00:05Z",
    ]


def test_story_with_failures_on_the_way() -> None:
    """What only waited is one line; the failure is told with what to do."""
    lines = told([*FIRST, *FAILING, *SECOND_ONE])
    assert lines[0] == f"www: renewed, in 10d and {_runs()} runs, 2 failures on the way"
    assert "12:00:01 +1.0s FAILED to issue: the authority is down → wait" in lines
    (waited,) = [line for line in lines if "waited" in line]
    assert waited == "2027-01-11 12:01 to 2027-01-11 12:09: 9 runs waited, because it failed just now"


def _runs() -> int:
    return len({one["run"] for one in (*FAILING, *SECOND_ONE)})


def test_story_that_has_not_ended() -> None:
    """It says so, since when, and what is still served."""
    lines = told([*FIRST, *FAILING])
    assert lines[0] == f"www: not renewed yet; it began 20d ago, {_runs() - 1} runs so far, 2 failures"
    assert lines[-2:] == [
        "before  serial aa at www.example.org:443, seen 2026-11-22 12:00:05Z",
        "now     not seen yet",
    ]


def test_after_a_renewal_looking_begins_no_new_story() -> None:
    """Ports that are looked at every hour, and notices, are not the beginning of another one."""
    after = [event("verified", 1 * DAY, "r5", endpoints="x", serial="aa"), *FAILING[-2:]]
    assert told([*FIRST, *after])[0] == "www: renewed, in 5.0s and 1 run"


def test_story_of_events_that_nobody_knows() -> None:
    """Words of a later release, moments that are none, a hook's output of many lines."""
    odd = [
        event("decided", timedelta(0), step="issue", because="x", reason="y"),
        event("danced", timedelta(0), text="a new word") | {"at": "yesterday"},
        event("hook-run", SECOND, hook="h", hook_event="deploy", result="failed", error="e", output="a\nb"),
    ]
    lines = told(odd)
    assert "? +? a new word" in lines
    assert lines[lines.index("| a") + 1] == "| b"


def test_no_renewal_at_all() -> None:
    """Nothing but looks and notices is no story."""
    assert log_story.last(FAILING[-2:]) is None
    assert log_story.last([]) is None


# --- the command ------------------------------------------------------------------------------------------


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host whose log lies in three files, the oldest packed; one line is damaged."""
    host = Host(tmp_path)
    host.configure()
    host.state.mkdir(mode=0o700)
    log = host.state / "renewal.log"
    parts = (FIRST, [*FAILING, event("notice", 55 * DAY, "r6", certificate="", text="odd")], SECOND_ONE)
    first, second, third = (
        "".join(json.dumps(one) + "\n" for one in part).replace('": ', '":').encode() for part in parts
    )
    with gzip.open(f"{log}.2.gz", "wb") as packed:
        packed.write(first)
    Path(f"{log}.1").write_bytes(second + b'{"at":"torn\n')
    log.write_bytes(third)
    for path, at in ((f"{log}.2.gz", NOW), (f"{log}.1", NOW + 55 * DAY), (str(log), NOW + 60 * DAY)):
        os.utime(path, (at.timestamp() + 60, at.timestamp() + 60))
    return host


def piped(host: Host, *arguments: str) -> tuple[int, list[str], str]:
    """The command for a script: how it ends, lines of stdout, stderr."""
    ended = renewer("--config", host.path, "log", *arguments)
    return ended.code, ended.out.splitlines(), ended.err


def test_all_files_are_read(host: Host) -> None:
    """Every event of every file, in order; what is damaged is told once, beside it."""
    code, lines, err = piped(host, "--json")
    assert code == 0
    assert [json.loads(line) for line in lines] == [
        *FIRST,
        *FAILING,
        event("notice", 55 * DAY, "r6", certificate="", text="odd"),
        *SECOND_ONE,
    ]
    assert err == "note: lines of the log that could not be read, and were left out: 1\n"


def test_only_what_is_asked_for(host: Host) -> None:
    """Of one certificate, of one run by the beginning of its id, from a moment on."""
    assert len(piped(host, "www")[1]) == len(FIRST) + len(FAILING) + len(SECOND_ONE)
    assert [json.loads(line)["run"] for line in piped(host, "--run", "r2", "--json")[1]] == ["r2", "r2"]
    assert len(piped(host, "--run", "w")[1]) == 9
    since = piped(host, "--since", "2027-01-21T12:00:05+00:00", "--json")[1]
    assert [json.loads(line)["event"] for line in since] == ["verified", "renewed", "told"]


def test_last_as_events(host: Host) -> None:
    """With --json the story is its events."""
    code, lines, _ = piped(host, "www", "--last", "--json")
    assert (code, [json.loads(line) for line in lines]) == (0, [*FAILING, *SECOND_ONE])


def test_last_of_the_only_certificate(host: Host) -> None:
    """With one certificate its name need not be typed; with --since the story begins later."""
    assert piped(host, "--last")[1] == piped(host, "www", "--last")[1]
    assert piped(host, "--last", "--since", "2027-01-20")[1][0] == "www: renewed, in 5.0s and 1 run"


def test_nothing_there(host: Host) -> None:
    """It says so, on stderr, and whose log there is."""
    code, lines, err = piped(host, "mail", "--last")
    assert (code, lines) == (0, [])
    assert "nothing about mail in " in err
    assert "the configuration has no certificate 'mail'" in err


def test_what_makes_no_sense(host: Host) -> None:
    """A story cannot be followed; a moment must be one."""
    assert piped(host, "www", "--last", "--follow")[0] == 2
    assert piped(host, "--since", "soon")[0] == 2


@pytest.mark.parametrize("columns", [160, 80, 40])
def test_story_on_a_terminal(host: Host, columns: int) -> None:
    """Long sentences hang behind their moment; no line is broken."""
    code, drawn = on_terminal(host.path, "log", "www", "--last", columns=columns)
    assert code == 0
    shown = [line for line in plain(drawn) if not line.startswith("note: ")]  # stderr is not drawn
    assert widest("\n".join(shown)) <= columns
    assert "www: renewed, in 10d" in shown[0]
    assert re.search(r"\x1b\[[0-9;]*31m", drawn)


def test_following_on_a_terminal(host: Host) -> None:
    """What is there, then what comes, until Ctrl-C; that is no mistake."""
    log = host.state / "renewal.log"

    def comes(text: str) -> bool:
        if "told ops: renewed" in text and "something new" not in log.read_text():
            with log.open("a") as file:
                file.write(json.dumps(event("notice", 61 * DAY, text="something new")) + "\n")
        return "something new" in text

    code, drawn = on_terminal(host.path, "log", "--follow", until=comes)
    assert (code, "interrupted" in drawn) == (0, False)
