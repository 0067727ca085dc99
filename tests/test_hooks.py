import json
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from renewer import hooks
from renewer.config.load import load
from renewer.hooks import HookCertificate, HookResult, HookVerdict
from renewer.model.desired import Convention, Hook, HookEvent, Secret, SecretSource

DEPLOY, TEST, ROLLBACK = HookEvent.DEPLOY, HookEvent.TEST, HookEvent.ROLLBACK
FIELDS = [
    "name",
    "names",
    "version",
    "live",
    "privkey",
    "cert",
    "chain",
    "fullchain",
    "previous",
    "not_after",
    "serial",
]


def certificate(name: str, *names: str, previous: str | None = None) -> HookCertificate:
    """A certificate as a hook hears of it."""
    live = f"/var/lib/renewer/certificates/{name}/live"
    return HookCertificate(
        name=name,
        names=names or (f"{name}.example.org",),
        version="20261122T093300Z-1a2b3c4d",
        live=live,
        privkey=f"{live}/privkey.pem",
        cert=f"{live}/cert.pem",
        chain=f"{live}/chain.pem",
        fullchain=f"{live}/fullchain.pem",
        previous=previous,
        not_after=datetime(2027, 2, 20, 9, 33, tzinfo=UTC),
        serial="1a2b3c4d5e",
    )


WWW, MAIL = (
    certificate("www", "example.org", "*.example.org"),
    certificate("mail", previous="20260101T0-00000000"),
)


@pytest.fixture
def script(tmp_path: Path) -> "Script":
    """Writes hooks of a few words of shell."""
    return Script(tmp_path / "hook")


class Script:
    """A hook's file, and the hook."""

    def __init__(self, path: Path) -> None:
        """Nothing is written yet."""
        self.path = path

    def __call__(self, text: str = "", mode: int = 0o755, **settings: Any) -> Hook:
        """Write it and return the hook for it, hearing every event unless told otherwise."""
        if self.path.exists():
            self.path.unlink()
        self.path.write_text(f"#!/bin/sh\n{text}\n")
        self.path.chmod(mode)
        settings.setdefault("events", tuple(HookEvent))
        settings.setdefault("name", "web")
        settings.setdefault("shipped", False)
        return Hook(run=str(self.path), **settings)


def call(hook: Hook, event: HookEvent = DEPLOY, told: Sequence[HookCertificate] = (WWW, MAIL)) -> HookResult:
    """Run a hook that gives one result."""
    (result,) = hooks.run(hook, event, told, host="web-1", run_id="run-7")
    return result


# --- what a hook is told ----------------------------------------------------------------------------------


@pytest.mark.parametrize("event", HookEvent)
def test_the_event_is_the_only_argument(script: Script, event: HookEvent) -> None:
    """argv[1] is the event and there is nothing after it."""
    assert call(script('echo "$# $1"'), event).output == f"1 {event}\n"


def test_a_program_with_arguments_of_its_own(tmp_path: Path) -> None:
    """`run` as a list is called as it stands, also through a shell; the event is in the environment."""
    (tmp_path / "config.toml").write_text(
        '[hook.own]\nrun = ["/bin/sh", "-c", \'echo "$RENEWER_EVENT $#" "$@"\', "sh", "a b"]\n'
    )
    hook = load(str(tmp_path / "config.toml")).hooks["own"]
    (result,) = hooks.run(hook, DEPLOY, [WWW], host="web-1", run_id="r")
    assert result.output == "deploy 1 a b\n"


def test_the_document_on_stdin(script: Script) -> None:
    """One JSON document with every certificate of the batch, each with every field, also empty ones."""
    document = json.loads(call(script("cat"), TEST).output)

    assert {key: document[key] for key in ("schema", "event", "host", "run", "hook")} == {
        "schema": 1,
        "event": "test",
        "host": "web-1",
        "run": "run-7",
        "hook": "web",
    }
    assert [sorted(told) for told in document["certificates"]] == [sorted(FIELDS)] * 2
    www, mail = document["certificates"]
    assert www["names"] == ["example.org", "*.example.org"]
    assert (www["previous"], mail["previous"]) == (None, "20260101T0-00000000")
    assert www["not_after"] == "2027-02-20T09:33:00Z"
    assert www["fullchain"] == "/var/lib/renewer/certificates/www/live/fullchain.pem"


