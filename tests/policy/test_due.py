"""What a certificate needs next, as sentences: the composed chain of checks, from facts to a decision."""

from typing import NamedTuple

import pytest
from msgspec.structs import replace

from renewer.model.decision import Reason, Step
from renewer.model.desired import DeployWindow, Endpoint, KeyType
from renewer.model.facts import (
    COPIES,
    Asked,
    CopyState,
    DeploymentState,
    EndpointState,
    OrderState,
    Situation,
)
from renewer.model.names import Identifier
from renewer.policy.deploying import hooks_to_run
from renewer.policy.due import decide
from renewer.policy.terms import ALL_STEPS, Terms
from tests.builders import (
    DAY,
    HOOK_FINGERPRINT,
    HOUR,
    MINUTE,
    NOW,
    WISH,
    absent,
    acceptance,
    deployment,
    failure,
    hold,
    order,
    ordered,
    sighting,
    situation,
    terms,
    version,
    window,
    wish,
)

FRESH = version(1)
SHUNNED = version(7, age=50 * DAY, lifetime=398 * DAY)
LATE = version(6, age=76 * DAY)
OLD = version(2, age=61 * DAY)
NEW = version(3, age=HOUR)
DEAD = version(4, age=91 * DAY)
URGENT = version(5, age=87 * DAY)
ENDING = version(7, age=90 * DAY - 5 * HOUR)
PLACEHOLDER = version(6, age=HOUR, lifetime=7 * DAY, placeholder=True, authority=None, account=None)
TWO = ("letsencrypt", "google")


class Case(NamedTuple):
    """Facts and terms, and what is to be decided."""

    facts: Situation
    step: Step
    reason: Reason
    under: Terms = terms()


def _copied(state: CopyState, done: DeploymentState = DeploymentState.DONE) -> Situation:
    hooks = ((COPIES, HOOK_FINGERPRINT), ("nginx", HOOK_FINGERPRINT))
    ran = (deployment(FRESH, done, hook=COPIES), deployment(FRESH))
    return situation(hooks=hooks, copies=(state,), deployments=ran)


