"""The hook contract: how a program that makes a server load its certificates is called and understood.

A hook is an executable, called without a shell in a scrubbed environment, in `/`, with a time limit:

- argv[1] is the event: `test` (could the server load what is at `live`? change nothing), `deploy` (make it
  load that), `rollback` (`live` is the old version again: make it load that).
- stdin is one JSON document: `{schema, event, host, run, hook, certificates: [HookCertificate, …]}`; all the
  certificates of the batch that name this hook.
- the environment has RENEWER_EVENT, RENEWER_HOOK, RENEWER_HOST, RENEWER_RUN, RENEWER_CERTIFICATES (names,
  separated by spaces), RENEWER_LIVE (their `live` directories in the same order, one a line: no path of ours
  holds a newline) and the `env` of the hook's table; nothing of ours but PATH, HOME, LANG and TZ. A
  list that the kernel would refuse (above 96 KiB, of some thousand certificates) is left out: stdin has it.
- it says by its exit code how it went: see `EXITS`. What it writes is kept, the first and last 32 KiB.

`convention = "certbot"` calls a script written for certbot as certbot would: after a deployment, once for
each certificate, without an argument, with RENEWED_LINEAGE and RENEWED_DOMAINS.
"""

import os
import re
import signal
import stat
import zlib
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from renewer import safety
from renewer.errors import RenewerError
from renewer.model.desired import Convention, Hook, HookEvent
from renewer.model.value import Value

if TYPE_CHECKING:
    from renewer.proc import ProcResult

SCHEMA = 1
_TELLING = re.compile(r"\[(?:emerg|alert|crit|error)\]|\b(?:error|fatal)\b", re.IGNORECASE)
_LIST = 96 * 1024  # bytes of a list in the environment; Linux takes 128 KiB in one variable
_LINE = 300  # characters of output that fit into a sentence


class HookCertificate(Value):
    """What a hook is told of a certificate; paths are absolute, those of the files lie below `live`.

    `version` is what `live` points to now, `previous` what it pointed to before this deployment.
    """

    name: str
    names: tuple[str, ...]
    version: str
    live: str
    privkey: str
    cert: str
    chain: str
    fullchain: str
    previous: str | None
    not_after: datetime
    serial: str


class Verdict(StrEnum):
    """What a hook's end means."""

    DONE = "done"
    NOT_MINE = "not-mine"
    LATER = "later"
    FAILED = "failed"


EXITS = {0: Verdict.DONE, 42: Verdict.NOT_MINE, 75: Verdict.LATER}
"""Exit codes of the convention `renewer`; every other one, and the time limit, is FAILED.

42: this event is not its business. 75: not now, the server is not running, which is no failure.
"""

_CERTBOT_EXITS = {0: Verdict.DONE}  # a script written for certbot knows nothing of our codes


class HookResult(Value):
    """How one call ended; `error` is a sentence for people unless it is done or not its business.

    `code` is None if it was not called, could not be started or was ended at the time limit.
    """

    hook: str
    event: HookEvent
    certificates: tuple[str, ...]
    verdict: Verdict
    code: int | None
    output: str
    took_ms: int
    error: str | None = None


def run(
    hook: Hook, event: HookEvent, certificates: Sequence[HookCertificate], *, host: str, run_id: str
) -> tuple[HookResult, ...]:
    """Call a hook for one event with all the certificates of a batch; never raises for what it does.

    One result for the convention `renewer`, one for each certificate for `certbot`. An event that the
    hook does not hear is NOT_MINE without a call.
    """
    everybody = tuple(certificate.name for certificate in certificates)
    deaf = event not in hook.events
    if deaf or (hook.convention is Convention.CERTBOT and event is not HookEvent.DEPLOY):
        return (_unstarted(hook, event, everybody, Verdict.NOT_MINE, None),)
    if fault := problem(hook):
        return (_unstarted(hook, event, everybody, Verdict.FAILED, f"hook {hook.name}: {fault}"),)
    if hook.convention is Convention.CERTBOT:
        return tuple(
            _call(hook, event, (certificate,), host=host, run_id=run_id) for certificate in certificates
        )
    return (_call(hook, event, certificates, host=host, run_id=run_id),)


def problem(hook: Hook) -> str | None:
    """Why a hook cannot or must not be run, with what to do about it; None if it can.

    A shipped hook is as safe as this program, beside which it lies: it need only be there.
    """
    return program_problem(hook.run, f"`run` in [hook.{hook.name}]", trusted=hook.shipped)


def program_problem(path: str, key: str, *, trusted: bool = False, executable: bool = True) -> str | None:
    """Why a program must not be run; `key` is where the config names it.

    `trusted` are those beside which we lie; what is not `executable` is read by a shell.
    """
    try:
        entry = os.stat(path)
        if not stat.S_ISREG(entry.st_mode):
            return f"{path} is not a file; name the program that is to be run"
        found = None if trusted else safety.danger(path)
    except FileNotFoundError:
        return f"{path} does not exist; correct {key} or put the program there"
    except OSError as error:
        return f"{path} cannot be looked at: {error.strerror}; let its directories be searched"
    if found:
        return f"{found.text}: not run, because whoever can change it acts as us; {found.hint}"
    if executable and not os.access(path, os.X_OK):
        return f"{path} may not be executed; chmod +x {path}"
    return None


