"""The timer: units that systemd takes without a word, and a sandbox that hooks can live in."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from renewer import proc
from renewer.cli import timer, units
from renewer.cli.app import group
from renewer.config.load import load
from renewer.errors import RenewerError, UsageError
from renewer.model.desired import Config
from renewer.proc import ProcResult

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
PROGRAM = ("/usr/bin/true",)


def write_config(directory: Path, *, agent: str = "", more: str = "", name: str = "config.toml") -> Path:
    """A config with one certificate, nginx's hook and a copy, its state below `directory`."""
    path = directory / name
    path.write_text(
        f"""
[agent]
state = "{directory}/state"
log = "{directory}/log/renewal.log"
host = "web-1"
{agent}
[defaults]
authority = "letsencrypt"
contact = ["ops@example.org"]
agree_terms = true
[certificate.www]
names = ["www.example.org"]
challenge = {{ type = "http-01", webroot = "{directory}/html" }}
hooks = ["nginx"]
copies = [{{ fullchain = "{directory}/copies/www.pem", key = "{directory}/copies/www.key" }}]
{more}
"""
    )
    return path


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """That config, loaded."""
    return load(str(write_config(tmp_path)))


def settings(unit: str, key: str) -> list[str]:
    """Every value of a setting in a unit file."""
    return [line.partition("=")[2] for line in unit.splitlines() if line.startswith(f"{key}=")]


# --- what systemd says ------------------------------------------------------------------------------------


def verify(directory: Path, config: Config, program: Sequence[str] = PROGRAM) -> str:
    """What systemd-analyze says of both units; even an unknown key exits 0, so any output is a fault."""
    (directory / "renewer.service").write_text(units.service(config, program))
    (directory / "renewer.timer").write_text(units.timer(config))
    done = subprocess.run(
        ["/usr/bin/systemd-analyze", "verify", directory / "renewer.timer", directory / "renewer.service"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr + ("" if done.returncode == 0 else f"exit {done.returncode}")


@needs_systemd
@pytest.mark.parametrize("wake", ["1h", "10m", "45m", "6h", "1d", "7d", "17m"])
def test_systemd_has_nothing_to_say(tmp_path: Path, wake: str) -> None:
    """`systemd-analyze verify` is silent for every wake."""
    config = load(str(write_config(tmp_path, agent=f'wake = "{wake}"')))
    assert verify(tmp_path, config) == ""


@needs_systemd
def test_hostile_paths_reach_systemd_unchanged(tmp_path: Path) -> None:
    """Blanks, per cent, dollar and number signs in paths are no syntax: the program is found."""
    place = tmp_path / "a b%i $HOME ${x};#"
    place.mkdir()
    program = place / "renewer"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    config = load(str(write_config(tmp_path, name='it\'s "odd" %n $HOME \\x.toml')))
    assert verify(tmp_path, config, [str(program)]) == ""
    program.unlink()
    assert str(program) in verify(tmp_path, config, [str(program)])


# --- what stands in the units -----------------------------------------------------------------------------


def test_service_runs_this_config_and_waits_for_the_lock(config: Config) -> None:
    """ExecStart names the config absolutely and waits five minutes for another run; 75 is no failure."""
    unit = units.service(config, ["/opt/renewer/bin/renewer"])
    assert settings(unit, "ExecStart") == [f"/opt/renewer/bin/renewer --config {config.path} run --wait 300s"]
    assert settings(unit, "SuccessExitStatus") == ["75"]
    assert settings(unit, "Type") == ["oneshot"]
    assert settings(unit, "Restart") == settings(unit, "RestartSec") == []
    assert settings(unit, "Wants") == ["network-online.target"]


def test_time_limit_is_above_the_deadline(tmp_path: Path) -> None:
    """Systemd ends a run only after its own deadline and the wait for the lock."""
    config = load(str(write_config(tmp_path, agent='deadline = "20m"')))
    (limit,) = settings(units.service(config, PROGRAM), "TimeoutStartSec")
    assert int(limit) > (20 + 5) * 60


def test_nothing_in_the_unit_is_felt_by_hooks(config: Config) -> None:
    """No wall stands in it; what does stand in its last part has its reason above it, and gives only."""
    lines = units.service(config, PROGRAM).splitlines()
    last = lines[lines.index(units.LIVING[0]) :]
    said = {
        line.partition("=")[0]: before for before, line in zip(["", *last], last, strict=False) if "=" in line
    }
    said = {key: reason for key, reason in said.items() if not key.startswith("#")}

    assert not {key for _, key in units.settings("\n".join(lines))} & set(units.WALLS)
    assert list(said) == ["KillMode", "OOMPolicy", "KeyringMode"]
    assert all(reason.startswith("# ") for reason in said.values())


@pytest.mark.parametrize("character", ['"', "'", "\\"])
def test_program_that_systemd_refuses(character: str) -> None:
    """Systemd takes no quotes and backslashes in a program's path: said before anything is written."""
    with pytest.raises(UsageError, match="systemd"):
        units.command_line([f"/opt/{character}/renewer"])


def test_control_characters_are_refused() -> None:
    """A path with a line break cannot stand in a unit, and must not become another setting."""
    with pytest.raises(UsageError):
        units.word("/a\nExecStart=/bin/evil")


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1))
def test_words_come_back(text: str) -> None:
    """Whatever is written as a word is read back by systemd's rules (a shell's double quotes here)."""
    read = shlex.split(units.word(text))
    assert [text] == [word.replace("%%", "%") for word in read]


