"""Scripts of every tradition: called as the client that they were written for calls them."""

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from renewer.errors import GiveUp, RetryLater
from renewer.model.desired import Secret
from tests.challenges.dns01.bed import BIND, BIND_ZONE, KEYS, OTHERS, Bed
from tests.challenges.dns01.providers.world import agent, in_bed, record, script, secret
from tests.servers.nameserver import all_txt
from tests.servers.pebble import Pebble

ONE, TWO = record("www.example.org"), record("example.org", 2)
NAMES = [f"s.{BIND_ZONE}", f"*.s.{BIND_ZONE}", f"t.{BIND_ZONE}"]


# --- the letter of each convention ------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """What a script was told by one call."""

    arguments: list[str]
    env: Mapping[str, str]
    stdin: bytes


def told(directory: Path) -> list[Told]:
    """Every call of the script `telling`, in order."""
    found = []
    for path in sorted(one for one in directory.iterdir() if one.suffix != ".stdin"):
        words = path.read_bytes().decode().removesuffix("\0").split("\0")
        count = int(words[0])
        env = dict(word.partition("=")[::2] for word in words[1 + count :])
        stdin = directory / f"{path.name}.stdin"
        found.append(Told(words[1 : 1 + count], env, stdin.read_bytes()))
    return found


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """Where `telling` writes."""
    path = tmp_path / "calls"
    path.mkdir()
    return path


def test_renewer(scripts: Path, calls: Path) -> None:
    """Our own: one call a zone, the event as argument, the records as JSON, also those of a killed run."""
    run = script("renewer", {"TOLD": str(calls)}, run=str(scripts / "telling"))
    run.add("example.org", [ONE, TWO])
    run.remove("example.org", [record(again=False)])
    present, clean_up = told(calls)
    assert (present.arguments, clean_up.arguments) == (["present"], ["clean_up"])
    assert json.loads(present.stdin) == {
        "schema": 1,
        "event": "present",
        "zone": "example.org",
        "records": [
            {
                "name": f"_acme-challenge.{domain}",
                "value": one.value,
                "asked": f"_acme-challenge.{domain}",
                "domain": domain,
                "token": f"token-{number}",
                "key_authorization": f"token-{number}.thumbprint",
            }
            for number, domain, one in ((1, "www.example.org", ONE), (2, "example.org", TWO))
        ],
    }
    assert json.loads(clean_up.stdin)["records"][0]["key_authorization"] == ""


def test_certbot(scripts: Path, calls: Path) -> None:
    """Manual hooks: everything in CERTBOT_…, no token for DNS; the hook's stdout is handed back."""
    telling = str(scripts / "telling")
    run = script("certbot", {"TOLD": str(calls)}, run=telling, cleanup=(telling, "--cleanup"))
    run.add("example.org", [ONE, TWO])
    run.remove("example.org", [ONE])
    first, second, cleanup = told(calls)
    assert (first.arguments, first.stdin) == ([], b"")
    assert {name: value for name, value in first.env.items() if name.startswith("CERTBOT_")} == {
        "CERTBOT_DOMAIN": "www.example.org",
        "CERTBOT_VALIDATION": ONE.value,
        "CERTBOT_ALL_DOMAINS": "www.example.org,example.org",
        "CERTBOT_REMAINING_CHALLENGES": "1",
    }
    assert second.env["CERTBOT_REMAINING_CHALLENGES"] == "0"
    assert cleanup.arguments == ["--cleanup"]
    assert cleanup.env["CERTBOT_AUTH_OUTPUT"] == "told"


def test_certbot_without_a_cleanup_hook(scripts: Path, calls: Path) -> None:
    """It is optional there, and so it is here: nothing is run."""
    script("certbot", {"TOLD": str(calls)}, run=str(scripts / "telling")).remove("example.org", [ONE])
    assert told(calls) == []


