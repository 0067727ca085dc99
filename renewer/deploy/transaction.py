"""The transaction's story; see the package's page."""

from collections.abc import Iterable, Sequence

import msgspec

from renewer import clock, secrets
from renewer.context import Context
from renewer.deploy import links, publishing
from renewer.deploy.calls import Calls
from renewer.deploy.move import Move
from renewer.errors import RenewerError
from renewer.hooks import HookResult
from renewer.model.decision import EventName, Outcome, Result, Step
from renewer.model.desired import Endpoint
from renewer.model.facts import COPIES, Deployment, DeploymentState, Situation
from renewer.model.names import IdentifierType
from renewer.model.told import LeftName
from renewer.network import verify
from renewer.observe import Place, Sightings, alive, target_of
from renewer.policy.deploying import hooks_to_run
from renewer.policy.serving import lost
from renewer.policy.terms import Terms
from renewer.policy.wanted import best
from renewer.store import soundness


def run(context: Context, batch: Sequence[Situation], terms: Terms) -> list[Outcome]:
    """Deploy what is to be served of each certificate; each hook is called once with all of them."""
    return Transaction(context, batch, terms).run()


class Transaction:
    """One batch."""

    def __init__(self, context: Context, batch: Sequence[Situation], terms: Terms) -> None:
        self.context = context
        self.terms = terms
        self.started = clock.monotonic()
        self.moves: list[Move] = []
        self.outcomes: list[Outcome] = []
        self.silent: set[Place] = set()
        self.calls = Calls(context, self.moves)
        for situation in batch:
            version = best(
                situation, terms.now, anyway=terms.redeploy
            )  # with nothing wanted it is the live one that hooks wait for
            if version is not None:
                called = hooks_to_run(situation, version, terms)
                self.moves.append(Move(context, situation, version, called, terms.wake))

    def run(self) -> list[Outcome]:
        """The story."""
        self.moves = [move for move in self.moves if self._sound(move)]
        self.moves, waiting = publishing.publish(self.context, self.moves, self.terms)
        self.outcomes += waiting
        before, self.silent = alive(_targets(move for move in self.moves if _was_served(move)))
        # That they are pending is on record before the first link turns, and how they ended in one piece, too
        self._save(
            deployment(move, hook, DeploymentState.PENDING) for move in self.moves for hook in move.hooks
        )
        self.moves = [move for move in self.moves if self._turn(move)]
        self.calls.moves = self.moves
        self.calls.test_all()
        self.calls.deploy_all()
        sightings = self._look(before)
        self._save(one for move in self.moves for one in deployments(move))
        sightings.save()
        return self.outcomes + [outcome(move, self.started) for move in self.moves] + sightings.outcomes()

    def _sound(self, move: Move) -> bool:
        """The pair, the chain, the names and the dates, checked by ourselves."""
        try:
            material = self.context.store.read(move.wish.name, move.version.id)
            fault = soundness.fault(material, move.version.leaf.names, clock.now())
        except RenewerError as error:
            fault = error.text
        if fault is None:
            return True
        move.error = f"version {move.version.id} is not made live: {fault}"
        move.hint = "issue a new one with: renewer run --only " + move.wish.name + " --force"
        for hook in move.hooks:
            move.states[hook] = (DeploymentState.FAILED, None)
        self._give_up(move)
        return False

    def _turn(self, move: Move) -> bool:
        """The link, then the copies; without its copies it goes on only if it must not be turned back."""
        turned = False
        try:
            if move.turns:
                self.context.store.turn(move.wish.name, move.version.id)
            turned = True
            if COPIES in move.hooks:
                links.copy(move)
        except RenewerError as error:
            hook = COPIES if COPIES in move.hooks else None
            self.calls.fail([move], error.text, error.hint, hook=hook, proven=False)
            if turned and move.stands:
                return True
            self._give_up(move)
            return False
        return True

    def _give_up(self, move: Move) -> None:
        """It has no further part in this batch."""
        self._save(deployments(move))
        self.outcomes.append(outcome(move, self.started))

    def _save(self, records: Iterable[Deployment | LeftName]) -> None:
        found = list(records)
        if found:
            self.context.ledger.save(*found)

    def _look(self, before: set[tuple[str, str]]) -> Sightings:
        """Wait until every port shows the new leaf; one that died of it turns its certificate back."""
        sightings = Sightings(self.context)
        standing = [move for move in self.moves if move.stands]
        seen = self._settle(standing)
        for move in standing:
            dead = [
                sight
                for sight in seen[move.wish.name]
                if sight.local and not sight.completed and (str(sight.endpoint), sight.address) in before
            ]
            if dead and move.may_turn_back():
                text = f"{dead[0].endpoint} answered before the deployment, now it does not: {dead[0].error}"
                hint = "look at the server's own log; the version before is live again"
                self.calls.fail([move], text, hint, hook=None)
        turned = [move for move in self.moves if move.turned_back]
        seen |= self._settle(turned)
        for move in standing:
            if move.stands:
                left = still_served(move, seen[move.wish.name])
                move.note = sentence(left)
                self._save(left)
        for move in self.moves:
            sightings.add(move.situation, move.serves, seen[move.wish.name])
        return sightings

    def _settle(self, moves: Sequence[Move]) -> dict[str, list[verify.Sight]]:
        """What each certificate's ports show once they have settled on what is live."""
        wanted_at: list[tuple[verify.Target, str]] = []
        for move in moves:
            wanted_at += [(target, move.serves.leaf.fingerprint) for target in move.targets]
        # Where a server is stopped, never answered, or nobody was told to load anything, one look tells as
        # much as ten seconds of them
        later = DeploymentState.LATER
        stopped = [m for m in moves if not m.hooks or any(state is later for state, _ in m.states.values())]
        once = self.silent | {
            (str(sight.endpoint), sight.address)
            for sight in verify.look(_targets(stopped), reads=secrets.roots)
            if not sight.connected
        }
        sights = verify.settle_all(wanted_at, once=once, reads=secrets.roots) if wanted_at else []
        return {
            move.wish.name: [sight for sight in sights if target_of(sight) in move.targets] for move in moves
        }


