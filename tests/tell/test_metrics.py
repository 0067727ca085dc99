"""The metrics textfile: what stands in it, that promtool takes it, and that each run writes it."""

import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from renewer.model.facts import DeploymentState, EndpointState, RunRecord, Situation, Standing
from renewer.policy.due import arrange, decide
from renewer.report import metrics
from renewer.report.documents import status_document
from tests.agent import Agent
from tests.builders import (
    DAY,
    ENDPOINT,
    HOST,
    HOUR,
    NOW,
    absent,
    deployment,
    failure,
    sighting,
    situation,
    terms,
    version,
    wish,
)
from tests.tell import fleet

RUN = RunRecord(certificate="", run="r", host=HOST, at=NOW - timedelta(seconds=1.5), ended_at=NOW, exit=1)


def _text(*situations: Situation, standings: tuple[Standing, ...] = (), **more: Any) -> str:
    document = status_document(
        {facts.wish.name: facts for facts in situations},
        arrange([decide(facts, terms()) for facts in situations], NOW),
        now=NOW,
        host=HOST,
        orphans=(),
        last_run=RUN,
    )
    return metrics.render(
        msgspec.structs.replace(document, **more), {one.certificate: one for one in standings}, RUN, HOUR
    )


def _values(text: str) -> dict[str, str]:
    """Sample → value, without the help."""
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


def test_every_metric_of_one_that_is_well() -> None:
    """The names that people build alerts on, with the facts of the certificate."""
    of = version(1)
    well = Standing(certificate="www", host=HOST, version=of.id, renewed_at=NOW - DAY)
    samples = _values(_text(situation(versions=(of,)), standings=(well,)))

    label = '{name="www",host="web-1"}'
    start = NOW - 10 * DAY
    assert samples == {
        f"renewer_certificate_not_before_timestamp_seconds{label}": f"{start.timestamp():.0f}",
        f"renewer_certificate_not_after_timestamp_seconds{label}": f"{(start + 90 * DAY).timestamp():.0f}",
        f"renewer_certificate_renewal_due_timestamp_seconds{label}": f"{(start + 60 * DAY).timestamp():.0f}",
        f"renewer_certificate_next_attempt_timestamp_seconds{label}": f"{(start + 60 * DAY).timestamp():.0f}",
        f"renewer_certificate_last_success_timestamp_seconds{label}": f"{(NOW - DAY).timestamp():.0f}",
        f"renewer_certificate_consecutive_failures{label}": "0",
        f"renewer_certificate_deploy_pending{label}": "0",
        f"renewer_certificate_degraded{label}": "0",
        f"renewer_certificate_healthy{label}": "1",
        'renewer_certificate_served_matches{name="www",host="web-1",endpoint="www.example.org:443"}': "1",
        'renewer_run_last_completed_timestamp_seconds{host="web-1"}': f"{NOW.timestamp():.0f}",
        'renewer_run_last_exit_status{host="web-1"}': "1",
        'renewer_run_duration_seconds{host="web-1"}': "1.500",
        'renewer_run_wake_seconds{host="web-1"}': "3600",
        'renewer_build_info{version="0.1.0"}': "1",
    }


def test_one_that_fails() -> None:
    """Failures in a row, and the moment of the next attempt rather than of the renewal."""
    failing = situation(versions=(version(1, age=70 * DAY),), failures=(failure(4),))
    samples = _values(_text(failing))
    document_next = decide(failing, terms()).not_before

    assert document_next is not None
    label = '{name="www",host="web-1"}'
    assert samples[f"renewer_certificate_consecutive_failures{label}"] == "4"
    attempt = float(samples[f"renewer_certificate_next_attempt_timestamp_seconds{label}"])
    assert attempt == pytest.approx(document_next.timestamp(), abs=0.001)


@pytest.mark.parametrize(
    ("facts", "pending"),
    [
        pytest.param(situation(), "0", id="all is done"),
        pytest.param(situation(deployments=()), "1", id="no hook was called yet"),
        pytest.param(
            situation(deployments=(deployment(version(1), DeploymentState.LATER),)),
            "1",
            id="a hook asks for later",
        ),
        pytest.param(
            situation(versions=(version(2, age=HOUR), version(1)), live=version(1)), "1", id="not live"
        ),
        pytest.param(
            situation(
                deployments=(
                    deployment(version(1)),
                    deployment(version(1), DeploymentState.PENDING, hook="removed"),
                )
            ),
            "0",
            id="a hook that the config no longer names",
        ),
        pytest.param(absent(), "0", id="nothing to deploy"),
    ],
)
def test_deploy_pending(facts: Situation, pending: str) -> None:
    """Issued is not deployed: until every hook has followed, that is to be seen."""
    label = '{name="www",host="web-1"}'
    assert _values(_text(facts))[f"renewer_certificate_deploy_pending{label}"] == pending


