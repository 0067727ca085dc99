"""What is wrong with renewing as a whole is never green: nothing configured, leftovers served, silence."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from renewer import wakers, words
from renewer.cli import overview, plugin, screen
from renewer.cli.status import document
from renewer.config.load import load
from renewer.model.facts import EndpointState, Record, Sighting
from renewer.model.status import Status
from renewer.model.told import Ack, Outage
from renewer.policy.watchdog import patience
from renewer.report import view
from renewer.report.documents import run_document
from renewer.run import Limits
from tests.builders import DAY, HOUR
from tests.cli.test_status import piped
from tests.documents import plain
from tests.servers.certificates import Pair
from tests.servers.ports import free_port
from tests.servers.tls_peer import Peer, tls
from tests.tell.conftest import Clock
from tests.tell.host import Host


@pytest.fixture(autouse=True)
def timer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This host's files, as far as they say what calls the next run: a timer that is enabled."""
    root = tmp_path / "host"
    units = root / "etc/systemd/system"
    (units / "timers.target.wants").mkdir(parents=True)
    (units / "renewer.timer").write_text("[Timer]\nOnCalendar=hourly\n")
    (units / "timers.target.wants/renewer.timer").symlink_to("../renewer.timer")
    monkeypatch.setattr(wakers, "ROOT", str(root))
    return root


def status(host: Host) -> dict[str, Any]:
    """`status --json`, by the stopped clock."""
    found: dict[str, Any] = plain(shown(host))
    return found


def shown(host: Host) -> Status:
    """The same as a value."""
    return document(load(str(host.path)))


def check(host: Host) -> tuple[int, str]:
    """`status --check`: code and text."""
    config = load(str(host.path))
    code, text, _ = plugin.judged(document(config), patience(config.agent.wake, config.agent.deadline))
    return code, text


def concerns(host: Host) -> dict[str, int]:
    """What is told as a whole, each with its exit code."""
    return {one["subject"]: one["exit"] for one in status(host)["concerns"]}


def save(host: Host, *records: Record) -> None:
    """Facts that an earlier run left."""
    ledger = host.ledger()
    ledger.save(*records)
    ledger.close()


def without_certificates(host: Host) -> None:
    """The configuration has lost its certificates."""
    text = host.path.read_text("utf-8")
    host.path.write_text(text[: text.index("[certificate.www]")], "utf-8")


@pytest.fixture
def well(host: Host, time: Clock) -> Host:
    """A host whose certificate is in its youth, and whose last run was just now."""
    host.configure()
    host.install(not_before=time.moment - DAY, not_after=time.moment + 89 * DAY)
    assert host.run().exit == 0
    assert status(host)["healthy"]
    return host


# --- nothing is configured ----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["emptied", "commented out", "for other hosts", "only a watch is left"])
def test_an_empty_configuration_is_never_green(well: Host, how: str) -> None:
    """Where the state holds certificates: run, plan, status, --check and the page warn."""
    text = well.path.read_text("utf-8")
    emptied = f'[agent]\nstate = "{well.state}"\nhost = "web-1"\n'
    well.path.write_text(
        {
            "emptied": emptied,
            "commented out": text[: text.index("[certificate.www]")],
            "for other hosts": text + 'hosts = ["web-2"]\n',
            "only a watch is left": f'{emptied}[watch.x]\nfile = "{well.root}/authority.pem"\n',
        }[how]
    )
    found, (code, line) = status(well), check(well)

    if how == "for other hosts":  # its state may be shared with them; it had one itself, though
        assert found["exit"] in (screen.OK, screen.FAILED)
        return
    assert (found["healthy"], found["exit"]) == (False, screen.FAILED)
    assert "no certificate is configured for this host, and its state knows www" in overview.verdict(
        shown(well)
    )
    assert view.verdict(shown(well)) == "Not all is well: see below"
    assert (code, line.startswith("no certificate is configured")) == (plugin.WARNING, True)
    assert "0 certificates well" not in line
    report = well.run()
    assert (report.exit, any("no certificate is configured" in one for one in report.findings)) == (1, True)
    code, out, _ = piped(well, "plan")
    assert (code, "no certificate is configured" in out) == (1, True)


@pytest.mark.usefixtures("time")
def test_an_empty_configuration_is_fine_where_nothing_ever_was(host: Host) -> None:
    """A new host before its first certificate is told nothing."""
    host.configure()
    without_certificates(host)
    assert host.run().exit == 0
    assert concerns(host) == {}


