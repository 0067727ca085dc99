"""Taking over from another client, so that no server needs an edit; and the way back.

certbot's `live/NAME` become links to ours (`links`), or its files copies of ours where a reader could not
follow a link; of the other clients always copies, for these write through links. Only then what the client
goes by is moved aside (`hiding`). Copies are of the configuration, so that each run tends them.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence

from renewer import certs, clock, deploy, durable, inventory
from renewer.context import Context
from renewer.model.decision import Result, Step
from renewer.model.desired import Certificate, Config
from renewer.model.facts import EndpointState, Sighting, Situation
from renewer.model.value import Value
from renewer.moving import acmesh, dehydrated, hiding, importing, lego, links
from renewer.moving.planning import Coming
from renewer.moving.readers import Readers
from renewer.moving.reading import Tree
from renewer.network import verify
from renewer.observe import targets_of
from renewer.policy.terms import Terms
from renewer.store.disk import DiskStore

CLIENTS = (links.CLIENT, acmesh.CLIENT, lego.CLIENT, dehydrated.CLIENT)


class Took(Value):
    """What came of one certificate, by the client's name: where its paths lead now, or what was wrong."""

    old: str
    text: str
    taken: bool = True


def why_not(context: Context, client: str, one: Coming) -> str | None:
    """Why a certificate must not be taken over yet; None if it may be."""
    shelf = context.store.shelf(one.name)
    if not one.configured or all(found.id != one.version.id for found in shelf.found):
        return f"what {client} serves was not imported: renewer import {client}"
    if shelf.live is None:
        return f"nothing is live here: renewer run {one.name}"
    live = context.store.about(one.name, shelf.live)
    if live.placeholder or live.leaf.not_after < one.leaf.not_after:
        return f"what is live here is older than {client}'s: renewer deploy {one.name}"
    if client != links.CLIENT and not is_copied(context.config.certificates[one.name], one):
        fullchain, key = one.seen[:2]
        table = f'copies = [{{ fullchain = "{fullchain}", key = "{key}" }}]'
        return f"its files must follow ours: write {table} into [certificate.{one.name}]"
    return None


def is_copied(wish: Certificate, one: Coming) -> bool:
    """Whether the configuration has copies of ours where the client has chain and key."""
    return set(one.seen[:2]) <= {path for copy in wish.copies for _, path in copy.paths}


def follow(config: Config, tree: Tree, coming: Sequence[Coming]) -> tuple[Config, dict[str, str], set[str]]:
    """Of certbot's certificates, those that someone reads who could not follow links get copies of ours.

    Gives the config as it is then, why for each, and of which the table could not be found: all by certbot's
    names.
    """
    readers, store = Readers(tree, config.agent.state), DiskStore(config.agent.state)
    reasons, lost = {}, set()
    for one in coming:
        wish = config.certificates.get(one.name)
        if wish is None or not one.configured or is_copied(wish, one):
            continue
        why = readers.doubt(one.old, one.seen[1], store.path(one.name))
        if why is None:
            continue
        reasons[one.old] = why
        changed = importing.follow(config, links.CLIENT, one.name, copies(one))
        if changed is None:
            lost.add(one.old)
        else:
            config = changed
    return config, reasons, lost


def copies(one: Coming) -> str:
    """The copies at certbot's paths as TOML, with the rights that its files have."""
    fullchain, key, cert, chain = one.seen
    entry = os.stat(key)
    rights = f'owner = "{entry.st_uid}", group = "{entry.st_gid}", mode = "{stat.S_IMODE(entry.st_mode):04o}"'
    paths = f'key = "{key}", cert = "{cert}", chain = "{chain}", fullchain = "{fullchain}"'
    return f"[{{ {paths}, {rights} }}]"


def take(context: Context, tree: Tree, client: str, coming: Sequence[Coming]) -> Iterator[Took]:
    """Take them over, every hook called once with all; one that a hook or a port says no to goes back.

    If several go back each is tried again by itself.
    """
    ready = []
    for one in coming:
        if why := why_not(context, client, one):
            yield Took(old=one.old, text=why, taken=False)
        else:
            ready.append(one)
    faults = _take(context, tree, client, ready)
    if len(faults) > 1:
        for one in [one for one in ready if one.old in faults]:
            del faults[one.old]
            faults |= _take(context, tree, client, [one])
    for one in ready:
        if fault := faults.get(one.old):
            yield Took(old=one.old, text=f"was exchanged back: {fault}", taken=False)
        elif is_copied(context.config.certificates[one.name], one):
            yield Took(old=one.old, text=f"{one.seen[0]} and what belongs to it are copies of ours")
        else:
            yield Took(old=one.old, text=f"{os.path.dirname(one.seen[0])} leads to ours")


def _take(context: Context, tree: Tree, client: str, some: Sequence[Coming]) -> dict[str, str]:
    """Take them over; what was wrong with those that were not, by the client's names."""
    if not some:
        return {}
    linked = [one for one in some if not is_copied(context.config.certificates[one.name], one)]
    for one in linked:
        links.begin(tree, one.old, context.store.path(one.name))
    if linked:
        links.finish(tree)
    found = _deployed(context, [one.name for one in some])
    faults = {one.old: found[one.name] for one in some if one.name in found}
    back = [one for one in linked if one.old in faults]
    for one in back:
        links.undo(tree, one.old)
    if back:
        _deployed(context, [one.name for one in back])  # what they have loaded is what lies there again
    for one in some:
        if one not in linked and one.old not in faults:
            hiding.hide(client, tree, one.old)
    return faults


