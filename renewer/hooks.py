"""The hook contract: how a program that makes a server load its certificates is called and understood.

A hook is an executable, called without a shell in a scrubbed environment, in `/`, with a time limit:

- argv[1] is the event (RENEWER_EVENT alone says it where `run` is a list with arguments of its own): `test`
  (could the server load what is at `live`? change nothing), `deploy` (make it load that), `rollback`
  (`live` is the old version again: make it load that), `publish` (a version is about to go live: let others
  know of its key; RENEWER_SPKI_SHA256 and RENEWER_CERT_SHA256 have its fingerprints, one a line in the
  order of the names).
- stdin is one JSON document: `{schema, event, host, run, hook, certificates: [HookCertificate, …]}`; all the
  certificates of the batch that name this hook.
- the environment has RENEWER_EVENT, RENEWER_HOOK, RENEWER_HOST, RENEWER_RUN, RENEWER_CERTIFICATES (names,
  separated by spaces), RENEWER_LIVE (their `live` directories in the same order, one a line: no path of ours
  holds a newline) and the `env` of the hook's table; nothing of ours but PATH, HOME, LANG and TZ. A
  list that the kernel would refuse (above 96 KiB, of some thousand certificates) is left out: stdin has it.
- it says by its exit code how it went: see `EXITS`. What it writes is kept, the first and last 32 KiB.

Around the orders of a run there are `pre` (something is about to be ordered) and `post` (ordering and
deploying are over); they are told of `HookOrder`s instead.

`convention = "certbot"` calls scripts written for certbot as certbot would, without an argument: at `deploy`
once for each certificate, with RENEWED_LINEAGE and RENEWED_DOMAINS; at `post` with RENEWED_DOMAINS and
FAILED_DOMAINS. `run` may name a directory of them: each is called in turn, also after one that failed.
"""

import os
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from renewer import ownership, secrets
from renewer.errors import RenewerError
from renewer.model.desired import CERTBOT_EVENTS, Convention, Hook, HookEvent
from renewer.model.value import Value

if TYPE_CHECKING:
    from renewer.proc import ProcResult

SCHEMA = 1
_LIST = 96 * 1024  # bytes of a list in the environment; Linux takes 128 KiB in one variable
_DOMAINS = 16_000  # characters of names that certbot tells a post hook; what is beyond is cut off
_OUTPUT = 64 * 1024  # characters of what all scripts of a directory said


class HookCertificate(Value):
    """What a hook is told of a certificate; paths are absolute, those of the files lie below `live`.

    `privkey` is None if the key is elsewhere, in an HSM or an appliance.

    `version` is what `live` points to now, `previous` what it pointed to before this deployment; `lineage` is
    the directory that certbot's hooks are told of, whose last part is the certificate's name. At `publish`
    `version` is what will be live, all paths lead into its own directory, and `spki_sha256` and `cert_sha256`
    are the SHA-256 of its SubjectPublicKeyInfo and of the leaf, in hex, as TLSA records have them.
    """

    name: str
    names: tuple[str, ...]
    version: str
    live: str
    privkey: str | None
    cert: str
    chain: str
    fullchain: str
    previous: str | None
    not_after: datetime
    serial: str
    lineage: str | None = None
    spki_sha256: str | None = None
    cert_sha256: str | None = None


class HookOrder(Value):
    """What a hook is told of a certificate around its order; there may be none at `live` yet.

    `renewed` is None at `pre`; at `post` it is whether a new version was obtained.
    """

    name: str
    names: tuple[str, ...]
    live: str
    renewed: bool | None


class HookVerdict(StrEnum):
    """What a hook's end means."""

    DONE = "done"
    NOT_MINE = "not-mine"
    LATER = "later"
    FAILED = "failed"


EXITS = {0: HookVerdict.DONE, 42: HookVerdict.NOT_MINE, 75: HookVerdict.LATER}
"""Exit codes of the convention `renewer`; every other one, and the time limit, is FAILED.

42: this event is not its business. 75: not now, the server is not running, which is no failure.
"""

_CERTBOT_EXITS = {0: HookVerdict.DONE}  # a script written for certbot knows nothing of our codes


class HookResult(Value):
    """How one call ended; `error` is a sentence for people unless it is done or not its business.

    `code` is None if it was not called, could not be started or was ended at the time limit.
    """

    hook: str
    event: HookEvent
    certificates: tuple[str, ...]
    verdict: HookVerdict
    code: int | None
    output: str
    took_ms: int
    error: str | None = None


class _Occasion(NamedTuple):
    """What a hook is called for."""

    event: HookEvent
    certificates: Sequence[HookCertificate] | Sequence[HookOrder]
    host: str
    run_id: str

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(certificate.name for certificate in self.certificates)