# --- served, and configured no more -------------------------------------------------------------------------


@pytest.fixture
def server(well: Host) -> Iterator[Peer]:
    """A port that serves the certificate of `well`."""
    with Peer(tls(pair(well, "www"))) as server:
        yield server


def pair(host: Host, name: str) -> Pair:
    """What lies at `live`."""
    live = host.state / "certificates" / name / "live"
    return Pair(cert=live / "fullchain.pem", key=live / "privkey.pem")


def seen(host: Host, port: int, time: Clock, **changes: Any) -> Sighting:
    """What a look at the port showed an hour ago."""
    from renewer import certs

    cert = (host.state / "certificates/www/live/cert.pem").read_bytes()
    leaf = certs.leaf(cert)
    given: dict[str, Any] = {
        "certificate": "www",
        "host": "web-1",
        "endpoint": f"127.0.0.1:{port}/example.org",
        "address": f"127.0.0.1:{port}",
        "version": "v",
        "state": EndpointState.VERIFIED,
        "at": time.moment - HOUR,
        "local": True,
        "fingerprint": leaf.fingerprint,
        "not_after": leaf.not_after,
    }
    return Sighting(**(given | changes))


def test_a_leftover_that_is_served_is_not_well_until_it_is_forgotten(
    well: Host, server: Peer, time: Clock
) -> None:
    """It is not well, its metrics stay, and only forget, ack or another certificate there ends it."""
    metrics = well.root / "metrics.prom"
    well.configure(f'[report]\nmetrics = "{metrics}"\n')
    save(well, seen(well, server.port, time))
    text = well.path.read_text("utf-8")
    well.path.write_text(text.replace("certificate.www", "certificate.other"))
    well.install("other", not_before=time.moment - DAY, not_after=time.moment + 80 * DAY)
    report = well.run()

    assert report.exit == screen.FAILED
    assert concerns(well) == {"served www": screen.FAILED}
    assert check(well)[0] == plugin.WARNING
    assert 'not_after_timestamp_seconds{name="www",host="web-1"}' in metrics.read_text()
    assert 'healthy{name="www",host="web-1"} 0' in metrics.read_text()
    code, _, err = piped(well, "forget", "www")
    assert (code, "still serves a certificate of www" in err) == (screen.USAGE, True)

    save(well, Ack(certificate="www", at=time.moment, by="anna"))
    assert concerns(well) == {"served www": 0}
    assert well.run().exit == 0
    time.advance(200 * DAY)  # nobody is silent about what has expired
    assert concerns(well)["served www"] == screen.PERSON
    assert piped(well, "forget", "www", "--yes")[0] == 0
    assert "served www" not in concerns(well)


def test_a_leftover_whose_server_shows_another_is_only_a_note(well: Host, server: Peer, time: Clock) -> None:
    """The next run looks again, and then it just lies on disk."""
    save(well, seen(well, server.port, time))
    well.install("other", not_before=time.moment - DAY, not_after=time.moment + 80 * DAY)
    text = well.path.read_text("utf-8")
    well.path.write_text(text.replace("certificate.www", "certificate.other"))
    assert concerns(well) == {"served www": screen.FAILED}
    server.behaviour = tls(pair(well, "other"))

    assert well.run().exit == 0
    assert concerns(well) == {}
    assert list(status(well)["orphans"]) == ["www"]


def test_one_that_was_deleted_by_hand_is_still_served(well: Host, time: Clock) -> None:
    """What is gone from disk and was seen at a port counts, until it is forgotten."""
    import shutil

    save(well, seen(well, free_port(), time))
    shutil.rmtree(well.state / "certificates/www")
    without_certificates(well)

    assert concerns(well) == {"empty": screen.FAILED, "served www": screen.FAILED}
    assert piped(well, "forget", "www", "--yes")[0] == 0
    assert concerns(well) == {}


# --- nobody hears of it -------------------------------------------------------------------------------------


def test_a_heartbeat_whose_secret_is_missing_is_told(well: Host) -> None:
    """By run, status and config check."""
    well.configure(f'[report]\nheartbeat = {{ file = "{well.root}/missing" }}\n')
    report = well.run()

    assert report.exit == 1
    assert any("report.heartbeat: the secret in" in one for one in report.findings)
    assert status(well)["exit"] == 1
    assert "report.heartbeat: the secret in" in overview.verdict(shown(well))
    assert "report.heartbeat" in piped(well, "config", "check")[1]


