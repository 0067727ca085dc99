"""Which tests are `real` or `slow`, told by where they lie and what they use; `make check` runs the others.

Real is what needs more than Python and the checkout: servers of the machine, root, namespaces, other users.
Slow is what proves a law over very many cases or lets much time pass. A test may also say so itself:
`pytestmark = pytest.mark.slow`.
"""

from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings

_TESTS = Path(__file__).parent

EXAMPLES = 20
"""Of a property in `make check`, where a whole run looks at a hundred."""

CHECK = "not real and not slow"
"""What `make check` runs, as pytest's `-m`."""

REAL_FIXTURES = {"pebble", "pebble_factory", "nginx_factory", "bendable"}
REAL_DIRECTORIES = {
    "attacks",
    "e2e",
    "e2e_keys",
    "faults",
    "hooks",
    "moving",
    "package",
    "second_authority",
    "serving",
    "soak",
}
SLOW_DIRECTORIES = {"bad_bytes", "copies", "soak"}
REAL_FILES = {  # of the machine's: a browser, promtool
    *("tell/test_page.py", "tell/test_monitoring.py", "tell/test_metrics.py"),
}
SLOW_FILES = {  # many whole processes
    *("cli/test_closed.py", "cli/test_copies.py", "cli/test_for_tests.py", "cli/test_log.py"),
    *("cli/test_run_name.py", "cli/test_status.py", "doctor/test_command.py"),
    *("tell/test_files.py", "tell/test_killed.py", "tell/test_report.py", "tell/test_thirty_days.py"),
    *("tell/test_mail.py", "tell/test_watched.py"),
    *("tell/test_concerns.py", "tell/test_commands.py", "store/test_mutations.py"),
    *("test_extending.py", "test_nothing_due.py", "state_of_old/test_state_of_old.py"),
    *("ledger/test_damage.py", "policy/test_calendar.py"),  # very many cases
}

# Parts of tests/servers that live in the test's own process; the others start programs of the machine.
IN_PROCESS = {
    *("bends", "certificates", "handshake", "jsonapi", "jws", "loopback", "ports", "published", "relay"),
    *("scripted_dns", "signing", "tls_peer"),
}


def examples(usual: int) -> int:
    """So many in a whole run, a share of them in `make check`."""
    return max(usual * min(settings().max_examples, 100) // 100, 1)


def mark(items: list[pytest.Item]) -> None:
    """Mark them."""
    for item in items:
        if _is_real(item):
            item.add_marker(pytest.mark.real)
        if _room(item) in SLOW_DIRECTORIES or _file(item) in SLOW_FILES:
            item.add_marker(pytest.mark.slow)


def passed_over(path: Path, expression: str) -> bool:
    """Whether pytest's `-m` deselects everything in this file or directory."""
    if expression != CHECK or not path.is_relative_to(_TESTS):
        return False
    return str(path.relative_to(_TESTS)) in REAL_DIRECTORIES | SLOW_DIRECTORIES | REAL_FILES | SLOW_FILES


def _file(item: pytest.Item) -> str:
    """Its file below tests/; "" of a test that lies elsewhere."""
    return str(item.path.relative_to(_TESTS)) if item.path.is_relative_to(_TESTS) else ""


def _room(item: pytest.Item) -> str:
    """The directory below tests/ that it lies in, or its file there."""
    return _file(item).partition("/")[0]


def _is_real(item: pytest.Item) -> bool:
    return (
        _room(item) in REAL_DIRECTORIES
        or _file(item) in REAL_FILES
        or bool(REAL_FIXTURES & set(getattr(item, "fixturenames", ())))
        or (isinstance(item, pytest.Function) and _uses_servers(item.module))
    )


@cache
def _uses_servers(module: ModuleType) -> bool:
    return any(map(_is_server, vars(module).values()))


def _is_server(value: Any) -> bool:
    home = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    if not isinstance(home, str) or not home.startswith("tests."):
        return False
    _, room, *below = home.split(".")
    return room in REAL_DIRECTORIES or (room == "servers" and bool(below) and below[0] not in IN_PROCESS)
