"""Requests that brought no whole reply: what happened, and whether the authority may have acted."""

import ssl
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import NewConnectionError

from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.network.acme import problems

DATES = "tls-dates"
"""The kind of a failure that may be our clock's, or of who forgot to renew a certificate."""
_REACH = "check the URL, this host's DNS and its way out (firewall, proxy)"


class Lost(RetryLater):
    """No whole reply came: the authority may have acted or not."""

    timed_out = False


class Unreached(Lost):
    """Not even a connection came to be: the authority knows nothing of it."""


def failure(error: Exception, url: str, *, ca_bundle: str | None, timeout: float) -> RetryLater | GiveUp:
    """What a request that brought no reply means."""
    host = urlsplit(url).netloc
    why = _innermost(error)
    if isinstance(why, ssl.SSLCertVerificationError):
        return _untrusted(why.verify_message, host, ca_bundle)
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema):
        return GiveUp(f"{problems.clean(url, 200)} is not a URL", kind="url", hint="check `directory`")
    if isinstance(error, requests.Timeout) or isinstance(why, TimeoutError):
        kind = Unreached if isinstance(error, requests.ConnectTimeout) else Lost
        lost = kind(f"{host} did not answer within {timeout:g} s", kind="network")
        lost.timed_out = True
        return lost
    told = problems.clean(getattr(why, "strerror", None) or str(why), 200) or type(why).__name__
    if isinstance(why, NewConnectionError) or isinstance(error, requests.exceptions.ProxyError):
        return Unreached(f"{host} cannot be reached: {told}", kind="network", hint=_REACH)
    if isinstance(why, ConnectionRefusedError) or type(why).__name__ == "gaierror":
        return Unreached(f"{host} cannot be reached: {told}", kind="network", hint=_REACH)
    return Lost(f"the connection to {host} broke: {told}", kind="network")


def _untrusted(said: str, host: str, ca_bundle: str | None) -> GiveUp:
    if "expired" in said or "not yet valid" in said:
        text = f"the TLS certificate of {host} is not trusted by this host's clock: {said}"
        hint = "compare this host's clock with the true time: timedatectl; date -u"
        return GiveUp(text, kind=DATES, hint=hint)
    hint = "if this is a private authority, set ca_bundle of its table to the PEM file of its root"
    if ca_bundle:
        hint = f"check that {ca_bundle} (ca_bundle) holds the root of {host}'s own certificate"
    return GiveUp(f"the TLS certificate of {host} is not trusted: {said}", kind="untrusted", hint=hint)


def elsewhere(asked: str, url: str, error: RenewerError) -> RetryLater:
    """What went wrong where a redirect led, which need not be the authority's place at all."""
    return RetryLater(
        f"{asked} leads to {problems.clean(url, 200) or 'no URL at all'}, and there: {error.text}",
        kind="redirected",
        hint="a login portal or a proxy may stand between this host and the authority: see what that page "
        "asks for; if the directory has moved, correct `directory`",
        not_before=error.not_before,
    )


def _innermost(error: BaseException) -> BaseException:
    """What really happened, below the wrappings of requests and urllib3."""
    seen = error
    for _ in range(10):
        reason = getattr(seen, "reason", None)
        inner = reason if isinstance(reason, BaseException) else seen.__cause__
        inner = (
            inner or next((a for a in seen.args if isinstance(a, BaseException)), None) or seen.__context__
        )
        if inner is None:
            break
        seen = inner
    return seen
