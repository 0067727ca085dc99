"""Deploy windows as the config says them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from renewer.config import windows
from renewer.config.windows import deploy_window, local_zone
from renewer.model.desired import DeployWindow

WEEK = tuple(range(7))


@pytest.mark.parametrize(
    ("text", "days", "start", "end", "zone"),
    [
        ("Sat 02:00-04:00 UTC", (5,), 120, 240, "UTC"),
        ("02:00-04:00 UTC", WEEK, 120, 240, "UTC"),
        ("Mon-Fri 22:00-06:00 Europe/Berlin", (0, 1, 2, 3, 4), 1320, 360, "Europe/Berlin"),
        ("fri-mon 0:00 - 24:00 UTC", (0, 4, 5, 6), 0, 0, "UTC"),
        ("Sat,Sunday  02:30-04:15  UTC", (5, 6), 150, 255, "UTC"),
        (" tues,thu-fri 1:00-2:00 UTC ", (1, 3, 4), 60, 120, "UTC"),
    ],
)
def test_good_ones(text: str, days: tuple[int, ...], start: int, end: int, zone: str) -> None:
    """Days, times and a zone; the end may lie on the next day."""
    expected = DeployWindow(text=" ".join(text.split()), days=days, start=start, end=end, zone=zone)
    assert deploy_window(text) == expected


def test_without_a_zone_it_is_this_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the clocks on its wall show; UTC where nobody set them."""
    assert deploy_window("02:00-04:00").zone == local_zone()
    monkeypatch.setattr(windows, "_LOCALTIME", "/usr/share/zoneinfo/Asia/Tokyo")
    assert local_zone() == "Asia/Tokyo"
    monkeypatch.setattr(windows, "_LOCALTIME", "/nowhere/localtime")
    assert local_zone() == "UTC"


def test_a_local_time_without_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A plain file instead of a link: the name may stand beside it, and UTC is not guessed."""
    local, beside = tmp_path / "localtime", tmp_path / "timezone"
    local.write_bytes(Path("/usr/share/zoneinfo/Asia/Tokyo").read_bytes())
    monkeypatch.setattr(windows, "_LOCALTIME", str(local))
    monkeypatch.setattr(windows, "_TIMEZONE", str(beside))
    for text in (None, "", "nonsense/here\n", "/etc/passwd\n", "../../etc/passwd\n"):
        if text is not None:
            beside.write_text(text)
        assert "time zone has no name here" in deploy_window("02:00-04:00").fault
    assert deploy_window("02:00-04:00 UTC").zone == "UTC"
    beside.write_text("Asia/Tokyo\n")
    assert deploy_window("02:00-04:00").zone == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no window"),
        ("whenever", "is no window"),
        ("Sat 2-4", "is no window"),
        ("Sat 02:00", "is no window"),
        ("Caturday 02:00-04:00", "'caturday' is no day of the week"),
        ("Mon- 02:00-04:00", "'' is no day of the week"),
        ("Sat 02:00-25:00", "'25:00' is no time of day"),
        ("Sat 02:60-04:00", "'02:60' is no time of day"),
        ("Sat 02:00-24:01", "'24:01' is no time of day"),
        ("Sat 02:00-04:00 /etc/passwd", "'/etc/passwd' is no time zone"),
        ("Sat 02:00-04:00 ../../etc/passwd", "is no window"),
    ],
)
def test_bad_ones(text: str, why: str) -> None:
    """Each with a sentence that says what is wrong and how it is written."""
    with pytest.raises(ValueError, match=why):
        deploy_window(text)


def test_a_zone_that_this_host_does_not_know() -> None:
    """It is well said: the window is there, with what is wrong with it, and nothing else is stopped by it."""
    window = deploy_window("Sat 02:00-04:00 Atlantis/Main")
    assert window.text == "Sat 02:00-04:00 Atlantis/Main"
    assert window.fault == "this host knows no time zone 'Atlantis/Main'"
    assert deploy_window("Sat 02:00-04:00 Asia/Tokyo").fault == ""


def test_zones_without_the_systems_database() -> None:
    """In a slim container the zones are those that come with us."""
    code = (
        "from renewer.config.windows import deploy_window; "
        "print(repr(deploy_window('02:00-04:00 Europe/Berlin').fault))"
    )
    environment = {**os.environ, "PYTHONTZPATH": ""}
    shown = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert shown.stdout == "''\n"
