"""Plays the whole issuance at another authority, usually the staging of the real one, and changes nothing.

Order, challenges, chain and checks are the real ones, in a scratch state that goes afterwards; the pre and
post hooks stand around them. Only the account stays, so that rehearsals do not register each time; and what
a challenge may leave behind, or a post hook that is owed, is on record in the real ledger, so that the run
after a killed rehearsal sees to it. Authorizations are given up at the end: a rehearsal that lives on those
of the last one would prove nothing.
"""

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TypeVar

import msgspec

from renewer import clock, hooks, install, inventory
from renewer.accounts.keeper import Keeper
from renewer.config.authorities import BUILT_IN
from renewer.context import Context, asked
from renewer.deploy.move import Move
from renewer.errors import RenewerError, StateError, UsageError
from renewer.hooks import HookResult, HookVerdict
from renewer.issue import Issuer
from renewer.ledger.contract import Happening, Ledger
from renewer.logs import Listener
from renewer.model.decision import Decision, Reason, Result, Step
from renewer.model.desired import Authority, Certificate, Config, HookEvent
from renewer.model.facts import COPIES, Debris, Order, Owed, Record, Situation
from renewer.model.value import Value
from renewer.policy.due import decide
from renewer.policy.terms import Terms
from renewer.pre_post import Around

R = TypeVar("R", bound=Record)
_HOST = (Debris, Owed)


class Played(Value):
    """One step of a rehearsal: how it went, and as a sentence what would happen in production."""

    certificate: str
    step: str
    result: Result
    detail: str
    hint: str = ""


def stage(config: Config, wish: Certificate, other: str | None) -> Authority:
    """The authority at which a certificate is rehearsed. Raises UsageError if there is none."""
    real = config.authorities[wish.authorities[0]]
    if other is not None:
        if other in config.authorities:
            return config.authorities[other]
        if other not in BUILT_IN:
            known = ", ".join(dict.fromkeys([*config.authorities, *BUILT_IN]))
            raise UsageError(f"there is no authority '{other}'", hint=f"there are: {known}")
        plain = Authority(name=other, directory=BUILT_IN[other][0], agree_terms=real.agree_terms)
        return msgspec.structs.replace(plain, contact=real.contact, proxy=real.proxy)
    if real.staging is None:
        raise UsageError(
            f"{real.name} has no staging that we know of",
            hint=f'name one: staging = "https://…/directory" in [authority.{real.name}], '
            "or rehearse elsewhere: --authority letsencrypt-staging",
        )
    named = (one for one in config.authorities.values() if one.directory == real.staging)
    name = f"{real.name}-staging"
    played = msgspec.structs.replace(real, name=name, directory=real.staging, staging=None)
    return next(named, played)


def rehearse(
    context: Context, names: Iterable[str], other: str | None = None, listener: Listener | None = None
) -> list[Played]:
    """Play it for each certificate named; the real state is only looked at. Raises UsageError."""
    situations = inventory.take(context, names)
    stages = {name: stage(context.config, one.wish, other) for name, one in situations.items()}
    with tempfile.TemporaryDirectory(prefix="renewer-rehearsal-") as scratch:
        config = _config(context.config, scratch, [one.wish for one in situations.values()], stages)
        with _Scratch(context, config, listener) as played:
            around = Around(played, situations.values(), context.store)
            try:
                steps = _issue_all(context, played, situations, around)
            finally:
                posts = around.after()
    steps += [_played(one.certificate, "post", one.result, one.detail, one.hint) for one in posts]
    return steps + test_hooks(context, list(situations.values()))


def _issue_all(
    context: Context, played: Context, situations: Mapping[str, Situation], around: Around
) -> list[Played]:
    """Side by side. The real hooks stand around it: challenges may need what they stop and open."""
    with Issuer(played, lambda one: around.before(situations[one.wish.name])) as issuer:
        workers = max(1, min(played.config.agent.workers, len(situations)))
        with ThreadPoolExecutor(workers, thread_name_prefix="rehearsal") as pool:
            issued = pool.map(lambda one: _issue(context, issuer, one), situations.values())
        return [step for several in issued for step in several]