TABLE: dict[str, Case] = {
    # nothing to do
    "A healthy certificate is kept": Case(situation(), Step.KEEP, Reason.NOT_DUE),
    "A certificate without hooks and endpoints is kept once it is live": Case(
        situation(wish=wish(hooks=(), endpoints=())), Step.KEEP, Reason.NOT_DUE
    ),
    # issue
    "Where nothing is, one is issued": Case(absent(), Step.ISSUE, Reason.ABSENT),
    "A placeholder is as good as nothing": Case(
        situation(versions=(PLACEHOLDER,), deployments=(), sightings=()), Step.ISSUE, Reason.ABSENT
    ),
    "An expired one is replaced": Case(situation(versions=(DEAD,)), Step.ISSUE, Reason.EXPIRED),
    "Two thirds through its lifetime it is replaced": Case(
        situation(versions=(OLD,)), Step.ISSUE, Reason.LIFETIME_SHARE
    ),
    "renew_before overrules the share": Case(
        situation(versions=(FRESH,), wish=wish(renew_before=81 * DAY)), Step.ISSUE, Reason.RENEW_BEFORE
    ),
    "The authority's moment has come": Case(
        situation(windows=(window(FRESH, NOW - 3 * DAY, NOW - DAY),)), Step.ISSUE, Reason.WINDOW_REACHED
    ),
    "The authority's window closes before the next run": Case(
        situation(windows=(window(FRESH, NOW + 10 * MINUTE, NOW + 50 * MINUTE),)),
        Step.ISSUE,
        Reason.WINDOW_WOULD_BE_MISSED,
    ),
    "The authority's window begins later, though the share is over": Case(
        situation(versions=(OLD,), windows=(window(OLD, NOW + DAY, NOW + 3 * DAY),)),
        Step.KEEP,
        Reason.NOT_DUE,
    ),
    "So little is left that the authority's window counts no more": Case(
        situation(versions=(URGENT,), windows=(window(URGENT, NOW + DAY, NOW + 2 * DAY),)),
        Step.ISSUE,
        Reason.EMERGENCY,
    ),
    "A revoked one is replaced": Case(situation(revoked=(FRESH.id,)), Step.ISSUE, Reason.REVOKED),
    "Some names do not validate, and the end is near": Case(
        situation(
            versions=(ENDING,),
            failures=(
                failure(9, at=NOW - HOUR / 6, identifiers=(("www.example.org", "no such host"),), named=True),
            ),
        ),
        Step.ISSUE,
        Reason.NAMES_FAIL,
    ),
    "Clients refuse the newest, and the renewal of the good one is late": Case(
        situation(
            versions=(SHUNNED, LATE),
            live=LATE,
            acceptances=(acceptance(SHUNNED, accepted=False), acceptance(LATE, accepted=True)),
        ),
        Step.ISSUE,
        Reason.REFUSED,
    ),
    "A new name is in the config": Case(
        situation(wish=wish(names=(Identifier.parse("new.example.org"),))), Step.ISSUE, Reason.WISH_CHANGED
    ),
    "Another kind of key is in the config": Case(
        situation(wish=wish(key=KeyType.RSA_2048)), Step.ISSUE, Reason.WISH_CHANGED
    ),
    "Another authority is in the config": Case(
        situation(wish=wish(authorities=("google",))), Step.ISSUE, Reason.WISH_CHANGED
    ),
    "Another profile is in the config": Case(
        situation(wish=wish(profile="shortlived")), Step.ISSUE, Reason.WISH_CHANGED
    ),
    "--force issues though nothing is due": Case(situation(), Step.ISSUE, Reason.FORCED, terms(force=True)),
    "--force does not wait for the backoff": Case(
        situation(failures=(failure(4),)), Step.ISSUE, Reason.FORCED, terms(force=True)
    ),
    "The wanted version is due though it is not live yet": Case(
        situation(
            versions=(OLD, DEAD),
            live=DEAD,
            deployments=(deployment(OLD, DeploymentState.FAILED, failures=4, at=NOW),),
        ),
        Step.ISSUE,
        Reason.LIFETIME_SHARE,
    ),
    # resume and install
    "An open order is finished": Case(
        absent(order=order(), order_ready=True), Step.RESUME, Reason.ORDER_OPEN
    ),
    "An intent without a URL is taken up, too": Case(
        absent(order=order(state=OrderState.INTENT, url=None), order_ready=True),
        Step.RESUME,
        Reason.ORDER_OPEN,
    ),
    "An open order goes before an issue that is due": Case(
        situation(versions=(OLD,), order=order(), order_ready=True), Step.RESUME, Reason.ORDER_OPEN
    ),
    "An order without its key is lost": Case(absent(order=order()), Step.ISSUE, Reason.ABSENT),
    "An order for other names is not finished": Case(
        absent(order=order(identifiers=(Identifier.parse("old.example.org"),)), order_ready=True),
        Step.ISSUE,
        Reason.ABSENT,
    ),
    "An order for another key is not finished": Case(
        absent(order=order(key_type=KeyType.RSA_4096), order_ready=True), Step.ISSUE, Reason.ABSENT
    ),
    "An order with another profile is not finished": Case(
        absent(
            order=order(profile="classic"),
            order_ready=True,
            asked=(Asked(authority="letsencrypt", wish=WISH, profile="tlsserver"),),
        ),
        Step.ISSUE,
        Reason.ABSENT,
    ),
    "An order at an authority that is named no more is not finished": Case(
        absent(order=order(authority="zerossl"), order_ready=True), Step.ISSUE, Reason.ABSENT
    ),
    "An abandoned order is nothing": Case(
        absent(order=order(state=OrderState.ABANDONED), order_ready=True), Step.ISSUE, Reason.ABSENT
    ),
    "Three orders of late are enough": Case(
        absent(ordered=(ordered(3 * HOUR, 2 * HOUR, HOUR),)), Step.WAIT, Reason.ORDER_BUDGET
    ),
    "An open order waits while its authority does": Case(
        absent(order=order(), order_ready=True, failures=(failure(3),)), Step.WAIT, Reason.BACKOFF
    ),
    "What was issued is installed": Case(
        absent(order=order(state=OrderState.ISSUED), order_ready=True),
        Step.INSTALL,
        Reason.ISSUED_NOT_INSTALLED,
    ),
    "What was issued is installed though its authority fails since": Case(
        absent(order=order(state=OrderState.ISSUED), order_ready=True, failures=(failure(4),)),
        Step.INSTALL,
        Reason.ISSUED_NOT_INSTALLED,
    ),
    # deploy
    "The newest version is not live": Case(
        situation(versions=(NEW, OLD), live=OLD), Step.DEPLOY, Reason.NOT_LIVE
    ),
    "Nothing is live though a version is there": Case(situation(live_id=None), Step.DEPLOY, Reason.NOT_LIVE),
    "A version that failed to deploy waits": Case(
        situation(
            versions=(NEW, FRESH),
            live=FRESH,
            deployments=(deployment(NEW, DeploymentState.FAILED, failures=2, at=NOW),),
        ),
        Step.WAIT,
        Reason.BACKOFF,
    ),
    "A hook that was mended is tried at once": Case(
        situation(
            versions=(NEW, FRESH),
            live=FRESH,
            deployments=(
                deployment(NEW, DeploymentState.FAILED, failures=4, at=NOW, fingerprint="as-it-was"),
            ),
        ),
        Step.DEPLOY,
        Reason.NOT_LIVE,
    ),
    "A failed hook is tried again after its backoff": Case(
        situation(deployments=(deployment(FRESH, DeploymentState.FAILED),)),
        Step.DEPLOY,
        Reason.HOOK_PENDING,
    ),
    "A failed hook waits": Case(
        situation(deployments=(deployment(FRESH, DeploymentState.FAILED, failures=3, at=NOW),)),
        Step.WAIT,
        Reason.BACKOFF,
    ),
    "A hook newly named is run": Case(situation(deployments=()), Step.DEPLOY, Reason.HOOK_PENDING),
    "A hook that was killed is run again": Case(
        situation(deployments=(deployment(FRESH, DeploymentState.PENDING),)),
        Step.DEPLOY,
        Reason.HOOK_PENDING,
    ),
    "A hook whose server was not running is asked again": Case(
        situation(deployments=(deployment(FRESH, DeploymentState.LATER),)), Step.DEPLOY, Reason.HOOK_PENDING
    ),
    "A hook that knows an older version only is run": Case(
        situation(deployments=(deployment(OLD),)), Step.DEPLOY, Reason.HOOK_PENDING
    ),
    "One hook does not wait for another that failed": Case(
        situation(
            wish=wish(hooks=("nginx", "postfix")),
            deployments=(deployment(FRESH, DeploymentState.FAILED, failures=4, at=NOW),),
        ),
        Step.DEPLOY,
        Reason.HOOK_PENDING,
    ),
    "A failed deployment is tried twice an hour while what is live is about to expire": Case(
        situation(
            versions=(NEW, ENDING),
            live=ENDING,
            deployments=(deployment(NEW, DeploymentState.FAILED, failures=9, at=NOW - HOUR),),
        ),
        Step.DEPLOY,
        Reason.NOT_LIVE,
    ),
    "But not at once, even then": Case(
        situation(
            versions=(NEW, ENDING),
            live=ENDING,
            deployments=(deployment(NEW, DeploymentState.FAILED, failures=9, at=NOW),),
        ),
        Step.WAIT,
        Reason.BACKOFF,
    ),
    "A hook is asked twice an hour while a port shows what is about to expire": Case(
        situation(
            deployments=(deployment(FRESH, DeploymentState.FAILED, failures=9, at=NOW - HOUR),),
            sightings=(sighting(FRESH, EndpointState.STALE, not_after=NOW + 5 * HOUR),),
        ),
        Step.DEPLOY,
        Reason.HOOK_PENDING,
    ),
    "A port that stays old is deployed again every few hours when that one is about to expire": Case(
        situation(
            deployments=(deployment(FRESH, at=NOW - 5 * HOUR),),
            sightings=(
                sighting(
                    FRESH, EndpointState.STALE, since=NOW - 20 * DAY, failures=9, not_after=NOW + 5 * HOUR
                ),
            ),
        ),
        Step.DEPLOY,
        Reason.SERVED_STALE,
    ),
    "A hook's file may change without another run once it is done": Case(
        situation(deployments=(deployment(FRESH, fingerprint="as-it-was"),)), Step.KEEP, Reason.NOT_DUE
    ),
    "A copy is missing": Case(
        _copied(CopyState(path="/etc/nginx/www.pem", version=None, intact=False)),
        Step.DEPLOY,
        Reason.COPY_PENDING,
    ),
    "A copy was changed by somebody": Case(
        _copied(CopyState(path="/etc/nginx/www.pem", version=FRESH.id, intact=False)),
        Step.DEPLOY,
        Reason.COPY_PENDING,
    ),
    "A copy is of an older version": Case(
        _copied(CopyState(path="/etc/nginx/www.pem", version=OLD.id, intact=True)),
        Step.DEPLOY,
        Reason.COPY_PENDING,
    ),
    "A copy as it should be is left alone": Case(
        _copied(CopyState(path="/etc/nginx/www.pem", version=FRESH.id, intact=True)),
        Step.KEEP,
        Reason.NOT_DUE,
    ),
    "A port of this host still serves an older one": Case(
        situation(sightings=(sighting(FRESH, EndpointState.STALE),)), Step.DEPLOY, Reason.SERVED_STALE
    ),
    "A port that stays old is not reloaded all the time": Case(
        situation(sightings=(sighting(FRESH, EndpointState.STALE, since=NOW - 3 * HOUR, failures=4),)),
        Step.WAIT,
        Reason.BACKOFF,
    ),
    "A version that was published waits until others know": Case(
        situation(versions=(NEW, OLD), live=OLD, wish=wish(deploy_after=2 * HOUR)),
        Step.WAIT,
        Reason.DEPLOY_AFTER,
    ),
    "A port shows what came after this state, for a day now": Case(
        situation(sightings=(sighting(FRESH, EndpointState.FOREIGN, newer=True, since=NOW - 25 * HOUR),)),
        Step.ISSUE,
        Reason.STATE_IS_OLDER,
    ),
    "A port shows what came after this state, and it may yet be restored": Case(
        situation(sightings=(sighting(FRESH, EndpointState.FOREIGN, newer=True, since=NOW - 23 * HOUR),)),
        Step.KEEP,
        Reason.NOT_DUE,
    ),
    "A port of another host is not ours to mend": Case(
        situation(sightings=(sighting(FRESH, EndpointState.STALE, local=False),)), Step.KEEP, Reason.NOT_DUE
    ),
    "A foreign certificate at the port leads to no deployment": Case(
        situation(sightings=(sighting(FRESH, EndpointState.FOREIGN),)), Step.KEEP, Reason.NOT_DUE
    ),
    "A port that does not answer leads to no deployment": Case(
        situation(sightings=(sighting(FRESH, EndpointState.UNREACHABLE),)), Step.KEEP, Reason.NOT_DUE
    ),
    "A chain that is not trusted leads to no deployment": Case(
        situation(sightings=(sighting(FRESH, EndpointState.UNTRUSTED),)), Step.KEEP, Reason.NOT_DUE
    ),
    "Somebody types run --new-key": Case(situation(), Step.ISSUE, Reason.NEW_KEY, terms(new_key=True)),
    "Somebody types deploy": Case(situation(), Step.DEPLOY, Reason.FORCED, terms(redeploy=True)),
    "Who types deploy does not wait for the backoff": Case(
        situation(deployments=(deployment(FRESH, DeploymentState.FAILED, failures=4, at=NOW),)),
        Step.DEPLOY,
        Reason.HOOK_PENDING,
        terms(redeploy=True),
    ),
    "A certificate that fits no more goes on being deployed while a new one is refused": Case(
        situation(
            wish=wish(key=KeyType.RSA_2048),
            failures=(failure(4),),
            deployments=(deployment(FRESH, DeploymentState.FAILED),),
        ),
        Step.DEPLOY,
        Reason.HOOK_PENDING,
    ),
    "No hook runs for a placeholder": Case(
        situation(versions=(PLACEHOLDER,), failures=(failure(4),), deployments=(), sightings=()),
        Step.WAIT,
        Reason.BACKOFF,
    ),
    # look
    "A port was not looked at since": Case(situation(sightings=(sighting(OLD),)), Step.LOOK, Reason.NOT_SEEN),
    "A port was never looked at": Case(situation(sightings=()), Step.LOOK, Reason.NOT_SEEN),
    # waiting
    "After a failure it waits": Case(absent(failures=(failure(3),)), Step.WAIT, Reason.BACKOFF),
    "The authority asked to wait": Case(
        absent(failures=(failure(not_before=NOW + 3 * HOUR),)), Step.WAIT, Reason.AUTHORITY_ASKED_TO_WAIT
    ),
    "A changed config forgets the failures": Case(
        absent(failures=(failure(4, wish="wish-as-it-was"),)), Step.ISSUE, Reason.ABSENT
    ),
    "A moment just ahead counts as reached": Case(
        absent(failures=(failure(3, ago=108 * MINUTE),)), Step.ISSUE, Reason.ABSENT
    ),
    "The second authority is asked when the first refuses": Case(
        absent(wish=wish(authorities=TWO), failures=(failure(final=True),)), Step.ISSUE, Reason.ABSENT
    ),
    # limits of a run
    "A step that is not allowed is waiting": Case(
        absent(), Step.WAIT, Reason.STEP_NOT_ALLOWED, terms(steps=ALL_STEPS - {Step.ISSUE})
    ),
    "A step that is not allowed does not hinder another": Case(
        situation(deployments=(), sightings=()),
        Step.LOOK,
        Reason.NOT_SEEN,
        terms(steps=frozenset({Step.LOOK})),
    ),
    "A deployment that waits does not delay the next issue": Case(
        situation(
            versions=(OLD,), deployments=(deployment(OLD, DeploymentState.FAILED, failures=4, at=NOW),)
        ),
        Step.ISSUE,
        Reason.LIFETIME_SHARE,
    ),
    "Outside its window a deployment waits": Case(
        situation(
            wish=wish(
                deploy_windows=(
                    DeployWindow(text="Mon 02:00-04:00", days=(0,), start=120, end=240, zone="UTC"),
                )
            ),
            versions=(NEW, OLD),
            live=OLD,
        ),
        Step.WAIT,
        Reason.DEPLOY_WINDOW,
    ),
    # holds
    "After a rollback the older one stays live": Case(
        situation(versions=(NEW, FRESH), live=FRESH, holds=(hold(NEW),)), Step.KEEP, Reason.NOT_DUE
    ),
    "A rollback to one that was due orders nothing": Case(
        situation(versions=(NEW, OLD), live=OLD, holds=(hold(NEW),)), Step.KEEP, Reason.NOT_DUE
    ),
    "A hold ends where the older one is about to expire": Case(
        situation(versions=(NEW, URGENT), live=URGENT, holds=(hold(NEW),)), Step.DEPLOY, Reason.NOT_LIVE
    ),
}


