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
) -> EndpointState:
    """Judge one look: `live` is the fingerprint that should be seen, `ours` those of our other versions.

    `trusted` and `name_matches` are None where the config asks for no such check.
    """
    if not completed or fingerprint is None:
        return EndpointState.UNREACHABLE
    if fingerprint == live:
        unsound = trusted is False or name_matches is False
        return EndpointState.UNTRUSTED if unsound else EndpointState.VERIFIED
    return EndpointState.STALE if fingerprint in ours else EndpointState.FOREIGN
