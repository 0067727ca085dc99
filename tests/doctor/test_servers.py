"""What hooks do to the sessions of a server, told by `doctor` before a renewal does it."""

from pathlib import Path

import pytest

from renewer.doctor.local import session_findings
from renewer.model.desired import Hook
from tests.builders import wish


@pytest.mark.parametrize(
    ("shut", "shipped", "told"),
    [("yes", True, True), ("no", True, False), (None, True, True), ("yes", False, False)],
)
def test_dovecot_ends_sessions(tmp_path: Path, shut: str | None, *, shipped: bool, told: bool) -> None:
    """Dovecot itself is asked for shutdown_clients, whose default is yes."""
    config = tmp_path / "dovecot.conf"
    config.write_text("ssl = no\n" + (f"shutdown_clients = {shut}\n" if shut else ""))
    hook = Hook(name="imap", run="/x/dovecot", shipped=shipped, env=(("DOVECOT_CONF", str(config)),))
    found = list(session_findings(wish(hooks=("imap",)), {"imap": hook}))
    assert [one.code for one in found] == (["sessions-end"] if told else [])
    assert all("shutdown_clients = no" in one.hint for one in found)


def test_without_dovecot(tmp_path: Path) -> None:
    """Where it cannot be asked nothing is said."""
    hook = Hook(name="dovecot", run="/x/dovecot", shipped=True, env=(("DOVECONF", str(tmp_path / "none")),))
    assert list(session_findings(wish(hooks=("dovecot",)), {"dovecot": hook})) == []