@pytest.mark.parametrize("case", TABLE.values(), ids=TABLE.keys())
def test_what_is_decided(case: Case) -> None:
    """The first check that applies and may act now decides, with its reason."""
    decision = decide(case.facts, case.under)

    assert (case.step, case.reason) == (decision.step, decision.reason), decision.because


@pytest.mark.parametrize("case", TABLE.values(), ids=TABLE.keys())
def test_a_decision_is_complete(case: Case) -> None:
    """Every decision names its certificate and says why; WAIT names what waits."""
    decision = decide(case.facts, case.under)

    assert decision.certificate == case.facts.wish.name
    assert decision.because
    assert (decision.step is Step.WAIT) == (decision.held is not None)
    assert decision.not_before is None or decision.not_before > NOW


def test_every_reason_is_given_somewhere() -> None:
    """The reasons are an interface: each stands in the table, but for two of others."""
    elsewhere = {Reason.NOTHING_TO_DO, Reason.UNREADABLE}

    assert {case.reason for case in TABLE.values()} == set(Reason) - elsewhere


def test_the_whole_chain_is_foreseen() -> None:
    """A plan shows what follows the step that is taken now."""
    assert decide(absent(), terms()).then == (Step.INSTALL, Step.DEPLOY, Step.LOOK)
    assert decide(situation(deployments=()), terms()).then == (Step.LOOK,)
    assert decide(situation(sightings=()), terms()).then == ()


