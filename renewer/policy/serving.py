"""What is served against what is wanted. Pure."""

from collections.abc import Collection

from renewer.model.facts import EndpointState


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
