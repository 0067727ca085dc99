"""The transaction: either the port shows the new certificate, or the old one is still served and told.

check ourselves → turn the links → copies → `test` of every hook → `deploy` of each → look at the ports →
record per (host, hook). Turned back only when a hook failed, or when a port that answered just before no
longer completes a handshake; and only to a version that may still be served.
"""

from collections.abc import Iterable, Sequence

import msgspec

from renewer import clock, copies, hooks, soundness, verify
from renewer.errors import RenewerError
from renewer.hooks import HookCertificate, HookResult, Verdict
from renewer.kit import Kit
from renewer.model.decision import Step
from renewer.model.desired import HookEvent
from renewer.model.facts import COPIES, CopyFact, Deployment, DeploymentState, Situation, Version
from renewer.model.outcome import EventName, Outcome, Result
from renewer.policy.deploying import hooks_to_run
from renewer.policy.due import Terms
from renewer.policy.wanted import to_serve
from renewer.sightings import Place, Sightings, alive, targets_of


class Move:
    """One certificate's part in the transaction: from which version to which, and how far it came."""

    def __init__(
        self, kit: Kit, situation: Situation, version: Version, hooks_to_call: tuple[str, ...]
    ) -> None:
        self.kit = kit
        self.situation = situation
        self.wish = situation.wish
        self.version = version
        self.former = situation.live_version
        self.hooks = hooks_to_call
        self.copied: list[copies.Written] = []
        self.deployed: list[str] = []  # hooks whose servers may have loaded the new version
        self.states: dict[str, tuple[DeploymentState, HookResult | None]] = {}
        self.error: str | None = None
        self.hint = ""
        self.turned_back = False

    @property
    def turns(self) -> bool:
        """Whether the link moves at all."""
        return self.situation.live != self.version.id

    @property
    def stands(self) -> bool:
        """Whether the new version is still what is to be served."""
        return not self.turned_back

    def may_turn_back(self) -> bool:
        """Only to a version that is valid, not a placeholder, and another one."""
        former = self.former
        if former is None or former.placeholder or not self.turns or self.turned_back:
            return False
        return former.leaf.not_after > clock.now()

    def told(self, version: Version) -> HookCertificate:
        """What a hook is told of this certificate when `version` is live."""
        live = self.kit.store.path(self.wish.name)
        return HookCertificate(
            name=self.wish.name,
            names=tuple(str(name) for name in self.wish.names),
            version=version.id,
            live=live,
            privkey=f"{live}/privkey.pem",
            cert=f"{live}/cert.pem",
            chain=f"{live}/chain.pem",
            fullchain=f"{live}/fullchain.pem",
            previous=self.former.id if self.former else None,
            not_after=version.leaf.not_after,
            serial=version.leaf.serial,
        )


def run(kit: Kit, batch: Sequence[Situation], terms: Terms) -> list[Outcome]:
    """Deploy the wanted version of each certificate of a batch; each hook is called once with all of them."""
    return _Transaction(kit, batch, terms).run()


