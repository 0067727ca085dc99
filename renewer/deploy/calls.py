"""The hooks of a batch: each called once an event with all its certificates; who fails goes back."""

import re
from collections.abc import Collection, Iterable, Sequence

import msgspec

from renewer import clock, hooks, inventory
from renewer.context import Context
from renewer.deploy import links
from renewer.deploy.move import Move
from renewer.errors import StateError
from renewer.hooks import HookCertificate, HookResult, HookVerdict
from renewer.model.decision import EventName
from renewer.model.desired import Convention, HookEvent
from renewer.model.facts import COPIES, Deployment, DeploymentState
from renewer.model.names import CERTIFICATE_NAME
from renewer.store.layout import LIVE


class Calls:
    """Calls hooks for the moves of one batch, in the config's order."""

    def __init__(self, context: Context, moves: list[Move]) -> None:
        self.context = context
        self.moves = moves

    def _concerned(self, hook: str) -> list[Move]:
        return [move for move in self.moves if hook in move.hooks and move.stands and hook not in move.states]

    def _hook_names(self) -> list[str]:
        return list(dict.fromkeys(hook for move in self.moves for hook in move.hooks if hook != COPIES))

    def _call(self, hook: str, event: HookEvent, moves: Sequence[Move]) -> tuple[HookResult, ...]:
        """Call a hook for some certificates, told of whatever is live for each now."""
        told = [move.told(move.serves) for move in moves]
        if self.context.config.hooks[hook].convention is Convention.CERTBOT:
            told = [self._with_lineage(one) for one in told]
        results = hooks.run(
            self.context.config.hooks[hook], event, told, host=self.context.host, run_id=self.context.run
        )
        for result in results:
            if result.code is None and result.verdict is HookVerdict.NOT_MINE:
                continue  # an event that the hook does not hear: it was not called
            for name in result.certificates:
                self.context.journal.tell(
                    EventName.HOOK_RUN,
                    name,
                    hook=hook,
                    hook_event=event.value,
                    result=result.verdict.value,
                    code=result.code,
                    took_ms=result.took_ms,
                    error=result.error,
                    output=result.output if result.verdict is HookVerdict.FAILED else None,
                )
        return results

    def _with_lineage(self, told: HookCertificate) -> HookCertificate:
        """The same with the directory that scripts for certbot are told of."""
        try:
            return msgspec.structs.replace(
                told, lineage=self.context.store.lineage(told.name, key=told.privkey is not None)
            )
        except StateError as error:  # they are told of the other one, which has the same files
            self.context.journal.tell(EventName.NOTICE, told.name, text=error.text, hint=error.hint)
            return told

    def test_all(self) -> None:
        """`test` of every hook: a server that would not start with the new files is never told of them."""
        for hook in self._hook_names():
            moves = self._concerned(hook)
            if moves:
                self._test(hook, moves)

    def _test(self, hook: str, moves: list[Move]) -> None:
        """One hook's test; if it fails, those to blame are found."""
        failed = self._tested(hook, moves)
        if failed is None:
            return
        if self._is_optional(hook):
            self._settle_hook(moves, hook, DeploymentState.FAILED, failed)
        else:
            self._find_culprits(hook, moves, failed)

    def _is_optional(self, hook: str) -> bool:
        """Whether its failure turns nothing back."""
        return not self.context.config.hooks[hook].required

    def _tested(self, hook: str, moves: Sequence[Move]) -> HookResult | None:
        """The failure of a `test`, or None; a server that is not running puts its hook off."""
        results = self._call(hook, HookEvent.TEST, moves)
        for result in results:
            if result.verdict is HookVerdict.LATER:
                for move in moves:
                    move.states[hook] = (DeploymentState.LATER, result)
        return next((result for result in results if result.verdict is HookVerdict.FAILED), None)

    def _find_culprits(self, hook: str, moves: list[Move], failed: HookResult) -> None:
        """A failed test names no certificate: take them back by halves until it passes; the others go on."""
        back = [move for move in moves if links.back(move)]
        if not back:
            self.fail(moves, failed.error or "", _hook_hint(failed), hook=hook, result=failed)
        elif still := self._tested(hook, moves):
            named = named_in(self.context, still)
            text = f"{still.error}; it fails with what was live before as well"
            if named:
                for move in back:
                    links.forward(move)
                blame(self.context, moves, still, named)
                return
            for move in back:
                if move.ending:
                    links.forward(move)
            self.fail(moves, text, _hook_hint(still), hook=hook, result=still, proven=False)
        elif len(moves) == 1:
            self.fail(moves, failed.error or "", _hook_hint(failed), hook=hook, result=failed)
        else:
            self._add_by_halves(hook, moves, failed)

    def _add_by_halves(self, hook: str, moves: list[Move], failed: HookResult) -> None:
        """Bring them forward again, half by half; those with which the test fails stay back.

        So do those that the run has no time left for: what they were live with before passed.
        """
        if self.context.time_left() <= 0:
            text = f"{failed.error}; the run ended before it was found whether {{}} is to blame"
            for move in moves:
                told = text.format(move.wish.name)
                if move.ending:
                    links.forward(move)
                self.fail([move], told, _hook_hint(failed), hook=hook, result=failed, proven=False)
            return
        for move in moves:
            links.forward(move)
        failure = self._tested(hook, moves)
        if failure is None:
            return
        if len(moves) == 1:
            self.fail(
                moves, failure.error or failed.error or "", _hook_hint(failure), hook=hook, result=failure
            )
            return
        for move in moves:
            links.back(move)
        half = len(moves) // 2
        self._add_by_halves(hook, moves[:half], failure)
        self._add_by_halves(hook, moves[half:], failure)

    def deploy_all(self) -> None:
        """`deploy` of every hook, once, with all certificates that still stand."""
        for hook in self._hook_names():
            moves = self._concerned(hook)
            if not moves:
                continue
            for move in moves:
                move.deployed.append(hook)
            for result in self._call(hook, HookEvent.DEPLOY, moves):
                concerned = [move for move in moves if move.wish.name in result.certificates]
                match result.verdict:
                    case HookVerdict.FAILED if self._is_optional(hook):
                        self._settle_hook(concerned, hook, DeploymentState.FAILED, result)
                    case HookVerdict.FAILED:
                        text, hint = result.error or "", _hook_hint(result)
                        self.fail(concerned, text, hint, hook=hook, result=result, proven=False)
                    case HookVerdict.LATER:
                        self._settle_hook(concerned, hook, DeploymentState.LATER, result)
                    case HookVerdict.DONE | HookVerdict.NOT_MINE:
                        self._settle_hook(concerned, hook, DeploymentState.DONE, result)

    def _settle_hook(
        self, moves: Iterable[Move], hook: str, state: DeploymentState, result: HookResult
    ) -> None:
        for move in moves:
            move.states[hook] = (state, result)

    def fail(  # noqa: PLR0913  what failed, each by its name
        self,
        moves: Sequence[Move],
        text: str,
        hint: str,
        *,
        hook: str | None,
        result: HookResult | None = None,
        proven: bool = True,
    ) -> None:
        """These did not work: back to what was served, and every server that may have loaded them is told.

        Where what was served is about to end only `proven` harm turns back: a test that passes with the
        former files, or a port that died.
        """
        for move in moves:
            move.error, move.hint = text, hint
            if hook:
                move.states[hook] = (DeploymentState.FAILED, result)
        back = [move for move in moves if (proven or not move.ending) and links.back(move)]
        for move in back:
            move.turned_back = True
            former = move.former.id if move.former else None
            self.context.journal.tell(
                EventName.ROLLED_BACK, move.wish.name, to=former, version=move.version.id, error=text
            )
        for name in dict.fromkeys(hook for move in back for hook in move.deployed):
            concerned = [move for move in back if name in move.deployed]
            answers = self._call(name, HookEvent.ROLLBACK, concerned)
            if all(answer.verdict is HookVerdict.NOT_MINE for answer in answers):
                answers = self._call(name, HookEvent.DEPLOY, concerned)
            for answer in answers:
                if answer.verdict is HookVerdict.FAILED:
                    for move in concerned:
                        move.error = f"{move.error}; and its server may not have gone back: {answer.error}"


