"""Two minutes of the soak, with fixed seeds; its schedule is reproducible, and its oracle can say no."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.soak.oracle import FALSE_GREEN, Oracle, ViolationError
from tests.soak.runs import CHECKOUT, Ran
from tests.soak.schedule import CALLS, KINDS, WAYS, storms
from tests.soak.times import InjectedClock
from tests.soak.troubles import _KINDS, _WAYS
from tests.soak.world import DOMAIN, MONTHS, World

_LIMIT = 900  # seconds: the calm at the end comes on top, and other tests are at work


@pytest.mark.real
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--seed", "11", "--minutes", "0.7"), id="the real clock"),
        pytest.param(("--seed", "12", "--minutes", "1.3", "--months", "12"), id="an injected clock"),
    ],
)
def test_agent_lives_through_storms(arguments: tuple[str, ...]) -> None:
    """Kills and troubles at random: nothing that must not be is seen, and all is well when all is mended."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.soak", *arguments],
        capture_output=True,
        text=True,
        timeout=_LIMIT,
        check=False,
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "violations 0" in ended.stdout
    assert ended.stderr == ""  # quiet where nobody looks on


def test_seed_tells_the_same_story_again() -> None:
    """The schedule comes from the seed alone, and another seed has another one."""

    def story(seed: int) -> list[object]:
        told = storms(seed, short_life=24, injected=True)
        return [next(told) for _ in range(20)]

    assert story(1) == story(1)
    assert story(1) != story(2)


def test_every_kind_of_trouble_comes_up() -> None:
    """No kind is only on paper, no call and no way to answer it is left out."""
    told = storms(1, short_life=24, injected=True)
    troubles = [one for _ in range(300) for turn in next(told).turns for one in turn.begins]
    assert {one.kind for one in troubles} == set(KINDS) == set(_KINDS)
    answers = [one for one in troubles if one.kind == "answer"]
    assert {one.pick(1, CALLS) for one in answers} == set(CALLS)
    assert {one.pick(2, WAYS) for one in answers} == set(WAYS) == set(_WAYS)


@pytest.mark.real
def test_oracle_sees_what_is_wrong(tmp_path: Path) -> None:
    """An oracle that never says no proves nothing: each law is broken once, and it says so."""
    with World(tmp_path / "world", InjectedClock(), MONTHS) as world:
        oracle = Oracle(world)
        assert "none of an authority's" in oracle.look("www").wrong  # the placeholder
        assert [world.run_once("run").code for _ in range(2)][-1] == 0
        assert [oracle.look(name).wrong for name in world.wishes] == [""] * 4
        _see_files(world, oracle)
        _see_ports(world, oracle)
        _see_orders(world, oracle)


def _see_files(world: World, oracle: Oracle) -> None:
    oracle.files()
    oracle.debris()
    key = world.live("www") / "privkey.pem"
    key.chmod(0o640)
    with pytest.raises(ViolationError, match="holds a private key, and its mode is 640"):
        oracle.files()
    key.chmod(0o600)
    other = (world.live("api") / "privkey.pem").read_bytes()
    ours = key.read_bytes()
    key.write_bytes(other)
    assert "do not fit" in oracle.unfit("www")
    key.write_bytes(ours)
    assert oracle.unfit("www") == ""
    (world.copies / ".shop.pem.new").touch()
    with pytest.raises(ViolationError, match="left behind"):
        oracle.debris()


def _see_ports(world: World, oracle: Oracle) -> None:
    row = {"healthy": True}
    world.wishes["www"].names.append(f"more.{DOMAIN}")
    sight = oracle.look("www")
    assert "for the names www" in sight.wrong
    oracle.memory["www"].well = True
    with pytest.raises(ViolationError, match="was well, nothing concerned it"):
        oracle.neighbours("www", sight)
    for _ in range(FALSE_GREEN):
        world.clock.forward(world.pace.wake)
        oracle.green("www", sight, row, 0)
    world.clock.forward(world.pace.wake)
    with pytest.raises(ViolationError, match="false green"):
        oracle.green("www", sight, row, 0)
    world.wishes["www"].names.pop()
    assert oracle.look("www").wrong == ""
    world.clock.forward(world.pace.lives[0] * 0.95)
    assert "should have been renewed" in oracle.overdue("www", oracle.look("www"))
    world.clock.forward(world.pace.settled * 3)
    oracle.memory["www"].runs_helped = 100
    with pytest.raises(ViolationError, match="an authority would have issued"):
        oracle.expired("www", oracle.look("www"))


def _see_orders(world: World, oracle: Oracle) -> None:
    oracle.orders()
    server = world.authorities["a"]
    usual = next(order for order in server.orders if world.wishes["shop"].first in order.names)
    server.orders += [replace(usual, at=world.clock.now()) for _ in range(200)]
    with pytest.raises(ViolationError, match="orders at a within"):
        oracle.orders()
    for said in ("Traceback (most recent call last)", "this is a defect of this program"):
        with pytest.raises(ViolationError, match="defect"):
            oracle.runs([Ran(["--config", "x", "run"], 1, "", said, 0.1)], broken_config=False)
    with pytest.raises(ViolationError, match="exits 70"):
        oracle.runs([Ran(["--config", "x", "run"], 70, "", "", 0.1)], broken_config=False)
    with pytest.raises(ViolationError, match="did not end"):
        oracle.runs([Ran(["--config", "x", "run"], -9, "", "", 200, hung=True)], broken_config=False)