class _Transaction:
    """One batch."""

    def __init__(self, kit: Kit, batch: Sequence[Situation], terms: Terms) -> None:
        self.kit = kit
        self.started = clock.monotonic()
        self.moves: list[Move] = []
        self.outcomes: list[Outcome] = []
        self.silent: set[Place] = set()
        for situation in batch:
            version = to_serve(situation, terms.now)
            if version is not None:
                self.moves.append(Move(kit, situation, version, hooks_to_run(situation, version, terms)))

    def run(self) -> list[Outcome]:
        """The story."""
        self.moves = [move for move in self.moves if self._sound(move)]
        before, self.silent = alive(self.moves_targets(move for move in self.moves if _was_served(move)))
        self.moves = [move for move in self.moves if self._turn(move)]
        self._test_all()
        self._deploy_all()
        sightings = self._look(before)
        for move in self.moves:
            self._record(move)
        sightings.save()
        return self.outcomes + [self._outcome(move) for move in self.moves] + sightings.outcomes()

    def moves_targets(self, moves: Iterable[Move]) -> list[verify.Target]:
        """The ports of some moves."""
        return [target for move in moves for target in targets_of(self.kit, move.situation)]

    # before anything is touched ------------------------------------------------------------------------

    def _sound(self, move: Move) -> bool:
        """The pair, the chain, the names and the dates, checked by ourselves."""
        try:
            material = self.kit.store.read(move.wish.name, move.version.id)
            fault = soundness.fault(material, move.version.leaf.names, clock.now())
        except RenewerError as error:
            fault = error.text
        if fault is None:
            return True
        move.error = f"version {move.version.id} is not made live: {fault}"
        move.hint = "issue a new one with: renewer run --only " + move.wish.name + " --force"
        for hook in move.hooks:
            move.states[hook] = (DeploymentState.FAILED, None)
        self._record(move)
        self.outcomes.append(self._outcome(move))
        return False

    def _turn(self, move: Move) -> bool:
        """Pending on record, then the link, then the copies."""
        now = clock.now()
        pending = [self._deployment(move, hook, DeploymentState.PENDING, None) for hook in move.hooks]
        self.kit.ledger.save(*[msgspec.structs.replace(record, at=now) for record in pending])
        try:
            if move.turns:
                self.kit.store.turn(move.wish.name, move.version.id)
            if COPIES in move.hooks:
                self._copy(move)
        except RenewerError as error:
            self._fail([move], error.text, error.hint, hook=COPIES if COPIES in move.hooks else None)
            self._record(move)
            self.outcomes.append(self._outcome(move))
            return False
        return True

    def _copy(self, move: Move) -> None:
        """Write every copy; a file that is there already as it should be is left alone."""
        material = self.kit.store.read(move.wish.name, move.version.id)
        ours = {record.path: record.sha256 for record in self.kit.ledger.load(CopyFact, move.wish.name)}
        for copy in move.wish.copies:
            move.copied += copies.put(copy, material, ours)
        move.states[COPIES] = (DeploymentState.DONE, None)
        self._remember_copies(move, move.version, move.copied)

    def _remember_copies(self, move: Move, version: Version, written: Iterable[copies.Written]) -> None:
        facts = [
            CopyFact(
                certificate=move.wish.name,
                host=self.kit.host,
                path=one.path,
                version=version.id,
                sha256=one.sha256,
                stamp=one.stamp,
                at=clock.now(),
            )
            for one in written
        ]
        if facts:
            self.kit.ledger.save(*facts)

    # hooks ---------------------------------------------------------------------------------------------

    def _concerned(self, hook: str) -> list[Move]:
        return [move for move in self.moves if hook in move.hooks and move.stands and hook not in move.states]

    def _hook_names(self) -> list[str]:
        return list(dict.fromkeys(hook for move in self.moves for hook in move.hooks if hook != COPIES))

    def _call(self, hook: str, event: HookEvent, moves: Sequence[Move]) -> tuple[HookResult, ...]:
        """Call a hook for some certificates, told of whatever is live for each now."""
        told = [move.told(move.version if move.stands or not move.former else move.former) for move in moves]
        results = hooks.run(self.kit.config.hooks[hook], event, told, host=self.kit.host, run_id=self.kit.run)
        for result in results:
            if result.code is None and result.verdict is Verdict.NOT_MINE:
                continue  # an event that the hook does not hear: it was not called
            for name in result.certificates:
                self.kit.journal.tell(
                    EventName.HOOK_RUN,
                    name,
                    hook=hook,
                    hook_event=event.value,
                    result=result.verdict.value,
                    code=result.code,
                    took_ms=result.took_ms,
                    error=result.error,
                    output=result.output if result.verdict is Verdict.FAILED else None,
                )
        return results

    def _test_all(self) -> None:
        for hook in self._hook_names():
            moves = self._concerned(hook)
            if moves:
                self._test(hook, moves)

    def _test(self, hook: str, moves: list[Move]) -> None:
        """A server that would not start with the new files is never told of them."""
        failed = self._tested(hook, moves)
        if failed is None:
            return
        if len(moves) > 1:
            failed = self._find_culprits(hook, moves, failed)
            if failed is None:
                return
        else:
            self._fail(moves, failed.error or "", _hook_hint(failed), hook=hook, result=failed)

    def _tested(self, hook: str, moves: Sequence[Move]) -> HookResult | None:
        """The failure of a `test`, or None; a server that is not running puts its hook off."""
        results = self._call(hook, HookEvent.TEST, moves)
        for result in results:
            if result.verdict is Verdict.LATER:
                for move in moves:
                    move.states[hook] = (DeploymentState.LATER, result)
        return next((result for result in results if result.verdict is Verdict.FAILED), None)

    def _find_culprits(self, hook: str, moves: list[Move], failed: HookResult) -> HookResult | None:
        """A shared test names no certificate: take them back by halves until it passes; the others go on."""
        for move in moves:
            self._link_back(move)
        if still := self._tested(hook, moves):
            text = f"{still.error}; it fails with the certificates that were live before as well"
            self._fail(moves, text, _hook_hint(still), hook=hook, result=still)
            return still
        self._add_by_halves(hook, moves, failed)
        return None

    def _add_by_halves(self, hook: str, moves: list[Move], failed: HookResult) -> None:
        """Bring them forward again, half by half; those with which the test fails stay back."""
        for move in moves:
            self._link_forward(move)
        failure = self._tested(hook, moves)
        if failure is None:
            return
        if len(moves) == 1:
            self._fail(
                moves, failure.error or failed.error or "", _hook_hint(failure), hook=hook, result=failure
            )
            return
        for move in moves:
            self._link_back(move)
        half = len(moves) // 2
        self._add_by_halves(hook, moves[:half], failure)
        self._add_by_halves(hook, moves[half:], failure)

    def _deploy_all(self) -> None:
        for hook in self._hook_names():
            moves = self._concerned(hook)
            if not moves:
                continue
            for move in moves:
                move.deployed.append(hook)
            for result in self._call(hook, HookEvent.DEPLOY, moves):
                concerned = [move for move in moves if move.wish.name in result.certificates]
                match result.verdict:
                    case Verdict.FAILED:
                        self._fail(
                            concerned, result.error or "", _hook_hint(result), hook=hook, result=result
                        )
                    case Verdict.LATER:
                        self._settle_hook(concerned, hook, DeploymentState.LATER, result)
                    case Verdict.DONE | Verdict.NOT_MINE:
                        self._settle_hook(concerned, hook, DeploymentState.DONE, result)

    def _settle_hook(
        self, moves: Iterable[Move], hook: str, state: DeploymentState, result: HookResult
    ) -> None:
        for move in moves:
            move.states[hook] = (state, result)

    # back ----------------------------------------------------------------------------------------------

    def _link_back(self, move: Move) -> bool:
        """Links and copies as they were, if they may go back; the servers are not told yet."""
        former = move.former
        if not move.may_turn_back() or former is None:
            return False
        try:
            self.kit.store.turn(move.wish.name, former.id)
        except RenewerError as error:
            move.error = f"{move.error}; and the link could not be turned back: {error.text}"
            return False
        restored, faults = copies.undo(move.copied)
        for fault in faults:
            self.kit.journal.tell(EventName.NOTICE, move.wish.name, text=fault)
        self._remember_copies(move, former, restored)
        return True

    def _link_forward(self, move: Move) -> None:
        if move.may_turn_back():
            material = self.kit.store.read(move.wish.name, move.version.id)
            self.kit.store.turn(move.wish.name, move.version.id)
            if COPIES in move.hooks:
                ours = {one.path: one.sha256 for one in move.copied}
                again = [one for copy in move.wish.copies for one in copies.put(copy, material, ours)]
                self._remember_copies(move, move.version, again)

    def _fail(
        self,
        moves: Sequence[Move],
        text: str,
        hint: str,
        *,
        hook: str | None,
        result: HookResult | None = None,
    ) -> None:
        """These did not work: back to what was served, and every server that may have loaded them is told."""
        for move in moves:
            move.error, move.hint = text, hint
            if hook:
                move.states[hook] = (DeploymentState.FAILED, result)
        back = [move for move in moves if self._link_back(move)]
        for move in back:
            move.turned_back = True
            former = move.former.id if move.former else None
            self.kit.journal.tell(
                EventName.ROLLED_BACK, move.wish.name, to=former, version=move.version.id, error=text
            )
        for name in dict.fromkeys(hook for move in back for hook in move.deployed):
            concerned = [move for move in back if name in move.deployed]
            answers = self._call(name, HookEvent.ROLLBACK, concerned)
            if all(answer.verdict is Verdict.NOT_MINE for answer in answers):
                self._call(name, HookEvent.DEPLOY, concerned)

    # looking -------------------------------------------------------------------------------------------

    def _look(self, before: set[tuple[str, str]]) -> Sightings:
        """Wait until every port shows the new leaf; one that died of it turns its certificate back."""
        sightings = Sightings(self.kit)
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
                self._fail([move], text, hint, hook=None)
        turned = [move for move in self.moves if move.turned_back]
        seen |= self._settle(turned)
        for move in self.moves:
            live = move.former if move.turned_back and move.former else move.version
            sightings.add(move.situation, live, seen[move.wish.name])
        return sightings

    def _settle(self, moves: Sequence[Move]) -> dict[str, list[verify.Sight]]:
        """What each certificate's ports show once they have settled on what is live."""
        wanted_at: list[tuple[verify.Target, str]] = []
        for move in moves:
            live = move.former if move.turned_back and move.former else move.version
            wanted_at += [(target, live.leaf.fingerprint) for target in targets_of(self.kit, move.situation)]
        # Where a server is stopped, or never answered, one look tells as much as ten seconds of them
        stopped = [move for move in moves if any(s is DeploymentState.LATER for s, _ in move.states.values())]
        once = self.silent | {
            (str(sight.endpoint), sight.address)
            for sight in verify.look(self.moves_targets(stopped))
            if not sight.connected
        }
        sights = verify.settle_all(wanted_at, once=once) if wanted_at else []
        return {
            move.wish.name: [sight for sight in sights if sight.endpoint in move.wish.endpoints]
            for move in moves
        }

    # facts ---------------------------------------------------------------------------------------------

    def _deployment(
        self, move: Move, hook: str, state: DeploymentState, result: HookResult | None
    ) -> Deployment:
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
            host=self.kit.host,
            hook=hook,
            version=move.version.id,
            state=state,
            at=clock.now(),
            fingerprint=fingerprint,
            failures=failures,
            error=(result.error if result and result.error else move.error)
            if state in (DeploymentState.FAILED, DeploymentState.LATER)
            else None,
            output=result.output if result and state is DeploymentState.FAILED else "",
        )

    def _record(self, move: Move) -> None:
        """One record a hook; if all went back, a hook that had worked is pending for the version again."""
        records = []
        for hook in move.hooks:
            state, result = move.states.get(hook, (DeploymentState.PENDING, None))
            if move.turned_back and state is DeploymentState.DONE:
                state = DeploymentState.PENDING
            if move.error and not any(s is DeploymentState.FAILED for s, _ in move.states.values()):
                state = DeploymentState.FAILED  # the port died, or a copy failed: every hook's turn again
            records.append(self._deployment(move, hook, state, result))
        if records:
            self.kit.ledger.save(*records)

    def _outcome(self, move: Move) -> Outcome:
        took = round((clock.monotonic() - self.started) * 1000)
        later = [result for state, result in move.states.values() if state is DeploymentState.LATER]
        if move.error:
            stays = "" if move.turned_back else f"; version {move.version.id} stays live"
            back = f"; version {move.former.id} is live again" if move.turned_back and move.former else stays
            self.kit.journal.tell(
                EventName.FAILED, move.wish.name, step=Step.DEPLOY, version=move.version.id, error=move.error
            )
            return self._ended(move, Result.FAILED, move.error + back, took, hint=move.hint)
        if later:
            text = next(
                (result.error for result in later if result and result.error),
                "a hook asks to be called later",
            )
            return self._ended(move, Result.WAITING, text, took)
        names = ", ".join(move.hooks) or "no hook"
        self.kit.journal.tell(
            EventName.DEPLOYED, move.wish.name, version=move.version.id, hooks=names, took_ms=took
        )
        return self._ended(move, Result.DONE, f"version {move.version.id} is live, deployed by {names}", took)

    def _ended(self, move: Move, result: Result, detail: str, took_ms: int, hint: str = "") -> Outcome:
        return Outcome(
            certificate=move.wish.name,
            step=Step.DEPLOY,
            result=result,
            detail=detail,
            hint=hint,
            took_ms=took_ms,
        )


def _was_served(move: Move) -> bool:
    return move.former is not None and not move.former.placeholder


def _hook_hint(result: HookResult) -> str:
    name = result.certificates[0]
    return f"its output: renewer log {name}; when mended: renewer deploy {name}"
