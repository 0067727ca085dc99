"""The hook for systemd, against a systemctl of the test's own: no init runs here.

It knows units and their states from files, as `show -p LoadState`, `is-active` and the jobs use them, and
writes down what it was asked to do.
"""

from pathlib import Path

import pytest

from renewer.hooks import HookResult, HookVerdict
from renewer.model.desired import HookEvent
from tests.hooks.alone import DEPLOY, ROLLBACK, TEST, Shelf

_SYSTEMCTL = """\
#!/bin/sh
cd {units} || exit 9
for unit in "$@"; do :; done # the last word
case $1 in
show) if [ -e "$unit" ]; then echo loaded; else echo not-found; fi ;;
is-active) [ "$(cat "$unit")" = active ] ;;
*)
    echo "$1 $unit" >>asked
    case $(cat "$unit.reload" 2>/dev/null) in
    refuses) echo "Job for $unit failed." >&2; exit 1 ;;
    dies) echo failed >"$unit" ;;
    esac
    ;;
esac
"""


class Init:
    """Units with a state each, and what was asked of them."""

    def __init__(self, directory: Path) -> None:
        """Install the stand-in."""
        self.shelf = Shelf(directory)
        self.shelf.put()
        self.units = directory / "units"
        self.units.mkdir()
        self.binary = directory / "bin" / "systemctl"
        self.binary.parent.mkdir()
        self.binary.write_text(_SYSTEMCTL.format(units=self.units))
        self.binary.chmod(0o755)

    def unit(self, name: str, state: str = "active", reload: str = "works") -> None:
        """Add or change a unit: its state, and whether a reload works, is refused or ends it (dies)."""
        (self.units / name).write_text(f"{state}\n")
        (self.units / f"{name}.reload").write_text(f"{reload}\n")

    @property
    def asked(self) -> list[str]:
        """The jobs so far."""
        path = self.units / "asked"
        return path.read_text().splitlines() if path.exists() else []

    def call(self, event: HookEvent, units: str, **env: str) -> HookResult:
        """Call the hook for these units."""
        env = {"PATH": f"{self.binary.parent}:/usr/bin:/bin", "SYSTEMD_SETTLE": "0.01"} | env
        return self.shelf.call("systemd", event, SYSTEMD_UNITS=units, **env)


@pytest.fixture
def init(tmp_path: Path) -> Init:
    """Two active units, one of them with a name that a shell would expand."""
    init = Init(tmp_path)
    init.unit("stunnel4.service")
    init.unit("vpn@[a*].service")
    return init


@pytest.mark.parametrize("event", [DEPLOY, ROLLBACK])
def test_units_are_reloaded_in_their_order(init: Init, event: HookEvent) -> None:
    """`test` asks only; deploy and rollback reload or restart every unit, in the order given."""
    units = "vpn@[a*].service stunnel4.service"

    assert init.call(TEST, units).verdict is HookVerdict.DONE
    assert init.asked == []
    assert init.call(event, units).verdict is HookVerdict.DONE
    assert init.asked == ["reload-or-restart vpn@[a*].service", "reload-or-restart stunnel4.service"]


def test_the_action_can_be_chosen(init: Init) -> None:
    """SYSTEMD_ACTION is what systemctl is told; what is no such action is refused, also `stop`."""
    assert init.call(DEPLOY, "stunnel4.service", SYSTEMD_ACTION="restart").verdict is HookVerdict.DONE
    assert init.asked == ["restart stunnel4.service"]
    result = init.call(TEST, "stunnel4.service", SYSTEMD_ACTION="stop")
    assert (result.code, "SYSTEMD_ACTION is 'stop'" in result.output) == (1, True)


@pytest.mark.parametrize("event", [TEST, DEPLOY, ROLLBACK])
@pytest.mark.parametrize("state", ["inactive", "failed", "activating"])
def test_who_was_stopped_stays_stopped(init: Init, event: HookEvent, state: str) -> None:
    """One unit that is not active: 75, and none of them was touched, let alone started."""
    init.unit("vpn@[a*].service", state)

    result = init.call(event, "stunnel4.service vpn@[a*].service")

    assert (result.verdict, result.code) == (HookVerdict.LATER, 75)
    assert (result.error or "").endswith("vpn@[a*].service is not active")
    assert init.asked == []


def test_an_unknown_unit(init: Init) -> None:
    """A unit that systemd does not know is a failure, not something to wait for."""
    result = init.call(TEST, "stunel4.service")

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "there is no unit stunel4.service to be used (its load state is 'not-found')" in (
        result.error or ""
    )


def test_a_refused_reload(init: Init) -> None:
    """Systemctl's failure is the hook's, with its words."""
    init.unit("stunnel4.service", reload="refuses")

    result = init.call(DEPLOY, "stunnel4.service")

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "Job for stunnel4.service failed." in (result.error or "")


def test_a_unit_that_dies_of_its_reload(init: Init) -> None:
    """Systemctl was content, the server is gone a moment later: failed, so that it is turned back."""
    init.unit("stunnel4.service", reload="dies")

    result = init.call(DEPLOY, "stunnel4.service")

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "stunnel4.service ended after reload-or-restart; see: journalctl -u stunnel4.service" in (
        result.error or ""
    )


def test_nothing_configured(init: Init) -> None:
    """Without SYSTEMD_UNITS there is nothing to do, and that is said."""
    assert "set SYSTEMD_UNITS in the hook's env" in (init.call(TEST, "").error or "")
