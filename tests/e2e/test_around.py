"""Pre and post hooks around real orders: once a run, never without an order, never forgotten."""

import json
import os
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import SiteFactory
from tests.e2e.site import CHECKOUT, Site
from tests.servers.handshake import wait_until

TELL = 'echo "$1 $RENEWER_CERTIFICATES" >> $calls'
AROUND = ["pre", "post"]


def around_site(make_site: SiteFactory, *lines: str, **hook: Any) -> Site:
    """A site with one certificate, and a hook of one's own around its orders."""
    site = make_site()
    site.add_hook("mine", *(lines or (TELL,)), **{"events": AROUND, **hook})
    site.change(hooks=["nginx", "mine"])
    return site


def certbots(site: Site, event: str, text: str, name: str = "") -> Path:
    """A directory of certbot's with one script, and the hook for it."""
    directory = site.directory / f"renewal-hooks/{event}"
    directory.mkdir(parents=True, exist_ok=True)
    site.hooks[name or event] = {"run": directory, "convention": "certbot", "events": [event]}
    site.write_config()
    return site.script(directory / "10-mine", text)


def forget_calls(site: Site) -> None:
    """Begin a new list of calls."""
    (site.directory / "calls").unlink(missing_ok=True)


# --- when they are called ---------------------------------------------------------------------------------


def test_once_around_three_orders(make_site: SiteFactory) -> None:
    """Three are due: pre once before the first order, then deploy, then post once; each is told of all."""
    site = make_site(certificates={"a": {}, "b": {}, "c": {}})
    site.add_hook("mine", TELL, events=["pre", "deploy", "post"])
    for name in ("a", "b", "c"):
        site.change(name, hooks=["nginx", "mine"])

    site.json("run")

    assert [call.split()[0] for call in site.calls] == ["pre", "deploy", "post"]
    assert [sorted(call.split()[1:]) for call in site.calls] == [["a", "b", "c"]] * 3
    names = [event["event"] for event in site.last_events("b")]
    hooked = [e.get("hook_event") for e in site.last_events("b") if e["event"] == "hook-run"]
    assert (hooked[0], hooked[-1]) == ("pre", "post")
    assert names.index("hook-run") < names.index("ordered")


def test_nothing_due_nothing_called(make_site: SiteFactory) -> None:
    """A run without an order calls neither: nothing due, a deployment by hand, a run that may not issue."""
    site = around_site(make_site)
    site.json("run", "--steps", "deploy,look", exit_code=1)
    assert site.calls == []
    site.json("run")
    forget_calls(site)

    site.json("run")
    site.json("deploy", "www")

    assert site.calls == []


def test_only_around_those_that_name_it(make_site: SiteFactory) -> None:
    """An order for a certificate that does not name the hook is none of its business."""
    site = make_site(certificates={"a": {}, "b": {}})
    site.add_hook("mine", TELL, events=AROUND)
    site.change("a", hooks=["nginx", "mine"])
    site.json("run")
    assert site.calls == ["pre a", "post a"]
    forget_calls(site)

    site.json("run", "--only", "b", "--force")

    assert site.calls == []


def test_what_they_are_told(make_site: SiteFactory) -> None:
    """One document on stdin: the names, where they will be live, and at post whether it was renewed."""
    site = around_site(make_site, "cat >> $calls; echo >> $calls")
    site.json("run")

    pre, post = (json.loads(line) for line in site.calls)

    www = {"name": "www", "names": ["www.example.org"], "live": str(site.live())}
    assert (pre["event"], pre["certificates"]) == ("pre", [www | {"renewed": None}])
    assert (post["event"], post["certificates"]) == ("post", [www | {"renewed": True}])


def test_no_hook_of_deployments(make_site: SiteFactory) -> None:
    """A hook that only stands around orders is never pending: not deployed by it, not waited for."""
    site = around_site(make_site)
    site.json("run")

    row = site.status()
    assert [one["hook"] for one in row["deployments"]] == ["nginx"]
    assert (row["state"], row["healthy"]) == ("verified", True)
    assert site.json("plan")["steps"][0]["step"] == "keep"


