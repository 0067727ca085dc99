"""Strategies for hypothesis: any facts that could ever be read, sensible or not."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from msgspec.structs import replace

from renewer.model.desired import Certificate, KeyType
from renewer.model.facts import (
    COPIES,
    Acceptance,
    CopyState,
    Deployment,
    DeploymentState,
    EndpointState,
    Failure,
    Order,
    OrderState,
    Sighting,
    Situation,
    Version,
    Window,
)
from renewer.policy.terms import ALL_STEPS, Terms
from tests.builders import (
    DAY,
    ENDPOINT,
    HOOK_FINGERPRINT,
    NAMES,
    NOW,
    WISH,
    deployment,
    failure,
    hold,
    order,
    sighting,
    situation,
    version,
    window,
    wish,
)

AUTHORITIES = ("letsencrypt", "google", "zerossl")
LIFETIMES = st.timedeltas(timedelta(seconds=90), 398 * DAY)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
WAKES = st.timedeltas(timedelta(seconds=1), 60 * DAY)


@st.composite
def wishes(draw: st.DrawFn) -> Certificate:
    """What a config could ask for."""
    return wish(
        names=draw(st.sampled_from([NAMES, NAMES[:1]])),
        authorities=tuple(draw(st.permutations(AUTHORITIES)))[: draw(st.integers(1, 3))],
        key=draw(st.sampled_from([KeyType.ECDSA_P256, KeyType.RSA_2048])),
        profile=draw(st.sampled_from([None, "tlsserver"])),
        renew_before=draw(st.none() | st.timedeltas(-DAY, 500 * DAY)),
        hooks=draw(st.sampled_from([(), ("nginx",), ("nginx", "postfix")])),
        endpoints=draw(st.sampled_from([(), (ENDPOINT,), (ENDPOINT, replace(ENDPOINT, port=8443))])),
    )


@st.composite
def versions(draw: st.DrawFn) -> tuple[Version, ...]:
    """A few versions, newest first, of any age; one may have no well-defined end (RFC 5280 §4.1.2.5)."""
    shelf: list[Version] = []
    for number in range(draw(st.integers(0, 4))):
        one = version(
            number,
            age=draw(st.timedeltas(-2 * DAY, 450 * DAY)),
            lifetime=draw(LIFETIMES),
            placeholder=draw(st.booleans()),
            degraded=draw(st.booleans()),
            authority=draw(st.sampled_from([None, *AUTHORITIES])),
            profile=draw(st.sampled_from([None, "tlsserver", "classic"])),
        )
        leaf = replace(
            one.leaf,
            names=draw(st.sampled_from([NAMES, NAMES[:1], NAMES[1:]])),
            key=draw(st.sampled_from([None, KeyType.ECDSA_P256, KeyType.RSA_2048])),
        )
        if draw(st.integers(0, 9)) == 0:
            leaf = replace(leaf, not_after=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
        shelf.append(replace(one, leaf=leaf))
    return tuple(sorted(shelf, key=lambda one: one.made_at, reverse=True))


@st.composite
def _orders(draw: st.DrawFn) -> Order:
    return order(
        state=draw(st.sampled_from(OrderState)),
        authority=draw(st.sampled_from(AUTHORITIES)),
        identifiers=draw(st.sampled_from([NAMES, NAMES[:1]])),
        degraded=draw(st.booleans()),
        profile=draw(st.sampled_from([None, "tlsserver"])),
        at=draw(MOMENTS),
    )


@st.composite
def _failures(draw: st.DrawFn, authority: str) -> Failure:
    return failure(
        draw(st.integers(0, 2000)),
        authority=authority,
        at=draw(MOMENTS),
        wish=draw(st.sampled_from([WISH, "wish-as-it-was"])),
        final=draw(st.booleans()),
        problem=draw(st.sampled_from(["", "paused", "rateLimited"])),
        not_before=draw(st.none() | MOMENTS),
        identifiers=draw(st.sampled_from([(), (("www.example.org", "no such host"),)])),
        named=draw(st.booleans()),
    )


@st.composite
def windows(draw: st.DrawFn, of: Version) -> Window:
    """Any answer: none, backwards, long past, behind the expiry."""
    return window(of, draw(st.none() | MOMENTS), draw(st.none() | MOMENTS), ask_again=draw(MOMENTS))


@st.composite
def _deployments(draw: st.DrawFn, of: Version, hook: str) -> Deployment:
    return deployment(
        of,
        draw(st.sampled_from(DeploymentState)),
        hook=hook,
        failures=draw(st.integers(0, 20)),
        fingerprint=draw(st.sampled_from([HOOK_FINGERPRINT, "as-it-was"])),
        at=draw(MOMENTS),
    )


@st.composite
def _sightings(draw: st.DrawFn, of: Version, endpoint: str) -> Sighting:
    return sighting(
        of,
        draw(st.sampled_from(EndpointState)),
        endpoint=endpoint,
        failures=draw(st.integers(0, 20)),
        local=draw(st.booleans()),
        at=draw(MOMENTS),
    )


@st.composite
def _acceptances(draw: st.DrawFn, of: Version) -> Acceptance:
    return Acceptance(
        certificate="www",
        version=of.id,
        roots="system",
        at=draw(MOMENTS),
        accepted=draw(st.sampled_from([None, True, False])),
        why="its chain ends at a root that is not trusted",
    )


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Everything that could be known about one certificate."""
    of, shelf = draw(wishes()), draw(versions())
    ids = [one.id for one in shelf]
    hooks = tuple((name, HOOK_FINGERPRINT) for name in of.hooks)
    copies: tuple[CopyState, ...] = ()
    if draw(st.booleans()):
        hooks = ((COPIES, HOOK_FINGERPRINT), *hooks)
        copies = (
            CopyState(
                path="/etc/nginx/www.pem",
                version=draw(st.sampled_from([None, *ids])),
                intact=draw(st.booleans()),
            ),
        )
    of_any = st.sampled_from(shelf) if shelf else st.just(version())
    failing = draw(st.lists(st.sampled_from(AUTHORITIES), unique=True))
    return situation(
        wish=of,
        versions=shelf,
        live_id=draw(st.sampled_from([None, "20200101T000000Z-00000000", *ids])),
        order=draw(st.none() | _orders()),
        order_ready=draw(st.booleans()),
        failures=tuple(draw(_failures(name)) for name in failing),
        windows=tuple(draw(windows(one)) for one in shelf if draw(st.booleans())),
        hooks=hooks,
        copies=copies,
        deployments=tuple(draw(_deployments(draw(of_any), name)) for name, _ in hooks if draw(st.booleans())),
        sightings=tuple(
            draw(_sightings(draw(of_any), str(one))) for one in of.endpoints if draw(st.booleans())
        ),
        acceptances=tuple(draw(_acceptances(one)) for one in shelf if draw(st.booleans())),
        holds=tuple(hold(one) for one in shelf if draw(st.integers(0, 4)) == 0),
        fault=draw(st.sampled_from([None, "a version is damaged"])),
    )


@st.composite
def any_terms(draw: st.DrawFn) -> Terms:
    """Any moment, any timer, any limits of a run."""
    return Terms(
        now=draw(st.just(NOW) | MOMENTS),
        wake=draw(WAKES),
        steps=draw(st.just(ALL_STEPS) | st.frozensets(st.sampled_from(sorted(ALL_STEPS)))),
        force=draw(st.booleans()),
        redeploy=draw(st.booleans()),
    )