def test_the_environment(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook sees RENEWER_*, its table's env and a scrubbed rest; the table has the last word."""
    monkeypatch.setenv("PYTHONPATH", "/ours")
    hook = script("env", env=(("NGINX_PID", "/run/x.pid"), ("LANG", "de_CH.UTF-8")))

    env = dict(line.split("=", 1) for line in call(hook, told=[WWW]).output.splitlines())

    assert {name: value for name, value in env.items() if name.startswith("RENEWER_")} == {
        "RENEWER_EVENT": "deploy",
        "RENEWER_HOOK": "web",
        "RENEWER_HOST": "web-1",
        "RENEWER_RUN": "run-7",
        "RENEWER_CERTIFICATES": "www",
        "RENEWER_LIVE": "/var/lib/renewer/certificates/www/live",
    }
    assert (env["NGINX_PID"], env["LANG"]) == ("/run/x.pid", "de_CH.UTF-8")
    assert "PYTHONPATH" not in env


def test_the_live_directories_for_shell(script: Script) -> None:
    """RENEWER_LIVE has the directories of the batch in the order of RENEWER_CERTIFICATES, one a line."""
    hook = script(
        'echo "$RENEWER_CERTIFICATES"; echo "$RENEWER_LIVE" | while read -r live; do echo "<$live>"; done'
    )

    assert call(hook, told=[WWW, MAIL]).output == f"www mail\n<{WWW.live}>\n<{MAIL.live}>\n"


def test_lists_too_long_for_an_environment(script: Script) -> None:
    """A batch whose lists the kernel would refuse is told of by stdin alone; the hook still runs."""
    told = [certificate(f"n{number}-{'x' * 40}") for number in range(3000)]
    hook = script('echo "${RENEWER_CERTIFICATES-none}" "${RENEWER_LIVE-none}"; grep -o fullchain.pem | wc -l')

    assert call(hook, DEPLOY, told).output == "none none\n3000\n"


def test_a_thousand_certificates(script: Script) -> None:
    """A batch larger than any pipe arrives whole, also at a hook that does not read it."""
    told = [certificate(f"n{number}") for number in range(1000)]

    assert call(script("grep -o fullchain.pem | wc -l"), DEPLOY, told).output.strip() == "1000"
    assert call(script("exit 0"), DEPLOY, told).verdict is HookVerdict.DONE


# --- what a hook says -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "verdict", "code", "error"),
    [
        ("echo fine; exit 0", HookVerdict.DONE, 0, None),
        ("exit 42", HookVerdict.NOT_MINE, 42, None),
        (
            "echo not running; exit 75",
            HookVerdict.LATER,
            75,
            "hook web asks at deploy to be called later (exit code 75): not running",
        ),
        (
            "echo a; echo 'b '; echo; exit 1",
            HookVerdict.FAILED,
            1,
            "hook web failed at deploy (exit code 1): b",
        ),
        ("exit 3", HookVerdict.FAILED, 3, "hook web failed at deploy (exit code 3)"),
        ("kill -9 $$", HookVerdict.FAILED, 137, "hook web failed at deploy (exit code 137, SIGKILL)"),
        (
            "echo 'nginx: [emerg] no such key'; echo 'nginx: test failed'; exit 1",
            HookVerdict.FAILED,
            1,
            "hook web failed at deploy (exit code 1): nginx: [emerg] no such key",
        ),
    ],
)
def test_the_table_of_exit_codes(
    script: Script, text: str, verdict: HookVerdict, code: int, error: str | None
) -> None:
    """0 done, 42 not my event, 75 later, else failed; the sentence says what the hook said last."""
    result = call(script(text))

    assert (result.verdict, result.code, result.error) == (verdict, code, error)
    assert (result.hook, result.event, result.certificates) == ("web", DEPLOY, ("www", "mail"))


