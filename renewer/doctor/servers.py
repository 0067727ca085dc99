"""What hooks do to the servers of this host that is good to know before a renewal does it."""

import os.path
from collections.abc import Iterator, Mapping

from renewer import proc
from renewer.errors import RenewerError
from renewer.model.desired import Certificate, Hook
from renewer.model.inspection import Finding, Severity

SESSIONS_END = "sessions-end"
_LIMIT = 5.0  # seconds for a server's program to tell a setting
_HINT = (
    "set shutdown_clients = no in dovecot's config (sessions then keep the old certificate until they "
    "end), or let renewals wait for quiet hours with `deploy_window`"
)


def findings(wish: Certificate, configured: Mapping[str, Hook]) -> Iterator[Finding]:
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
