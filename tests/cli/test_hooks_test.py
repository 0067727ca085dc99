"""`renewer hooks test`: a hook is tried out before a renewal depends on it."""

import json
import os
import signal
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest

from renewer.cli import app, screen

HOOKS = Path(__file__).parents[2] / "hooks"
CONFIG = """\
[agent]
state = "{state}"
host = "web-1"

[authority.test]
directory = "https://127.0.0.1:1/directory"
agree_terms = true
contact = ["ops@example.org"]

[certificate.www]
names = ["www.example.org"]
authority = "test"
challenge = {{ type = "http-01", webroot = "{state}" }}
hooks = ["mine"]

[hook.mine]
run = "{hook}"
timeout = "1s"
env = {{ SECRET_PLACE = "/very/secret" }}
"""


class Bench:
    """A config with the hook `mine`, whose script a test writes."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self.capsys = capsys
        self.hook = directory / "hook.sh"
        self.scratch = directory / "tmp"
        self.scratch.mkdir()
        self.config = directory / "config.toml"

    def write(self, script: str, *keys: str, mode: int = 0o755) -> None:
        """Write the hook, and the config with further keys of its table."""
        self.hook.write_text(f"#!/bin/sh\n{script}\n")
        self.hook.chmod(mode)
        text = CONFIG.format(state=self.directory / "state", hook=self.hook)
        self.config.write_text(text + "\n".join(keys) + "\n")
        self.config.chmod(0o600)

    def run(self, *arguments: str) -> int:
        """Run `renewer hooks test`; its exit code."""
        return app._run(["--config", str(self.config), "hooks", "test", *arguments])

    def told(self, *arguments: str, code: int = screen.OK) -> Any:
        """The document of a trial that ends with that exit code."""
        assert self.run(*arguments, "--json") == code
        return json.loads(self.capsys.readouterr().out)


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench whose scratch places are made below the test's own directory."""
    bench = Bench(tmp_path, capsys)
    monkeypatch.setattr(tempfile, "tempdir", str(bench.scratch))
    return bench


ALL = 'events = ["test", "deploy", "rollback"]'


def test_only_test_is_called(bench: Bench) -> None:
    """Without --event nothing acts: `test` is called, of the others it is said how they would be."""
    bench.write(f'echo "$1" >>{bench.directory}/calls', ALL)

    told = bench.told("mine")

    assert (bench.directory / "calls").read_text().split() == ["test"]
    assert [(call["event"], call["verdict"]) for call in told["calls"]] == [
        ("test", "done"),
        ("deploy", None),
        ("rollback", None),
    ]
    assert told["calls"][1]["argv"] == [str(bench.hook), "deploy"]
    assert (told["ok"], told["problem"]) == (True, None)


def test_names_are_told_and_values_are_not(bench: Bench) -> None:
    """Which variables a hook finds is shown, what stands in them is nobody's business."""
    bench.write("exit 0", ALL)

    assert bench.run("mine") == screen.OK

    out = bench.capsys.readouterr().out
    assert "SECRET_PLACE" in out
    assert "RENEWER_LIVE" in out
    assert "/very/secret" not in out


def test_the_scratch_certificate(bench: Bench) -> None:
    """It lies as in the store, in a directory of our own; the key is for nobody else; all of it goes."""
    bench.write(
        'readlink "$RENEWER_LIVE"; stat -c %a "$RENEWER_LIVE/privkey.pem" "$RENEWER_LIVE/../.."\n'
        'openssl x509 -noout -ext subjectAltName -in "$RENEWER_LIVE/fullchain.pem"; cat',
        ALL,
    )

    (test, *_) = bench.told("mine")["calls"]

    lines = test["output"].splitlines()
    assert lines[0].startswith("versions/2")
    assert lines[1] == "600"
    assert "DNS:hooks-test.example.org" in test["output"]
    (certificate,) = json.loads(lines[-1])["certificates"]
    assert certificate["live"].startswith(str(bench.scratch))
    assert os.listdir(bench.scratch) == []


def test_the_scratch_place_is_private(bench: Bench) -> None:
    """Nobody else can enter the directory while the hook runs."""
    bench.write(f"stat -c %a {bench.scratch}/*", ALL)

    (test, *_) = bench.told("mine")["calls"]

    assert test["output"].split() == ["700"]


