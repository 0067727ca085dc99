"""HTTP-01 by a program of the operator's: called as promised, trusted as little as a hook."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from renewer.errors import GiveUp, OurFault, RetryLater
from renewer.issue.solvers import solver_for, sweep
from renewer.model.desired import Convention, Http01, Preflight
from renewer.provisioning import script as room
from renewer.provisioning.script import ScriptSolver
from tests.challenges.tasks import TOKEN, task

Make = Callable[..., ScriptSolver]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a solver whose program is a piece of sh; `$calls` is a file to write to."""

    def making(*lines: str, mode: int = 0o755) -> ScriptSolver:
        path = tmp_path / "program"
        path.write_text("\n".join(("#!/bin/sh", f"calls={tmp_path}/calls", *lines, "")))
        path.chmod(mode)
        one = solver_for(Http01(script=(str(path), "--verbose"), preflight=Preflight.OFF))
        assert isinstance(one, ScriptSolver)
        return one

    return making


def test_it_is_told_everything(make: Make, tmp_path: Path) -> None:
    """The event is its last argument and in the environment, the challenges of a certificate come at once."""
    solver = make('echo "$@" $RENEWER_EVENT $RENEWER_CERTIFICATE >>$calls', "cat >>$calls", "echo >>$calls")
    one, other = task(name="a.example.org"), task(token=TOKEN[::-1], name="192.0.2.7")
    solver.prepare([one, other])
    presented = solver.present_all([one, other])
    assert [shown.where for shown in presented] == [
        f"{tmp_path}/program for a.example.org",
        f"{tmp_path}/program for 192.0.2.7",
    ]
    solver.wait(presented, lambda _: None)
    assert solver.clean_up_all([one, other]) == []
    solver.close()
    first, document, second, cleaning = (tmp_path / "calls").read_text().splitlines()
    assert (first, second) == ("--verbose present present www", "--verbose clean_up clean_up www")
    told = json.loads(document)
    assert (told["schema"], told["event"], told["certificate"]) == (1, "present", "www")
    assert told["challenges"][0] == {
        "identifier": "a.example.org",
        "token": TOKEN,
        "path": f"/.well-known/acme-challenge/{TOKEN}",
        "key_authorization": one.key_authorization,
    }
    assert json.loads(cleaning) == {**told, "event": "clean_up"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("echo it is broken >&2", "exit 3"), r"failed \(exit code 3\) at present: it is broken"),
        (("echo busy", "exit 75"), "asks to be called later at present: busy"),
        (("sleep 30",), r"did not end within 0\.3 s and was ended at present"),
    ],
)
def test_failures(make: Make, monkeypatch: pytest.MonkeyPatch, lines: tuple[str, ...], said: str) -> None:
    """Every way to fail is told with the program's own words, and tried again later; it is always cleaned."""
    monkeypatch.setattr(room, "TIME_LIMIT", 0.3)
    solver = make(*lines)
    with pytest.raises(RetryLater, match=said):
        solver.present(task())
    debris = solver.clean_up(task())
    assert debris is not None
    assert debris.where.endswith(f"/program {TOKEN}")


def test_what_is_not_safe_is_not_run(make: Make, tmp_path: Path) -> None:
    """The checks of hooks: who may change the program would act as us; nor is it run to clean up."""
    solver = make("echo run >>$calls", mode=0o777)
    with pytest.raises(GiveUp, match="can be written to by everybody"):
        solver.present(task())
    assert solver.clean_up(task()) is None
    debris = solver.debris_of(task())
    assert debris is not None
    assert not solver.sweep(debris)
    assert not (tmp_path / "calls").exists()
    missing = ScriptSolver(["/nowhere/at/all"], preflight=solver._preflight)
    with pytest.raises(GiveUp, match="does not exist"):
        missing.present(task())


def test_a_token_that_is_none(make: Make, tmp_path: Path) -> None:
    """What RFC 8555 §8.3 does not allow reaches no program."""
    solver = make("echo run >>$calls")
    with pytest.raises(OurFault):
        solver.present(task("../../etc"))
    assert solver.clean_up(task("../../etc")) is None
    assert solver.debris_of(task("../../etc")) is None
    assert not (tmp_path / "calls").exists()


def test_after_a_run_that_was_killed(make: Make, tmp_path: Path) -> None:
    """The next run has the program clean up the token, without the key authorization that nobody knows."""
    solver = make("cat >>$calls")
    debris = solver.debris_of(task(name="a.example.org"))
    assert debris is not None
    assert sweep(debris, [solver])
    (left,) = json.loads((tmp_path / "calls").read_text())["challenges"]
    assert (left["identifier"], left["token"], left["key_authorization"]) == ("a.example.org", TOKEN, "")
    assert not sweep(debris, [make("exit 1")])


