"""kill -9 at every mutation and at random moments of real runs: the next run finishes the job."""

import os
import random
import time

import pytest

from tests.e2e.broken import Case, Ground, every

CHUNKS = 8
RANDOM = 30
SEED = int(os.environ.get("RENEWER_TEST_SEED") or random.SystemRandom().randrange(2**32))


@pytest.mark.parametrize("chunk", range(1, CHUNKS + 1))
def test_kill_at_every_mutation(ground: Ground, chunk: int) -> None:
    """Killed before the n-th mutation of its issuance and of its renewal, for every n: all is well again."""

    def killed(number: int) -> bool:
        case = ground.case()
        first = _killed_at(case, number, f"issuance killed at {number}")
        case.site.make_due()
        return _killed_at(case, number, f"renewal killed at {number}", "--ask") or first

    assert every(chunk, CHUNKS, killed) > 100


def _killed_at(case: Case, number: int, what: str, *arguments: str) -> bool:
    with case.renewal(what, *arguments):
        return case.run(*arguments, fault="kill", at=number).killed


@pytest.mark.parametrize("number", range(3))
def test_kill_at_random_moments(ground: Ground, number: int) -> None:
    """Killed at thirty moments of no choice of ours (in three tests): all is well again."""
    seed = f"{SEED} {number}"
    print(f"RENEWER_TEST_SEED={SEED}")  # noqa: T201  so that a failure can be had again
    dice = random.Random(seed)  # noqa: S311  moments are no secrets
    started = time.monotonic()
    ground.case().run()
    length = time.monotonic() - started
    for _ in range(RANDOM // 3 // 2):
        case = ground.case()
        for arguments in ((), ("--ask",)):
            moment = dice.uniform(0.001, length)
            if arguments:
                case.site.make_due()
            with case.renewal(f"seed {seed}, killed after {moment:.4f} s", *arguments):
                case.run(*arguments, after=moment)