def named_in(context: Context, result: HookResult) -> tuple[str, ...]:
    """The certificates of which a hook names a file below the state directory."""
    path = re.escape(context.store.path("")).removesuffix(f"/{LIVE}")
    said = f"{result.error}\n{result.output}"
    return tuple(dict.fromkeys(re.findall(f"{path}({CERTIFICATE_NAME.pattern})/", said)))


def blame(context: Context, moves: Sequence[Move], result: HookResult, named: Collection[str]) -> None:
    """A test fails with the former files as well: it is the trouble of those that it names alone.

    Nobody is turned back for it. Who is named has failed, the others wait.
    """
    hook, text = result.hook, f"{result.error}; it fails with what was live before as well"
    text += f", because of {', '.join(named)}"
    for move in moves:
        guilty = move.wish.name in named
        state = DeploymentState.FAILED if guilty else DeploymentState.LATER
        move.states[hook] = (state, msgspec.structs.replace(result, error=text))
        if guilty:
            move.error, move.hint = text, _hook_hint(result)
    context.ledger.save(*_others(context, hook, set(named) - {move.wish.name for move in moves}, text))


def _others(context: Context, hook: str, names: Iterable[str], text: str) -> list[Deployment]:
    """The records of certificates outside the batch that a test names: called again like one that failed."""
    known = [name for name in names if name in context.config.certificates]
    found = []
    for name, situation in inventory.take(context, known).items() if known else ():
        fingerprint = dict(situation.hooks).get(hook)
        if fingerprint is None or situation.live is None:
            continue
        before = next((one for one in situation.deployments if one.hook == hook), None)
        same = before is not None and before.version == situation.live
        found.append(
            Deployment(
                certificate=name,
                host=context.host,
                hook=hook,
                version=situation.live,
                state=DeploymentState.FAILED,
                at=clock.now(),
                fingerprint=fingerprint,
                failures=(before.failures if before and same else 0) + 1,
                error=text,
            )
        )
    return found


def _hook_hint(result: HookResult) -> str:
    name = result.certificates[0]
    return f"its output: renewer log {name}; when mended: renewer deploy {name}"
