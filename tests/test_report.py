"""The documents that scripts read: `status`, `plan` and `run`, with the keys that people write against."""

import json
from typing import Any

import msgspec
import pytest

from renewer.model.decision import Outcome, Result, RunReport, Step
from renewer.model.facts import DeploymentState, EndpointState, RunRecord, Situation
from renewer.policy.due import arrange, decide
from renewer.report.documents import plan_document, run_document, status_document
from tests.builders import (
    DAY,
    HOUR,
    NOW,
    absent,
    deployment,
    failure,
    order,
    sighting,
    situation,
    terms,
    version,
    window,
    wish,
)

FRESH = version(1)
FAILING = situation(
    wish=wish(name="mail"),
    versions=(version(2, age=70 * DAY),),
    failures=(failure(3, certificate="mail"),),
    order=order(certificate="mail"),
)

STATUS = {"schema", "at", "healthy", "exit", "orphans", "certificates", "watches"}
CERTIFICATE = {
    *("name", "names", "state", "healthy", "renewal", "not_before", "not_after", "serial"),
    *("fingerprint_sha256", "authority", "profile", "key", "renew_at", "renew_reason", "failures"),
    *("last_error", "next_attempt", "degraded", "wanted", "live", "deployments", "endpoints"),
}
RENEWAL = {"step", "since", "next_attempt"}
DEPLOYMENT = {"host", "hook", "state", "version", "at", "error"}
ENDPOINT = {"endpoint", "state", "serial", "not_after", "at", "error"}
PLAN = {"schema", "at", "steps"}
STEP = {"certificate", "step", "reason", "because", "not_before"}
OUTCOME = {"certificate", "step", "result", "detail", "took_ms", "next_attempt"}


def _status(*situations: Situation) -> dict[str, Any]:
    """The document, as it comes out of the JSON that is printed."""
    document = status_document(
        {facts.wish.name: facts for facts in situations},
        arrange([decide(facts, terms()) for facts in situations], NOW),
        now=NOW,
        host="web-1",
        orphans=["left-behind"],
        last_run=RunRecord(certificate="", run="one", host="web-1", at=NOW - HOUR),
    )
    return _printed(document)


def _printed(document: object) -> dict[str, Any]:
    printed: dict[str, Any] = json.loads(msgspec.json.encode(document))
    return printed


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(situation(), id="one that is well"),
        pytest.param(absent(), id="one that is absent"),
        pytest.param(FAILING, id="one that fails"),
    ],
)
def test_status_has_its_keys(facts: Situation) -> None:
    """Every key of the interface is there, whatever the state."""
    document = _status(facts)
    (one,) = document["certificates"]

    assert set(document) >= STATUS
    assert set(one) >= CERTIFICATE
    assert one["renewal"] is None or set(one["renewal"]) == RENEWAL
    assert all(set(row) == DEPLOYMENT for row in one["deployments"])
    assert all(set(row) >= ENDPOINT for row in one["endpoints"])
    assert len(one["endpoints"]) == 1


def test_status_of_one_that_is_well() -> None:
    """The facts of the live version, and when it will be renewed."""
    document = _status(situation())
    (one,) = document["certificates"]

    assert (document["schema"], document["healthy"], document["exit"]) == (1, True, 0)
    assert (document["at"], document["orphans"]) == ("2026-11-22T12:00:00Z", ["left-behind"])
    assert (one["name"], one["names"]) == ("www", ["example.org", "www.example.org"])
    assert (one["state"], one["healthy"], one["renewal"]) == ("verified", True, None)
    assert (one["not_before"], one["not_after"]) == ("2026-11-12T12:00:00Z", "2027-02-10T12:00:00Z")
    assert (one["serial"], one["fingerprint_sha256"]) == (FRESH.leaf.serial, FRESH.leaf.fingerprint)
    assert (one["authority"], one["profile"], one["key"]) == ("letsencrypt", None, "ecdsa-p256")
    assert (one["renew_at"], one["renew_reason"]) == ("2027-01-11T12:00:00Z", "lifetime-share")
    assert (one["failures"], one["last_error"], one["next_attempt"]) == (0, None, None)
    assert (one["wanted"], one["live"], one["degraded"]) == (FRESH.id, FRESH.id, False)
    assert one["deployments"][0]["state"] == "done"
    assert one["endpoints"][0]["state"] == "verified"