def fingerprint(hook: Hook) -> str:
    """What tells whether a hook's table or file changed, in hex; reads no content.

    A checksum is enough: if two should ever be alike, a hook only waits for its next attempt. hashlib brings
    OpenSSL, which a run with nothing due does without.
    """
    try:
        entry = os.stat(hook.run)
        identity: object = (entry.st_ino, entry.st_size, entry.st_mtime_ns, entry.st_mode)
    except OSError:
        identity = "missing"
    return f"{zlib.crc32(msgspec.json.encode((hook, identity))):08x}"


def _unstarted(
    hook: Hook, event: HookEvent, certificates: tuple[str, ...], verdict: Verdict, error: str | None
) -> HookResult:
    return HookResult(
        hook=hook.name,
        event=event,
        certificates=certificates,
        verdict=verdict,
        code=None,
        output="",
        took_ms=0,
        error=error,
    )


def _call(
    hook: Hook, event: HookEvent, certificates: Sequence[HookCertificate], *, host: str, run_id: str
) -> HookResult:
    from renewer import proc  # brings subprocess, which only those pay who run something

    names = tuple(certificate.name for certificate in certificates)
    env = _environment(hook, event, certificates, host=host, run_id=run_id)
    certbot = hook.convention is Convention.CERTBOT
    argv = [hook.run] if certbot else [hook.run, event.value]
    told = b"" if certbot else _document(hook, event, certificates, host=host, run_id=run_id)
    try:
        ended = proc.run(argv, stdin=told, env=env, timeout=hook.timeout)
    except RenewerError as error:
        why = f"hook {hook.name}: {error.text}" + (f"; {error.hint}" if error.hint else "")
        return _unstarted(hook, event, names, Verdict.FAILED, why)
    exits = _CERTBOT_EXITS if certbot else EXITS
    verdict = Verdict.FAILED if ended.code is None else exits.get(ended.code, Verdict.FAILED)
    return HookResult(
        hook=hook.name,
        event=event,
        certificates=names,
        verdict=verdict,
        code=ended.code,
        output=ended.output,
        took_ms=ended.took_ms,
        error=_sentence(hook, event, verdict, ended),
    )


def _environment(
    hook: Hook, event: HookEvent, certificates: Sequence[HookCertificate], *, host: str, run_id: str
) -> dict[str, str]:
    from renewer.proc import scrubbed_environment

    env = scrubbed_environment() | {
        "RENEWER_EVENT": event.value,
        "RENEWER_HOOK": hook.name,
        "RENEWER_HOST": host,
        "RENEWER_RUN": run_id,
    }
    lists = {
        "RENEWER_CERTIFICATES": " ".join(certificate.name for certificate in certificates),
        "RENEWER_LIVE": "\n".join(certificate.live for certificate in certificates),
    }
    env |= {name: value for name, value in lists.items() if len(os.fsencode(value)) <= _LIST}
    if hook.convention is Convention.CERTBOT:
        env["RENEWED_LINEAGE"] = certificates[0].live
        env["RENEWED_DOMAINS"] = " ".join(certificates[0].names)
    return env | dict(hook.env)


def _document(
    hook: Hook, event: HookEvent, certificates: Sequence[HookCertificate], *, host: str, run_id: str
) -> bytes:
    return msgspec.json.encode(
        {
            "schema": SCHEMA,
            "event": event,
            "host": host,
            "run": run_id,
            "hook": hook.name,
            "certificates": certificates,
        }
    )


def _sentence(hook: Hook, event: HookEvent, verdict: Verdict, ended: "ProcResult") -> str | None:
    said = last_telling_line(ended.output)
    said = f": {said}" if said else ""
    match verdict:
        case Verdict.DONE | Verdict.NOT_MINE:
            return None
        case Verdict.LATER:
            return f"hook {hook.name} asks at {event} to be called later (exit code {ended.code}){said}"
        case Verdict.FAILED if ended.code is None:
            return f"hook {hook.name} did not end its {event} within {hook.timeout:g} s and was ended{said}"
        case Verdict.FAILED:
            return f"hook {hook.name} failed at {event} (exit code {exit_words(ended.code)}){said}"


def exit_words(code: int | None) -> str:
    """An exit code, with the signal's name where there was one (the shell's 128 + n)."""
    try:
        return f"{code}, {signal.Signals((code or 0) - 128).name}"
    except ValueError:
        return str(code)


def last_telling_line(output: str) -> str:
    """The last line that names an error, as servers do before they sum up; else the last with words."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if _TELLING.search(line)]
    return (telling or lines or [""])[-1][:_LINE]