@pytest.mark.parametrize("chain", ["yes", "no"])
def test_dehydrated(scripts: Path, calls: Path, chain: str) -> None:
    """Triples: one a call, or all in one; with two values at one name dehydrated chains nothing."""
    run = script("dehydrated", {"TOLD": str(calls)}, run=str(scripts / "telling"), chain=chain)
    run.add("example.org", [ONE, TWO])
    run.remove("example.org", [ONE, record(number=3)])
    one = ["www.example.org", "token-1", ONE.value]
    two = ["example.org", "token-2", TWO.value]
    three = ["www.example.org", "token-3", record(number=3).value]
    together = [["deploy_challenge", *one, *two]]
    apart = [["deploy_challenge", *one], ["deploy_challenge", *two]]
    cleaned = [["clean_challenge", *one], ["clean_challenge", *three]]
    assert [call.arguments for call in told(calls)] == [*(together if chain == "yes" else apart), *cleaned]


def test_lego(scripts: Path, calls: Path) -> None:
    """exec: the full name with its dot, which is the end of the aliases, and the value."""
    moved = record(name="www.acme.example.net")
    run = script("lego", {"TOLD": str(calls)}, run=str(scripts / "telling"))
    run.add("example.net", [moved])
    run.remove("example.net", [moved])
    assert [call.arguments for call in told(calls)] == [
        ["present", "www.acme.example.net.", moved.value],
        ["cleanup", "www.acme.example.net.", moved.value],
    ]


def test_lego_raw(scripts: Path, calls: Path) -> None:
    """EXEC_MODE=RAW: a double dash, the domain, the token and the key authorization, which must be known."""
    run = script("lego", {"TOLD": str(calls)}, run=str(scripts / "telling"), mode="RAW")
    run.add("example.org", [ONE])
    with pytest.raises(GiveUp, match="may still be there"):
        run.remove("example.org", [record(again=False)])
    assert [call.arguments for call in told(calls)] == [
        ["present", "--", "www.example.org", "token-1", "token-1.thumbprint"]
    ]


def test_acme_sh(scripts: Path, tmp_path: Path) -> None:
    """A dnsapi file reads what acme.sh saved for it, and nothing is added to that file."""
    conf = scripts / "account.conf"
    conf.write_text("SAVED_BIND_Server='127.0.0.9 1'\n")
    key = tmp_path / "no.key"
    key.write_text("")
    run = script(
        "acme.sh",
        {"NSUPDATE_KEY": str(key)},
        run=str(scripts / "dns_bind.sh"),
        acme_sh=str(scripts / "acme.sh"),
    )
    with pytest.raises(RetryLater, match="could not reach any name server"):
        run.add("example.org", [ONE])
    assert conf.read_text() == "SAVED_BIND_Server='127.0.0.9 1'\n"


@pytest.mark.parametrize(
    ("run", "acme_sh", "said"),
    [
        ("dns_bind.sh", "acme.sh", "You need to set BIND_Server"),
        ("telling", "acme.sh", "has no function telling_add"),
        ("dns_bind.sh", "nowhere.sh", "nowhere.sh does not exist"),
    ],
)
def test_acme_sh_in_vain(scripts: Path, run: str, acme_sh: str, said: str) -> None:
    """What is missing is told: settings, a function, acme.sh itself."""
    there = script("acme.sh", run=str(scripts / run), acme_sh=str(scripts / acme_sh))
    (scripts / "account.conf").write_text("")
    if run == "telling":
        (scripts / run).write_text(":\n")
    with pytest.raises((GiveUp, RetryLater)) as caught:
        there.add("example.org", [ONE])
    assert said in caught.value.text


# --- how it is run ------------------------------------------------------------------------------------------


