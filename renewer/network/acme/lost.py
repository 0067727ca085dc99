"""Requests that brought no whole reply, and redirects that led astray."""

from renewer import words
from renewer.errors import RenewerError, RetryLater
from renewer.network.protocol import SORTS

DATES = "tls-dates"
"""The kind of a failure that may be our clock's, or of who forgot to renew a certificate."""


class Lost(RetryLater):
    """No whole reply came: the authority may have acted or not."""


class Unreached(Lost):
    """Not even a connection came to be: the authority knows nothing of it."""


SORTS.update(Lost=Lost, Unreached=Unreached)


def elsewhere(asked: str, url: str, error: RenewerError) -> RetryLater:
    """What went wrong where a redirect led, which need not be the authority's place at all."""
    return RetryLater(
        f"{asked} leads to {words.text_of(url, 200) or 'no URL at all'}, and there: {error.text}",
        kind="redirected",
        hint="a login portal or a proxy may stand between this host and the authority: see what that page "
        "asks for; if the directory has moved, correct `directory`",
        not_before=error.not_before,
    )
