"""A certificate's shelf, configured or not: every version, for people; renamed, or thrown away."""

import os
import pwd
from collections.abc import Collection, Sequence

from renewer import clock
from renewer.context import Context
from renewer.errors import RenewerError, UsageError
from renewer.model.decision import EventName
from renewer.model.desired import Endpoint
from renewer.model.facts import CopyFact, Hold, Revoked, Sighting, Situation, Version
from renewer.model.status import Contents
from renewer.network import verify
from renewer.policy.wanted import usable
from renewer.policy.window import in_emergency
from renewer.words import stamp


def contents(context: Context, name: str) -> Contents:
    """Look at a shelf. Raises UsageError if nothing is known of that name."""
    if new := context.store.alias(name):
        raise UsageError(f"{name} is called {new} now", hint=f"renewer versions {new}")
    shelf = context.store.shelf(name)
    if not shelf.found and name not in context.config.certificates:
        raise UsageError(
            f"nothing is on disk of a certificate '{name}'", hint=_there_are(context.store.names())
        )
    versions, faults = [], []
    for found in shelf.found:
        try:
            versions.append(context.store.about(name, found.id))
        except RenewerError as error:
            faults.append(error.text)
    versions.sort(key=lambda one: (one.made_at, one.id), reverse=True)
    return Contents(
        certificate=name,
        live=shelf.live,
        versions=tuple(versions),
        holds=tuple(context.ledger.load(Hold, name)),
        revoked=tuple(context.ledger.load(Revoked, name)),
        sightings=tuple(one for one in context.ledger.load(Sighting, name) if one.host == context.host),
        faults=tuple(faults),
    )


def rename(context: Context, old: str, new: str) -> None:
    """Let versions and memory of a certificate follow its new name in the config; done before is done.

    Raises UsageError if the config does not have the new name alone, StateError if that has its own versions.
    """
    if new not in context.config.certificates:
        hint = f"rename its table to [certificate.{new}] first, then say this again"
        raise UsageError(f"{context.config.path} has no certificate '{new}'", hint=hint)
    if old in context.config.certificates:
        hint = f"take [certificate.{old}] out: its versions are to be those of {new}"
        raise UsageError(f"{context.config.path} still has a certificate '{old}'", hint=hint)
    if old not in context.store.names() and context.store.alias(old) != new:
        raise UsageError(
            f"nothing is on disk of a certificate '{old}'", hint=_there_are(context.store.names())
        )
    context.store.rename(old, new)
    context.ledger.rename(old, new)
    context.journal.tell(EventName.NOTICE, new, text=f"{old} is called {new} from now on")


def is_left(context: Context, name: str) -> bool:
    """Whether something is left of a certificate that the config names no more: on disk, or of its ports."""
    left = name in context.store.names() or bool(context.ledger.load(Sighting, name))
    return left and name not in context.config.certificates


def why_not_forget(context: Context, name: str, *, though_served: bool = False) -> tuple[str, str] | None:
    """Why a certificate must not be thrown away, and what to do; None if it may be.

    What the config names is renewed; what a port still shows is needed, whatever the config says.
    """
    if context.store.alias(name):
        return None  # a link only, which may even be in the way of a certificate of that name
    if name in context.config.certificates:
        return f"{name} is in {context.config.path} and is renewed", f"take [certificate.{name}] out first"
    if not is_left(context, name):
        return f"nothing is on disk of a certificate '{name}'", _there_are(context.store.names())
    if any(not one.done for one in context.ledger.load(Revoked, name)):
        text = f"the authority has not agreed yet to revoke a version of {name}, which takes what is on disk"
        return text, "let the next run ask it again: renewer run; or say --even-if-served"
    return None if though_served or name not in context.store.names() else _where_served(context, name)


def _where_served(context: Context, name: str) -> tuple[str, str] | None:
    ours = {one.leaf.fingerprint for one in contents(context, name).versions}
    for sighting in context.ledger.load(Sighting, name):
        if _is_served(sighting, ours):
            text = f"{sighting.endpoint} ({sighting.address}) still serves a certificate of {name}"
            return text, "point that server to another one first; or say --yes"
    return None


def forget(context: Context, name: str) -> list[str]:
    """Throw away all that is on disk of a certificate, keys too, and the memory of it but its history.

    Returns the paths of copies elsewhere, which stay. Killed in between, it leaves something to be forgotten.
    """
    left = [] if context.store.alias(name) else [one.path for one in context.ledger.load(CopyFact, name)]
    context.ledger.forget(name)
    context.store.forget(name)
    context.journal.tell(EventName.NOTICE, name, text="forgotten: what was on disk of it is deleted")
    return left