def test_a_heartbeat_that_fails_three_times_is_not_green(well: Host) -> None:
    """Once may be the network's fault."""
    well.configure(f"[report]\nheartbeat = {well.secret('beat', f'http://127.0.0.1:{free_port()}/x')}\n")
    assert [well.run().exit for _ in range(4)] == [0, 0, 0, 1]
    assert concerns(well) == {"heartbeat": 1}
    well.configure()
    assert concerns(well) == {}


def test_a_secret_of_the_environment_is_judged_by_the_run(
    well: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person's shell has other variables than the unit: what the run saw is remembered."""
    well.configure('[report]\nheartbeat = { env = "RENEWER_TEST_BEAT" }\n')
    assert well.run().exit == 1
    assert status(well)["exit"] == 1
    monkeypatch.setenv("RENEWER_TEST_BEAT", f"http://127.0.0.1:{free_port()}/x")
    assert well.run().exit == 0
    monkeypatch.delenv("RENEWER_TEST_BEAT")
    assert status(well)["exit"] == 0


@pytest.mark.parametrize("key", ["metrics", "page"])
def test_what_cannot_be_written_is_not_green(well: Host, key: str) -> None:
    """Monitoring would go on reading the last good one."""
    well.configure(f'[report]\n{key} = "{well.root}/missing/file.html"\n')
    report = well.run()

    assert (report.exit, any("missing/file.html" in one for one in report.findings)) == (1, True)
    assert status(well)["exit"] == 1
    well.configure()
    assert (well.run().exit, status(well)["exit"]) == (0, 0)


def test_a_channel_that_takes_nothing_is_not_green(well: Host, time: Clock) -> None:
    """The third time, as long as it is configured."""
    url = well.secret("hook", f"http://127.0.0.1:{free_port()}/x")
    outage = Outage(
        certificate="", channel="chat", since=time.moment - DAY, at=time.moment, error="refused", failures=3
    )
    save(well, outage)
    assert concerns(well) == {}
    well.configure(f'[notify.chat]\ntype = "webhook"\nurl = {url}\n')
    assert concerns(well) == {"channel chat": 1}


# --- who calls the next run ---------------------------------------------------------------------------------


def test_without_a_timer_there_is_a_note_and_then_an_alarm(well: Host, timer: Path, time: Clock) -> None:
    """A note while runs come from somewhere; two wakes after the last it is not well."""
    (timer / "etc/systemd/system/timers.target.wants/renewer.timer").unlink()
    assert concerns(well) == {"timer": 0}
    assert status(well)["healthy"]
    time.advance(2 * HOUR)
    assert concerns(well) == {"timer": 0}
    time.advance(timedelta(minutes=1))
    assert concerns(well) == {"timer": screen.PERSON}
    assert "nothing on this host will call the next run" in check(well)[1]
    assert not status(well)["healthy"]
    assert well.run().exit == 0
    assert concerns(well) == {"timer": 0}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (
            "etc/cron.d/renewer",
            "5 * * * * root /opt/renewer/bin/renewer --config /etc/r.toml run >/dev/null\n",
        ),
        ("var/spool/cron/crontabs/root", "5 * * * * /usr/bin/python3 -P -m renewer run\n"),
        ("etc/cron.hourly/certificates", "#!/bin/sh\nexec renewer run --wait 60s\n"),
        ("etc/crontab", "5 * * * * root renewer run\n"),
    ],
)
def test_a_line_for_cron_is_found(well: Host, timer: Path, path: str, text: str) -> None:
    """Wherever cron reads it; a line that is commented out, or calls something else, is none."""
    (timer / "etc/systemd/system/timers.target.wants/renewer.timer").unlink()
    table = timer / path
    table.parent.mkdir(parents=True, exist_ok=True)
    for other in ("# 5 * * * * root renewer run\n", "5 * * * * root renewer status\n"):
        table.write_text(other)
        assert concerns(well) == {"timer": 0}
    table.write_text(text)
    assert concerns(well) == {}


def test_a_masked_timer_calls_nobody(well: Host, timer: Path) -> None:
    """Its link may still be there."""
    unit = timer / "etc/systemd/system/renewer.timer"
    unit.unlink()
    assert concerns(well) == {"timer": 0}
    unit.symlink_to("/dev/null")
    assert concerns(well) == {"timer": 0}