def _deployed(context: Context, names: Sequence[str]) -> dict[str, str]:
    """Let copies be written and servers load; what a hook, or a port that answered before, says no to."""
    situations = inventory.take(context, names)
    targets = {target for one in situations.values() for target in targets_of(context, one)}
    alive = {(str(one.endpoint), one.address) for one in verify.look(list(targets)) if one.completed}
    shown = {name: _shown(one) for name, one in situations.items()}
    terms = Terms(now=clock.now(), wake=context.wake, redeploy=True, urged=True)
    outcomes = deploy.run(context, list(situations.values()), terms)
    faults = {
        one.certificate: one.detail
        for one in outcomes
        if one.step is Step.DEPLOY and one.result is Result.FAILED
    }
    for name, one in inventory.take(context, names).items():
        for seen in one.sightings:
            place = (seen.endpoint, seen.address)
            lost = seen.state is EndpointState.FOREIGN and place in shown[name]
            dead = seen.state is EndpointState.UNREACHABLE and place in alive
            if seen.local and (lost or dead):
                faults.setdefault(name, seen.error or f"{seen.endpoint} answered before, and does not now")
    return faults


def _shown(situation: Situation) -> set[tuple[str, str]]:
    """Where one of its versions was seen."""
    ours = {version.leaf.fingerprint for version in situation.versions}
    return {(one.endpoint, one.address) for one in situation.sightings if one.fingerprint in ours}


# the way back ---------------------------------------------------------------------------------------------


def taken(context: Context, client: str, tree: Tree) -> list[str]:
    """The certificates that were taken over, or nearly so, by the client's names."""
    if client == links.CLIENT:
        return links.taken(tree)
    if client != lego.CLIENT:
        return hiding.hidden(client, tree)
    names = [name for name, _, _ in lego.glance(tree)]
    return [name for name in names if _followed(context, _files(client, tree, name))]


def _followed(context: Context, files: Mapping[str, str]) -> Certificate | None:
    """The certificate of ours that the client's files follow."""
    for one in context.config.certificates.values():
        if files["fullchain"] in {path for copy in one.copies for _, path in copy.paths}:
            return one
    return None


def undo(context: Context, client: str, tree: Tree, name: str) -> None:
    """Hand one back with our newest certificate, from which the client renews on. Done before is done."""
    if client == links.CLIENT:
        links.undo(tree, name)
        return
    files = _files(client, tree, name)
    _refresh(context, files)
    if client == dehydrated.CLIENT:
        _numbered(files)
    hiding.show(client, tree, name)


def _files(client: str, tree: Tree, name: str) -> Mapping[str, str]:
    """Where the client has the parts of a certificate, in the order in which they are written."""
    if client == lego.CLIENT:
        ends = {"key": ".key", "chain": ".issuer.crt", "fullchain": ".crt"}
        return {part: tree.path("certificates", name + end) for part, end in ends.items()}
    if client == acmesh.CLIENT:
        return acmesh.files(tree, name)
    home = dehydrated.place_of(tree, name)
    parts = {"key": "privkey", "cert": "cert", "chain": "chain", "fullchain": "fullchain"}
    return {part: f"{home}/{stem}.pem" for part, stem in parts.items()}


def _refresh(context: Context, files: Mapping[str, str]) -> None:
    """What is live here at the client's paths, unless it has something newer there by itself."""
    wish = _followed(context, files)
    live = context.store.shelf(wish.name).live if wish else None
    if wish is None or live is None:
        return
    material, about = context.store.read(wish.name, live), context.store.about(wish.name, live)
    try:
        with open(files["fullchain"], "rb") as file:
            there = certs.leaf(certs.split_chain(file.read())[0])
    except (OSError, ValueError):
        there = None
    if there is not None and there.not_before > about.leaf.not_before:
        return
    parts = {"key": material.privkey, "cert": material.cert}
    parts |= {"chain": material.chain, "fullchain": material.fullchain}
    for part, path in files.items():
        if _content(path) != parts[part]:
            usual = 0o600 if part == "key" else 0o644
            durable.replace(path, parts[part], durable.with_mode(path, _mode(path, usual)))


def _numbered(files: Mapping[str, str]) -> None:
    """Dehydrated's own form: files with the moment in their names, and links to them."""
    moment = int(clock.now().timestamp())
    for path in files.values():
        content = None if os.path.islink(path) else _content(path)
        if content is not None:
            new = f"{path.removesuffix('.pem')}-{moment}.pem"
            durable.replace(new, content, durable.with_mode(new, _mode(path, 0o600)))
            durable.replace_by_link(path, os.path.basename(new))


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _mode(path: str, usual: int) -> int:
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except OSError:
        return usual


def finish(client: str, tree: Tree) -> None:
    """What a killed takeover has begun, done to its end; copies need nothing: they are as they were."""
    if client == links.CLIENT:
        links.finish(tree)


def forget(context: Context, names: Iterable[str]) -> None:
    """Where certificates that were handed back were seen: that their client serves them is well."""
    for name in names:
        context.ledger.drop(*context.ledger.load(Sighting, name))