def test_without_endpoints_no_look_is_foreseen() -> None:
    """`endpoints = []` turns looking off."""
    assert decide(absent(wish=wish(endpoints=())), terms()).then == (Step.INSTALL, Step.DEPLOY)


def test_an_issue_behind_a_deployment_is_foreseen() -> None:
    """Both tracks show in the plan: what is deployed now is due as well."""
    decision = decide(situation(versions=(OLD, DEAD), live=DEAD), terms())

    assert (decision.step, decision.then) == (Step.DEPLOY, (Step.LOOK, Step.ISSUE))


def test_waiting_names_the_earliest_moment() -> None:
    """Of all that is held back, the one that may act first is told."""
    facts = situation(
        versions=(OLD,),
        failures=(failure(4),),
        deployments=(deployment(OLD, DeploymentState.FAILED, failures=2, at=NOW),),
    )
    decision = decide(facts, terms())

    assert (decision.step, decision.held) == (Step.WAIT, Step.DEPLOY)
    assert decision.not_before is not None
    assert NOW + 9 * MINUTE <= decision.not_before <= NOW + 10 * MINUTE


def test_an_expired_one_is_no_less_urgent_than_one_about_to_expire() -> None:
    """The expiry does not bring the daily backoff back: every half hour until there is a new one."""
    decision = decide(situation(versions=(DEAD,), failures=(failure(9, final=True),)), terms())

    assert (decision.step, decision.held) == (Step.WAIT, Step.ISSUE)
    assert decision.not_before is not None
    assert decision.not_before <= NOW + 33 * MINUTE