def test_three_directories_of_certbots(make_site: SiteFactory) -> None:
    """An admin's renewal-hooks/pre, deploy and post, carried over as they are."""
    site = make_site()
    certbots(site, "pre", 'echo "pre" >> $calls')
    certbots(site, "deploy", 'echo "deploy $RENEWED_LINEAGE $RENEWED_DOMAINS" >> $calls; reload')
    certbots(site, "post", 'echo "post [$RENEWED_DOMAINS] [$FAILED_DOMAINS]" >> $calls')
    site.change(hooks=["pre", "deploy", "post"])

    site.json("run")

    assert site.calls == ["pre", f"deploy {site.state}/live/www www.example.org", "post [www.example.org] []"]
    assert site.status()["state"] == "verified"


# --- whatever happens between -----------------------------------------------------------------------------


def test_post_after_a_failed_order(make_site: SiteFactory) -> None:
    """The authority refuses: post is called all the same, and told what failed."""
    site = make_site()
    certbots(site, "post", 'echo "post [$RENEWED_DOMAINS] [$FAILED_DOMAINS]" >> $calls')
    site.change(
        hooks=["post"],
        challenge={"type": "http-01", "webroot": site.directory / "elsewhere", "preflight": "off"},
    )
    (site.directory / "elsewhere").mkdir()

    document = site.json("run", exit_code=1)

    assert [one["result"] for one in document["outcomes"]] == ["failed"]
    assert site.calls == ["post [] [www.example.org]"]


@pytest.mark.parametrize("hooks", [["nginx", "mine"], ["mine"]], ids=["reload", "restart"])
def test_a_server_stopped_for_its_port(make_site: SiteFactory, hooks: list[str]) -> None:
    """Pre stops nginx, our own listener proves control at its port, post starts it: served in one run."""
    site = make_site()
    nginx = site.nginx
    old = nginx.pid
    listen = {"type": "http-01", "listen": f"127.0.0.1:{nginx.http_port}", "preflight": "off"}
    start = " ".join(nginx.command("-g", "'daemon on;'"))
    site.add_hook(
        "mine",
        f"pid={nginx.pid_file}",
        'case "$1" in pre) kill -QUIT $(cat $pid); while [ -e $pid ]; do sleep 0.02; done;;',
        f"post) {start};; esac",
        TELL,
        events=AROUND,
    )
    site.change(hooks=hooks, challenge=listen)
    try:
        document = site.json("run")

        assert site.calls == ["pre www", "post www"]
        assert int(nginx.pid_file.read_text()) != old
        assert site.served(trusted=True) == site.live_serial()
        assert site.status()["state"] == "verified"
        assert document["outcomes"][-1]["result"] == "done"
        called = [event["at"] for event in site.last_events() if event.get("hook") == "mine"]
        down = datetime.fromisoformat(called[1]) - datetime.fromisoformat(called[0])
        assert down < timedelta(seconds=8)  # nobody waits ten seconds for a port that is closed on purpose
    finally:
        if int(nginx.pid_file.read_text()) != old:
            os.kill(int(nginx.pid_file.read_text()), signal.SIGTERM)
            wait_until(lambda: not nginx.pid_file.exists(), what="the end of the nginx that post started")


@pytest.mark.parametrize("times", [1, 2])
def test_told_to_stop(make_site: SiteFactory, times: int) -> None:
    """Ctrl-C while pre works, also twice: post is called before the run ends."""
    site = around_site(
        make_site,
        TELL,
        '[ "$1" = pre ] || exit 0',
        *["kill -TERM $PPID; sleep 0.3"] * times,
    )

    ended = site.cli("run")

    assert ended.code != 0
    assert site.calls == ["pre www", "post www"]
    assert ended.err.count("stopping") == 1
    site.script(site.directory / "mine.sh", TELL)
    site.age()
    site.json("run")
    assert site.status()["state"] == "verified"
    assert site.calls.count("pre www") == site.calls.count("post www")


def test_killed_between(make_site: SiteFactory) -> None:
    """Kill -9 between pre and post: the next run calls post first of all, once, though nothing is due."""
    site = around_site(make_site)
    go = site.directory / "go"
    hold = f"n=0; while [ ! -e {go} ] && [ $n -lt 900 ]; do n=$((n+1)); sleep 0.02; done"
    site.add_hook("slow", TELL, hold)
    site.change(hooks=["nginx", "slow", "mine"])
    run = subprocess.Popen(
        site.argv("run"), cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: "deploy www" in site.calls, what="the deployment", timeout=30)
    finally:
        run.kill()
        run.wait()
        go.touch()
    assert site.calls == ["pre www", "deploy www"]

    site.json("run")

    assert site.calls == ["pre www", "deploy www", "post www", "deploy www"]
    site.json("run")
    assert len(site.calls) == 4


