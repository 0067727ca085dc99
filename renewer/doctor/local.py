"""What challenges need on this host, looked at by form only: files, programs, secrets. Asks nobody."""

import os
import os.path
from collections.abc import Iterable, Iterator, Mapping

from renewer import proc, secrets
from renewer.copies.rights import group_number, owner_number, rights
from renewer.errors import RenewerError
from renewer.issue.solvers import solver_for
from renewer.model.desired import (
    SECRET_PARTS,
    Certificate,
    Challenge,
    Config,
    Dns01,
    Hook,
    Secret,
    SecretSource,
)
from renewer.model.inspection import Finding, Severity
from renewer.model.names import Identifier
from renewer.ownership import Danger, rights_kept_beside
from renewer.policy import challenge as choosing

CODE = "challenge-not-ready"
_OF_THE_UNIT = (SecretSource.CREDENTIAL, SecretSource.ENV)  # a person's shell has other ones than the unit


def missing(wish: Certificate) -> Iterator[tuple[Challenge, list[Identifier], RenewerError]]:
    """Each challenge of a certificate that cannot be answered here, for which names, and why."""
    groups: dict[Challenge, list[Identifier]] = {}
    for name in wish.names:
        for way in choosing.ways_of(wish, name, wildcard=name.wildcard):
            groups.setdefault(way.challenge, []).append(name)
    with secrets.once():
        for challenge, names in groups.items():
            try:
                solver = solver_for(challenge)
                try:
                    solver.ready(names)
                finally:
                    solver.close()
            except RenewerError as error:
                if error.kind == "secret" and any(one.source in _OF_THE_UNIT for one in _secrets(challenge)):
                    continue
                named = {name for name, _ in error.identifiers}
                yield challenge, [one for one in names if not named or str(one) in named], error


def findings(wish: Certificate) -> Mapping[str, Finding]:
    """What is missing, by name: an error if no other way is left for it."""
    faults: dict[str, list[RenewerError]] = {}
    for _, names, error in missing(wish):
        for name in names:
            faults.setdefault(str(name), []).append(error)
    found = {}
    for name in wish.names:
        errors = faults.get(str(name), [])
        if errors:
            others = len(choosing.ways_of(wish, name, wildcard=name.wildcard)) > len(errors)
            severity = Severity.WARNING if others else Severity.ERROR
            found[str(name)] = Finding(severity=severity, code=CODE, text=errors[0].text, hint=errors[0].hint)
    return found


def _secrets(challenge: Challenge) -> Iterable[Secret]:
    if not isinstance(challenge, Dns01):
        return
    if challenge.rfc2136 is not None and challenge.rfc2136.tsig is not None:
        yield challenge.rfc2136.tsig.secret
    for _, value in (*challenge.options, *challenge.env):
        if isinstance(value, Secret):
            yield value


MOUNT = "modes-ignored"


def state(config: Config) -> Danger | None:
    """Why no key can be kept in the state directory, or in what it will be made in; None if one can."""
    path = config.agent.state
    while path != "/" and not os.path.isdir(path):
        path = os.path.dirname(path)
    return _tried(os.path.join(path, "key"), -1, 0o600)


def copies(wish: Certificate) -> Iterator[tuple[str, Danger]]:
    """The paths of copies where no key can be kept, each with why."""
    for copy in wish.copies:
        for part, path in copy.paths:
            if part not in SECRET_PARTS:
                continue
            try:
                asked = rights(copy, part, None)
                fault = _tried(path, owner_number(copy.owner), asked.mode, group_number(copy.group))
            except RenewerError:  # no such user or group: that is told elsewhere
                continue
            if fault is not None:
                yield path, fault


def mount_findings(wish: Certificate, config: Config) -> tuple[Finding, ...]:
    """What a run would refuse to write a key to."""
    found = [(path, fault) for path, fault in copies(wish)]
    if (fault := state(config)) is not None:
        found.insert(0, (config.agent.state, fault))
    return tuple(
        Finding(severity=Severity.ERROR, code=MOUNT, text=sentence(path, fault), hint=fault.hint)
        for path, fault in found
    )


def sentence(path: str, fault: Danger) -> str:
    """What is wrong there."""
    return f"no key is written to {path}: {fault.text}"


def _tried(path: str, owner: int, mode: int, group: int = -1) -> Danger | None:
    """What was read back; None as well where this user can make nothing, for then nothing is known."""
    try:
        return rights_kept_beside(path, owner, mode, group)
    except OSError:
        return None


SESSIONS_END = "sessions-end"
_LIMIT = 5.0  # seconds for a server's program to tell a setting
_HINT = (
    "set shutdown_clients = no in dovecot's config (sessions then keep the old certificate until they "
    "end), or let renewals wait for quiet hours with `deploy_window`"
)


def session_findings(wish: Certificate, configured: Mapping[str, Hook]) -> Iterator[Finding]:
    """What the hooks of a certificate end when they deploy it; asks nothing but programs of this host."""
    for name in wish.hooks:
        hook = configured[name]
        if hook.shipped and os.path.basename(hook.run) == "dovecot" and _dovecot_ends_sessions(hook):
            text = f"hook {name} will end every session of IMAP, POP3 and Sieve at each renewal"
            text += ": dovecot's shutdown_clients is yes"
            yield Finding(severity=Severity.INFO, code=SESSIONS_END, text=text, hint=_HINT)


def _dovecot_ends_sessions(hook: Hook) -> bool:
    """Whether its config says so; no if it cannot be read here."""
    given = {name: value for name, value in hook.env if isinstance(value, str)}
    config = ["-c", given["DOVECOT_CONF"]] if given.get("DOVECOT_CONF") else []
    argv = [given.get("DOVECONF") or "doveconf", *config, "-h", "shutdown_clients"]
    try:
        ended = proc.run(argv, env={**proc.scrubbed_environment(), **given}, timeout=_LIMIT)
    except RenewerError:
        return False
    return ended.code == 0 and ended.output.strip() == "yes"