def test_records_of_others_are_none_of_its_business(make: Make, tmp_path: Path) -> None:
    """A record of another program, or with a token that is none, runs nothing."""
    import msgspec

    solver = make("cat >>$calls")
    debris = solver.debris_of(task())
    assert debris is not None
    for where in (f"/other {TOKEN}", f"{tmp_path}/program ../x", "x"):
        assert solver.sweep(msgspec.structs.replace(debris, where=where))
    assert solver.sweep(msgspec.structs.replace(debris, what="http-01 file"))
    assert not (tmp_path / "calls").exists()


# --- certbot's convention -----------------------------------------------------------------------------------


def certbots(tmp_path: Path, auth: str, cleanup: str | None = None) -> ScriptSolver:
    """A solver whose two programs are pieces of sh for certbot; `$calls` is a file to write to."""
    argv = {}
    for name, text in (("auth", auth), ("cleanup", cleanup)):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\ncalls={tmp_path}/calls\n{text or ''}\n")
        path.chmod(0o755)
        argv[name] = (str(path), "-v") if text is not None else ()
    challenge = Http01(
        script=argv["auth"],
        cleanup=argv["cleanup"],
        convention=Convention.CERTBOT,
        preflight=Preflight.OFF,
    )
    one = solver_for(challenge)
    assert isinstance(one, ScriptSolver)
    return one


SAY = 'echo "$* $CERTBOT_DOMAIN $CERTBOT_TOKEN $CERTBOT_VALIDATION $CERTBOT_ALL_DOMAINS'
SAY += ' $CERTBOT_REMAINING_CHALLENGES [${CERTBOT_AUTH_OUTPUT-unset}]" >>$calls; cat >>$calls'


def test_as_certbot_calls_its_manual_hooks(tmp_path: Path) -> None:
    """Once a name, without a document, by variables alone; the other hears what the first one said."""
    solver = certbots(tmp_path, f'{SAY}; echo "made for $CERTBOT_DOMAIN"; echo noise >&2', SAY)
    one, other = task(name="a.example.org"), task(token=TOKEN[::-1], name="192.0.2.7")
    solver.present_all([one, other])
    assert solver.clean_up_all([one, other]) == []
    everybody = "a.example.org,192.0.2.7"
    assert (tmp_path / "calls").read_text().splitlines() == [
        f"-v a.example.org {TOKEN} {one.key_authorization} {everybody} 1 [unset]",
        f"-v 192.0.2.7 {TOKEN[::-1]} {other.key_authorization} {everybody} 0 [unset]",
        f"-v a.example.org {TOKEN} {one.key_authorization} {everybody} 1 [made for a.example.org]",
        f"-v 192.0.2.7 {TOKEN[::-1]} {other.key_authorization} {everybody} 0 [made for 192.0.2.7]",
    ]


def test_certbots_programs_that_fail(tmp_path: Path) -> None:
    """The first failure of the one ends it, with its own words; cleaning goes on and is tried again later."""
    auth = "echo no such bucket >&2; echo x >>$calls; exit 75"
    cleanup = 'echo "$CERTBOT_DOMAIN" >>$calls; [ $CERTBOT_DOMAIN != a.example.org ]'
    solver = certbots(tmp_path, auth, cleanup)
    one, other = task(name="a.example.org"), task(token=TOKEN[::-1], name="b.example.org")
    with pytest.raises(RetryLater, match=r"auth failed \(exit code 75.*at present: no such bucket"):
        solver.present_all([one, other])
    left = solver.clean_up_all([one, other])
    assert (tmp_path / "calls").read_text().split() == ["x", "a.example.org", "b.example.org"]
    assert [debris.detail.partition(":")[0] for debris in left] == ["a.example.org", "b.example.org"]
    assert not solver.sweep(left[0])
    assert solver.sweep(left[1])


def test_certbots_way_without_cleanup(tmp_path: Path) -> None:
    """Nothing is called afterwards, and nothing is left on record that nobody could take away."""
    solver = certbots(tmp_path, "echo made >>$calls")
    assert solver.debris_of(task()) is None
    solver.present_all([task()])
    assert solver.clean_up_all([task()]) == []
    assert (tmp_path / "calls").read_text() == "made\n"


def test_a_cleanup_that_others_could_change_is_not_run(tmp_path: Path) -> None:
    """It is looked at before anything is ordered, as the other one."""
    solver = certbots(tmp_path, "true", "true")
    (tmp_path / "cleanup").chmod(0o777)
    with pytest.raises(GiveUp, match="cleanup"):
        solver.ready([])
