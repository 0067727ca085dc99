"""Facts for tests, each legal and dull by default: a test names only what it is about."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from renewer.model.desired import Certificate, Endpoint, Http01, KeyType
from renewer.model.facts import (
    Acceptance,
    Accepted,
    Asked,
    Deployment,
    DeploymentState,
    EndpointState,
    Failure,
    Hold,
    Leaf,
    Order,
    Ordered,
    OrderState,
    Sighting,
    Situation,
    Version,
    Window,
)
from renewer.model.names import Identifier
from renewer.policy.terms import Terms
from renewer.store.layout import version_id

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
HOST = "web-1"
HOOK_FINGERPRINT = "as-it-is"
WISH = "wish-as-it-is"
NAMES = (Identifier.parse("example.org"), Identifier.parse("www.example.org"))
ENDPOINT = Endpoint(server_name="www.example.org")


def wish(**changes: Any) -> Certificate:
    """What the config asks for: two names, one authority, one hook, one endpoint."""
    given: dict[str, Any] = {
        "name": "www",
        "names": NAMES,
        "authorities": ("letsencrypt",),
        "challenge": Http01(webroot="/var/www/html"),
        "hooks": ("nginx",),
        "endpoints": (ENDPOINT,),
        "hosts": (HOST,),
    }
    return Certificate(**(given | changes))


def leaf(
    number: int = 1, *, age: timedelta = 10 * DAY, lifetime: timedelta = 90 * DAY, at: datetime = NOW
) -> Leaf:
    """A leaf of that age at `at`; its number tells it from others."""
    return Leaf(
        serial=f"{number:08x}",
        fingerprint=sha256(str(number).encode()).hexdigest(),
        not_before=at - age,
        not_after=at - age + lifetime,
        names=NAMES,
        key=KeyType.ECDSA_P256,
        issuer="Some Intermediate",
        ari_id=f"key.{number}",
    )


def version(
    number: int = 1,
    *,
    age: timedelta = 10 * DAY,
    lifetime: timedelta = 90 * DAY,
    at: datetime = NOW,
    **changes: Any,
) -> Version:
    """A complete version, made as old as its leaf; what the default wish asks for."""
    about = leaf(number, age=age, lifetime=lifetime, at=at)
    given: dict[str, Any] = {
        "id": version_id(about.not_before, about.serial),
        "made_at": about.not_before,
        "leaf": about,
        "authority": "letsencrypt",
        "account": "https://acme.example.org/account/1",
    }
    return Version(**(given | changes))


def order(**changes: Any) -> Order:
    """An open order for the default wish."""
    given: dict[str, Any] = {
        "certificate": "www",
        "pending": "20261122T110000Z-00000001",
        "state": OrderState.OPEN,
        "authority": "letsencrypt",
        "directory": "https://acme.example.org/directory",
        "identifiers": NAMES,
        "key_type": KeyType.ECDSA_P256,
        "profile": None,
        "at": NOW - HOUR,
        "url": "https://acme.example.org/order/1",
    }
    return Order(**(given | changes))


def ordered(*ago: timedelta, at: datetime = NOW, **changes: Any) -> Ordered:
    """The orders that the default authority accepted so long ago."""
    given: dict[str, Any] = {
        "certificate": "www",
        "authority": "letsencrypt",
        "directory": "",
        "orders": tuple(Accepted(order_at=at - one, at=(at - one,), url=f"/{one}") for one in ago),
    }
    return Ordered(**(given | changes))


def failure(count: int = 1, *, ago: timedelta = timedelta(0), at: datetime = NOW, **changes: Any) -> Failure:
    """Failures to get the certificate, the last one so long ago."""
    given: dict[str, Any] = {
        "certificate": "www",
        "authority": "letsencrypt",
        "wish": WISH,
        "count": count,
        "since": at - ago,
        "at": at - ago,
        "text": "the authority could not be reached",
    }
    return Failure(**(given | changes))


def window(of: Version, start: datetime | None, end: datetime | None, **changes: Any) -> Window:
    """The authority's renewal information for a version."""
    given: dict[str, Any] = {
        "certificate": "www",
        "serial": of.leaf.serial,
        "asked_at": NOW - HOUR,
        "ask_again": NOW + 5 * HOUR,
        "start": start,
        "end": end,
    }
    return Window(**(given | changes))