# --- when they fail ---------------------------------------------------------------------------------------


def test_a_failing_pre(make_site: SiteFactory) -> None:
    """Nothing is ordered for those who name it, others go on; told, counted, post called; then mended."""
    site = make_site(certificates={"www": {}, "other": {}})
    site.add_hook("mine", TELL, 'if [ "$1" = pre ]; then echo "error: no way" >&2; exit 1; fi', events=AROUND)
    site.change(hooks=["nginx", "mine"])

    mark = site.pebble.mark()

    document = site.json("run", exit_code=1)

    results = {one["certificate"]: one for one in document["outcomes"]}
    assert results["www"]["result"] == "failed"
    assert results["www"]["detail"] == "hook mine failed at pre (exit code 1): error: no way"
    assert results["other"]["result"] == "done"
    assert site.calls == ["pre www", "post www"]
    assert len(site.issued(mark)) == 1
    row = site.status()
    assert (row["failures"], row["healthy"]) == (1, False)
    assert "no way" in row["last_error"]

    site.script(site.directory / "mine.sh", TELL)
    site.age()
    site.json("run")
    assert site.served(trusted=True) == site.live_serial()


def test_a_pre_that_asks_for_later(make_site: SiteFactory) -> None:
    """Exit code 75 at pre: not now, so nothing is ordered now."""
    site = around_site(make_site, '[ "$1" != pre ] || { echo "backup is running"; exit 75; }')
    mark = site.pebble.mark()

    document = site.json("run", exit_code=1)

    assert "backup is running" in document["outcomes"][0]["detail"]
    assert site.pebble.orders_created(mark) == 0


def test_certbots_failing_pre(make_site: SiteFactory) -> None:
    """Certbot goes on after a pre hook that failed, and so do we for its scripts; the log tells."""
    site = make_site()
    certbots(site, "pre", "echo pre >> $calls; exit 1")
    site.change(hooks=["nginx", "pre"])

    site.json("run")

    assert site.status()["state"] == "verified"
    told = [e for e in site.last_events() if e["event"] == "hook-run" and e["hook"] == "pre"]
    assert [(event["result"], event["code"]) for event in told] == [("failed", 1)]


def test_a_failing_post(make_site: SiteFactory) -> None:
    """Told by exit code, outcome and status, and called again by the next runs until it went well."""
    site = around_site(make_site, TELL, '[ "$1" != post ] || [ -e $calls.fine ]')

    document = site.json("run", exit_code=1)
    assert document["outcomes"][-1]["detail"] == "hook mine failed at post (exit code 1)"
    assert site.served(trusted=True) == site.live_serial()
    for _ in range(2):
        row = site.status()
        assert (row["state"], row["healthy"], row["exit"]) == ("failed", False, 1)
        document = site.json("run", exit_code=1)
        assert [one["result"] for one in document["outcomes"]] == ["failed"]
    Path(f"{site.directory}/calls.fine").touch()

    site.json("run")

    assert site.calls == ["pre www", *["post www"] * 4]
    assert site.status()["state"] == "verified"
    site.json("run")
    assert len(site.calls) == 5


def test_a_post_that_is_taken_out(make_site: SiteFactory) -> None:
    """What the config does not name any more is not owed any more."""
    site = around_site(make_site, "[ $1 != post ]")
    site.json("run", exit_code=1)
    site.hooks.pop("mine")
    site.change(hooks=["nginx"])

    site.json("run")

    assert site.status()["state"] == "verified"


def test_a_stopped_server_is_no_way_around_the_window(make_site: SiteFactory) -> None:
    """What waits for a server is caught up with after post, but not outside the deploy window."""
    site = around_site(make_site)
    site.add_hook("down", "exit 75", events=["test", "deploy"])
    site.change(hooks=["nginx", "mine", "down"])
    site.json("run", exit_code=1)
    first, before = site.served(), len(site.versions())
    begin = datetime.now(UTC) + timedelta(hours=12)
    site.change(deploy_window=f"{begin:%H:%M}-{begin + timedelta(hours=1):%H:%M} UTC")

    site.json("run", "--only", "www", "--force", exit_code=1)

    assert len(site.versions()) == before + 1
    assert (site.served(), site.live_serial()) == (first, first)