class _Ledger:
    """A scratch ledger, but for what challenges leave behind and hooks are owed: facts about this host."""

    def __init__(self, scratch: Ledger, real: Ledger) -> None:
        self._scratch = scratch
        self._real = real
        self.notes, self.forgets = scratch.notes, real.forgets
        self.orders: dict[str, str] = {}  # certificate → its order's URL

    def go_on_in_memory(self, error: StateError) -> None:
        self._real.go_on_in_memory(error)

    def load(self, kind: type[R], certificate: str | None = None) -> list[R]:
        return (self._real if kind in _HOST else self._scratch).load(kind, certificate)

    def save(self, *records: Record) -> None:
        for record in records:
            if isinstance(record, Order) and record.url:
                self.orders[record.certificate] = record.url
        self._real.save(*[one for one in records if isinstance(one, _HOST)])
        self._scratch.save(*[one for one in records if not isinstance(one, _HOST)])

    def drop(self, *records: Record) -> None:
        self._real.drop(*[one for one in records if isinstance(one, _HOST)])
        self._scratch.drop(*[one for one in records if not isinstance(one, _HOST)])

    def forget(self, certificate: str) -> None:
        self._scratch.forget(certificate)

    def rename(self, certificate: str, new: str) -> None:
        self._scratch.rename(certificate, new)

    def append(self, *happenings: Happening, saving: Sequence[Record] = ()) -> None:
        self._scratch.append(*happenings, saving=saving)

    def history(self, certificate: str | None = None, since: datetime | None = None) -> list[Happening]:
        return self._scratch.history(certificate, since)

    def close(self) -> None:
        self._scratch.close()


class _Scratch(Context):
    """The equipment of a rehearsal: a state of its own, the real accounts."""

    def __init__(self, real: Context, config: Config, listener: Listener | None) -> None:
        super().__init__(config, write=True, listener=listener)
        self.accounts = real.accounts
        self.stopping = real.stopping
        self.request_timeout = real.request_timeout
        split = _Ledger(self.ledger, real.ledger)
        self.ledger = split
        self.orders = split.orders


def _config(
    config: Config, scratch: str, wishes: Sequence[Certificate], stages: dict[str, Authority]
) -> Config:
    """The same wishes in a scratch state, at the stage, with nobody to be told of what is issued."""
    agent = msgspec.structs.replace(config.agent, state=scratch, log=None, ledger="sqlite", group=None)
    played = {
        wish.name: msgspec.structs.replace(
            wish,
            authorities=(stages[wish.name].name,),
            placeholder=False,
            reuse_key=False,
            hooks=(),
            endpoints=(),
            copies=(),
        )
        for wish in wishes
    }
    authorities = {one.name: one for one in stages.values()}
    return msgspec.structs.replace(config, agent=agent, authorities=authorities, certificates=played)


# one certificate ------------------------------------------------------------------------------------------


def _issue(context: Context, issuer: Issuer, real: Situation) -> list[Played]:
    """From the order to the checked version; in a worker."""
    steps = [_decision(context, real), _authority(context, real.wish)]
    name, scratch = real.wish.name, issuer.context
    if context.stopping.is_set():
        return [_played(name, "issue", Result.WAITING, "stopped before it began")]
    try:
        situation = inventory.take(scratch, [name])[name]
        at = situation.wish.authorities[0]
        decision = Decision(
            certificate=name, step=Step.ISSUE, reason=Reason.FORCED, because="it is rehearsed", authority=at
        )
        outcome = issuer.obtain(situation, decision)
        # What went well needs no advice: a state of its own, made for the rehearsal, remembers nothing
        advice = outcome.hint if outcome.result is not Result.DONE else ""
        steps.append(_played(name, "issue", outcome.result, outcome.detail, advice))
        if outcome.result is Result.DONE:
            steps.append(_install(context, scratch, real))
    except RenewerError as error:
        steps.append(_played(name, "issue", Result.FAILED, error.text, error.hint))
    finally:
        left = _give_up(scratch, name)
    if left:
        steps.append(_played(name, "give-up", Result.WAITING, left))
    return [*steps, *_copies(real.wish), *_look(real.wish)]


def _decision(context: Context, real: Situation) -> Played:
    terms = Terms(now=clock.now(), wake=context.config.agent.wake)
    decision = decide(real, terms)
    text = f"in production a run would now {decision.step}: {decision.because}"
    return _played(real.wish.name, "decide", Result.DONE, text)


