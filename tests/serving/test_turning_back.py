"""When a deployment is turned back, and when it no longer is."""

from datetime import timedelta

import pytest

from renewer.model.decision import Result
from renewer.model.facts import DeploymentState
from tests.serving.bed import Bed

LOG = 'echo "${0##*/} $1" >>$calls'


def state_of(bed: Bed, hook: str) -> str:
    """How a hook stands to what it was last told of."""
    return next(str(one["state"]) for one in bed.status()["deployments"] if one["hook"] == hook)


def old_is_live(bed: Bed) -> str:
    """A shell condition: the version whose link text stands in the file `old` is live."""
    return f'[ "$(readlink {bed.live()})" = "$(cat {bed.directory}/old)" ]'


def test_a_hook_that_is_not_required_turns_nothing_back(bed: Bed) -> None:
    """Its failure is told and exit 1, the new certificate stays, and the hook is called again."""
    bed.hook("web", LOG)
    bed.hook("chat", LOG, "exit 1", required=False)
    bed.certificate(hooks=["web", "chat"])
    old, new = bed.renewed()

    report = bed.run()

    assert report.exit == 1
    assert bed.live().readlink().name == new.id
    (outcome,) = [one for one in report.outcomes if one.result is Result.FAILED]
    assert "chat failed at test" in outcome.detail
    assert state_of(bed, "web") == DeploymentState.DONE
    assert state_of(bed, "chat") == DeploymentState.FAILED
    row = bed.status()
    assert row["exit"] == 1
    assert "chat" in row["why"]
    assert row["deploy_pending"] is False
    assert bed.calls.count("web.sh deploy") == 1

    bed.hook("chat", LOG, required=False)
    bed.clock.forward(timedelta(minutes=5))
    assert bed.run().exit == 0
    assert bed.calls.count("web.sh deploy") == 1  # who has done it is left alone
    assert state_of(bed, "chat") == DeploymentState.DONE
    assert old.id != new.id


@pytest.mark.parametrize("event", ["test", "deploy"])
def test_an_optional_hook_beside_a_required_one_that_fails(bed: Bed, event: str) -> None:
    """Only the required one turns back, and both are told."""
    bed.hook("web", LOG, f'[ "$1" != {event} ]')
    bed.hook("chat", LOG, "exit 1", required=False)
    bed.certificate(hooks=["chat", "web"])
    if event == "test":  # one that passes with the former files
        bed.hook("web", LOG, f"{old_is_live(bed)} || exit 1")
    old, _ = bed.renewed()
    (bed.directory / "old").write_text(f"versions/{old.id}")

    report = bed.run()

    assert report.exit == 1
    assert bed.live().readlink().name == old.id
    assert state_of(bed, "web") == DeploymentState.FAILED


@pytest.mark.parametrize("event", ["deploy", "test"])
def test_in_the_last_two_wakes_a_failing_hook_turns_nothing_back(bed: Bed, event: str) -> None:
    """A hook that always fails keeps the renewal back at first, and no longer when the end is near."""
    bed.hook("web", LOG)
    bed.hook("chat", LOG, f'[ "$1" = {event} ] && exit 1', "exit 0")
    bed.certificate(hooks=["web", "chat"])
    old, new = bed.renewed(days=3)

    assert bed.run().exit == 3  # a renewal that is so late needs a person
    assert bed.live().readlink().name == old.id
    bed.clock.reach(old.leaf.not_after - timedelta(minutes=100))
    assert bed.run().exit != 0

    assert bed.live().readlink().name == new.id
    assert "web.sh deploy" in bed.calls


def test_the_wait_ends_when_the_last_two_wakes_begin(bed: Bed) -> None:
    """A deployment that failed minutes before is tried again at once, for now it need not be turned back."""
    bed.tables["agent"]["wake"] = "5m"
    bed.hook("web", LOG, '[ "$1" = deploy ] && exit 1', "exit 0")
    bed.certificate(hooks=["web"])
    old, new = bed.renewed(days=3)
    bed.clock.reach(old.leaf.not_after - timedelta(minutes=25))
    bed.run()
    assert bed.live().readlink().name == old.id

    bed.clock.reach(old.leaf.not_after - timedelta(minutes=9))
    bed.run()

    assert bed.live().readlink().name == new.id


def test_a_test_that_fails_with_the_new_only_turns_back_to_the_end(bed: Bed) -> None:
    """With the former files the server would start, with the new ones it would not: the former stay."""
    bed.certificate(hooks=["web"])
    old, _ = bed.renewed(days=3)
    (bed.directory / "old").write_text(f"versions/{old.id}")
    bed.hook("web", LOG, '[ "$1" = test ] || exit 0', old_is_live(bed))
    bed.clock.reach(old.leaf.not_after - timedelta(minutes=30))

    bed.run()

    assert bed.live().readlink().name == old.id
    assert "web.sh deploy" not in bed.calls


def test_a_test_that_fails_anyway_turns_back_while_there_is_time(bed: Bed) -> None:
    """What a test that names nobody fails at was so before: the former stays live until its end is near."""
    bed.certificate(hooks=["web"])
    old, new = bed.renewed(days=3)
    bed.hook("web", LOG, '[ "$1" = test ] && { echo "nginx: line 3: oh no" >&2; exit 1; }', "exit 0")

    report = bed.run()

    assert bed.live().readlink().name == old.id
    assert "it fails with what was live before as well" in report.outcomes[0].detail
    bed.clock.reach(old.leaf.not_after - timedelta(minutes=90))
    bed.run()
    assert bed.live().readlink().name == new.id
    assert "web.sh deploy" not in bed.calls


def test_whom_a_test_names_is_to_blame(bed: Bed) -> None:
    """A neighbour's broken file is the neighbour's trouble: the renewal waits for the server and is live."""
    said = f"cannot load {bed.state}/certificates/shop/live/fullchain.pem: no start line"
    bed.hook("web", LOG)
    bed.certificate("www", hooks=["web"])
    bed.certificate("shop", hooks=["web"])
    _, new = bed.renewed("www")
    bed.put(bed.root.issue("shop.example.org"), "shop", live=True)
    assert bed.run("shop").exit == 0
    bed.hook("web", LOG, f'[ "$1" = test ] && {{ echo "{said}" >&2; exit 1; }}', "exit 0")

    report = bed.run("www")

    assert bed.live().readlink().name == new.id
    (outcome,) = [one for one in report.outcomes if one.certificate == "www"]
    assert outcome.result is Result.WAITING
    assert "because of shop" in outcome.detail
    assert bed.status("shop")["exit"] == 1
    assert "no start line" in bed.status("shop")["why"]

    bed.hook("web", LOG)
    assert bed.run().exit == 0


def test_a_rollback_that_fails_is_told(bed: Bed) -> None:
    """The link is the old one's again, and what the server has loaded is not known: both are said."""
    bed.certificate(hooks=["web"])
    old, _ = bed.renewed()
    bed.hook("web", LOG, '[ "$1" = test ]')

    report = bed.run()

    assert bed.live().readlink().name == old.id
    assert "may not have gone back" in report.outcomes[0].detail


def test_required_is_not_for_pre(bed: Bed) -> None:
    """The order behind a pre hook relies on it: a clear error, nothing is done."""
    bed.hook("stop", "exit 0", events=["pre"], required=False)
    bed.certificate(hooks=["stop"])

    ended = bed.cli("run")

    assert ended.code == 2
    assert "hook.stop.required" in ended.err + ended.out
    assert "always required" in ended.err + ended.out
    assert not bed.state.exists()