@pytest.mark.parametrize(
    ("wake", "expected"),
    [
        ("1h", "*-*-* 00/1:00:00"),
        ("6h", "*-*-* 00/6:00:00"),
        ("5h", "*-*-* 00/4:00:00"),
        ("1d", "*-*-* 00:00:00"),
        ("3d", "*-*-* 00:00:00"),
        ("10m", "*-*-* *:00/10:00"),
        ("45m", "*-*-* *:00/30:00"),
    ],
)
def test_calendar(tmp_path: Path, wake: str, expected: str) -> None:
    """The calendar follows the wake; one that divides no day evenly is rounded down, and the unit says so."""
    config = load(str(write_config(tmp_path, agent=f'wake = "{wake}"')))
    unit = units.timer(config)
    assert settings(unit, "OnCalendar") == [expected]
    assert ("the next shorter" in unit) == (wake in ("5h", "3d", "45m"))


@needs_systemd
@given(st.integers(min_value=1, max_value=200_000))
def test_effective_wake_never_exceeds_the_wake(seconds: int) -> None:
    """However odd the wake, the timer calls at least that often, at one even interval."""
    interval = units.effective_wake(timedelta(seconds=seconds))
    assert interval <= timedelta(seconds=seconds)
    assert timedelta(days=1) % interval == timedelta(0)


def test_timer_is_spread_and_makes_up(config: Config) -> None:
    """A missed run is made up for, and machines call at different moments, each always at its own."""
    unit = units.timer(config)
    assert settings(unit, "Persistent") == settings(unit, "FixedRandomDelay") == ["true"]
    assert settings(unit, "RandomizedDelaySec") == ["3600"]
    assert settings(unit, "WantedBy") == ["timers.target"]


# --- cron -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wake", "pattern"),
    [
        ("1h", r"\d+ \* \* \* \* "),
        ("10m", r"\d-59/10 \* \* \* \* "),
        ("6h", r"\d+ [0-5]-23/6 \* \* \* "),
        ("1d", r"\d+ \d+ \* \* \* "),
        ("1m", r"\* \* \* \* \* "),
    ],
)
def test_cron_line(tmp_path: Path, wake: str, pattern: str) -> None:
    """The same wake for cron; the same line every time, another minute on another host."""
    lines = []
    for host in ("a", "a", "b", "c", "d"):
        config = load(str(write_config(tmp_path, agent=f'wake = "{wake}"').rename(tmp_path / "x.toml")))
        config = type(config)(
            path=config.path,
            agent=type(config.agent)(host=host, wake=config.agent.wake),
            authorities=config.authorities,
            certificates=config.certificates,
            hooks=config.hooks,
        )
        lines.append(units.cron_line(config, ["/opt/a b/renewer%"]))
    assert all(re.match(pattern, line) for line in lines)
    assert lines[0] == lines[1]
    assert wake == "1m" or len(set(lines)) > 1
    assert r"'/opt/a b/renewer\%' --config" in lines[0]
    assert lines[0].endswith(">/dev/null")


# --- the command ------------------------------------------------------------------------------------------