def _authority(context: Context, wish: Certificate) -> Played:
    """Whether the real authority would take the order, as far as its directory tells; nothing is ordered."""
    authority = context.config.authorities[wish.authorities[0]]
    keeper = Keeper(authority, state=context.accounts, timeout=context.request_timeout)
    try:
        directory, disk = keeper.directory, keeper.on_disk()
        if fault := keeper.profile_fault(asked(wish, context.config.authorities)[0].profiles):
            raise fault
    except RenewerError as error:
        return _played(wish.name, "authority", Result.FAILED, error.text, error.hint)
    finally:
        keeper.close()
    if "key.pem" in disk["files"]:
        ended = disk.get("deactivated_at")
        text = f"{authority.name} answers, and we have an account there"
        if ended:
            text = f"the account at {authority.name} was deactivated at {ended}"
        hint = f"renewer account register {authority.name}" if ended else ""
        return _played(wish.name, "authority", Result.FAILED if ended else Result.DONE, text, hint)
    if directory.eab_required and authority.eab is None:
        text = f"{authority.name} registers accounts only with external account credentials"
        return _played(wish.name, "authority", Result.FAILED, text, "set eab in its table")
    text = f"{authority.name} answers, and an account would be registered there"
    return _played(wish.name, "authority", Result.DONE, text)


def _install(context: Context, scratch: Context, real: Situation) -> Played:
    """Every check of an issued chain, and the version written: here in the scratch state."""
    name = real.wish.name
    outcome = install.put(scratch, inventory.take(scratch, [name])[name])
    if outcome.result is not Result.DONE:
        return _played(name, "install", outcome.result, outcome.detail, outcome.hint)
    where = os.path.dirname(context.store.path(name))
    text = f"key, chain, names and dates are sound; in production it would be a version below {where}"
    return _played(name, "install", Result.DONE, text)


def _give_up(scratch: Context, name: str) -> str:
    """Deactivate the authorizations (RFC 8555 §7.5.2); returns what went wrong with that."""
    assert isinstance(scratch, _Scratch)  # noqa: S101  made above
    url = scratch.orders.get(name)
    if url is None:
        return ""
    try:
        session = scratch.session(scratch.config.certificates[name].authorities[0])
        for authorization in session.order(url).authorizations:
            session.deactivate_authorization(authorization)
    except RenewerError as error:
        return f"the authorizations could not be given up, the next rehearsal may profit: {error.text}"
    return ""


def _copies(wish: Certificate) -> Iterable[Played]:
    for copy in wish.copies:
        for part, path in copy.paths:
            there = os.path.isdir(os.path.dirname(path))
            text = f"{part} would be copied to {path}" + ("" if there else ", but its directory is missing")
            yield _played(wish.name, "copy", Result.DONE if there else Result.FAILED, text)


def _look(wish: Certificate) -> Iterable[Played]:
    if wish.endpoints:
        ports = ", ".join(map(str, wish.endpoints))
        yield _played(wish.name, "look", Result.DONE, f"it would be looked for at {ports}")


# servers --------------------------------------------------------------------------------------------------


def test_hooks(context: Context, situations: Sequence[Situation]) -> list[Played]:
    """Each hook's `test`, against what is live now: nothing is deployed."""
    steps: list[Played] = []
    named = dict.fromkeys(hook for one in situations for hook, _ in one.hooks if hook != COPIES)
    for hook in named:
        concerned = [one for one in situations if hook in one.wish.hooks]
        ready = [one for one in concerned if one.live_version is not None]
        steps += [_untested(one, hook) for one in concerned if one.live_version is None]
        if not ready:
            continue
        told = [
            Move(context, one, one.live_version, ()).told(one.live_version)
            for one in ready
            if one.live_version
        ]
        results = hooks.run(
            context.config.hooks[hook], HookEvent.TEST, told, host=context.host, run_id=context.run
        )
        steps += [_tested(name, result) for result in results for name in result.certificates]
    return steps


def _untested(situation: Situation, hook: str) -> Played:
    text = f"hook {hook} would be tested with the first certificate; nothing is live yet"
    return _played(situation.wish.name, "test", Result.DONE, text)


def _tested(name: str, result: HookResult) -> Played:
    match result.verdict:
        case HookVerdict.DONE:
            text = f"hook {result.hook} passes its test; in production its deploy would follow"
            return _played(name, "test", Result.DONE, text)
        case HookVerdict.NOT_MINE:
            text = f"hook {result.hook} hears no test; in production its deploy would be called without one"
            return _played(name, "test", Result.DONE, text)
        case HookVerdict.LATER:
            return _played(name, "test", Result.WAITING, result.error or "", "start the server")
        case HookVerdict.FAILED:
            said = result.output.strip()[-300:]
            return _played(name, "test", Result.FAILED, result.error or "", said and f"it said: {said}")


def _played(name: str, step: str, result: Result, detail: str, hint: str = "") -> Played:
    return Played(certificate=name, step=step, result=result, detail=detail, hint=hint)