def test_a_timer_of_ones_own_counts(well: Host, timer: Path) -> None:
    """Under another name, if its service runs us."""
    units = timer / "etc/systemd/system"
    (units / "timers.target.wants/renewer.timer").unlink()
    (units / "certs.timer").write_text("[Timer]\nOnCalendar=hourly\n")
    (units / "timers.target.wants/certs.timer").symlink_to("../certs.timer")
    assert concerns(well) == {"timer": 0}
    (units / "certs.service").write_text("[Service]\nExecStart=/usr/bin/renewer run\n")
    assert concerns(well) == {}


# --- what is tried next -------------------------------------------------------------------------------------


def test_an_outcome_says_when_it_is_tried_next(well: Host, time: Clock) -> None:
    """Where something failed that is needed; `run --json` prints it."""
    time.advance(70 * DAY)
    report = well.run()
    (failed,) = report.outcomes

    assert (report.exit, failed.result) == (screen.FAILED, "failed")
    assert failed.next_attempt is not None
    assert timedelta(0) < failed.next_attempt - time.moment <= HOUR
    assert run_document(report).outcomes[0].next_attempt == failed.next_attempt
    assert status(well)["certificates"][0]["next_attempt"] == failed.next_attempt


def test_a_forced_order_that_failed_is_over_with_the_run(well: Host) -> None:
    """Nothing was needed: the run says that it failed, status, history and metrics that all is well."""
    well.limits = Limits(force=True)
    assert well.run().exit == screen.FAILED
    found = status(well)
    (row,) = found["certificates"]

    assert (found["exit"], row["failures"], row["last_error"], row["state"]) == (0, 0, None, "installed")
    well.limits = Limits()
    assert well.run().exit == 0


def test_a_run_with_the_clock_a_year_ahead_leaves_no_trouble(well: Host, time: Clock) -> None:
    """It expired, and its renewal failed, by that clock only."""
    time.advance(365 * DAY)
    assert well.run().exit == screen.PERSON
    time.advance(-365 * DAY)

    assert (status(well)["exit"], concerns(well)) == (0, {})
    assert well.run().exit == 0


# --- authorities for tests, and includes --------------------------------------------------------------------


def test_an_authority_for_tests_is_named_and_never_plain_green(well: Host) -> None:
    """In status, plan, config check, the page's words and JSON; what it signed is not well."""
    text = well.path.read_text("utf-8")
    well.path.write_text(text.replace("agree_terms = true", "agree_terms = true\ntest = true"))
    found = status(well)
    (row,) = found["certificates"]

    assert (row["healthy"], row["exit"], found["exit"]) == (False, 1, 1)
    assert "nowhere, an authority for tests: no client trusts it" in row["why"]
    assert concerns(well) == {"test nowhere": 0}
    assert words.state("verified", healthy=row["healthy"]) == "served, and not well"
    assert "authority for tests" in piped(well, "plan")[1]
    assert "authority for tests" in piped(well, "config", "check")[1]
    assert well.run().exit == 1


def test_known_staging_directories_are_for_tests(tmp_path: Path) -> None:
    """By name, by directory; and whoever knows better says so."""
    path, staging = tmp_path / "config.toml", "https://acme-staging-v02.api.letsencrypt.org/directory"
    path.write_text(
        f'[agent]\nstate = "{tmp_path}/state"\n[defaults]\nagree_terms = true\n'
        f'[authority.mine]\ndirectory = "{staging}"\n'
        f'[authority.other]\ndirectory = "{staging}"\ntest = false\n'
        '[certificate.a]\nnames = ["example.org"]\nauthorities = ["letsencrypt", "letsencrypt-staging"]\n'
        f'challenge = {{ type = "http-01", webroot = "{tmp_path}" }}\n'
    )
    known = {name: one.test for name, one in load(str(path)).authorities.items()}
    assert known == {"mine": True, "other": False, "letsencrypt": False, "letsencrypt-staging": True}


def test_an_include_that_matches_nothing_is_told(well: Host) -> None:
    """Its certificates would be missed by nobody."""
    (well.root / "conf.d").mkdir()
    well.path.write_text('include = ["conf.d/*.toml"]\n' + well.path.read_text("utf-8"))
    assert concerns(well) == {"config": 0}
    assert "include: conf.d/*.toml matches no file" in piped(well, "config", "check")[1]
    assert any("matches no file" in one for one in well.run().findings)
