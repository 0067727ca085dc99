"""The pre and post hooks around the orders of a run.

`pre` is called before the first order of the run for any certificate that names the hook, `post` when all
orders and deployments are over: also if they failed, also if `pre` did. That a post is owed is on record
before any pre is called, and until it went well: what a pre hook stopped is started again by the next run if
this one is killed.
"""

import shlex
import threading
from collections.abc import Iterable, Sequence

import msgspec

from renewer import hooks
from renewer.context import Context
from renewer.errors import RenewerError, RetryLater
from renewer.hooks import HookOrder, HookResult, HookVerdict
from renewer.model.decision import EventName, Outcome, Result, Step
from renewer.model.desired import Convention, Hook, HookEvent
from renewer.model.facts import Owed, Situation
from renewer.store.contract import Store


class Around:
    """The pre and post hooks of one run; safe to use from several threads.

    `planned` are the situations of those that are about to be ordered: a pre hook is told of all of them.
    `store` is where their versions are; the context's own, unless it is that of a rehearsal.
    """

    def __init__(self, context: Context, planned: Iterable[Situation], store: Store | None = None) -> None:
        self.context = context
        self.store = store or context.store
        self._planned = {situation.wish.name: situation for situation in planned}
        self._owed: dict[tuple[str, str], Owed] = {}
        self._called: dict[str, HookResult] = {}
        self._guard = threading.Lock()

    @property
    def begun(self) -> set[str]:
        """The certificates whose orders hooks were called around."""
        return {certificate for certificate, _ in self._owed}

    def before(self, situation: Situation) -> None:
        """Call whoever must be called before this certificate is ordered, once a run.

        Raises RetryLater if the order must not be begun. A pre hook of certbot's convention that fails is
        told of and no more: certbot itself goes on.
        """
        named = [self.context.config.hooks[name] for name in situation.wish.hooks]
        before = [hook for hook in named if HookEvent.PRE in hook.events]
        after = [hook for hook in named if HookEvent.POST in hook.events]
        if not before and not after:
            return
        with self._guard:
            self._owe(situation, after)
            for hook in before:
                if hook.name not in self._called:
                    self._called[hook.name] = self._call_pre(hook, situation)
            results = [(hook, self._called[hook.name]) for hook in before]
        for hook, result in results:
            failed = result.verdict in (HookVerdict.FAILED, HookVerdict.LATER)
            if failed and hook.convention is not Convention.CERTBOT:
                hint = f"nothing was ordered; run it by hand: {shlex.join(hook.called_for(HookEvent.PRE))}"
                raise RetryLater(result.error or "", hint=hint, kind="pre", local=True, disturbing=True)

    def after(self) -> list[Outcome]:
        """Call every post hook that is owed; an outcome for each certificate of one that failed."""
        outcomes: list[Outcome] = []
        with self._guard:
            for name in dict.fromkeys(hook for _, hook in self._owed):
                owed = [record for _, record in sorted(self._owed.items()) if record.hook == name]
                outcomes += _pay(self.context, self.store, name, owed)
        return outcomes

    def _owe(self, situation: Situation, after: Iterable[Hook]) -> None:
        name = situation.wish.name
        new = [
            Owed(certificate=name, host=self.context.host, hook=hook.name, newest=_newest(self.store, name))
            for hook in after
            if (name, hook.name) not in self._owed
        ]
        if new:
            self.context.ledger.save(*new)
            self._owed |= {(name, record.hook): record for record in new}

    def _call_pre(self, hook: Hook, situation: Situation) -> HookResult:
        concerned = {one.wish.name: one for one in self._planned.values() if hook.name in one.wish.hooks}
        concerned[situation.wish.name] = situation
        orders = [_order(self.store, one) for one in concerned.values()]
        return _called(self.context, hook, HookEvent.PRE, orders)


def settle(context: Context, left: Sequence[Owed]) -> list[Outcome]:
    """Call the post hooks that an earlier run still owes: it was killed, or they failed."""
    outcomes: list[Outcome] = []
    for name in dict.fromkeys(record.hook for record in left):
        outcomes += _pay(context, context.store, name, [record for record in left if record.hook == name])
    return outcomes


def _pay(context: Context, store: Store, name: str, owed: Sequence[Owed]) -> list[Outcome]:
    """Call one post hook; what is owed is forgotten if it went well, or if there is no such hook any more."""
    hook = context.config.hooks.get(name)
    if hook is None or HookEvent.POST not in hook.events:
        context.ledger.drop(*owed)
        return []
    result = _called(context, hook, HookEvent.POST, [_paid(context, store, record) for record in owed])
    if result.verdict in (HookVerdict.DONE, HookVerdict.NOT_MINE):
        context.ledger.drop(*owed)
        return []
    error = result.error or ""
    context.ledger.save(*(msgspec.structs.replace(record, error=error) for record in owed))
    hint = f"the next run calls it again; or run it by hand: {shlex.join(hook.argv)}"
    return [
        Outcome(
            certificate=record.certificate,
            step=Step.DEPLOY,
            result=Result.WAITING if result.verdict is HookVerdict.LATER else Result.FAILED,
            detail=error,
            hint=hint,
            took_ms=result.took_ms,
        )
        for record in owed
    ]


def _called(context: Context, hook: Hook, event: HookEvent, orders: Sequence[HookOrder]) -> HookResult:
    """Call it, and tell the renewal log of each certificate."""
    result = hooks.around(hook, event, orders, host=context.host, run_id=context.run)
    for name in result.certificates:
        context.journal.tell(
            EventName.HOOK_RUN,
            name,
            hook=hook.name,
            hook_event=event.value,
            result=result.verdict.value,
            code=result.code,
            took_ms=result.took_ms,
            error=result.error,
            output=result.output if result.verdict is HookVerdict.FAILED else None,
        )
    return result


def _order(store: Store, situation: Situation) -> HookOrder:
    wish = situation.wish
    names = tuple(str(name) for name in wish.names)
    return HookOrder(name=wish.name, names=names, live=store.path(wish.name), renewed=None)


def _paid(context: Context, store: Store, owed: Owed) -> HookOrder:
    """What a post hook is told: renewed is what has another newest version than before its order."""
    name = owed.certificate
    wish = context.config.certificates.get(name)
    return HookOrder(
        name=name,
        names=tuple(str(one) for one in wish.names) if wish else (),
        live=store.path(name),
        renewed=_newest(store, name) != owed.newest,
    )


def _newest(store: Store, name: str) -> str | None:
    """The newest version but for placeholders: one of those may be of the same second, and so look newer."""
    try:
        ids = sorted((found.id for found in store.shelf(name).found), reverse=True)
    except RenewerError:  # what cannot be read is told by the inventory
        return None
    return next((one for one in ids if _is_real(store, name, one)), None)


def _is_real(store: Store, name: str, version: str) -> bool:
    try:
        return not store.about(name, version).placeholder
    except RenewerError:  # damaged
        return False
