"""Back to an older version: what is newer is held, and who, when and why is a fact."""

import os
import pwd

from renewer import clock
from renewer.errors import UsageError
from renewer.kit import Kit
from renewer.model.facts import Hold, Situation, Version
from renewer.model.outcome import EventName
from renewer.policy.wanted import usable
from renewer.policy.window import in_emergency


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
    return f"version {named.id} has expired or is about to: it ends at {_show(named)}", hint


def hold(kit: Kit, situation: Situation, target: Version, why: str) -> list[Hold]:
    """Hold every version that is newer than the target; the next deployment serves the target."""
    by, at, name = person(), clock.now(), situation.wish.name
    holds = [
        Hold(certificate=name, version=one.id, at=at, by=by, why=why)
        for one in situation.versions
        if one.made_at > target.made_at and not one.placeholder
    ]
    kit.ledger.save(*holds)
    held = ", ".join(one.version for one in holds)
    said = f": {why}" if why else ""
    text = f"{by} rolls back to version {target.id}, held is {held}{said}"
    kit.journal.tell(EventName.NOTICE, name, text=text)
    return holds


def release(kit: Kit, names: tuple[str, ...]) -> None:
    """Somebody wants the newest to be served: no version of these certificates is held any more."""
    for name in names:
        holds = kit.ledger.load(Hold, name)
        if holds:
            kit.ledger.drop(*holds)
            text = f"{person()} asks for the newest version: no version is held any more"
            kit.journal.tell(EventName.NOTICE, name, text=text)


def person() -> str:
    """Who types: behind sudo the one who called it. For the record only, nothing is allowed by it."""
    told = os.environ.get("SUDO_USER", "")
    if told and told.isprintable() and len(told) <= 64:
        return told
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _show(version: Version) -> str:
    return f"{version.leaf.not_after:%Y-%m-%d %H:%M:%SZ}"
