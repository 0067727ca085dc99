"""What the pages promise is there: configurations load, keys are named, links lead somewhere."""

import ast
import re
from pathlib import Path

import pytest

from renewer import hooks
from renewer.cli.commands import COMMANDS
from renewer.config.load import load
from renewer.model.decision import EventName, State
from renewer.model.facts import DeploymentState, EndpointState
from tests.house.code import modules, nodes
from tests.test_report import CERTIFICATE, DEPLOYMENT, ENDPOINT, OUTCOME, PLAN, RENEWAL, STATUS, STEP

CHECKOUT = Path(__file__).parents[1]
PAGES = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md")])


def test_the_readmes_configuration_loads(tmp_path: Path) -> None:
    """A newcomer copies the first block of TOML as it is."""
    block = re.search(r"```toml\n(.*?)```", (CHECKOUT / "README.md").read_text("utf-8"), re.DOTALL)
    assert block is not None
    path = tmp_path / "config.toml"
    path.write_text(block[1], "utf-8")

    assert list(load(str(path)).certificates) == ["www"]


def test_the_page_on_json_names_every_key_and_word() -> None:
    """Scripts are written against docs/json.md."""
    page = (CHECKOUT / "docs" / "json.md").read_text("utf-8")
    keys = STATUS | CERTIFICATE | RENEWAL | DEPLOYMENT | ENDPOINT | PLAN | STEP | OUTCOME
    words = {*keys, *State, *EndpointState, *DeploymentState, *EventName}

    assert [word for word in sorted(words) if not re.search(rf"\b{re.escape(str(word))}\b", page)] == []


def test_the_page_on_hooks_names_every_exit_code_and_key() -> None:
    """Hooks are written against docs/hooks.md."""
    page = (CHECKOUT / "docs" / "hooks.md").read_text("utf-8")

    for code in hooks.EXITS:
        assert f"| {code} |" in page
    for key in hooks.HookCertificate.__struct_fields__:
        assert f'"{key}"' in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """No relative link of a page is broken."""
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8"))

    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_what_is_to_be_typed_can_be_typed() -> None:
    """Every hint that begins a command of ours names one that there is; else it is a sentence."""
    sentences = {"renews", "has", "only"}
    typed = {
        match[1]
        for module in modules()
        for node in nodes(module)
        if isinstance(node, ast.keyword) and node.arg == "hint"
        for part in ast.walk(node.value)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
        for match in re.finditer(r"(?:^|[:;,(`] ?|\bor )renewer ([a-z][a-z-]+)", part.value)
    }
    assert "run" in typed
    assert typed - sentences - set(COMMANDS) == set()
