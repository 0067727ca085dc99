"""Small HTTP APIs that take and give JSON: one POST, bounded in time and size, its refusals with advice.

No redirect is followed and no proxy is used: credentials go to the address that the config names, or nowhere.
"""

from collections.abc import Mapping

import msgspec

from renewer import words
from renewer.decoding import UndecodableError, decode
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import OptionValue
from renewer.model.dns_options import time_limit
from renewer.model.value import Value
from renewer.network import http

TIME_LIMIT = 30.0  # seconds for one request, unless the config says otherwise
_EXCERPT = 200

_FINAL = {  # what does not pass by itself: what it means and what to do
    401: ("it does not take these credentials", "are user and password those that the server knows?"),
    403: ("it does not allow it", "are the credentials right, and may this host's address use them?"),
    404: ("there is no such API", "is the URL right, with its path?"),
    405: ("there is no such API", "is the URL right, with its path?"),
    410: ("it is gone", "is the URL right?"),
}


class WebReply(Value):
    """What a server answered; `text` is its body, safe to print."""

    status: int
    text: str

    @property
    def document(self) -> Mapping[str, object]:
        """The body as a JSON object; empty if it is none."""
        try:
            found = decode(self.text)
        except UndecodableError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def excerpt(self) -> str:
        """The body's beginning on one line."""
        text = " ".join(self.text.split())
        return text[:_EXCERPT] + ("…" if len(text) > _EXCERPT else "")


class Api:
    """A server's API; `what` is its name for people."""

    def __init__(self, what: str, url: str, options: Mapping[str, OptionValue]) -> None:
        self._what = what
        self.url = url.rstrip("/")
        self._roots = str(options["ca_bundle"]) if "ca_bundle" in options else None
        self._limit = time_limit(options, TIME_LIMIT)

    def __str__(self) -> str:
        return f"the {self._what} {self.url}"

    def post(self, path: str, body: object, headers: Mapping[str, str]) -> WebReply:
        """POST a document. Raises RetryLater or GiveUp if there is no answer at all."""
        fields = {"Accept": "application/json", "Content-Type": "application/json", **headers}
        try:
            answer = http.ask(
                *("POST", self.url + path, fields, msgspec.json.encode(body)),
                within=self._limit,
                roots=self._roots,
            )
        except http.NoAnswerError as failure:
            hint = failure.hint or "is it running, and is no firewall between?"
            error = RetryLater(f"{self} could not be asked: {failure.why}", hint=hint, kind="http")
            error.untouched = not failure.sent
            raise error from None
        return WebReply(status=answer.status, text=words.output(answer.body))

    def refused(self, reply: WebReply) -> RenewerError:
        """The error for an answer that is no success."""
        said = f": {reply.excerpt}" if reply.excerpt else ""
        if 300 <= reply.status < 400:
            meaning, hint = "it redirects", "name the URL that it redirects to"
        else:
            meaning, hint = _FINAL.get(reply.status, ("it failed", "its log says why"))
        final = reply.status in _FINAL or 300 <= reply.status < 400
        text = f"{self} answered {reply.status}, {meaning}{said}"
        error = (GiveUp if final else RetryLater)(text, hint=hint, kind=f"http-{reply.status}")
        error.untouched = final
        return error