def deployment(of: Version, state: DeploymentState = DeploymentState.DONE, **changes: Any) -> Deployment:
    """What a hook did for a version, an hour ago."""
    failed = state is DeploymentState.FAILED
    given: dict[str, Any] = {
        "certificate": "www",
        "host": HOST,
        "hook": "nginx",
        "version": of.id,
        "state": state,
        "at": NOW - HOUR,
        "fingerprint": HOOK_FINGERPRINT,
        "failures": 1 if failed else 0,
        "error": "hook nginx failed at deploy (exit code 1)" if failed else None,
    }
    return Deployment(**(given | changes))


def sighting(of: Version, state: EndpointState = EndpointState.VERIFIED, **changes: Any) -> Sighting:
    """What one address of the default endpoint showed half an hour ago."""
    well = state is EndpointState.VERIFIED
    given: dict[str, Any] = {
        "certificate": "www",
        "host": HOST,
        "endpoint": str(ENDPOINT),
        "address": "192.0.2.1",
        "version": of.id,
        "state": state,
        "at": NOW - HOUR / 2,
        "local": True,
        "serial": of.leaf.serial,
        "fingerprint": of.leaf.fingerprint,
        "error": None if well else f"www.example.org:443 is {state}",
        "failures": 0 if well else 1,
    }
    return Sighting(**(given | changes))


def acceptance(of: Version, *, accepted: bool | None) -> Acceptance:
    """Whether clients accept a version, as it was judged an hour ago."""
    why = "the chain ends at a root that is not trusted"
    return Acceptance(
        certificate="www",
        version=of.id,
        roots="system",
        at=NOW - HOUR,
        accepted=accepted,
        why="" if accepted else why,
    )


def hold(of: Version) -> Hold:
    """Somebody rolled back behind a version."""
    return Hold(certificate="www", version=of.id, at=NOW - HOUR, by="root", why="the new one broke a client")


def situation(
    *, versions: Sequence[Version] | None = None, live: Version | None = None, **changes: Any
) -> Situation:
    """All is well: the newest version is live, every hook has done it, every port shows it.

    `live` is the newest version unless given; `live_id` says it outright, None included. Deployments and
    sightings follow the live version unless given.
    """
    of = changes.get("wish") or wish()
    shelf = (version(),) if versions is None else tuple(versions)
    served = live or next(iter(shelf), None)
    if "live_id" in changes:
        served = next((one for one in shelf if one.id == changes["live_id"]), None)
    hooks = changes.get("hooks", tuple((name, HOOK_FINGERPRINT) for name in of.hooks))
    given: dict[str, Any] = {
        "wish": of,
        "host": HOST,
        "asked": tuple(Asked(authority=name, wish=WISH, profile=of.profile) for name in of.authorities),
        "versions": shelf,
        "live": served.id if served else None,
        "hooks": hooks,
        "deployments": tuple(deployment(served, hook=name) for name, _ in hooks) if served else (),
        "sightings": tuple(sighting(served, endpoint=str(one)) for one in of.endpoints) if served else (),
    }
    changes.pop("live_id", None)
    return Situation(**(given | changes))


def absent(**changes: Any) -> Situation:
    """Nothing is there yet."""
    return situation(**({"versions": ()} | changes))


def terms(**changes: Any) -> Terms:
    """Now, with an hourly timer."""
    given: dict[str, Any] = {"now": NOW, "wake": HOUR}
    return Terms(**(given | changes))