@pytest.mark.parametrize(
    ("script", "code", "verdict", "meaning"),
    [
        ("echo 'error: no such key'; exit 1", 1, "failed", "failed: a run would turn back"),
        ("exit 75", 75, "later", "later: it says that its server is not running"),
        ("kill -9 $$", 137, "failed", "failed: a run would turn back"),
    ],
)
def test_what_it_says(bench: Bench, script: str, code: int, verdict: str, meaning: str) -> None:
    """An exit code is explained; what failed, or waits, makes the exit code 1."""
    bench.write(script, ALL)

    told = bench.told("mine", code=screen.FAILED)

    test = told["calls"][0]
    assert (test["code"], test["verdict"], told["ok"]) == (code, verdict, False)
    assert test["meaning"].startswith(meaning)


def test_its_last_lines_are_shown(bench: Bench) -> None:
    """For people: the last lines of what it said, made harmless for their terminal."""
    bench.write(r"seq 1 30; printf 'error: \033[2J no such key\n'; exit 1", ALL)

    assert bench.run("mine") == screen.FAILED

    out = bench.capsys.readouterr().out
    assert "  | 30\n  | error:  no such key\n" in out
    assert "  | 20\n" not in out


def test_a_hook_that_does_not_test(bench: Bench) -> None:
    """42 to `test` is no failure, but worth knowing."""
    bench.write("exit 42", ALL)

    (test, *_) = bench.told("mine")["calls"]

    assert test["verdict"] == "not-mine"
    assert test["note"].startswith("it does not test: ")


def test_a_hook_that_hangs(bench: Bench) -> None:
    """It is ended at its own time limit, which is said, and so is where to change it."""
    bench.write("echo waiting; exec sleep 600", ALL)

    assert bench.run("mine") == screen.FAILED

    out = bench.capsys.readouterr().out
    assert "hook mine did not end its test within 1 s and was ended: waiting" in out
    assert "if it needs longer than 1 s: timeout = in its table" in out


def test_a_child_that_is_left_running(bench: Bench) -> None:
    """What a hook leaves behind is found, also in a session of its own."""
    bench.write(f"setsid sleep 600 >/dev/null 2>&1 & echo $! >{bench.directory}/pid", ALL)

    try:
        (test, *_) = bench.told("mine")["calls"]
    finally:
        child = int((bench.directory / "pid").read_text())
        os.kill(child, signal.SIGKILL)
    assert [left["pid"] for left in test["left"]] == [child]


@pytest.mark.parametrize(
    ("mode", "why"), [(0o777, "can be written to by everybody"), (0o644, "may not be executed; chmod +x")]
)
def test_a_hook_that_must_not_run(bench: Bench, mode: int, why: str) -> None:
    """What a run would refuse is not called here either, and the reason is told."""
    bench.write(f"touch {bench.directory}/called", ALL, mode=mode)

    told = bench.told("mine", code=screen.FAILED)

    assert why in told["problem"]
    assert told["calls"] == []
    assert not (bench.directory / "called").exists()
    assert bench.run("mine") == screen.FAILED
    assert "it would not be run: " in bench.capsys.readouterr().out


def test_a_hook_that_is_missing(bench: Bench) -> None:
    """A path that leads nowhere is told with the key to correct."""
    bench.write("exit 0", ALL)
    bench.hook.unlink()

    assert "correct `run` in [hook.mine]" in bench.told("mine", code=screen.FAILED)["problem"]


# --- events that act --------------------------------------------------------------------------------------


def test_an_event_that_acts_is_asked_for(bench: Bench) -> None:
    """Without a person to answer, and without --yes, nothing is called; the warning says why one is asked."""
    bench.write(f"touch {bench.directory}/called", ALL)

    assert bench.run("mine", "--event", "deploy") == screen.USAGE

    assert not (bench.directory / "called").exists()
    told = bench.capsys.readouterr().err
    assert "its server loads what is live for it" in told
    assert "--yes" in told


def test_events_that_act(bench: Bench) -> None:
    """With --yes they are called in the order given, once each, with the warning all the same."""
    bench.write(f'echo "$1" >>{bench.directory}/calls', ALL)

    told = bench.told("mine", "--event", "rollback", "--event", "deploy", "--event", "rollback", "--yes")

    assert (bench.directory / "calls").read_text().split() == ["rollback", "deploy"]
    assert [call["event"] for call in told["calls"]] == ["rollback", "deploy", "test"]
    assert told["calls"][2]["verdict"] is None