def renewer(config: Path | str, *arguments: str | Path) -> Result:
    """Call `renewer --config CONFIG timer …`."""
    words = ["--config", str(config), "timer", *map(str, arguments)]
    return CliRunner().invoke(group, words, standalone_mode=False)


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place that stands for /etc/systemd/system on a machine with systemd."""
    place = tmp_path / "system"
    place.mkdir()
    monkeypatch.setattr(timer, "SYSTEM", str(place))
    monkeypatch.setattr(timer, "_systemd_runs", lambda: True)
    return place


@pytest.fixture
def systemctl(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls of systemctl, which would need systemd as process 1."""
    calls: list[str] = []

    def run(argv: Sequence[str], *, env: Mapping[str, str], timeout: float) -> ProcResult:
        assert "PYTHONPATH" not in env
        assert timeout > 0
        calls.append(" ".join(argv))
        return ProcResult(code=0, output="ActiveState=active\n", timed_out=False, took_ms=1)

    monkeypatch.setattr(proc, "run", run)
    return calls


def test_install_and_remove(tmp_path: Path, system: Path, systemctl: list[str]) -> None:
    """Install writes both units and starts the timer, says so; remove undoes it."""
    config = write_config(tmp_path)
    done = renewer(config, "install", "--directory", system)
    assert done.exception is None
    assert systemctl == [
        "systemctl daemon-reload",
        "systemctl enable --now renewer.timer",
        "systemctl restart renewer.timer",
    ]
    assert all(f"ran {call}" in done.stdout for call in systemctl)
    assert sorted(path.name for path in system.iterdir()) == ["renewer.service", "renewer.timer"]
    assert {path.stat().st_mode & 0o7777 for path in system.iterdir()} == {0o644}
    assert (tmp_path / "state").stat().st_mode & 0o7777 == 0o700
    systemctl.clear()
    done = renewer(config, "remove", "--directory", system)
    assert systemctl == ["systemctl disable --now renewer.timer", "systemctl daemon-reload"]
    assert list(system.iterdir()) == []


def test_install_twice_changes_nothing(tmp_path: Path, system: Path, systemctl: list[str]) -> None:
    """A second install writes nothing and reloads nothing, but makes sure that the timer is on."""
    config = write_config(tmp_path)
    renewer(config, "install", "--directory", system)
    before = {path.name: path.stat().st_mtime_ns for path in system.iterdir()}
    systemctl.clear()
    done = renewer(config, "install", "--directory", system)
    assert "as they should be" in done.stdout
    assert systemctl == ["systemctl enable --now renewer.timer"]
    assert before == {path.name: path.stat().st_mtime_ns for path in system.iterdir()}


def test_changed_config_is_shown_and_installed(tmp_path: Path, system: Path, systemctl: list[str]) -> None:
    """`show` says that a unit is not what the config asks for any more; install puts it right."""
    renewer(write_config(tmp_path), "install", "--directory", system)
    config = write_config(tmp_path, agent='wake = "10m"')
    done = renewer(config, "show", "--json", "--directory", system)
    states = {Path(unit["path"]).name: unit["state"] for unit in json.loads(done.stdout)["units"]}
    assert states == {"renewer.service": "current", "renewer.timer": "outdated"}
    renewer(config, "install", "--directory", system)
    assert "00/10" in (system / "renewer.timer").read_text()
    assert systemctl[-1] == "systemctl restart renewer.timer"


@pytest.mark.parametrize("kind", ["file", "link"])
def test_files_of_others_stay(tmp_path: Path, system: Path, systemctl: list[str], kind: str) -> None:
    """A unit that we did not write, or a link in its place, is neither overwritten nor removed."""
    config = write_config(tmp_path)
    theirs = system / "renewer.timer"
    if kind == "file":
        theirs.write_text("[Timer]\n")
    else:
        theirs.symlink_to("/dev/null")  # what `systemctl mask` makes
    done = renewer(config, "install", "--directory", system)
    assert isinstance(done.exception, UsageError)
    assert list(system.iterdir()) == [theirs]
    renewer(config, "remove", "--directory", system)
    assert theirs.is_symlink() or theirs.read_text() == "[Timer]\n"
    assert systemctl == []


def test_another_directory_is_only_written(tmp_path: Path, systemctl: list[str]) -> None:
    """For an image or a package the units are written and nothing is started."""
    place = tmp_path / "image"
    place.mkdir()
    done = renewer(write_config(tmp_path), "install", "--directory", place)
    assert done.exception is None
    assert len(list(place.iterdir())) == 2
    assert systemctl == []
    assert not (tmp_path / "state").exists()


