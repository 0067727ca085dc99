"""A shared test that fails names no certificate: the culprits are found by halves, the others go on."""

from pathlib import Path
from typing import Any

import pytest

from renewer.deploy.calls import Calls
from renewer.model.facts import DeploymentState
from renewer.run import Limits
from tests.e2e.conftest import SiteFactory
from tests.e2e.site import Site

EIGHT: dict[str, dict[str, Any]] = {f"c{number}": {"hooks": [], "endpoints": []} for number in range(8)}
# Its server starts with any certificates but the new ones of those that `bad` names
TEST = (
    'echo "$1" >>$calls',
    '[ "$1" = test ] || exit 0',
    "for name in $(cat {directory}/bad); do",
    '    live=$(readlink "{state}/certificates/$name/live")',
    '    [ "$live" = "$(cat "{directory}/old-$name")" ] || {{ echo "error: bad key share" >&2; exit 1; }}',
    "done",
)


def eight(make_site: SiteFactory, *bad: str) -> tuple[Site, dict[str, Path]]:
    """Eight deployed certificates with one hook, and what is live of each; the next ones of `bad` are bad."""
    site = make_site(certificates={name: dict(keys) for name, keys in EIGHT.items()})
    site.add_hook("mine", 'echo "$1" >>$calls', events=["test", "deploy", "rollback"])
    for name in EIGHT:
        site.change(name, hooks=["mine"])
    assert site.run().exit == 0
    live = {name: site.live(name).readlink() for name in EIGHT}
    for name, target in live.items():
        (site.directory / f"old-{name}").write_text(str(target))
    (site.directory / "bad").write_text(" ".join(bad))
    (site.directory / "calls").unlink()
    lines = [line.format(directory=site.directory, state=site.state) for line in TEST]
    site.script(site.directory / "mine.sh", *lines)
    return site, live


def test_the_good_ones_go_on(make_site: SiteFactory) -> None:
    """Two of eight are bad: they stay where they were, six are deployed by one call, and all is on record."""
    site, before = eight(make_site, "c2", "c5")

    report = site.run(Limits(force=True))

    now = {name: site.live(name).readlink() for name in EIGHT}
    assert {name for name in EIGHT if now[name] == before[name]} == {"c2", "c5"}
    assert site.calls.count("deploy") == 1
    assert site.calls.count("rollback") == 0
    assert site.calls.count("test") <= 2 + 2 * 2 * 3  # all, none, and for each bad one a path down of three
    failed = {one.certificate: one.detail for one in report.outcomes if one.result.value == "failed"}
    assert set(failed) == {"c2", "c5"}
    assert all(
        "hook mine failed at test (exit code 1): error: bad key share" in text for text in failed.values()
    )
    states = {name: site.status(name)["deployments"][0]["state"] for name in ("c2", "c3")}
    assert states == {"c2": DeploymentState.FAILED, "c3": DeploymentState.DONE}

    (site.directory / "bad").write_text("")
    site.age()
    assert site.run().exit == 0
    assert not {name for name in EIGHT if site.live(name).readlink() == before[name]}


def test_a_run_that_must_end_leaves_the_rest_as_it_was(
    make_site: SiteFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When its time is over in the middle, what was not proven good stays as it was; the next goes on."""
    site, before = eight(make_site, *EIGHT)
    tested, real = [0], Calls._tested

    def until_it_is_late(calls: Calls, hook: str, moves: Any) -> Any:
        tested[0] += 1
        if tested[0] == 4:
            calls.context.deadline = 0.0
        return real(calls, hook, moves)

    monkeypatch.setattr(Calls, "_tested", until_it_is_late)

    report = site.run(Limits(force=True))

    assert report.exit == 1
    assert tested[0] == 4
    assert {name: site.live(name).readlink() for name in EIGHT} == before
    assert sum("the run ended before it was found whether" in one.detail for one in report.outcomes) == 8
    monkeypatch.undo()
    (site.directory / "bad").write_text("")
    site.age()
    assert site.run().exit == 0
    assert not {name for name in EIGHT if site.live(name).readlink() == before[name]}