def test_an_event_that_it_does_not_hear(script: Script, tmp_path: Path) -> None:
    """A hook that hears only deploy is not called for the rest."""
    hook = script(f"touch {tmp_path}/called", events=(DEPLOY,))

    for event in (TEST, ROLLBACK):
        result = call(hook, event)
        assert (result.verdict, result.code, result.error) == (HookVerdict.NOT_MINE, None, None)
    assert not (tmp_path / "called").exists()
    assert call(hook).verdict is HookVerdict.DONE


def test_a_hook_that_hangs(script: Script) -> None:
    """At its time limit a hook is ended and has failed; what it said is kept."""
    for limit in (0.3, 3.0, 30.0):  # so many seconds that it has come to that
        result = call(script("echo waiting for godot; sleep 300 & wait", timeout=limit))
        if result.output:
            break

    assert (result.verdict, result.code) == (HookVerdict.FAILED, None)
    said = f"hook web did not end its deploy within {limit:g} s and was ended: waiting for godot"
    assert result.error == said


def test_output_is_bounded_and_harmless(script: Script) -> None:
    """Floods and binary output become a text of bounded size."""
    result = call(script(r"head -c 1000000 /dev/urandom; printf '\033[2J\0end'; exit 1"))

    assert len(result.output) < 70_000
    assert "\x1b" not in result.output
    assert "\0" not in result.output
    assert len(result.error or "") < 400


# --- certbot's convention ---------------------------------------------------------------------------------


def test_certbots_convention(script: Script) -> None:
    """A script for certbot is called once a certificate, as certbot calls it."""
    hook = script(
        'echo "$# $RENEWED_LINEAGE $RENEWED_DOMAINS"; cat; [ $RENEWER_CERTIFICATES = www ]',
        convention=Convention.CERTBOT,
        events=(DEPLOY,),
    )

    www, mail = hooks.run(hook, DEPLOY, [WWW, MAIL], host="web-1", run_id="run-7")

    assert www.output == "0 /var/lib/renewer/certificates/www/live example.org *.example.org\n"
    assert mail.output == "0 /var/lib/renewer/certificates/mail/live mail.example.org\n"
    assert [(one.certificates, one.verdict) for one in (www, mail)] == [
        (("www",), HookVerdict.DONE),
        (("mail",), HookVerdict.FAILED),
    ]


@pytest.mark.parametrize("code", [42, 75])
def test_certbots_scripts_know_nothing_of_our_codes(script: Script, code: int) -> None:
    """To certbot every exit code but 0 is a failure."""
    hook = script(f"exit {code}", convention=Convention.CERTBOT)

    assert call(hook, DEPLOY, [WWW]).verdict is HookVerdict.FAILED


@pytest.mark.parametrize("event", [TEST, ROLLBACK])
def test_certbots_scripts_hear_deploy_only(script: Script, event: HookEvent) -> None:
    """Whatever the table says, a script for certbot is not called for events that certbot has not."""
    result = call(script("exit 1", convention=Convention.CERTBOT), event)

    assert (result.verdict, result.code) == (HookVerdict.NOT_MINE, None)


# --- what is not run --------------------------------------------------------------------------------------


def test_a_sound_hook_has_no_problem(script: Script) -> None:
    """A program of ours that only we can change may run."""
    assert hooks.problem(script()) is None


