"""Which certificate profile is asked for (draft-ietf-acme-profiles): the first that the authority offers."""

from collections.abc import Collection, Sequence

from renewer.errors import GiveUp


def choose(authority: str, offered: Collection[str], wished: Sequence[str]) -> str | None:
    """The first that is offered; None if none is wished. Where none are listed it is the first.

    Raises GiveUp if none of several is offered.
    """
    if not wished or not offered:
        return next(iter(wished), None)
    for one in wished:
        if one in offered:
            return one
    raise GiveUp(
        f"{authority} has no profile {' and no '.join(repr(one) for one in wished)}; "
        f"it offers {', '.join(sorted(offered))}",
        kind="invalidProfile",
        hint="choose one of these, or remove profile",
    )
