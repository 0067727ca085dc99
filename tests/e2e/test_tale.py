"""`renewer log NAME --last` after real renewals: a hook that failed, then the port that showed it."""

import re

from tests.e2e.conftest import SiteFactory

GOOD = 'echo "$1"'
BAD = 'if [ "$1" = deploy ]; then echo "no room on the shelf" >&2; exit 3; fi'


def test_story_of_a_renewal_with_a_failure(make_site: SiteFactory) -> None:
    """Two runs: what was ordered, the hook's output where it failed, and who served what before and after."""
    site = make_site()
    site.add_hook("mine", GOOD, events=["test", "deploy"])
    site.change(hooks=["nginx", "mine"])
    site.run()
    before = site.served()
    site.script(site.directory / "mine.sh", BAD)
    assert site.cli("run", "--force").code == 1
    assert site.cli("log", "www", "--last").out.startswith("www: not renewed yet; it began ")
    site.script(site.directory / "mine.sh", GOOD)
    assert site.cli("deploy", "www").code == 0

    told = site.cli("log", "www", "--last")

    assert (told.code, told.err) == (0, "")
    head, *lines = told.out.splitlines()
    assert re.fullmatch(r"www: renewed, in [0-9.ms ]+ and 2 runs, \d failures? on the way", head)
    text = "\n".join(lines)
    order = ("decided: issue", "ordered at", "issued it", "installed version", "hook mine deploy: failed")
    after = (
        "| no room on the shelf",
        "turned back",
        "hook mine deploy: done",
        "seen at",
        "renewed, and seen",
    )
    places = [text.index(words) for words in (*order, *after)]
    assert places == sorted(places)
    assert re.search(rf"before  serial {before} at 127\.0\.0\.1", text)
    assert re.search(rf"now     serial {site.served()} at 127\.0\.0\.1", text)
    assert len(re.findall(r"^\d{4}-\d\d-\d\d, run \S+ on \S+, \S+$", text, re.MULTILINE)) == 2


def test_log_joins_the_run(make_site: SiteFactory) -> None:
    """The id that `run --json` prints finds the lines of that run, by its beginning too."""
    site = make_site()
    run = site.cli("run", "--json").document["run"]
    site.cli("run")
    told = site.cli("log", "--run", run[:20], "--json").out.splitlines()
    assert {line.split('"run":"')[1].split('"')[0] for line in told} == {run}
    assert ('"event":"run-started"' in told[0], '"event":"run-finished"' in told[-1]) == (True, True)
