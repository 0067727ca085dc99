"""The transaction's story; see the package's page."""

from collections.abc import Iterable, Sequence

from renewer import clock
from renewer.context import Context
from renewer.deploy import links, publishing
from renewer.deploy.calls import Calls
from renewer.deploy.lost import sentence, still_served
from renewer.deploy.move import Move
from renewer.deploy.records import deployment, deployments, outcome
from renewer.errors import RenewerError
from renewer.model.facts import COPIES, Deployment, DeploymentState, Situation
from renewer.model.outcome import Outcome
from renewer.model.told import LeftName
from renewer.network import verify
from renewer.observe import Place, Sightings, alive, target_of
from renewer.policy.deploying import hooks_to_run
from renewer.policy.due import Terms
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
            for sight in verify.look(_targets(stopped))
            if not sight.connected
        }
        sights = verify.settle_all(wanted_at, once=once) if wanted_at else []
        return {
            move.wish.name: [sight for sight in sights if target_of(sight) in move.targets] for move in moves
        }


def _targets(moves: Iterable[Move]) -> list[verify.Target]:
    return [target for move in moves for target in move.targets]


def _was_served(move: Move) -> bool:
    return move.former is not None and not move.former.placeholder