def test_status_of_one_that_fails() -> None:
    """What failed, since when, and when it is tried again."""
    (one,) = _status(FAILING)["certificates"]

    assert (one["state"], one["healthy"], one["failures"]) == ("failed", False, 3)
    assert one["last_error"] == "the authority could not be reached"
    assert (one["renewal"]["step"], one["renewal"]["since"]) == ("issue", "2026-11-22T11:00:00Z")
    assert one["renewal"]["next_attempt"] == one["next_attempt"] > "2026-11-22T13:30:00Z"


def test_status_of_one_that_is_absent() -> None:
    """Nothing is null, never missing."""
    (one,) = _status(absent())["certificates"]

    assert (one["state"], one["serial"], one["live"], one["wanted"]) == ("absent", None, None, None)
    assert one["renewal"] == {"step": "issue", "since": None, "next_attempt": None}
    assert one["endpoints"][0]["state"] == "unknown"


def test_status_shows_the_most_urgent_first() -> None:
    """Who looks at the screen sees what needs a person before what is well."""
    dead = situation(wish=wish(name="zzz"), versions=(version(9, age=91 * DAY),))
    document = _status(situation(), FAILING, dead)

    assert [one["name"] for one in document["certificates"]] == ["zzz", "mail", "www"]
    assert (document["healthy"], document["exit"]) == (False, 3)


def test_status_shows_why_the_window_moved() -> None:
    """RFC 9773 §4.2: the explanation is shown to the operator."""
    told = window(FRESH, NOW + DAY, NOW + 2 * DAY, explanation_url="https://ca.example.org/incident")
    (one,) = _status(situation(windows=(told,)))["certificates"]

    assert one["renew_explanation"] == "https://ca.example.org/incident"
    assert one["renew_reason"] == "window-reached"


@pytest.mark.parametrize("state", list(EndpointState))
def test_status_names_every_endpoint_state(state: EndpointState) -> None:
    """The words of the interface, as they stand in the facts."""
    (one,) = _status(situation(sightings=(sighting(FRESH, state),)))["certificates"]

    assert one["endpoints"][0]["state"] == state.value


@pytest.mark.parametrize("state", list(DeploymentState))
def test_status_names_every_deployment_state(state: DeploymentState) -> None:
    """pending, done, failed and later."""
    (one,) = _status(situation(deployments=(deployment(FRESH, state),)))["certificates"]

    assert one["deployments"][0]["state"] == state.value


def test_plan_has_its_keys() -> None:
    """The step that is taken now with its reason, then those that follow it."""
    document = _printed(plan_document(arrange([decide(absent(), terms()), decide(FAILING, terms())], NOW)))
    steps = document["steps"]

    assert set(document) == PLAN | {"notes"}
    assert all(set(step) == STEP for step in steps)
    assert [(step["certificate"], step["step"], step["reason"]) for step in steps] == [
        ("www", "issue", "absent"),
        ("www", "install", "follows"),
        ("www", "deploy", "follows"),
        ("www", "look", "follows"),
        ("mail", "wait", "backoff"),
    ]
    assert steps[-1]["not_before"] > "2026-11-22T13:30:00Z"


def test_run_has_its_keys() -> None:
    """The plan, what came of it, and the exit code."""
    outcome = Outcome(certificate="www", step=Step.ISSUE, result=Result.DONE, detail="issued", took_ms=20)
    report = RunReport(
        run="20261122T120000Z-00000000",
        host="web-1",
        at=NOW,
        ended_at=NOW + HOUR,
        plan=arrange([decide(absent(), terms())], NOW),
        outcomes=(outcome,),
        exit=1,
    )
    document = _printed(run_document(report))

    assert set(document) >= PLAN | {"outcomes", "exit"}
    assert all(set(row) >= OUTCOME for row in document["outcomes"])
    assert (document["exit"], document["outcomes"][0]["result"]) == (1, "done")