def test_an_open_order_does_not_keep_the_next_authority_from_its_turn() -> None:
    """Where the first authority fails with an order open, the second is asked."""
    facts = absent(wish=wish(authorities=TWO), order=order(), order_ready=True, failures=(failure(4),))
    decision = decide(facts, terms())

    assert (decision.step, decision.authority) == (Step.ISSUE, "google")


def test_keeping_says_when_to_look_again() -> None:
    """KEEP carries the moment at which the next renewal falls due."""
    assert decide(situation(), terms()).look_again == FRESH.leaf.not_after - 30 * DAY


def test_the_last_error_is_in_the_sentence() -> None:
    """Who reads the plan learns why the same is tried again."""
    assert "could not be reached" in decide(absent(failures=(failure(ago=HOUR),)), terms()).because
    told = decide(situation(deployments=(deployment(FRESH, DeploymentState.FAILED),)), terms()).because
    assert "exit code 1" in told


def test_force_respects_what_the_authority_asked() -> None:
    """--force overrules our backoff, never a Retry-After."""
    facts = absent(failures=(failure(not_before=NOW + 3 * HOUR),))

    assert decide(facts, terms(force=True)).step is Step.WAIT


def test_force_respects_a_paused_account() -> None:
    """Every try while an account is paused makes it worse."""
    facts = absent(failures=(failure(problem="paused", not_before=NOW + 3 * DAY),))

    assert decide(facts, terms(force=True)).step is Step.WAIT


