"""What `renewer hooks test` does: call a hook for a certificate that nobody serves, and see."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec

from renewer import certs, clock, hooks, ownership, proc, secrets, words, x509
from renewer.hooks import HookCertificate, HookOrder, HookResult, HookVerdict
from renewer.model.desired import CERTBOT_EVENTS, Convention, Hook, HookEvent, KeyType
from renewer.model.facts import Version
from renewer.model.names import Identifier
from renewer.model.value import Value
from renewer.store.contract import Material
from renewer.store.disk import DiskStore
from renewer.store.layout import version_id

NAME = "hooks-test"
DNS_NAME = "hooks-test.example.org"
UNKNOWN = "unknown"
"""Stands for an event that no hook knows, to which it should say that it is not its business."""
_AROUND = (HookEvent.PRE, HookEvent.POST)
_MEANING = {
    HookVerdict.DONE: "done",
    HookVerdict.NOT_MINE: "not its business",
    HookVerdict.LATER: "later: it says that its server is not running; a run would try again",
    HookVerdict.FAILED: "failed: a run would turn back to what was live",
}


class Left(Value):
    """A process that a hook left running."""

    pid: int
    program: str


class TrialCall(Value):
    """One event as it went, or would go. `told` are names in its environment; values are nobody's business.

    `verdict` is None if it was not called; `note` says what is worth knowing besides.
    """

    event: str
    argv: tuple[str, ...]
    told: tuple[str, ...]
    verdict: HookVerdict | None = None
    code: int | None = None
    meaning: str = ""
    took_ms: int = 0
    output: str = ""
    error: str | None = None
    left: tuple[Left, ...] = ()
    note: str | None = None

    @property
    def fine(self) -> bool:
        """Whether it did not fail, and need not be called again."""
        return self.verdict in (None, HookVerdict.DONE, HookVerdict.NOT_MINE)


class Trial:
    """Calls a hook as a run would, told of a self-made certificate in a scratch place."""

    def __init__(self, hook: Hook, told: HookCertificate, host: str) -> None:
        self.hook = hook
        self.told = told
        self.host = host
        # Also tells the processes that a hook leaves behind from everybody else's.
        self.run_id = f"hooks-test-{os.getpid()}-{os.urandom(6).hex()}"

    def would(self, event: str) -> TrialCall:
        """How it would be called for an event, without doing so."""
        env = self._environment(event)
        return TrialCall(event=event, argv=self._argv(event), told=tuple(sorted(env)))

    def call(self, event: str) -> TrialCall:
        """Call it for an event, whatever that does to its server."""
        result = self._unknown() if event == UNKNOWN else self._known(HookEvent(event))
        called = self.would(event)
        return TrialCall(
            event=event,
            argv=called.argv,
            told=called.told,
            verdict=result.verdict,
            code=result.code,
            meaning=_meaning(event, result),
            took_ms=result.took_ms,
            output=result.output,
            error=result.error,
            left=tuple(_left_by(self.run_id)),
            note=self._note(event, result),
        )

    def _known(self, event: HookEvent) -> HookResult:
        if event in _AROUND:
            renewed = True if event is HookEvent.POST else None
            order = HookOrder(name=NAME, names=self.told.names, live=self.told.live, renewed=renewed)
            return hooks.around(self.hook, event, [order], host=self.host, run_id=self.run_id)
        (result,) = hooks.run(self.hook, event, [self.told], host=self.host, run_id=self.run_id)
        return result

    def _unknown(self) -> HookResult:
        """What it says to an event of a later day."""
        own, found = secrets.variables(self.hook.env)
        env = self._environment(UNKNOWN) | own
        ended = proc.run(self.hook.called_for(UNKNOWN), stdin=b"{}", env=env, timeout=self.hook.timeout)
        verdict = HookVerdict.FAILED if ended.code is None else HookVerdict.DONE
        return HookResult(
            hook=self.hook.name,
            event=HookEvent.TEST,
            certificates=(NAME,),
            verdict=HookVerdict.NOT_MINE if ended.code == 42 else verdict,
            code=ended.code,
            output=secrets.hidden(ended.output, found),
            took_ms=ended.took_ms,
        )

    def _environment(self, event: str) -> dict[str, str]:
        known = HookEvent.TEST if event == UNKNOWN else HookEvent(event)
        env = hooks.environment(self.hook, known, [self.told], host=self.host, run_id=self.run_id)
        return env | {"RENEWER_EVENT": event}

    def _argv(self, event: str) -> tuple[str, ...]:
        if self.hook.convention is not Convention.CERTBOT or not os.path.isdir(self.hook.run):
            return self.hook.called_for(event)
        return tuple(ownership.programs_in(self.hook.run))

    def _note(self, event: str, result: HookResult) -> str | None:
        if event == UNKNOWN and result.code != 42:
            return "it should answer 42 to an event that it does not know"
        limit = self.hook.timeout
        if result.code is None and result.took_ms >= limit * 1000:
            return (
                f"it was ended at its time limit; if it needs longer than {limit:g} s: timeout = in its table"
            )
        if result.took_ms > limit * 500:
            return f"it took more than half of its time limit ({limit:g} s)"
        if event == HookEvent.TEST and result.code == 42:
            return "it does not test: what it cannot load is noticed by its deploy, or at the port"
        return None


def hears(hook: Hook) -> tuple[HookEvent, ...]:
    """The events for which a run would call it."""
    known = CERTBOT_EVENTS if hook.convention is Convention.CERTBOT else tuple(HookEvent)
    return tuple(event for event in HookEvent if event in hook.events and event in known)


@contextmanager
def scratch() -> Iterator[HookCertificate]:
    """A self-made certificate, laid out as by the store, in a private directory that goes with it."""
    directory = tempfile.mkdtemp(prefix="renewer-hooks-test-")
    try:
        store, now = DiskStore(directory), clock.now()
        key = x509.new_key(KeyType.ECDSA_P256)
        cert = x509.placeholder([Identifier.parse(DNS_NAME)], key, now)
        leaf = certs.leaf(cert)
        version = Version(id=version_id(now, leaf.serial), made_at=now, leaf=leaf, placeholder=True)
        version = store.put(NAME, version, Material(privkey=key, cert=cert, chain=b""), key_mode=0o600)
        store.turn(NAME, version.id)
        live = store.path(NAME)
        yield HookCertificate(
            name=NAME,
            names=(DNS_NAME,),
            version=version.id,
            live=live,
            privkey=f"{live}/privkey.pem",
            cert=f"{live}/cert.pem",
            chain=f"{live}/chain.pem",
            fullchain=f"{live}/fullchain.pem",
            previous=None,
            not_after=leaf.not_after,
            serial=leaf.serial,
            lineage=store.lineage(NAME),
        )
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _meaning(event: str, result: HookResult) -> str:
    if event == UNKNOWN and result.verdict is HookVerdict.DONE:
        return "it took it for one of its own"
    if event in _AROUND and result.verdict is HookVerdict.FAILED:
        return "failed: a run would tell of it and go on"
    return _MEANING[result.verdict]


def _left_by(run_id: str) -> Iterator[Left]:
    """Processes that were called for this trial and have not ended, by what stands in their environment."""
    mark = f"RENEWER_RUN={run_id}".encode()
    for entry in os.listdir("/proc"):
        if entry.isdigit() and mark in _read(f"/proc/{entry}/environ").split(b"\0"):
            yield Left(pid=int(entry), program=words.output(_read(f"/proc/{entry}/comm")).strip())


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:  # it has just ended, or is not ours to look at
        return b""


def document(hook: Hook, problem: str | None, calls: list[TrialCall]) -> Mapping[str, object]:
    """The trial for scripts."""
    return {
        "hook": {
            "name": hook.name,
            "run": hook.run,
            "arguments": hook.arguments,
            "shipped": hook.shipped,
            "convention": hook.convention,
            "events": hears(hook),
            "timeout": hook.timeout,
        },
        "problem": problem,
        "calls": [msgspec.structs.asdict(call) for call in calls],
        "ok": problem is None and all(call.fine for call in calls),
    }
