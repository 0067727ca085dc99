"""What runs and commands leave on disk for others: the page anew when facts changed, at no run's cost."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from renewer.report import files
from tests.agent import Agent
from tests.builders import DAY, HOUR, NOW
from tests.tell import fleet


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """An agent with a page, whose authority is out of reach."""
    return Agent(
        tmp_path,
        {
            "authority.test": {"directory": "https://127.0.0.1:9/directory", "agree_terms": True},
            "report": {"page": tmp_path / "index.html"},
            "certificate.www": {
                "names": ["www.example.org"],
                "authority": "test",
                "challenge": {"type": "http-01", "webroot": tmp_path},
            },
        },
    )


def _page(agent: Agent) -> str:
    return (agent.directory / "index.html").read_text("utf-8")


def test_a_run_writes_the_page(agent: Agent) -> None:
    """What failed stands in it, and in its history; servers of pages may read it."""
    agent.cli("run")

    text = _page(agent)
    assert "127.0.0.1:9 cannot be reached: Connection refused" in text
    assert "began to fail" in text
    assert text.count('<tr role="row" class="warn">') == 1
    assert (agent.directory / "index.html").stat().st_mode & 0o777 == 0o644


def test_the_page_can_be_had_elsewhere(agent: Agent) -> None:
    """`--out` overrules the config, `-` prints, and nothing else is written."""
    agent.cli("run")
    before = _page(agent)
    other = agent.directory / "other.html"
    document = agent.json("page", "--out", str(other))
    printed = agent.cli("page", "--out", "-")

    assert document == {
        "schema": 1,
        "path": str(other),
        "bytes": other.stat().st_size,
        "certificates": 1,
    }
    assert printed.out.startswith("<!doctype html>")
    assert printed.out.rstrip().endswith("</html>")
    assert "began to fail" in printed.out
    assert _page(agent) == before


def test_without_a_config_for_it_the_page_is_printed(agent: Agent) -> None:
    """Before the first run, too: it says that there was none."""
    del agent.tables["report"]

    assert "No run has come to its end yet." in agent.cli("page").out


def test_a_page_that_cannot_be_written_is_told(agent: Agent) -> None:
    """By the run as a finding; by the command with what to do."""
    agent.tables["report"] = {"page": agent.directory / "missing" / "index.html"}
    ended = agent.cli("page")

    assert agent.json("run", code=1)["findings"][0].endswith(
        "index.html cannot be written: No such file or directory"
    )
    assert (ended.code, "name another file with --out" in ended.err) == (1, True)


def test_a_link_at_the_pages_place_is_not_followed_for_others(agent: Agent, tmp_path: Path) -> None:
    """In a directory where others may write, their link must not have us write elsewhere."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    precious = tmp_path / "precious"
    precious.write_text("mine", "utf-8")
    (shared / "index.html").symlink_to(precious)
    agent.tables["report"] = {"page": shared / "index.html"}
    document = agent.json("run", code=1)

    assert precious.read_text("utf-8") == "mine"
    assert "symbolic link" in document["findings"][0]


# --- does the page still say what is so? --------------------------------------------------------------------


def _written(path: Path, now: datetime = NOW) -> str:
    """A page in a file; returns its stamp."""
    found = fleet.document([fleet.one(0, now, well=True)], now)
    path.write_text(fleet.html(found, [], now), "utf-8")
    return files.stamp_of(found, HOUR)


def test_only_the_moment_of_the_run_is_renewed(tmp_path: Path) -> None:
    """An hour later, with the same facts, one line differs."""
    file = tmp_path / "index.html"
    stamp = _written(file)
    renewed = files.renewed_page(str(file), stamp, NOW + HOUR)

    assert renewed is not None
    old, new = file.read_text("utf-8").splitlines(), renewed.decode().splitlines()
    (changed,) = [line for line, before in zip(new, old, strict=True) if line != before]
    assert '<time id="ran" datetime="2026-11-22T13:00:00Z">22 Nov 2026, 13:00 UTC</time>' in changed


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"healthy": False}, id="a fact"),
        pytest.param({"findings": ["new"]}, id="a finding"),
        pytest.param({"at": NOW + DAY}, id="a day"),
        pytest.param({"host": "half \udcff"}, id="a torn character"),
    ],
)
def test_a_stamp_is_of_the_facts(change: dict[str, Any]) -> None:
    """Another fact, another stamp; the moment alone changes nothing but from day to day."""
    found = fleet.document([fleet.one(0, NOW, well=True)], NOW)
    stamp = files.stamp_of(found, HOUR)

    assert files.stamp_of(msgspec.structs.replace(found, at=NOW + HOUR, last_run=None), HOUR) == stamp
    assert files.stamp_of(msgspec.structs.replace(found, **change), HOUR) != stamp
    assert files.stamp_of(found, 2 * HOUR) != stamp


def test_what_is_not_ours_is_written_anew(tmp_path: Path) -> None:
    """Missing, another page's, a link, a pipe, cut off: never read on, never kept."""
    file = tmp_path / "index.html"
    assert files.renewed_page(str(file), "x", NOW) is None
    stamp = _written(file)
    assert files.renewed_page(str(file), "another", NOW) is None
    text = file.read_text("utf-8")
    file.write_text(re.sub("<time id=.ran.*", "", text), "utf-8")
    assert files.renewed_page(str(file), stamp, NOW) is None
    (tmp_path / "link").symlink_to(file)
    assert files.renewed_page(str(tmp_path / "link"), stamp, NOW) is None
    os.mkfifo(tmp_path / "pipe")
    assert files.renewed_page(str(tmp_path / "pipe"), stamp, NOW) is None


def test_a_page_with_a_hostile_name_keeps_one_moment(tmp_path: Path) -> None:
    """A name that imitates the line of the moment is escaped, so it is no such line."""
    host = '<time id="ran" datetime="x">y</time>, <span class="rel" id="ago">z</span>'
    found = fleet.document([fleet.one(0, NOW, well=True)], NOW, host=host)
    file = tmp_path / "index.html"
    file.write_text(fleet.html(found, [], NOW), "utf-8")
    renewed = files.renewed_page(str(file), files.stamp_of(found, HOUR), datetime(2027, 1, 1, tzinfo=UTC))

    assert renewed is not None
    assert renewed.count(b'<time id="ran"') == 1
    assert b"1 Jan 2027, 00:00 UTC" in renewed