def test_an_order_at_an_authority_that_fails_waits_for_that_authority() -> None:
    """An order at the first authority is not driven on every run because the second one is free."""
    facts = absent(
        wish=wish(authorities=TWO), order=order(), order_ready=True, failures=(failure(4, final=False),)
    )

    assert decide(facts, terms()).step is not Step.RESUME


@pytest.mark.parametrize(
    ("facts", "asked", "expected"),
    [
        pytest.param(situation(), terms(), (), id="none when all are done"),
        pytest.param(
            situation(versions=(NEW, FRESH), live=FRESH), terms(), ("nginx",), id="all when the link turns"
        ),
        pytest.param(situation(), terms(redeploy=True), ("nginx",), id="all when somebody asks"),
        pytest.param(
            situation(sightings=(sighting(FRESH, EndpointState.STALE),)),
            terms(),
            ("nginx",),
            id="all when a port is stale",
        ),
        pytest.param(
            situation(wish=wish(hooks=("nginx", "postfix")), deployments=(deployment(FRESH),)),
            terms(),
            ("postfix",),
            id="only the one that has not done it",
        ),
        pytest.param(
            situation(
                wish=wish(hooks=("nginx", "postfix")),
                deployments=(
                    deployment(FRESH, DeploymentState.FAILED, failures=4, at=NOW),
                    deployment(FRESH, DeploymentState.LATER, hook="postfix"),
                ),
            ),
            terms(),
            ("postfix",),
            id="not one whose backoff is not over",
        ),
    ],
)
def test_which_hooks_run(facts: Situation, asked: Terms, expected: tuple[str, ...]) -> None:
    """A hook that did its work for this version is not called again for another's sake."""
    assert hooks_to_run(facts, facts.versions[0], asked) == expected