def run(
    hook: Hook, event: HookEvent, certificates: Sequence[HookCertificate], *, host: str, run_id: str
) -> tuple[HookResult, ...]:
    """Call a hook for one event with all the certificates of a batch; never raises for what it does.

    One result for the convention `renewer`, one for each certificate for `certbot`. An event that the
    hook does not hear is NOT_MINE without a call.
    """
    occasion = _Occasion(event, certificates, host, run_id)
    if unable := _unable(hook, occasion):
        return (unable,)
    if hook.convention is Convention.CERTBOT:
        return tuple(_call(hook, occasion._replace(certificates=(one,))) for one in certificates)
    return (_call(hook, occasion),)


def environment(
    hook: Hook, event: HookEvent, certificates: Sequence[HookCertificate], *, host: str, run_id: str
) -> dict[str, str]:
    """All that a hook called so would find in its environment; secrets are left empty."""
    return _environment(hook, _Occasion(event, certificates, host, run_id))


def around(
    hook: Hook, event: HookEvent, orders: Sequence[HookOrder], *, host: str, run_id: str
) -> HookResult:
    """Call a hook for `pre` or `post`, once for all the orders of a run; never raises for what it does."""
    occasion = _Occasion(event, orders, host, run_id)
    return _unable(hook, occasion) or _call(hook, occasion)


def problem(hook: Hook) -> str | None:
    """Why a hook cannot or must not be run, with what to do about it; None if it can.

    A shipped hook is as safe as this program, beside which it lies: it need only be there.
    """
    key = f"`run` in [hook.{hook.name}]"
    if hook.convention is Convention.CERTBOT and os.path.isdir(hook.run):
        return ownership.why_not_run_any(hook.run, key)
    return ownership.why_not_run(hook.run, key, trusted=hook.shipped)


def fingerprint(hook: Hook) -> str:
    """What tells whether a hook's table, file or directory of files changed, in hex; reads no content.

    A checksum is enough: if two should ever be alike, a hook only waits for its next attempt. hashlib brings
    OpenSSL, which a run with nothing due does without.
    """
    return f"{zlib.crc32(msgspec.json.encode((hook, ownership.program_identity(hook.run)))):08x}"


def _unable(hook: Hook, occasion: _Occasion) -> HookResult | None:
    """The result of a hook that is not called: it does not hear the event, or must not be run."""
    deaf = hook.convention is Convention.CERTBOT and occasion.event not in CERTBOT_EVENTS
    if deaf or occasion.event not in hook.events:
        return _unstarted(hook, occasion, HookVerdict.NOT_MINE, None)
    if fault := problem(hook):
        return _unstarted(hook, occasion, HookVerdict.FAILED, f"hook {hook.name}: {fault}")
    return None


def _unstarted(hook: Hook, occasion: _Occasion, verdict: HookVerdict, error: str | None) -> HookResult:
    return HookResult(
        hook=hook.name,
        event=occasion.event,
        certificates=occasion.names,
        verdict=verdict,
        code=None,
        output="",
        took_ms=0,
        error=error,
    )


def _call(hook: Hook, occasion: _Occasion) -> HookResult:
    env = _environment(hook, occasion)
    if hook.convention is not Convention.CERTBOT:
        return _start(hook, occasion, hook.called_for(occasion.event.value), env, _document(hook, occasion))
    if not os.path.isdir(hook.run):
        return _start(hook, occasion, hook.argv, env)
    try:
        scripts = ownership.programs_in(hook.run)
    except OSError as error:
        why = f"hook {hook.name}: {hook.run} cannot be read: {error.strerror}"
        return _unstarted(hook, occasion, HookVerdict.FAILED, why)
    return _together(hook, occasion, [(path, _start(hook, occasion, [path], env)) for path in scripts])


def _start(
    hook: Hook, occasion: _Occasion, argv: Sequence[str], env: Mapping[str, str], told: bytes = b""
) -> HookResult:
    from renewer import proc  # brings subprocess, which only those pay who run something

    who = f"hook {hook.name}" if argv[0] == hook.run else f"hook {hook.name}: {argv[0]}"
    try:
        own, found = secrets.variables(hook.env)
        ended = proc.run(argv, stdin=told, env={**env, **own}, timeout=hook.timeout)
        ended = msgspec.structs.replace(ended, output=secrets.hidden(ended.output, found))
    except RenewerError as error:
        why = f"hook {hook.name}: {error.text}" + (f"; {error.hint}" if error.hint else "")
        return _unstarted(hook, occasion, HookVerdict.FAILED, why)
    exits = _CERTBOT_EXITS if hook.convention is Convention.CERTBOT else EXITS
    verdict = HookVerdict.FAILED if ended.code is None else exits.get(ended.code, HookVerdict.FAILED)
    return HookResult(
        hook=hook.name,
        event=occasion.event,
        certificates=occasion.names,
        verdict=verdict,
        code=ended.code,
        output=ended.output,
        took_ms=ended.took_ms,
        error=_sentence(who, hook.timeout, occasion.event, verdict, ended),
    )


