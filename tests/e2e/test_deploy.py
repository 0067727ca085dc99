"""The transaction with real hooks and a real nginx: the new one is seen, or the old one is still served."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from renewer.network import verify
from renewer.run import Limits
from tests.e2e.conftest import SiteFactory
from tests.e2e.site import Site

EVENTS = ["test", "deploy", "rollback"]
GOOD = 'echo "$1" >> $calls'


def issued_site(make_site: SiteFactory, **hook: Any) -> Site:
    """A site whose certificate is served, by nginx's hook and one of its own after it."""
    site = make_site()
    site.add_hook("mine", GOOD, events=EVENTS, **{"timeout": "60s", **hook})
    site.change(hooks=["nginx", "mine"])
    site.run()
    (site.directory / "calls").unlink()
    return site


def of_mine(row: Any) -> Any:
    """What the status tells of the hook of one's own."""
    (found,) = [one for one in row["deployments"] if one["hook"] == "mine"]
    return found


def events(site: Site, name: str) -> list[dict[str, Any]]:
    """The events of that name in the last run."""
    return [event for event in site.last_events() if event["event"] == name]


def _script(*lines: str) -> Callable[[Site, Path], object]:
    return lambda site, path: site.script(path, *lines)


BROKEN: dict[str, tuple[Callable[[Site, Path], object], str]] = {
    "test fails": (
        _script(GOOD, 'if [ "$1" = test ]; then echo "error: I will not start with that" >&2; exit 1; fi'),
        "hook mine failed at test (exit code 1): error: I will not start with that",
    ),
    "deploy fails": (
        _script(GOOD, 'if [ "$1" = deploy ]; then echo "half way" >&2; exit 3; fi'),
        "hook mine failed at deploy (exit code 3): half way",
    ),
    "hangs": (
        _script(GOOD, 'if [ "$1" = deploy ]; then sleep 600; fi'),
        "hook mine did not end its deploy within 3 s and was ended",
    ),
    "missing": (lambda _, path: path.unlink(), "mine.sh does not exist"),
    "not executable": (lambda _, path: path.chmod(0o644), "mine.sh may not be executed; chmod +x"),
    "world-writable": (lambda _, path: path.chmod(0o757), "mine.sh can be written to by everybody"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_broken_hook(make_site: SiteFactory, how: str) -> None:
    """A hook that breaks: the link is turned back, the old one served, told, and finished later unordered."""
    break_it, sentence = BROKEN[how]
    site = issued_site(make_site, timeout="3s" if how == "hangs" else "60s")
    path, before, old = site.directory / "mine.sh", site.served(), site.live().readlink()
    break_it(site, path)
    mark = site.pebble.mark()

    document = site.json("run", "--force", exit_code=1)
    (failed,) = [one for one in document["outcomes"] if one["result"] == "failed"]
    assert failed["step"] == "deploy"
    assert sentence in failed["detail"]
    assert f"version {old.name} is live again" in failed["detail"]
    assert failed["hint"]
    assert (site.served(trusted=True), site.live().readlink()) == (before, old)
    assert [event["to"] for event in events(site, "rolled-back")] == [old.name]
    (new,) = site.issued(mark)

    row = site.status()
    mine = of_mine(row)
    assert (row["healthy"], row["exit"], row["failures"], row["serial"]) == (False, 1, 1, before)
    assert (mine["host"], mine["state"], mine["version"]) == ("web-1", "failed", row["wanted"])
    assert sentence in mine["error"]
    assert row["renewal"]["step"] == "deploy"

    mark = site.pebble.mark()
    if how not in ("missing", "not executable", "world-writable"):  # nothing changed: it waits
        # A minute is within the slack of an hourly timer, so this is the retry of the next run.
        site.json("run", exit_code=1)
        assert site.status()["failures"] == 2
        waiting = site.json("run", exit_code=1)
        assert (waiting["outcomes"], waiting["steps"][0]["reason"]) == ([], "backoff")
    site.script(path, GOOD, "exit 0  # mended")  # a changed file: tried at once, whatever the wait
    site.json("run")
    assert site.served(trusted=True) == new
    assert site.pebble.orders_created(mark) == 0
    assert site.status()["state"] == "verified"


def test_after_the_wait(make_site: SiteFactory) -> None:
    """When the wait is over the hook is called again though nobody touched it, and all is well."""
    site = issued_site(make_site)
    there = site.directory / "database-is-up"
    site.script(site.directory / "mine.sh", f'[ "$1" != deploy ] || [ -e {there} ]')
    mark = site.pebble.mark()
    site.json("run", "--force", exit_code=1)
    there.touch()
    site.age()
    site.json("run")
    assert [site.served(trusted=True)] == site.issued(mark)


def test_deploy_by_hand(make_site: SiteFactory) -> None:
    """`renewer deploy` does not wait."""
    site = issued_site(make_site)
    site.script(site.directory / "mine.sh", "exit 1")
    mark = site.pebble.mark()
    site.json("run", "--force", exit_code=1)
    site.json("run", exit_code=1)
    site.json("deploy", "www", exit_code=1)
    assert len(site.issued(mark)) == 1


def test_not_my_event(make_site: SiteFactory) -> None:
    """Exit code 42 is no failure: the hook has nothing to do with that event."""
    site = issued_site(make_site)
    site.script(site.directory / "mine.sh", GOOD, "exit 42")
    before = site.served()
    site.json("run", "--force")
    assert site.served(trusted=True) != before
    assert site.calls == ["test", "deploy"]
    assert of_mine(site.status())["state"] == "done"


def test_later(make_site: SiteFactory) -> None:
    """Exit code 75: nothing is turned back, no failure is counted, it is pending, and done later."""
    site = issued_site(make_site)
    site.script(site.directory / "mine.sh", "echo 'error: not before tonight'; exit 75")
    before, mark = site.served(), site.pebble.mark()
    document = site.json("run", "--force", exit_code=1)
    assert "waiting" in {one["result"] for one in document["outcomes"]}
    assert site.served(trusted=True) != before
    row = site.status()
    assert (of_mine(row)["state"], row["failures"], row["healthy"]) == ("later", 0, False)
    assert "not before tonight" in of_mine(row)["error"]
    assert events(site, "rolled-back") == []
    site.script(site.directory / "mine.sh", GOOD)
    site.json("run")
    assert site.calls == ["test", "deploy"]
    assert len(site.issued(mark)) == 1


def test_rollback_is_told_to_all(make_site: SiteFactory) -> None:
    """A server that had loaded the new one when another hook failed is told to load the old one again."""
    site = issued_site(make_site)
    site.add_hook("second", '[ "$1" != deploy ]', events=EVENTS)
    site.run()  # pending for the live version: it fails, and there is nothing to turn back to
    (site.directory / "calls").unlink(missing_ok=True)
    site.change(hooks=["nginx", "mine", "second"])
    before = site.served()
    site.cli("run", "--force")
    assert site.calls[-3:] == ["test", "deploy", "rollback"]
    assert site.served(trusted=True) == before


def test_one_of_two(make_site: SiteFactory) -> None:
    """A shared test fails because of one certificate of two: that one is turned back, the other goes on."""
    site = make_site(certificates={"good": {}, "bad": {}})
    site.add_hook("mine", GOOD, events=EVENTS)
    for name in ("good", "bad"):
        site.change(name, hooks=["mine", "nginx"])
    site.run()
    before = {name: site.served(name) for name in ("good", "bad")}
    old = site.live("bad").readlink()
    site.script(
        site.directory / "mine.sh",
        '[ "$1" = test ] || exit 0',
        f'[ "$(readlink {site.live("bad")})" = {old} ] || {{ echo "error: bad"; exit 1; }}',
    )
    mark = site.pebble.mark()
    document = site.json("run", "--force", "--all", exit_code=1)
    results = {(one["certificate"], one["step"]): one["result"] for one in document["outcomes"]}
    assert (results["good", "deploy"], results["bad", "deploy"]) == ("done", "failed")
    assert site.served("good", trusted=True) != before["good"]
    assert site.served("bad", trusted=True) == before["bad"]
    assert site.live("bad").readlink() == old
    assert len(site.issued(mark)) == 2
    site.script(site.directory / "mine.sh", GOOD)
    mark = site.pebble.mark()
    site.json("run")
    assert site.served("bad", trusted=True) != before["bad"]
    assert site.issued(mark) == []


def test_nginx_stopped(make_site: SiteFactory) -> None:
    """With nginx stopped its hook says later: the new one stays live, and is loaded when nginx is back."""
    site = make_site(certificates={"www": {}})
    site.run()
    site.change(endpoints=[])  # looking at a port where nobody listens takes its time
    mark = site.pebble.mark()
    site.json("run", "--force", "--steps", "issue,install", exit_code=1)
    site.stop()
    document = site.json("run", exit_code=1)
    assert [(one["step"], one["result"]) for one in document["outcomes"]] == [("deploy", "waiting")]
    assert "nginx is not running" in document["outcomes"][0]["detail"]
    (new,) = site.issued(mark)
    assert site.live_serial() == new
    assert site.nginx.pid_file.exists() is False
    site.nginx.start()
    site.age()
    assert [one["result"] for one in site.json("run")["outcomes"]] == ["done"]
    assert site.served(trusted=True) == new


def test_first_deployment_fails(make_site: SiteFactory) -> None:
    """There is nothing to turn back to: the first certificate stays live, is served, and the failure told."""
    site = make_site()
    site.add_hook("mine", "exit 1")
    site.change(hooks=["nginx", "mine"])
    mark = site.pebble.mark()
    document = site.json("run", exit_code=1)
    (failed,) = [one for one in document["outcomes"] if one["result"] == "failed"]
    assert "stays live" in failed["detail"]
    assert [site.served(trusted=True)] == site.issued(mark)
    assert site.status()["state"] == "failed"
    site.script(site.directory / "mine.sh", GOOD)
    site.json("run")
    assert len(site.issued(mark)) == 1


def test_server_dies(make_site: SiteFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload that ends the server: its port answered before and no more, so the link is turned back."""
    monkeypatch.setattr(verify, "settle_all", partial(verify.settle_all, within=1.0))
    site = issued_site(make_site)
    site.change(hooks=["mine"])
    site.script(
        site.directory / "mine.sh",
        GOOD,
        f'if [ "$1" = deploy ]; then kill $(cat {site.nginx.pid_file}); fi',
    )
    old = site.live().readlink()
    report = site.run(Limits(force=True))
    (failed,) = [one for one in report.outcomes if one.step == "deploy"]
    assert "answered before the deployment, now it does not" in failed.detail
    assert site.live().readlink() == old
    assert "rollback" in site.calls
    assert report.exit == 1
    site.nginx.stop()
    site.nginx.start()
    assert site.served(trusted=True) == site.live_serial()


def test_copies_go_back_too(make_site: SiteFactory, tmp_path: Path) -> None:
    """When a deployment is turned back, copies are what they were, to the byte."""
    site = issued_site(make_site)
    copy = tmp_path / "copy.pem"
    site.change(copies=[{"fullchain": copy}])
    site.run()
    before = copy.read_bytes()
    site.script(site.directory / "mine.sh", "exit 1")
    site.json("run", "--force", exit_code=1)
    assert copy.read_bytes() == before == site.pair()[1]
