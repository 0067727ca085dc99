"""kill -9 of real runs between pre and post: whatever pre stopped, a later run calls post for it."""

from tests.e2e.broken import Ground

TELL = 'echo "$1 $RENEWER_CERTIFICATES" >> $calls'
STRIDE = 9  # of a run's mutations, every ninth is tried


def test_killed_at_every_so_many_mutations(ground: Ground) -> None:
    """Wherever a run is killed: when all is well again, post was called last, and nobody owes it."""
    number, killed = 1, 0
    while True:
        case = ground.case()
        case.site.add_hook("mine", TELL, events=["pre", "post"])
        case.site.change(hooks=["nginx", "mine"])
        with case.renewal(f"killed at {number}"):
            struck = case.run(fault="kill", at=number).killed
            called = case.site.calls
        if "pre www" in called and "post www" not in called:
            killed += 1
        assert case.site.calls[-1] == "post www", f"killed at {number}: {case.site.calls}"
        length = len(case.site.calls)
        case.run()
        assert len(case.site.calls) == length, f"killed at {number}: {case.site.calls}"
        if not struck:
            break
        number += STRIDE
    assert killed > 3