def _together(hook: Hook, occasion: _Occasion, calls: Sequence[tuple[str, HookResult]]) -> HookResult:
    """The scripts of a directory as one: failed if one of them did, and each says for itself what it said."""
    from renewer import proc

    failed = [result for _, result in calls if result.verdict is HookVerdict.FAILED]
    ends = {path: "no" if one.code is None else proc.exit_words(one.code) for path, one in calls}
    output = "".join(f"== {path}: exit code {ends[path]}\n{one.output.rstrip()}\n" for path, one in calls)
    if len(output) > _OUTPUT:
        output = f"{output[: _OUTPUT // 2]}\n[…]\n{output[-_OUTPUT // 2 :]}"
    return HookResult(
        hook=hook.name,
        event=occasion.event,
        certificates=occasion.names,
        verdict=HookVerdict.FAILED if failed else HookVerdict.DONE,
        code=failed[0].code if failed else 0,
        output=output,
        took_ms=sum(result.took_ms for _, result in calls),
        error="; ".join(result.error or "" for result in failed) or None,
    )


def _environment(hook: Hook, occasion: _Occasion) -> dict[str, str]:
    from renewer.proc import scrubbed_environment

    env = scrubbed_environment() | {
        "RENEWER_EVENT": occasion.event.value,
        "RENEWER_HOOK": hook.name,
        "RENEWER_HOST": occasion.host,
        "RENEWER_RUN": occasion.run_id,
    }
    lists = {
        "RENEWER_CERTIFICATES": " ".join(occasion.names),
        "RENEWER_LIVE": "\n".join(certificate.live for certificate in occasion.certificates),
    }
    if occasion.event is HookEvent.PUBLISH:
        told = [one for one in occasion.certificates if isinstance(one, HookCertificate)]
        lists["RENEWER_SPKI_SHA256"] = "\n".join(one.spki_sha256 or "" for one in told)
        lists["RENEWER_CERT_SHA256"] = "\n".join(one.cert_sha256 or "" for one in told)
    env |= {name: value for name, value in lists.items() if len(os.fsencode(value)) <= _LIST}
    if hook.convention is Convention.CERTBOT:
        env |= _in_certbots_words(occasion)
    return env | {name: value if isinstance(value, str) else "" for name, value in hook.env}


def _in_certbots_words(occasion: _Occasion) -> dict[str, str]:
    """The variables of certbot's hooks. A `pre` hook has none."""
    words: dict[str, str] = {}
    if occasion.event is HookEvent.POST:
        words = {"RENEWED_DOMAINS": "", "FAILED_DOMAINS": ""}
    for certificate in occasion.certificates:
        names = " ".join(certificate.names)
        if isinstance(certificate, HookCertificate):
            words |= {"RENEWED_LINEAGE": certificate.lineage or certificate.live, "RENEWED_DOMAINS": names}
        elif occasion.event is HookEvent.POST:
            which = "RENEWED_DOMAINS" if certificate.renewed else "FAILED_DOMAINS"
            words[which] = f"{words[which]} {names}".strip()[:_DOMAINS]
    return words


def _document(hook: Hook, occasion: _Occasion) -> bytes:
    return msgspec.json.encode(
        {
            "schema": SCHEMA,
            "event": occasion.event,
            "host": occasion.host,
            "run": occasion.run_id,
            "hook": hook.name,
            "certificates": occasion.certificates,
        }
    )


def _sentence(
    who: str, timeout: float, event: HookEvent, verdict: HookVerdict, ended: "ProcResult"
) -> str | None:
    from renewer import proc

    said = proc.last_telling_line(ended.output)
    said = f": {said}" if said else ""
    match verdict:
        case HookVerdict.DONE | HookVerdict.NOT_MINE:
            return None
        case HookVerdict.LATER:
            return f"{who} asks at {event} to be called later (exit code {ended.code}){said}"
        case HookVerdict.FAILED if ended.code is None:
            return f"{who} did not end its {event} within {timeout:g} s and was ended{said}"
        case HookVerdict.FAILED:
            return f"{who} failed at {event} (exit code {proc.exit_words(ended.code)}){said}"