def _is_served(sighting: Sighting, ours: Collection[str]) -> bool:
    """Whether a port where it was seen shows it still; one that cannot be asked, as it was last seen."""
    address, _, port = sighting.address.rpartition(":")
    if not address:
        return False  # its name had none
    place, _, server_name = sighting.endpoint.partition("/")
    server_name = server_name or place.rpartition(":")[0].strip("[]")
    endpoint = Endpoint(server_name=server_name, port=int(port), host=address.strip("[]"))
    seen: Sequence[verify.Sight] = verify.look(
        [verify.Target(endpoint=endpoint, roots="any", family=sighting.family)]
    )
    for sight in seen:
        if sight.completed:
            return sight.fingerprint in ours
        if not sight.connected:
            return False
    recent = (clock.now() - sighting.at).total_seconds() < _RECENT
    return recent and sighting.fingerprint in ours


_RECENT = 86400.0  # seconds: a port behind STARTTLS was looked at by the last runs


def _there_are(names: Sequence[str]) -> str:
    return "there are: " + ", ".join(names) if names else "nothing was issued yet"


def choose(situation: Situation, version: str | None) -> Version:
    """The version to go back to: the newest usable one before the live one, or the one named (id or serial).

    Raises UsageError, with what there is, if that cannot or must not be served.
    """
    name, now = situation.wish.name, clock.now()
    live = situation.live_version
    if live is None or live.placeholder:
        raise UsageError(f"{name} has no live version to go back from", hint="see: renewer status " + name)
    older = [one for one in usable(situation, now) if not one.placeholder and one.made_at < live.made_at]
    good = [one for one in older if not in_emergency(one.leaf, now)]
    if version is None:
        found = next(iter(good), None)
    else:
        found = next((one for one in good if version in (one.id, one.leaf.serial)), None)
    if found is None:
        text, hint = _refusal(situation, live, older, good, version)
        raise UsageError(text, hint=hint)
    return found


def _refusal(  # noqa: PLR0911  one return a reason
    situation: Situation, live: Version, older: list[Version], good: list[Version], version: str | None
) -> tuple[str, str]:
    """Why there is no going back to that one, and what to do."""
    name = situation.wish.name
    hint = "there are: " + ", ".join(one.id for one in good) if good else f"see: renewer versions {name}"
    if version is None:
        if older:
            text = f"the versions of {name} before the live one are about to expire"
            return text, f"have a new one issued: renewer run --only {name} --force"
        return f"{name} has no version before the live one that may still be served", hint
    named = next((one for one in situation.versions if version in (one.id, one.leaf.serial)), None)
    if named is None:
        return f"{name} has no version {version}", hint
    if named.id == live.id:
        return f"version {named.id} of {name} is live already", hint
    if named.made_at > live.made_at:
        return f"version {named.id} is newer than the live one", f"to serve the newest: renewer deploy {name}"
    if named.id in situation.revoked:
        return f"version {named.id} of {name} was revoked, nothing goes back to it", hint
    if situation.revoked and named.leaf.not_after > clock.now():
        return f"version {named.id} lies behind one that was revoked, nothing goes back there", hint
    return (
        f"version {named.id} has expired or is about to: it ends at {stamp(named.leaf.not_after)}",
        hint,
    )


def hold(context: Context, situation: Situation, target: Version, why: str) -> list[Hold]:
    """Hold every version that is newer than the target; the next deployment serves the target."""
    by, at, name = person(), clock.now(), situation.wish.name
    holds = [
        Hold(certificate=name, version=one.id, at=at, by=by, why=why)
        for one in situation.versions
        if one.made_at > target.made_at and not one.placeholder
    ]
    context.ledger.save(*holds)
    held = ", ".join(one.version for one in holds)
    said = f": {why}" if why else ""
    text = f"{by} rolls back to version {target.id}, held is {held}{said}"
    context.journal.tell(EventName.NOTICE, name, text=text)
    return holds


def release(context: Context, names: tuple[str, ...]) -> None:
    """Somebody wants the newest to be served: no version of these certificates is held any more."""
    for name in names:
        holds = context.ledger.load(Hold, name)
        if holds:
            context.ledger.drop(*holds)
            text = f"{person()} asks for the newest version: no version is held any more"
            context.journal.tell(EventName.NOTICE, name, text=text)


def person() -> str:
    """Who types: behind sudo the one who called it. For the record only, nothing is allowed by it."""
    told = os.environ.get("SUDO_USER", "")
    if told and told.isprintable() and len(told) <= 64:
        return told
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
