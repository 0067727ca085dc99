"""Scripts written for certbot, called as certbot calls them: a whole directory, and pre and post."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from renewer import hooks
from renewer.hooks import HookCertificate, HookOrder, HookResult, HookVerdict
from renewer.model.desired import CERTBOT_EVENTS, Convention, Hook, HookEvent

RENEWED = HookOrder(name="www", names=("example.org", "*.example.org"), live="/live/www", renewed=True)
FAILED = HookOrder(name="mail", names=("mail.example.org",), live="/live/mail", renewed=False)


def certificate(name: str) -> HookCertificate:
    """A certificate as a hook hears of it."""
    return HookCertificate(
        name=name,
        names=(f"{name}.example.org",),
        version="20261122T093300Z-1a2b3c4d",
        live=f"/live/{name}",
        privkey=f"/live/{name}/privkey.pem",
        cert=f"/live/{name}/cert.pem",
        chain=f"/live/{name}/chain.pem",
        fullchain=f"/live/{name}/fullchain.pem",
        previous=None,
        not_after=datetime(2027, 2, 20, 9, 33, tzinfo=UTC),
        serial="1a2b3c4d5e",
    )


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory such as /etc/letsencrypt/renewal-hooks/deploy."""
    path = tmp_path / "deploy"
    path.mkdir()
    return path


@pytest.fixture
def put(directory: Path) -> Callable[..., Path]:
    """Writes a script of a few words of shell into the directory."""

    def write(name: str, text: str = 'echo "$0"', mode: int = 0o755) -> Path:
        path = directory / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(mode)
        return path

    return write


def hook(directory: Path, *events: HookEvent, timeout: float = 60.0) -> Hook:
    """The hook that runs the directory."""
    return Hook(
        name="all",
        run=str(directory),
        shipped=False,
        convention=Convention.CERTBOT,
        events=events or (HookEvent.DEPLOY,),
        timeout=timeout,
    )


def deploy(directory: Path, *names: str, timeout: float = 60.0) -> tuple[HookResult, ...]:
    """Run it after a deployment."""
    told = [certificate(name) for name in names or ("www",)]
    return hooks.run(hook(directory, timeout=timeout), HookEvent.DEPLOY, told, host="web-1", run_id="r")


def around(directory: Path, event: HookEvent, *orders: HookOrder) -> HookResult:
    """Run it around orders."""
    one = hook(directory, *CERTBOT_EVENTS)
    return hooks.around(one, event, orders or (RENEWED, FAILED), host="web-1", run_id="r")


def started(result: HookResult) -> list[str]:
    """The names of the scripts that ran, in their order."""
    return [line.split(":")[0].rpartition("/")[2] for line in result.output.splitlines() if "== /" in line]


# --- which of its files are run ---------------------------------------------------------------------------


def test_certbots_own_rule(put: Callable[..., Path], directory: Path) -> None:
    """As certbot's list_hooks: executable files in sorted order, not those that end in ~; dot-files, too."""
    for name in ("20-mail", "10-web", "1-first", ".hidden", "web.sh~"):
        put(name)
    put("README", mode=0o644)
    (directory / "drawer").mkdir()
    (directory / "30-link").symlink_to(directory / "10-web")
    (directory / "40-dangling").symlink_to(directory / "gone")

    (result,) = deploy(directory)

    assert started(result) == [".hidden", "1-first", "10-web", "20-mail", "30-link"]
    assert (result.verdict, result.code, result.error) == (HookVerdict.DONE, 0, None)


def test_an_empty_directory_is_done(directory: Path) -> None:
    """Certbot lays these directories empty: nothing to run is nothing amiss."""
    assert [one.verdict for one in deploy(directory)] == [HookVerdict.DONE]


def test_called_as_certbot_calls(put: Callable[..., Path], directory: Path) -> None:
    """Every script, once for each certificate, without argument or stdin, with certbot's two variables."""
    for name in ("a", "b"):
        put(name, 'echo "$# $RENEWED_LINEAGE $RENEWED_DOMAINS"; cat')

    www, mail = deploy(directory, "www", "mail")

    assert [line for line in www.output.splitlines() if "==" not in line] == [
        "0 /live/www www.example.org",
        "0 /live/www www.example.org",
    ]
    assert mail.output.count("0 /live/mail mail.example.org\n") == 2
    assert (www.certificates, mail.certificates) == (("www",), ("mail",))


# --- when one fails ---------------------------------------------------------------------------------------


def test_one_that_fails_keeps_nobody_from_running(put: Callable[..., Path], directory: Path) -> None:
    """The others run; the hook has failed, and says which script did and what it said."""
    put("10-a")
    path = put("20-b", "echo half way; echo 'error: no such server' >&2; exit 3")
    put("30-c")

    (result,) = deploy(directory)

    assert started(result) == ["10-a", "20-b", "30-c"]
    assert (result.verdict, result.code) == (HookVerdict.FAILED, 3)
    assert result.error == f"hook all: {path} failed at deploy (exit code 3): error: no such server"
    assert f"== {path}: exit code 3\nhalf way\nerror: no such server\n" in result.output


def test_several_that_fail_are_all_named(put: Callable[..., Path], directory: Path) -> None:
    """One that cannot be started, one that is killed, one that hangs: each with its reason."""
    put("10-text").write_bytes(b"\0\1\2")
    put("20-killed", "kill -9 $$")
    put("30-hangs", "sleep 300")
    put("40-well")

    for limit in (0.3, 3.0, 30.0):  # so many seconds that the others can do what they do
        (result,) = deploy(directory, timeout=limit)
        if started(result)[-1] == "40-well" and "SIGKILL" in (result.error or ""):
            break

    cannot, killed, hangs = (result.error or "").split("; hook all: ")
    assert cannot == (
        f"hook all: {directory}/10-text cannot be started: it is no program and no script; "
        "begin it with a line like #!/bin/sh"
    )
    assert killed == f"{directory}/20-killed failed at deploy (exit code 137, SIGKILL)"
    assert hangs == f"{directory}/30-hangs did not end its deploy within {limit:g} s and was ended"
    assert started(result)[-1] == "40-well"
    assert (result.verdict, result.code) == (HookVerdict.FAILED, None)


