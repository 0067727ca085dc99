"""What an authority answered: a whole reply, with its headers also when it is a refusal."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urljoin

import msgspec

from renewer import clock, words
from renewer.decoding import UndecodableError, decode
from renewer.errors import RetryLater
from renewer.network.acme import problems, retry_after
from renewer.network.acme.resources import Problem


class Reply:
    """What came back, whole. Header names are looked up in any case."""

    __slots__ = ("at", "body", "headers", "status", "url")

    def __init__(self, url: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.url = url
        self.status = status
        self.headers = headers
        self.body = body
        self.at = clock.now()

    @property
    def ok(self) -> bool:
        """Whether it is a success."""
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> datetime | None:
        """The earliest moment it asks for; None if it does not."""
        return retry_after.parse(self.headers.get("Retry-After"), self.at, self.headers.get("Date"))

    def json(self) -> Any:
        """Its JSON object. Raises RetryLater if it is none: something stands between us and the authority."""
        try:
            document = decode(self.body)
        except UndecodableError:
            document = None
        if isinstance(document, dict):
            return document
        sort = words.text_of(self.headers.get("Content-Type", ""), 60) or "nothing said of its type"
        raise RetryLater(
            f"{self.url} answered with something that is not a JSON object ({sort}): "
            f"'{words.text_of(self.body[:120].decode('utf-8', 'replace'), 80)}'",
            kind="bad-reply",
            hint="check that the URL is an ACME authority's and that no proxy or portal answers in its place",
        )

    def problem(self) -> Problem:
        """The problem document of a refusal; of a redirect that is not followed, where it leads."""
        found = problems.from_reply(self.body, status=self.status, retry_after=self.retry_after)
        target = self.headers.get("Location")
        if 300 <= self.status < 400 and not found.type:
            where = words.text_of(join(self.url, target), 300) if target else ""
            said = f"{self.url} leads to {where}" if where else f"{self.url} leads elsewhere, unsaid where"
            return msgspec.structs.replace(found, detail=said)
        return found

    def links(self, relation: str) -> list[str]:
        """Every link of that relation, absolute (RFC 8288); all Link headers count."""
        parsed = map(_link, re.split(r",\s*<", self.headers.get("Link", "")))
        wanted = [url for url, rel in parsed if rel == relation]
        return [absolute for url in wanted if url and (absolute := join(self.url, url))]


class Headers(dict[str, str]):
    """An answer's, by their names in any case; what comes several times is one, parted by commas."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        super().__init__()
        for name, value in pairs:
            known = super().get(name.lower())
            self[name.lower()] = value if known is None else f"{known}, {value}"

    def get(self, key: str, default: Any = None) -> Any:
        """One of them."""
        return super().get(key.lower(), default)


def _link(text: str) -> tuple[str, str]:
    """Where one link of a Link header leads, and its relation (RFC 8288 §3)."""
    target, *parameters = text.split(";")
    known = (one.partition("=") for one in parameters)
    relation = next((value for name, _, value in known if name.strip().lower() == "rel"), "")
    return target.strip(" <>'\""), relation.strip(" '\"")


def join(base: str, target: str) -> str:
    """Where a link leads; "" if it is no URL at all."""
    try:
        return urljoin(base, target)
    except ValueError:
        return ""