MAIL = (("dovecot", (993, 995)), ("postfix", (25,)))


@pytest.mark.parametrize(
    ("ports", "known", "expected"),
    [
        ((993,), MAIL, ("dovecot", "own")),
        ((25,), MAIL, ("postfix", "own")),
        ((993, 25), MAIL, ("dovecot", "postfix", "own")),
        ((8443,), MAIL, ("own",)),
        ((8443,), (*MAIL, ("own", (443,))), ("dovecot", "postfix", "own")),
        ((993,), (*MAIL, ("own", (443, 993))), ("dovecot", "own")),
        ((993,), (), ("dovecot", "postfix", "own")),
    ],
)
def test_only_whose_own_port_is_stale(
    ports: tuple[int, ...], known: tuple[tuple[str, tuple[int, ...]], ...], expected: tuple[str, ...]
) -> None:
    """A stale port calls the hooks whose server may be behind it; if that were none, all."""
    names = ("dovecot", "postfix", "own")
    endpoints = tuple(Endpoint(server_name="mx.example.org", port=port) for port in (25, 993, 8443))
    seen = [
        replace(
            sighting(FRESH, EndpointState.STALE if one.port in ports else EndpointState.VERIFIED),
            endpoint=str(one),
        )
        for one in endpoints
    ]
    facts = situation(
        wish=wish(hooks=names, endpoints=endpoints),
        hooks=tuple((name, HOOK_FINGERPRINT) for name in names),
        deployments=tuple(deployment(FRESH, hook=name) for name in names),
        sightings=tuple(seen),
        ports=known,
    )
    assert hooks_to_run(facts, FRESH, terms()) == expected


def test_a_pending_hook_is_called_beside_the_stale_ports() -> None:
    """What has not done the version is called whatever its ports are."""
    endpoint = Endpoint(server_name="mx.example.org", port=993)
    facts = situation(
        wish=wish(hooks=("dovecot", "postfix"), endpoints=(endpoint,)),
        hooks=(("dovecot", HOOK_FINGERPRINT), ("postfix", HOOK_FINGERPRINT)),
        deployments=(deployment(FRESH, hook="dovecot"),),
        sightings=(replace(sighting(FRESH, EndpointState.STALE), endpoint=str(endpoint)),),
        ports=MAIL,
    )
    assert hooks_to_run(facts, FRESH, terms()) == ("dovecot", "postfix")