def test_an_endpoint_matches_only_at_all_its_addresses() -> None:
    """Two addresses are one endpoint: one sample, and no if either shows something else."""
    of = version(1)
    both = (
        sighting(of, address="192.0.2.1"),
        sighting(of, EndpointState.STALE, address="192.0.2.2"),
    )
    matches = {
        sample: value
        for sample, value in _values(_text(situation(versions=(of,), sightings=both))).items()
        if "served_matches" in sample
    }

    assert matches == {
        f'renewer_certificate_served_matches{{name="www",host="web-1",endpoint="{ENDPOINT}"}}': "0"
    }


def test_what_is_unknown_has_no_sample() -> None:
    """No certificate, no expiry; not looked at yet, no verdict: absence is not zero."""
    text = _text(absent())

    assert "not_after" not in text
    assert "served_matches" not in text
    assert 'renewer_certificate_healthy{name="www",host="web-1"} 0' in text


def test_watched_ones_have_an_expiry() -> None:
    """A certificate that is only watched can be alerted on, too."""
    watch = msgspec.structs.replace(
        fleet.watches(NOW)[1], name="mail", target="mail.example.org:993", not_after=NOW
    )

    assert (
        _values(_text(situation(), watches=(watch,)))[
            'renewer_watch_not_after_timestamp_seconds{name="mail",host="web-1",target="mail.example.org:993"}'
        ]
        == f"{NOW.timestamp():.0f}"
    )


HOSTILE = 'a"b\\c\nrenewer_build_info{version="fake"} 1 \udcff <b>'


def _promtool(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [shutil.which("promtool") or "promtool", *arguments],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("host", [HOST, HOSTILE], ids=["dull", "hostile"])
def test_promtool_takes_it(host: str) -> None:
    """Prometheus' own parser reads it and finds nothing to say; a label cannot become a line."""
    facts = [
        situation(wish=wish(name="www")),
        situation(
            wish=wish(name="mail"),
            versions=(version(2, age=70 * DAY),),
            failures=(failure(certificate="mail"),),
        ),
        absent(wish=wish(name="new")),
    ]
    document = status_document(
        {one.wish.name: one for one in facts},
        arrange([decide(one, terms()) for one in facts], NOW),
        now=NOW,
        host=host,
        orphans=(),
        last_run=RUN,
    )
    text = metrics.render(document, {}, msgspec.structs.replace(RUN, host=host), HOUR)
    checked = _promtool("check", "metrics", given=text.encode("utf-8", "replace").decode())

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    assert text.count("\nrenewer_build_info{") == 1


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """An agent whose authority is out of reach, with a metrics file and a placeholder to look after."""
    return Agent(
        tmp_path,
        {
            "authority.test": {"directory": "https://127.0.0.1:9/directory", "agree_terms": True},
            "report": {"metrics": tmp_path / "renewer.prom"},
            "certificate.www": {
                "names": ["www.example.org"],
                "authority": "test",
                "challenge": {"type": "http-01", "webroot": tmp_path},
            },
            "certificate.mail": {
                "names": ["mail.example.org"],
                "authority": "test",
                "challenge": {"type": "http-01", "webroot": tmp_path},
            },
        },
    )


def test_every_run_leaves_the_file(agent: Agent) -> None:
    """Also one that fails, and one that has nothing to do: what says that runs go on must not stand still."""
    file = agent.directory / "renewer.prom"
    assert agent.cli("run").code == 1
    first = _values(file.read_text("utf-8"))
    assert agent.cli("run").code == 1
    second = _values(file.read_text("utf-8"))

    key = 'renewer_run_last_completed_timestamp_seconds{host="web-1"}'
    assert float(second[key]) > float(first[key])
    assert first['renewer_certificate_consecutive_failures{name="www",host="web-1"}'] == "1"
    assert file.stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in agent.directory.glob("*renewer.prom*")) == ["renewer.prom"]
    assert _promtool("check", "metrics", given=file.read_text("utf-8")).stdout == ""


def test_a_run_for_one_leaves_the_metrics_of_all(agent: Agent) -> None:
    """`--only` must not make the others vanish from monitoring."""
    agent.cli("run", "--only", "mail")

    samples = _values((agent.directory / "renewer.prom").read_text("utf-8"))
    assert {sample for sample in samples if "consecutive" in sample} == {
        'renewer_certificate_consecutive_failures{name="mail",host="web-1"}',
        'renewer_certificate_consecutive_failures{name="www",host="web-1"}',
    }


def test_a_file_that_cannot_be_written_is_told_and_fails_no_run(agent: Agent) -> None:
    """The directory is missing: the run goes on, and `status` says so."""
    agent.tables["report"] = {"metrics": agent.directory / "missing" / "renewer.prom"}
    path = agent.directory / "missing" / "renewer.prom"
    document = agent.json("run", code=1)

    assert document["findings"] == [f"{path} cannot be written: No such file or directory"]
    assert agent.json("status", code=1)["findings"] == document["findings"]