def test_a_script_that_hears_deploy_only(bench: Bench) -> None:
    """By itself nothing is called of it; what it does not hear is refused, with what it does hear."""
    bench.write(f"touch {bench.directory}/called")

    told = bench.told("mine")
    assert [(call["event"], call["verdict"]) for call in told["calls"]] == [("deploy", None)]
    assert bench.run("mine", "--event", "test") == screen.USAGE
    assert "it hears: deploy" in bench.capsys.readouterr().err
    assert not (bench.directory / "called").exists()


def test_a_script_of_certbots(bench: Bench) -> None:
    """It is called as certbot calls it: no argument, RENEWED_LINEAGE in the scratch place."""
    bench.write('echo "$# $RENEWED_DOMAINS"; ls "$RENEWED_LINEAGE"', 'convention = "certbot"')

    told = bench.told("mine", "--event", "deploy", "--yes")

    (deploy,) = told["calls"]
    assert deploy["argv"] == [str(bench.hook)]
    assert deploy["output"].splitlines()[0] == "0 hooks-test.example.org"
    assert "fullchain.pem" in deploy["output"].splitlines()
    assert "RENEWED_LINEAGE" in deploy["told"]


def test_events_around_orders(bench: Bench) -> None:
    """`pre` and `post` are called as around an order; their failure turns nothing back."""
    bench.write('echo "$1"; [ "$1" = pre ]', 'events = ["pre", "post"]')

    told = bench.told("mine", "--event", "pre", "--event", "post", "--yes", code=screen.FAILED)

    assert [(call["output"], call["verdict"]) for call in told["calls"]] == [
        ("pre\n", "done"),
        ("post\n", "failed"),
    ]
    assert told["calls"][1]["meaning"] == "failed: a run would tell of it and go on"


@pytest.mark.parametrize(
    ("script", "verdict", "note"),
    [
        ("case $1 in test | deploy) ;; *) exit 42 ;; esac", "not-mine", None),
        ("exit 0", "done", "it should answer 42 to an event that it does not know"),
    ],
)
def test_an_event_of_a_later_day(bench: Bench, script: str, verdict: str, note: str | None) -> None:
    """`unknown` asks what no hook knows; it acts, for who knows what a script does then."""
    bench.write(script, ALL)
    assert bench.run("mine", "--event", "unknown") == screen.USAGE
    bench.capsys.readouterr()

    unknown = bench.told("mine", "--event", "unknown", "--yes")["calls"][0]

    assert (unknown["verdict"], unknown["note"]) == (verdict, note)


# --- which hook -------------------------------------------------------------------------------------------


def test_a_shipped_hook(bench: Bench) -> None:
    """A shipped one needs no table; what it says to an unknown event is looked at, too."""
    bench.write("exit 0")

    told = bench.told("copy", code=screen.FAILED)

    assert (told["hook"]["run"], told["hook"]["shipped"]) == (str(HOOKS / "copy"), True)
    assert [(call["event"], call["code"]) for call in told["calls"]] == [
        ("test", 1),
        ("unknown", 42),
        ("deploy", None),
        ("rollback", None),
    ]
    assert "set COPY_TO in the hook's env" in told["calls"][0]["output"]


def test_a_shipped_hook_with_a_table(bench: Bench) -> None:
    """Its `env` is used: `copy` finds its directory, tests it, and copies nothing."""
    place = bench.directory / "place"
    place.mkdir()
    bench.write("exit 0", "[hook.there]", 'run = "copy"', f'env = {{ COPY_TO = "{place}" }}')

    assert bench.told("there")["ok"] is True
    assert os.listdir(place) == []
    assert bench.told("there", "--event", "deploy", "--yes")["ok"] is True
    assert stat.S_IMODE((place / "hooks-test" / "privkey.pem").stat().st_mode) == 0o600


def test_an_unknown_name(bench: Bench) -> None:
    """Nothing of that name: bad usage, and the nearest one is named."""
    bench.write("exit 0")

    assert bench.run("ngimx") == screen.USAGE
    assert "did you mean 'nginx'?" in bench.capsys.readouterr().err
    assert bench.run("mime") == screen.USAGE
    assert "did you mean 'mine'?" in bench.capsys.readouterr().err


def test_a_config_with_faults(bench: Bench) -> None:
    """A config that a run would refuse is refused here, with its faults."""
    bench.write("exit 0", 'evnets = ["deploy"]')

    assert bench.run("mine") == screen.USAGE
    assert "hook.mine.evnets" in bench.capsys.readouterr().err


def test_a_config_that_is_not_there(bench: Bench) -> None:
    """A file that was named must be there, also for a shipped hook."""
    assert bench.run("nginx") == screen.USAGE
    assert str(bench.config) in bench.capsys.readouterr().err
