"""What is served against what is wanted. Pure."""

from collections.abc import Collection

from renewer.model.facts import EndpointState, Sighting
from renewer.model.names import Identifier

_STALE = (
    "have that server load what is live, or name its hook in the configuration; if its hooks succeed, "
    "another node may answer at that address, or a container have a file or `live` itself mounted instead of "
    "the certificate's directory"
)
_UNTRUSTED = (
    "let the server send fullchain.pem, and nothing besides (Apache's old SSLCertificateChainFile: take it "
    "out); for a private authority set its `roots`"
)
_MUTE = (
    "somebody answers there and completes no handshake: is it the right port, does `starttls` belong to it, "
    "or `proxy_protocol = true` because it expects the PROXY protocol?"
)
_LACKS = (
    "let the server load this certificate's files as a second pair beside the other, or correct `key` or "
    "`endpoints`"
)
_NEWER = (
    "restore the state that has it, if this one came from a backup; or order another to take its place: "
    "renewer run {} (a run does so by itself after a day); if somebody else serves there, correct `endpoints`"
)


def hint(seen: Sighting) -> str:  # noqa: PLR0911  one a state
    """What a person can do about what a port showed."""
    if seen.newer:
        return _NEWER.format(seen.certificate)
    if seen.lacks:
        return _LACKS
    match seen.state:
        case EndpointState.VERIFIED | EndpointState.UNKNOWN:
            return ""
        case EndpointState.STALE:
            return _STALE
        case EndpointState.FOREIGN:
            return "another server or proxy answers there: correct `endpoints`, or that server"
        case EndpointState.UNTRUSTED:
            return _UNTRUSTED
        case EndpointState.UNREACHABLE:
            return _MUTE if seen.answered else "start the server, open the port, or correct `endpoints`"


def judge(  # noqa: PLR0913  what one look shows
    *,
    completed: bool,
    fingerprint: str | None,
    trusted: bool | None,
    name_matches: bool | None,
    live: str,
    ours: Collection[str],
    others: Collection[str] = (),
    settled: bool = True,
) -> EndpointState:
    """Judge one look: `live` is the fingerprint that should be seen, `ours` those of our other versions.

    `trusted` and `name_matches` are None where the config asks for no such check. `others` are what
    handshakes beside it showed, and `settled` is whether enough of them in a row showed the same: a port that
    answers with old and new in turn, or only now and then, is not verified.
    """
    if not completed or fingerprint is None:
        return EndpointState.UNREACHABLE
    if fingerprint == live:
        beside = [one for one in others if one != live]
        if beside:
            stale = any(one in ours for one in beside)
            return EndpointState.STALE if stale else EndpointState.FOREIGN
        if not settled:
            return EndpointState.UNREACHABLE
        unsound = trusted is False or name_matches is False
        return EndpointState.UNTRUSTED if unsound else EndpointState.VERIFIED
    return EndpointState.STALE if fingerprint in ours else EndpointState.FOREIGN


def lost(
    before: Collection[Identifier], now: Collection[Identifier], wished: Collection[Identifier]
) -> tuple[Identifier, ...]:
    """The names that a certificate had and its successor has not, though nobody wishes for them any more.

    A name below a wildcard of the successor is not lost.
    """
    here = {str(name) for name in now}
    return tuple(
        name
        for name in before
        if name not in now and name not in wished and f"*.{str(name).partition('.')[2]}" not in here
    )
