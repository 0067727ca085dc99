"""Somebody who asks one of the usual questions finds the answer in the files that architecture.md names."""

import ast
import re

import pytest

from renewer.model.decision import Reason
from renewer.policy.issuing import RENEWALS
from tests.house.code import ROOT, calls, modules, nodes

_STARTS, _ENDS = (ROOT, ROOT / "renewer", ROOT / "renewer" / "network"), ("", ".py", ".md")
ASKED = (
    "why did it renew?",
    "why not yet?",
    "what does exit 3 mean?",
    "where is `Retry-After` honoured?",
    "where is the link turned?",
    "what may my hook expect?",
)


def table() -> dict[str, list[str]]:
    """The files by question."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    section = page.partition("## Where to look first")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.*\?) \| (.*) \|$", section, re.MULTILINE)
    return {question: re.findall(r"`([\w/.-]+\.(?:py|md))`", files) for question, files in rows}


def text_of(name: str) -> str:
    """What stands in a file of the table."""
    return (ROOT / name if name.startswith("docs/") else ROOT / "renewer" / name).read_text("utf-8")


def answer(question: str) -> str:
    """All that its files say."""
    return "\n".join(map(text_of, table()[question]))


@pytest.mark.parametrize("question", sorted({*ASKED, *table()}))
def test_an_answer_is_a_few_files_away(question: str) -> None:
    """Three at the most, and each of them is there."""
    files = table()[question]
    assert 1 <= len(files) <= 3
    assert all(text_of(name) for name in files)


def test_why_it_renewed() -> None:
    """Every reason to order a certificate is given there, and the moment is worked out there."""
    reasons = RENEWALS | {
        *(Reason.ABSENT, Reason.EXPIRED, Reason.REVOKED, Reason.WISH_CHANGED, Reason.EMERGENCY),
        *(Reason.NAMES_FAIL, Reason.REFUSED, Reason.FORCED, Reason.NEW_KEY, Reason.STATE_IS_OLDER),
    }
    said = answer("why did it renew?")
    assert [one.name for one in reasons if f"Reason.{one.name}" not in said] == []
    assert "CHECKS: tuple[Check, ...] = (" in said
    assert "def renewal_moment(" in said


def test_why_it_waits() -> None:
    """Every reason to wait is given there, with the ladder and the bucket that are its numbers."""
    waits = (Reason.NOT_DUE, Reason.ORDER_BUDGET, Reason.DEPLOY_WINDOW, Reason.DEPLOY_AFTER)
    said = answer("why not yet?")
    for one in (*waits, Reason.AUTHORITY_ASKED_TO_WAIT):
        assert f"Reason.{one.name}" in said
    for name in ("LADDER", "def next_order("):
        assert name in said


def test_what_exit_3_means() -> None:
    """Whatever makes a run end with 3 is decided in these files, and nowhere else in policy."""
    deciding = {
        module.path.removeprefix("renewer/")
        for module in modules()
        if module.room == "policy" and re.search(r"(?<!Purse\.)\bPERSON\b", module.text)
    }
    assert deciding == set(table()["what does exit 3 mean?"])


def test_where_retry_after_is_honoured() -> None:
    """Its header is read in one way, waited for in one loop, and bounded between runs by one rule."""
    files = table()["where is `Retry-After` honoured?"]
    reading = {
        module.path.removeprefix("renewer/")
        for module in modules()
        if any(call[:2] == ("retry_after", "parse") for call in calls(module))
    }
    assert reading == {"network/acme/reply.py"}
    assert [name for name in files if re.search(r"^def parse\(", text_of(name), re.MULTILINE)] == [files[0]]
    assert [name for name in files if "clock.sleep(" in text_of(name)] == [files[1]]
    assert [name for name in files if "RETRY_AFTER_FLOOR" in text_of(name)] == [files[2]]


def test_where_the_link_is_turned() -> None:
    """Who turns a link in a deployment is named there, with how it is done."""
    turning = {
        module.path.removeprefix("renewer/")
        for module in modules()
        if module.room == "deploy" and any(name == "turn" for _, name, _ in calls(module))
    }
    files = table()["where is the link turned?"]
    assert turning == {one for one in files if one.startswith("deploy/")}
    assert "def turn(" in text_of("store/disk.py")


def test_what_a_hook_may_expect() -> None:
    """Every variable that a hook gets stands on its page."""
    (module,) = (one for one in modules() if one.path == "renewer/hooks.py")
    words = {node.value for node in nodes(module) if isinstance(node, ast.Constant)}
    given = {one for one in words if re.fullmatch(r"(RENEWER|RENEWED|FAILED)_[A-Z0-9_]+", str(one))}
    page = text_of("docs/hooks.md")
    assert len(given) > 5
    assert [one for one in given if str(one) not in page] == []


@pytest.mark.parametrize("page", ["architecture", "data-flow", "house"])
def test_what_the_pages_of_the_house_name_is_there(page: str) -> None:
    """A module or room that was moved takes its name on the page along."""
    text = text_of(f"docs/{page}.md")
    named = set(re.findall(r"`((?:network/\*/)?[a-z_]+(?:/[a-z_0-9]*)*)(?:\.py|\.md|\.[A-Z]+)`", text))
    named |= set(re.findall(r"`([a-z_]+(?:/[a-z_0-9]*)+)`", text))
    missing = [
        one
        for one in sorted(named)
        if not any(list(start.glob(f"{one}{end}")) for start in _STARTS for end in _ENDS)
    ]
    assert len(named) > 10
    assert missing == []