def _targets(moves: Iterable[Move]) -> list[verify.Target]:
    return [target for move in moves for target in move.targets]


def _was_served(move: Move) -> bool:
    return move.former is not None and not move.former.placeholder


LIMIT = 10  # looks for one certificate


def still_served(move: Move, seen: Sequence[verify.Sight]) -> list[LeftName]:
    """The names that were taken out and are still served, each with the place.

    A name that leads to other hosts by now is none: whoever asks for it does not come here.
    """
    former = move.former
    if former is None or former.placeholder or not move.turns:
        return []
    names = [
        name
        for name in lost(former.leaf.names, move.version.leaf.names, move.wish.names)
        if name.type is IdentifierType.DNS and not name.wildcard
    ]
    here = {(sight.endpoint, sight.address) for sight in seen if sight.local and sight.completed}
    found: dict[str, LeftName] = {}
    looks = [(name, place) for name in names for place in sorted(here, key=str)]
    for name, (endpoint, address) in looks[:LIMIT]:
        asked = msgspec.structs.replace(endpoint, server_name=str(name), host=None)
        if str(name) not in found and _shows(move, asked, address):
            found[str(name)] = LeftName(
                certificate=move.wish.name,
                host=move.context.host,
                name=str(name),
                endpoint=str(endpoint),
                address=address,
                at=clock.now(),
            )
    return list(found.values())


def sentence(left: Sequence[LeftName]) -> str:
    """What is told of them; "" if there are none."""
    if not left:
        return ""
    words = ", ".join(f"{one.name} (at {one.address})" for one in left)
    return (
        f"no longer in it, and still served with it: {words}; end that at the server, or put it into `names`"
    )


def _shows(move: Move, asked: Endpoint, address: str) -> bool:
    """Whether the new version is shown for the name, where it leads here or nowhere."""
    roots = verify.ANY
    led = [sight for sight in verify.look([verify.Target(endpoint=asked, roots=roots)]) if sight.address]
    if led:
        sights = [sight for sight in led if sight.local]
    else:
        pinned = msgspec.structs.replace(asked, host=address.rpartition(":")[0].strip("[]"))
        sights = verify.look([verify.Target(endpoint=pinned, roots=roots)])
    return any(sight.fingerprint == move.version.leaf.fingerprint for sight in sights)


