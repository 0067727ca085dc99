"""An authority that only tests, left in the configuration: each command names it, whatever is served."""

from pathlib import Path
from typing import Any

import pytest

from tests.copies.host import Host, new_host

STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"
KNOWN: dict[str, tuple[str, dict[str, Any] | None]] = {
    "by its name": ("letsencrypt-staging", None),
    "by its directory": ("mine", {"directory": STAGING, "agree_terms": True}),
    "by its table": (
        "inside",
        {"directory": "https://127.0.0.1:9/directory", "agree_terms": True, "test": True},
    ),
    "as the second": ("letsencrypt-staging", None),
}
COMMANDS = (("status",), ("plan",), ("config", "check"), ("doctor", "--timeout", "1"))


def leaving(directory: Path, known: str) -> tuple[Host, str]:
    """A host whose certificate names such an authority."""
    host = new_host(directory / "host")
    name, table = KNOWN[known]
    host.tables["defaults"] = {"agree_terms": True}
    if table is not None:
        host.tables[f"authority.{name}"] = table
    wish = host.tables["certificate.www"]
    if known == "as the second":
        del wish["authority"]
        wish["authorities"] = ["test", name]
    else:
        wish["authority"] = name
        del host.tables["authority.test"]
    return host, name


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("known", KNOWN)
def test_it_is_named_by_each_command(tmp_path: Path, known: str, command: tuple[str, ...]) -> None:
    """On the screen, also where nothing was issued yet."""
    host, name = leaving(tmp_path, known)
    said = " ".join(host.cli(*command).out.split())
    assert f"{name} is an authority for tests" in said
    assert "no client trusts what it signs" in said


@pytest.mark.parametrize("command", [("status",), ("plan",), ("config", "check")], ids=" ".join)
def test_it_is_named_in_each_document(tmp_path: Path, command: tuple[str, ...]) -> None:
    """For scripts, too."""
    host, name = leaving(tmp_path, "by its name")
    assert f"{name} is an authority for tests" in host.cli(*command, "--json").out


@pytest.mark.parametrize("command", [("status",), ("plan",), ("config", "check")], ids=" ".join)
def test_who_knows_better_says_so(tmp_path: Path, command: tuple[str, ...]) -> None:
    """`test = false`: clients inside trust it, and nobody is told otherwise."""
    host, name = leaving(tmp_path, "by its directory")
    host.tables[f"authority.{name}"]["test"] = False
    assert "authority for tests" not in host.cli(*command).out