@pytest.mark.slow
def test_each_script_has_the_whole_time(put: Callable[..., Path], directory: Path) -> None:
    """The time limit is each script's own."""
    for name in ("a", "b", "c"):
        put(name, "sleep 4")

    (result,) = deploy(directory, timeout=10)

    assert result.verdict is HookVerdict.DONE
    assert result.took_ms >= 12_000


def test_a_flood_is_bounded(put: Callable[..., Path], directory: Path) -> None:
    """However much they say together, what is kept is bounded."""
    for name in "abcd":
        put(name, "head -c 60000 /dev/zero | tr '\\0' x")

    (result,) = deploy(directory)

    assert len(result.output) < 70_000


# --- what is not run --------------------------------------------------------------------------------------


def test_what_others_can_change_is_not_run(put: Callable[..., Path], directory: Path, tmp_path: Path) -> None:
    """A script or a directory that others may write to: nothing of it runs, and the sentence says why."""
    put("10-a", f"touch {tmp_path}/called")
    path = put("20-b", mode=0o775)

    (result,) = deploy(directory)
    assert (result.verdict, result.code) == (HookVerdict.FAILED, None)
    assert f"{path} can be written to by the group" in (result.error or "")
    path.chmod(0o755)
    for mode in (0o777, 0o775, 0o1777):
        directory.chmod(mode)
        (result,) = deploy(directory)
        assert f"{directory} can be written to by" in (result.error or "")
        assert f"chmod go-w {directory}" in (result.error or "")
    assert not (tmp_path / "called").exists()
    directory.chmod(0o755)
    assert [one.verdict for one in deploy(directory)] == [HookVerdict.DONE]


def test_a_missing_directory_is_told(directory: Path) -> None:
    """A hook whose directory is gone has failed in words that say what to do."""
    directory.rmdir()

    (result,) = deploy(directory)

    assert result.error == (
        f"hook all: {directory} does not exist; correct `run` in [hook.all] or put the program there"
    )


def test_a_directory_for_our_own_convention_is_none(directory: Path) -> None:
    """Only certbot's scripts are run from a directory: ours would all have to hear of every event."""
    ours = Hook(name="all", run=str(directory), shipped=False)

    assert hooks.problem(ours) == f"{directory} is not a file; name the program that is to be run"


# --- has it changed? --------------------------------------------------------------------------------------


def test_the_fingerprint_follows_every_script(put: Callable[..., Path], directory: Path) -> None:
    """A script changed, added, taken away, renamed or switched off: the hook is another one."""
    path = put("10-a")
    seen = [hooks.fingerprint(hook(directory))]

    def changed() -> None:
        seen.append(hooks.fingerprint(hook(directory)))

    assert hooks.fingerprint(hook(directory)) == seen[0]
    put("README", mode=0o644)
    assert hooks.fingerprint(hook(directory)) == seen[0]
    put("20-b")
    changed()
    os.utime(path, ns=(1, 1))
    changed()
    path.rename(directory / "15-a")
    changed()
    (directory / "20-b").chmod(0o644)
    changed()
    (directory / "15-a").unlink()
    changed()
    directory.rename(directory.with_name("other"))
    changed()
    assert len(set(seen)) == len(seen)


# --- pre and post -----------------------------------------------------------------------------------------


def test_pre_is_told_nothing(put: Callable[..., Path], directory: Path) -> None:
    """As with certbot: no argument, no stdin, none of its variables."""
    put("10-a", 'echo "$# ${RENEWED_DOMAINS-unset} ${RENEWED_LINEAGE-unset}"; cat')

    assert "0 unset unset\n" in around(directory, HookEvent.PRE).output


def test_post_is_told_who_was_renewed(put: Callable[..., Path], directory: Path) -> None:
    """As with certbot: once, the names of what was renewed and of what failed, each set though empty."""
    put("10-a", 'echo "$# [$RENEWED_DOMAINS] [$FAILED_DOMAINS] ${RENEWED_LINEAGE-unset}"')

    said = "[example.org *.example.org] [mail.example.org] unset\n"
    assert f"0 {said}" in around(directory, HookEvent.POST).output
    assert "0 [] [mail.example.org] unset\n" in around(directory, HookEvent.POST, FAILED).output


def test_names_beyond_certbots_bound_are_cut(put: Callable[..., Path], directory: Path) -> None:
    """Certbot tells 16,000 characters of names, and so do we: the kernel refuses what is too long."""
    put("10-a", "echo ${#RENEWED_DOMAINS}")
    many = [
        HookOrder(name=f"n{i}", names=(f"n{i}.example.org",), live="/live", renewed=True) for i in range(3000)
    ]

    assert "\n16000\n" in around(directory, HookEvent.POST, *many).output


@pytest.mark.parametrize("event", [HookEvent.TEST, HookEvent.ROLLBACK])
def test_certbot_knows_no_other_event(put: Callable[..., Path], directory: Path, event: HookEvent) -> None:
    """Whatever its table says, a directory for certbot is not called for events that certbot has not."""
    put("10-a", "exit 1")
    everything = hook(directory, *HookEvent)

    (result,) = hooks.run(everything, event, [certificate("www")], host="web-1", run_id="r")

    assert (result.verdict, result.code) == (HookVerdict.NOT_MINE, None)