def deployment(move: Move, hook: str, state: DeploymentState, result: HookResult | None = None) -> Deployment:
    """How a hook stands to the version; failures are counted while version and hook stay the same."""
    fingerprint = dict(move.situation.hooks).get(hook, "")
    former = next((d for d in move.situation.deployments if d.hook == hook), None)
    same = former is not None and former.version == move.version.id and former.fingerprint == fingerprint
    failures = former.failures if former and same else 0
    if state is DeploymentState.FAILED:
        failures += 1
    elif state is DeploymentState.DONE:
        failures = 0
    return Deployment(
        certificate=move.wish.name,
        host=move.context.host,
        hook=hook,
        version=move.version.id,
        state=state,
        at=clock.now(),
        fingerprint=fingerprint,
        failures=failures,
        previous=move.former.id if move.former and move.former.id != move.version.id else None,
        error=(result.error if result and result.error else move.error)
        if state in (DeploymentState.FAILED, DeploymentState.LATER)
        else None,
        output=result.output if result and state is DeploymentState.FAILED else "",
        turned_back=move.turned_back,
    )


def deployments(move: Move) -> list[Deployment]:
    """One record a hook; if all went back, a hook that had worked is pending for the version again."""
    hook_failed = any(
        state is DeploymentState.FAILED and hook not in move.situation.optional
        for hook, (state, _) in move.states.items()
    )
    found = []
    for hook in move.hooks:
        state, result = move.states.get(hook, (DeploymentState.PENDING, None))
        if move.turned_back and state is DeploymentState.DONE:
            state = DeploymentState.PENDING
        if move.error and not hook_failed:
            state = DeploymentState.FAILED  # the port died, or the link did not turn: every hook's turn again
        found.append(deployment(move, hook, state, result))
    return found


def outcome(move: Move, started: float) -> Outcome:
    """What came of it, also told to the renewal log; `started` is on clock.monotonic."""
    took = round((clock.monotonic() - started) * 1000)
    later = [result for state, result in move.states.values() if state is DeploymentState.LATER]
    if move.error:
        stays = "" if move.turned_back else f"; version {move.version.id} stays live"
        back = f"; version {move.former.id} is live again" if move.turned_back and move.former else stays
        return Outcome.failed(
            *(move.context.journal.tell, move.wish.name, Step.DEPLOY, move.error),
            hint=move.hint,
            after=back,
            took_ms=took,
            version=move.version.id,
        )
    if later:
        text = next(
            (result.error for result in later if result and result.error),
            "a hook asks to be called later",
        )
        return _ended(move, Result.WAITING, text, took)
    failed = {h: result for h, (state, result) in move.states.items() if state is DeploymentState.FAILED}
    done = [hook for hook in move.hooks if hook not in failed and not _left(move, hook)]
    names = ", ".join(done) or "no hook"
    move.context.journal.tell(
        EventName.DEPLOYED, move.wish.name, version=move.version.id, hooks=names, took_ms=took
    )
    text = f"version {move.version.id} is live, deployed by {names}"
    if failed:  # none of them is required, else the move had an error
        why = "; ".join(result.error for result in failed.values() if result and result.error)
        hint = f"it is called again, at once by: renewer deploy {move.wish.name}"
        return _ended(move, Result.FAILED, f"{text}; {why}", took, hint=hint)
    text += "".join(f"; {note}" for note in move.passed_by)
    if move.note:
        move.context.journal.tell(EventName.NOTICE, move.wish.name, text=move.note)
        text += f"; {move.note}"
    return _ended(move, Result.DONE, text, took)


def _left(move: Move, hook: str) -> bool:
    """Whether it is the copies, and some of them were left alone: then not all of it is deployed."""
    return hook == COPIES and bool(move.passed_by)


def _ended(move: Move, result: Result, detail: str, took_ms: int, hint: str = "") -> Outcome:
    return Outcome(
        certificate=move.wish.name,
        step=Step.DEPLOY,
        result=result,
        detail=detail,
        hint=hint,
        took_ms=took_ms,
    )
