"""The soak's schedule: reproducible, and with everything in it that it promises."""

from tests.soak.schedule import CALLS, KINDS, WAYS, storms
from tests.soak.troubles import _KINDS, _WAYS


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