def test_what_must_not_be_run(script: Script, tmp_path: Path) -> None:
    """Missing, not executable, not a file, writable by others: refused in words that say what to do."""
    hook = script(mode=0o644)
    assert hooks.problem(hook) == f"{hook.run} may not be executed; chmod +x {hook.run}"
    hook = script(mode=0o777)
    assert (hooks.problem(hook) or "").endswith(
        "can be written to by everybody: not run, because whoever can change it acts as us; "
        f"chmod go-w {hook.run}"
    )
    tmp_path.chmod(0o777)
    assert f"{tmp_path} can be written to by everybody" in (hooks.problem(script()) or "")
    tmp_path.chmod(0o755)
    directory = Hook(name="web", run=str(tmp_path), shipped=False)
    assert hooks.problem(directory) == f"{tmp_path} is not a file; name the program that is to be run"
    missing = Hook(name="web", run=f"{tmp_path}/gone", shipped=False)
    assert hooks.problem(missing) == (
        f"{tmp_path}/gone does not exist; correct `run` in [hook.web] or put the program there"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_somebody_elses_hook(script: Script) -> None:
    """A hook that belongs to another user is that user's to change, so it is not run."""
    hook = script("touch /tmp/never")
    os.chown(hook.run, 65534, -1)

    result = call(hook)

    assert (result.verdict, result.code) == (HookVerdict.FAILED, None)
    assert "belongs to nobody, who could change it" in (result.error or "")


def test_a_shipped_hook_is_as_safe_as_we_are(script: Script) -> None:
    """A shipped hook lies beside this program: who could change it could change us."""
    assert hooks.problem(script(mode=0o775, shipped=True)) is None


@pytest.mark.parametrize("mode", [0o644, 0o777])
def test_what_must_not_run_does_not(script: Script, tmp_path: Path, mode: int) -> None:
    """A hook with a problem has failed without having been called."""
    result = call(script(f"touch {tmp_path}/called", mode))

    assert (result.verdict, result.code) == (HookVerdict.FAILED, None)
    assert (result.error or "").startswith("hook web: ")
    assert not (tmp_path / "called").exists()


def test_what_cannot_be_started(script: Script) -> None:
    """A hook that the kernel refuses has failed, with the reason."""
    hook = script()
    script.path.write_bytes(b"\0\1\2")

    result = call(hook)

    assert (result.verdict, result.code) == (HookVerdict.FAILED, None)
    assert "it is no program and no script; begin it with a line like #!/bin/sh" in (result.error or "")


# --- has it changed? --------------------------------------------------------------------------------------


def test_the_fingerprint_follows_table_and_file(script: Script) -> None:
    """Another table or another file is another hook; the same is the same; a missing one too."""
    hook = script("exit 1")
    seen = [hooks.fingerprint(hook)]
    assert hooks.fingerprint(hook) == seen[0]
    seen.append(hooks.fingerprint(msgspec.structs.replace(hook, timeout=5.0)))
    script.path.write_text("#!/bin/sh\nexit 0\n# longer\n")
    seen.append(hooks.fingerprint(hook))
    script.path.chmod(0o700)
    seen.append(hooks.fingerprint(hook))
    script.path.unlink()
    seen.append(hooks.fingerprint(hook))

    assert len(set(seen)) == len(seen)
    assert all(len(one) == 8 for one in seen)


# --- secrets in the environment -----------------------------------------------------------------------------


def secret(path: Path, text: str = "t0ken-of-the-cache\n") -> Secret:
    """A reference to a secret that lies in a file."""
    path.write_text(text)
    path.chmod(0o600)
    return Secret(source=SecretSource.FILE, argument=(str(path),))


def test_a_secret_reaches_the_hook_and_nobody_else(script: "Script", tmp_path: Path) -> None:
    """It is read when the hook is called, and what the hook says of it is blotted out."""
    env = (("TOKEN", secret(tmp_path / "token")), ("PLAIN", "text"))
    told = tmp_path / "told"
    hook = script(f'printf %s "$TOKEN$PLAIN" > {told}; echo "with $TOKEN"; exit 1', env=env)

    result = call(hook)

    assert told.read_text() == "t0ken-of-the-cachetext"
    assert result.verdict is HookVerdict.FAILED
    assert "with …" in result.output
    assert "t0ken" not in f"{result}"
    assert "t0ken" not in f"{hooks.environment(hook, DEPLOY, [WWW], host='h', run_id='r')}"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "cannot be read: No such file"),
        (lambda path: path.write_text(""), "is empty"),
        (lambda path: path.chmod(0o644), "everybody can read it"),
        (lambda path: path.write_bytes(b"a\0b"), "TOKEN: the secret holds a NUL"),
    ],
)
def test_a_secret_that_cannot_be_had(
    script: "Script", tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    """The hook is not called with less than it asks for; the variable and the file are named."""
    env = (("TOKEN", secret(tmp_path / "token")),)
    hook = script(f"touch {tmp_path}/called", env=env)
    spoil(tmp_path / "token")

    result = call(hook)

    assert (result.verdict, result.code) == (HookVerdict.FAILED, None)
    assert said in (result.error or "")
    assert "TOKEN" in (result.error or "")
    assert not (tmp_path / "called").exists()
