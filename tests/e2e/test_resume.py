"""A fault at every mutation of real runs: the runs that follow finish the job, and order nothing twice."""

import pytest

from tests.e2e.broken import Case, Ground, every

CHUNKS = 8


@pytest.mark.parametrize("chunk", range(1, CHUNKS + 1))
def test_fault_at_every_mutation(ground: Ground, chunk: int) -> None:
    """The n-th mutation of its issuance and of its renewal fails, for every n: all is well again.

    A file or the ledger: the disk is full. A request: it does not arrive, or its answer is lost. A hook: it
    cannot be started, or its end is not seen. For an odd n all of that kind fail from then on.
    """
    fault = "fail-on" if chunk % 2 else "fail"

    def failed(number: int) -> bool:
        case = ground.case()
        first = _failed_at(case, number, fault, f"issuance: {fault} {number}")
        case.site.make_due()
        return _failed_at(case, number, fault, f"renewal: {fault} {number}", "--ask") or first

    assert every(chunk, CHUNKS, failed) > 100


def _failed_at(case: Case, number: int, fault: str, what: str, *arguments: str) -> bool:
    with case.renewal(what, *arguments):
        return case.run(*arguments, fault=fault, at=number).struck