def test_print_changes_nothing(tmp_path: Path, system: Path, systemctl: list[str]) -> None:
    """`--print` shows both units as they would be written."""
    done = renewer(write_config(tmp_path), "install", "--print", "--directory", system)
    assert "[Service]" in done.stdout
    assert "[Timer]" in done.stdout
    assert list(system.iterdir()) == []
    assert systemctl == []


def test_without_systemd_there_is_cron(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where systemd does not run, install and show print the line for cron, and nothing is written."""
    place = tmp_path / "system"
    place.mkdir()
    monkeypatch.setattr(timer, "SYSTEM", str(place))
    monkeypatch.setattr(timer, "_systemd_runs", lambda: False)
    config = write_config(tmp_path)
    installed = renewer(config, "install", "--directory", place)
    shown = renewer(config, "show", "--directory", place)
    assert list(place.iterdir()) == []
    assert re.fullmatch(r"\d+ \* \* \* \* .*\n", installed.stdout)
    assert installed.stdout in shown.stdout
    assert json.loads(renewer(config, "show", "--json").stdout)["cron"] == installed.stdout.strip()


def test_cron_calls_where_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With cron and without systemd a file of ours is written, shown, kept and removed; another's stays."""
    place, table = tmp_path / "system", tmp_path / "cron.d" / "renewer"
    for directory in (place, table.parent):
        directory.mkdir()
    monkeypatch.setattr(timer, "SYSTEM", str(place))
    monkeypatch.setattr(timer, "CRON", str(table))
    monkeypatch.setattr(timer, "_CRONS", ("/bin/sh",))
    monkeypatch.setattr(timer, "_systemd_runs", lambda: False)
    config = write_config(tmp_path)
    at = ("--directory", place)
    assert "not installed" in renewer(config, "show", *at).stdout
    assert f"wrote {table}" in renewer(config, "install", *at).stdout
    (line,) = [one for one in table.read_text().splitlines() if " root " in one]
    assert line.replace(" root ", " ") == json.loads(renewer(config, "show", *at, "--json").stdout)["cron"]
    assert table.stat().st_mode & 0o777 == 0o644
    assert "as it should be" in renewer(config, "install", *at).stdout
    assert "as it should be" in renewer(config, "show", *at).stdout
    assert f"removed {table}" in renewer(config, "remove", *at).stdout
    assert not table.exists()
    table.write_text("# mine\n")
    assert isinstance(renewer(config, "install", *at).exception, UsageError)
    assert table.read_text() == "# mine\n"


def test_failing_systemctl_is_told(tmp_path: Path, system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What systemctl says when it fails reaches the person."""
    failed = ProcResult(code=1, output="Access denied\n", timed_out=False, took_ms=1)
    monkeypatch.setattr(proc, "run", lambda *_, **__: failed)
    done = renewer(write_config(tmp_path), "install", "--directory", system)
    assert isinstance(done.exception, RenewerError)
    assert "Access denied" in done.exception.text


def test_unwritable_directory_is_told(tmp_path: Path) -> None:
    """A directory that does not exist gives a sentence, not a trace."""
    done = renewer(write_config(tmp_path), "install", "--directory", tmp_path / "missing")
    assert isinstance(done.exception, RenewerError)
    assert "cannot be written" in done.exception.text


def test_program_is_this_renewer() -> None:
    """The unit starts the console script beside this interpreter, or this interpreter with the module."""
    first, *rest = timer.program()
    assert Path(first).is_absolute()
    assert Path(first).parent == Path(sys.executable).parent
    assert rest in ([], ["-P", "-m", "renewer"])


# --- over what is there already ---------------------------------------------------------------------------

OLDER = f"""{units.MARK}
[Service]
Type=oneshot
ExecStart=/opt/renewer/bin/renewer run
# everything else is read-only
ProtectSystem=strict
ReadWritePaths=-/var/lib/renewer
ReadWritePaths=-/var/www
NoNewPrivileges=yes
"""


def test_an_older_unit_is_replaced_and_what_changes_is_said(
    tmp_path: Path, system: Path, systemctl: list[str]
) -> None:
    """Walls of earlier releases go, each told; the operator's drop-in stays, and what hooks feel is named."""
    (system / "renewer.service").write_text(OLDER)
    added = system / "renewer.service.d" / "override.conf"
    added.parent.mkdir()
    added.write_text("[Service]\nReadWritePaths=/srv/x\nPrivateTmp=yes\nNice=5\n")

    done = renewer(write_config(tmp_path), "install", "--directory", system)

    assert done.exception is None
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert "renewer.service: no longer ProtectSystem=strict" in lines
    assert "renewer.service: no longer NoNewPrivileges=yes" in lines
    assert "renewer.service: now KillMode=process" in lines
    assert "renewer.service: ReadWritePaths=/srv/x, was -/var/lib/renewer; -/var/www; /srv/x" in lines
    assert any(line.startswith("renewer.service: ExecStart=") and "was /opt" in line for line in lines)
    assert "a drop-in of yours sets ReadWritePaths=/srv/x, PrivateTmp=yes: hooks feel that" in done.stderr
    assert "Nice" not in done.output
    assert "PrivateTmp" in added.read_text()
    assert "no longer" not in renewer(write_config(tmp_path), "install", "--directory", system).stdout
    assert systemctl[-1] == "systemctl enable --now renewer.timer"


@pytest.fixture
def vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a package's units lie, for a configuration that says nothing."""
    place = tmp_path / "vendor"
    place.mkdir()
    monkeypatch.setattr(timer, "VENDOR", str(place))
    for name, text in timer.unit_texts(load(str(write_config(tmp_path, agent='wake = "1h"')))).items():
        (place / name).write_text(text.replace(units.MARK, units.PACKAGED))
    return place


@pytest.mark.usefixtures("vendor")
def test_a_packages_units_get_what_the_configuration_asks_for_more(
    tmp_path: Path, system: Path, systemctl: list[str]
) -> None:
    """Only where something differs is there a drop-in; a whole unit of ours that hid the package's goes."""
    (system / "renewer.service").write_text(OLDER)
    config = write_config(tmp_path, agent='wake = "10m"')

    done = renewer(config, "install", "--directory", system)

    assert sorted(str(path.relative_to(system)) for path in system.rglob("*") if path.is_file()) == [
        "renewer.timer.d/50-configuration.conf"
    ]
    text = (system / "renewer.timer.d" / "50-configuration.conf").read_text()
    assert text.startswith(units.MARK)
    assert "OnCalendar=\nOnCalendar=*-*-* *:00/10:00" in text
    assert "WantedBy" not in text
    assert "renewer.timer: OnCalendar=*-*-* *:00/10:00, was *-*-* 00/1:00:00" in done.stdout
    assert "renewer.service: no longer ProtectSystem=strict" in done.stdout
    assert systemctl[-1] == "systemctl restart renewer.timer"
    shown = json.loads(renewer(config, "show", "--json", "--directory", system).stdout)
    assert {unit["state"] for unit in shown["units"]} == {"packaged", "current"}

    done = renewer(write_config(tmp_path, agent='wake = "1h"'), "install", "--directory", system)
    assert list(system.iterdir()) == [], "asked for nothing more, so the drop-in goes, and its directory"
    assert "renewer.timer: OnCalendar=*-*-* 00/1:00:00, was *-*-* *:00/10:00" in done.stdout
    systemctl.clear()
    renewer(config, "remove", "--directory", system)
    assert systemctl == ["systemctl disable --now renewer.timer"]


@given(wake=st.sampled_from(["1h", "10m", "1d", "45m"]), deadline=st.sampled_from(["10m", "2h"]))
def test_a_drop_in_makes_a_packaged_unit_what_is_wanted(wake: str, deadline: str) -> None:
    """As systemd reads both: the package's, then ours."""
    with tempfile.TemporaryDirectory() as work:
        packaged = timer.unit_texts(load(str(write_config(Path(work)))))
        wanted = timer.unit_texts(
            load(str(write_config(Path(work), agent=f'wake = "{wake}"\ndeadline = "{deadline}"')))
        )
    for name, text in wanted.items():
        added = units.drop_in(packaged[name], text) or ""
        assert units.settings(packaged[name], added) == units.settings(text)


def test_right_after_the_installation_no_call_is_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Systemd takes the installation for one: as long as no run is known, there was none."""
    monkeypatch.setattr(timer, "_systemd_runs", lambda: True)
    monkeypatch.setattr(
        timer, "_timer_facts", lambda: {"enabled": "enabled", "last": "Sat 2026-11-28 09:00:00"}
    )
    path = write_config(tmp_path)
    shown = CliRunner().invoke(group, ["--config", str(path), "timer", "show", "--json"])
    assert json.loads(shown.stdout)["timer"]["last"] == "no run yet"