def test_environment(scripts: Path, calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scrubbed, plus what the config gives: secrets stand there and in no argument."""
    monkeypatch.setenv("PYTHONPATH", "/ours")
    run = script("lego", {"TOLD": str(calls), "TOKEN": secret("s3cret")}, run=str(scripts / "telling"))
    run.add("example.org", [ONE])
    (call,) = told(calls)
    shells = {"PWD", "OLDPWD", "SHLVL", "_"}
    assert set(call.env) - shells == {
        *("PATH", "HOME", "LANG", "TOLD", "TOKEN"),
        *("RENEWER_EVENT", "RENEWER_ZONE", "RENEWER_NAME"),
    }
    assert call.env["TOKEN"] == "s3cret"
    assert "s3cret" not in " ".join(call.arguments)


def test_failure(scripts: Path, calls: Path) -> None:
    """The last telling line of what it said on stderr is told, without the secrets that it was given."""
    plain = {"TOLD": str(calls), "END": "3", "SAY": "error: s3cret is wrong"}
    env: dict[str, str | Secret] = {**plain, "TOKEN": secret("s3cret")}
    run = script("lego", env, run=str(scripts / "telling"))
    with pytest.raises(RetryLater) as caught:
        run.add("example.org", [ONE])
    text = caught.value.text
    assert "failed to publish _acme-challenge.www.example.org (exit code 3): error: … is wrong" in text
    with pytest.raises(RetryLater, match="failed to remove"):
        run.remove("example.org", [ONE, TWO])
    assert len(told(calls)) == 3


@pytest.mark.parametrize(
    ("convention", "said"), [("renewer", "asks to be called later"), ("lego", "code 75")]
)
def test_later(scripts: Path, calls: Path, convention: str, said: str) -> None:
    """75 means later by our own convention, and nothing by others."""
    env = {"TOLD": str(calls), "END": "75", "SAY": "busy"}
    with pytest.raises(RetryLater, match=said):
        script(convention, env, run=str(scripts / "telling")).add("example.org", [ONE])


def test_time_limit(scripts: Path) -> None:
    """A script that hangs is ended with all that it started, and the advice speaks of waiting."""
    (scripts / "hangs").write_text("#!/bin/sh\necho patience >&2\nsleep 60 & wait\n")
    (scripts / "hangs").chmod(0o700)
    began = time.monotonic()
    with pytest.raises(RetryLater, match=r"within 1 s and was ended: patience") as caught:
        script("lego", run=str(scripts / "hangs"), timeout="1s").add("example.org", [ONE])
    assert time.monotonic() - began < 50
    assert "longer timeout" in caught.value.hint


def test_flood(scripts: Path) -> None:
    """A script that prints without end for its reader has a short message in the end."""
    (scripts / "floods").write_text("#!/bin/sh\nhead -c 5000000 /dev/zero | tr '\\0' x >&2\nexit 1\n")
    (scripts / "floods").chmod(0o700)
    with pytest.raises(RetryLater) as caught:
        script("lego", run=str(scripts / "floods")).add("example.org", [ONE])
    assert len(caught.value.text) < 1000


def test_never_twice_at_once(scripts: Path, tmp_path: Path) -> None:
    """Scripts were written for clients that do one thing after the other: zones take turns."""
    (scripts / "alone").write_text(
        f'#!/bin/sh\nmkdir "{tmp_path}/busy" || exit 1\nsleep 0.05\nrmdir "{tmp_path}/busy"\n'
    )
    (scripts / "alone").chmod(0o700)
    failed: list[Exception] = []

    def work(number: int) -> None:
        try:
            script("lego", run=str(scripts / "alone")).add(f"zone{number}.example", [ONE])
        except RetryLater as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def _writable(path: Path) -> None:
    path.chmod(0o777)


def _plain(path: Path) -> None:
    path.chmod(0o600)


def _gone(path: Path) -> None:
    path.unlink()


def _no_interpreter(path: Path) -> None:
    path.write_text("#!/no/such/shell\n")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_writable, "can be written to by everybody"),
        (_plain, "may not be executed"),
        (_gone, "does not exist"),
        (_no_interpreter, "interpreter in its first line does not exist"),
    ],
)
def test_scripts_that_are_not_run(scripts: Path, spoil: Any, said: str) -> None:
    """The checks of hooks: what others could change, or what cannot run, is told at once."""
    run = script("lego", run=str(scripts / "telling"))
    spoil(scripts / "telling")
    with pytest.raises(GiveUp, match=said) as caught:
        run.add("example.org", [ONE])
    assert caught.value.hint


def test_dnsapi_file_that_others_can_change(scripts: Path) -> None:
    """What a shell reads is looked at like what is executed."""
    (scripts / "dns_bind.sh").chmod(0o666)
    there = script("acme.sh", run=str(scripts / "dns_bind.sh"), acme_sh=str(scripts / "acme.sh"))
    with pytest.raises(GiveUp, match="can be written to by everybody"):
        there.add("example.org", [ONE])


# --- the config -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "run is missing"),
        ({"run": "bin/dns"}, "run must be an absolute path"),
        ({"run": ()}, "run must be an absolute path"),
        ({"run": "/dns", "convention": "getssl"}, "convention is not allowed here"),
        ({"run": "/dns", "cleanup": "/dns"}, 'cleanup goes with convention = "certbot" only'),
        ({"run": "/dns", "convention": "lego", "chain": "yes"}, 'chain goes with convention = "dehydrated"'),
        ({"run": "/dns", "timeout": "0s"}, "timeout must be"),
        ({"run": ("/dns.sh", "x"), "convention": "acme.sh"}, "takes none"),
    ],
)
def test_options(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    """What does not fit its convention is told by the option's name."""
    (tmp_path / "acme.sh").write_text("")
    with pytest.raises(GiveUp) as caught:
        script(options.pop("convention", "renewer"), **options).add("example.org", [ONE])
    assert said in caught.value.text or "does not exist" in caught.value.text


def test_faults_of_the_config(tmp_path: Path, pebble: Pebble) -> None:
    """`config check` names each fault by its dotted path."""
    challenge = {
        "provider": "script",
        "options": {"run": "dns", "convention": "certbot", "chain": "yes"},
        "env": {"1ST": "x", "CERTBOT_DOMAIN": "x", "TOKEN": {"file": "relative"}},
    }
    document = agent(tmp_path, pebble, challenge).json("config", "check", code=2)
    assert {fault["path"] for fault in document["error"]["faults"]} == {
        "challenge.dns.options.run",
        "challenge.dns.options.chain",
        "challenge.dns.env.1ST",
        "challenge.dns.env.CERTBOT_DOMAIN",
        "challenge.dns.env.TOKEN.file",
    }
    other = {"provider": "httpreq", "options": {"endpoint": "https://x"}, "env": {"A": "b"}}
    document = agent(tmp_path, pebble, other).json("config", "check", code=2)
    assert [fault["path"] for fault in document["error"]["faults"]] == ["challenge.dns.env"]


# --- real scripts of each tradition, whole runs -------------------------------------------------------------


@pytest.mark.real
@pytest.mark.parametrize(
    ("run", "options"),
    [
        pytest.param("renewer-hook", {}, id="renewer"),
        pytest.param("certbot-auth", {"convention": "certbot", "cleanup": "certbot-cleanup"}, id="certbot"),
        pytest.param("dehydrated-hook", {"convention": "dehydrated"}, id="dehydrated"),
        pytest.param(
            "dehydrated-hook", {"convention": "dehydrated", "chain": "yes"}, id="dehydrated chained"
        ),
        pytest.param("lego-exec", {"convention": "lego"}, id="lego"),
        pytest.param("lego-exec", {"convention": "lego", "mode": "RAW"}, id="lego raw"),
        pytest.param("dns_bind.sh", {"convention": "acme.sh", "acme_sh": "acme.sh"}, id="acme.sh"),
    ],
)
def test_whole_run(  # noqa: PLR0917  fixtures are arguments
    tmp_path: Path, bed: Bed, looking: Pebble, scripts: Path, run: str, options: dict[str, str]
) -> None:
    """A real script of the tradition changes a real BIND by nsupdate; Pebble sees it; nothing is left."""
    key = tmp_path / "acme.key"
    key.write_text(f'key "{KEYS[0].name}" {{ algorithm {KEYS[0].algorithm}; secret "{KEYS[0].secret}"; }};\n')
    key.chmod(0o600)
    paths = {name: str(scripts / options[name]) for name in ("cleanup", "acme_sh") if name in options}
    challenge: dict[str, Any] = {
        "provider": "script",
        "options": {"run": str(scripts / run), **options, **paths},
        "env": {
            "DNS_SERVER": BIND,
            "DNS_PORT": str(bed.port),
            "BIND_Server": f"{BIND} {bed.port}",
            "NSUPDATE_KEY": str(key),
        },
    }
    mark = looking.mark()
    document = in_bed(tmp_path / "agent", bed, looking, challenge, NAMES).json("run")
    assert {one["result"] for one in document["outcomes"]} == {"done"}
    assert len(looking.certificates_issued(mark)) == 1
    assert all_txt(BIND, bed.port, BIND_ZONE) == {(f"_acme-challenge.{BIND_ZONE}", OTHERS)}
