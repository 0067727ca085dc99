"""Takes back from the copies what is newer there than in the state: one that was restored from a backup.

Servers go on with what the copies hold, so it is that which is to be renewed, deployed and looked for. It is
taken only where its key lies there as well and nobody else could have put it there, and after the checks that
what an authority sends has to pass.
"""

from collections.abc import Iterable, Mapping

from renewer import certs, clock, install
from renewer.context import Context, roots_of
from renewer.copies import files, found
from renewer.errors import OurFault, RenewerError
from renewer.model.decision import EventName
from renewer.model.desired import Certificate
from renewer.model.facts import Leaf, Situation, Version
from renewer.policy.newer import is_newer, newest
from renewer.policy.wanted import fits
from renewer.store import soundness
from renewer.store.contract import Material
from renewer.store.disk import version_id


def newer(context: Context, situations: Mapping[str, Situation]) -> set[str]:
    """Take back what can be, of certificates whose copies are not as we left them; whose facts changed."""
    changed = set()
    for name, situation in situations.items():
        try:
            if _is_to_look(situation) and _claim(context, situation):
                changed.add(name)
        except RenewerError as error:
            context.journal.tell(EventName.NOTICE, name, text=error.text, hint=error.hint)
    return changed


def _is_to_look(situation: Situation) -> bool:
    """Whether somebody changed what is there, and it could be a version that came after ours."""
    if situation.unread or newest(situation) is None:
        return False
    return any(not one.intact and files.stamp(one.path) for one in situation.copies)


def _claim(context: Context, situation: Situation) -> bool:
    """Whether one was taken back; why not is for the note about the copies."""
    wish = situation.wish
    why = ""
    for pair, leaf in _candidates(context, situation):
        version = _version(context, situation, pair, leaf)
        if not fits(version, situation):
            continue  # of another certificate, or of another wish
        material, fault = _examined(context, situation, pair, version)
        if material is None:
            why = why or fault
            continue
        version = install.keep(context, wish, version, material, situation.order)
        text = f"{pair.path} held a newer version than this state: it was taken back as {version.id}"
        context.journal.tell(
            EventName.INSTALLED, wish.name, version=version.id, serial=leaf.serial, text=text
        )
        context.mended.append(f"{wish.name}: {text}; was the state restored from a backup?")
        return True
    if why:
        context.unclaimed[wish.name] = why
    return False


def _candidates(context: Context, situation: Situation) -> Iterable[tuple[found.Pair, Leaf]]:
    """What the copies hold that is newer than all that we have, the newest first."""
    known = []
    if situation.wish.csr is None and situation.live is not None and situation.live_version is not None:
        known.append(context.store.read(situation.wish.name, situation.live).privkey)
    seen = []
    for pair in found.pairs(situation.wish.copies, known, context.store.scratch):
        try:
            leaf = certs.leaf(pair.cert)
        except ValueError:
            continue
        if is_newer(leaf, situation):
            seen.append((pair, leaf))
    return sorted(seen, key=lambda one: (one[1].not_before, one[1].not_after), reverse=True)


def _version(context: Context, situation: Situation, pair: found.Pair, leaf: Leaf) -> Version:
    """What it is as a version of ours: from where those came whose chain ends as its does."""
    wish, made = situation.wish, clock.now()
    version = Version(id=version_id(made, leaf.serial), made_at=made, leaf=leaf, csr=_spki(wish, pair))
    end = _end(pair.cert + pair.chain)
    for one in situation.versions:
        if one.placeholder:
            continue
        try:
            ours = context.store.read(wish.name, one.id)
        except RenewerError:
            continue
        if one.leaf.issuer == leaf.issuer or (end and _end(ours.fullchain) == end):
            return Version(
                id=version.id,
                made_at=made,
                leaf=leaf,
                authority=one.authority,
                directory=one.directory,
                account=one.account,
                profile=one.profile,
                csr=version.csr,
            )
    return version


def _spki(wish: Certificate, pair: found.Pair) -> str | None:
    """The key's fingerprint where keys are elsewhere."""
    if wish.csr is None:
        return None
    try:
        return certs.spki(pair.cert)
    except ValueError:
        return None


def _end(fullchain: bytes) -> str:
    """Who issued the last certificate of a chain."""
    try:
        return certs.leaf(certs.split_chain(fullchain)[-1]).issuer
    except ValueError:
        return ""


def _examined(
    context: Context, situation: Situation, pair: found.Pair, version: Version
) -> tuple[Material | None, str]:
    """What is to be put on disk; or None, and why it is not taken back, as half a sentence.

    Of somebody else's certificate nothing is said: it tells nothing about our state.
    """
    try:
        key = b"" if version.csr else pair.privkey
        material = install.material_of(key, pair.cert + pair.chain, certs.spki(pair.cert))
    except (OurFault, ValueError) as error:
        return None, error.text if isinstance(error, OurFault) else str(error)
    if not (
        _is_ours(context, situation, material, version) or _is_accepted(context, situation, material, version)
    ):
        return None, ""
    fault = pair.why or soundness.fault(material, situation.wish.names, clock.now())
    if not fault and not material.privkey and version.csr is None:
        fault = "its key is not there"
    fault = fault or certs.unfit(material.cert)
    return (None, fault) if fault else (material, "")


def _is_ours(context: Context, situation: Situation, material: Material, version: Version) -> bool:
    """Whether the very certificate that issued it stands in the chain of a version of ours."""
    chain = certs.split_chain(material.fullchain)
    return certs.in_order(chain) and any(
        chain[1] in certs.split_chain(context.store.read(situation.wish.name, one.id).fullchain)[1:]
        for one in situation.versions
        if len(chain) > 1 and one.authority == version.authority and not one.placeholder
    )


def _is_accepted(context: Context, situation: Situation, material: Material, version: Version) -> bool:
    """Whether clients would accept it, by the roots of its authority."""
    from renewer.network.verify import in_memory

    roots, now = roots_of(context.config, situation.wish, version), clock.now()
    if not material.privkey:
        return bool(
            in_memory.judge_without_key(material.fullchain, situation.wish.names, roots, now).accepted
        )
    host = str(situation.wish.names[0]).removeprefix("*.")
    return bool(in_memory.judge(material.privkey + material.fullchain, host, roots, timely=True).accepted)
