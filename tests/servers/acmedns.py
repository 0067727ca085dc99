"""acme-dns in small: its HTTP API, two rolling places an account, and CNAMEs in challtestsrv."""

import re
import threading
import uuid
from dataclasses import dataclass, field
from typing import Self

from .jsonapi import Answer, Call, JsonApi
from .published import Published

PARENT = "auth.example.net"
_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(slots=True)
class AcmeDns:
    """Listens at `api.url`. `registrations` can be switched off, as its config allows."""

    published: Published = field(default_factory=Published)
    registrations: bool = True
    accounts: dict[str, tuple[str, str]] = field(default_factory=dict)  # by subdomain: user and key
    allowed: dict[str, list[str]] = field(default_factory=dict)
    api: JsonApi = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Make its API."""
        self.api = JsonApi(self._answer)

    def values(self, fulldomain: str) -> list[str]:
        """What is there."""
        return self.published.now.get(fulldomain, [])

    def _answer(self, call: Call) -> Answer:
        with self._lock:
            if call.path == "/register" and self.registrations:
                return self._register(call)
            if call.path == "/update":
                return self._update(call)
            return 404, "404 page not found"

    def _register(self, call: Call) -> Answer:
        subdomain, user, key = str(uuid.uuid4()), str(uuid.uuid4()), uuid.uuid4().hex
        self.accounts[subdomain] = (user, key)
        self.allowed[subdomain] = call.document.get("allowfrom", [])
        return 201, {
            "username": user,
            "password": key,
            "fulldomain": f"{subdomain}.{PARENT}",
            "subdomain": subdomain,
            "allowfrom": self.allowed[subdomain],
        }

    def _update(self, call: Call) -> Answer:
        subdomain, value = call.document["subdomain"], call.document["txt"]
        given = (call.headers.get("x-api-user"), call.headers.get("x-api-key"))
        if self.accounts.get(subdomain) != given or "192.0.2.0/24" in self.allowed[subdomain]:
            return 401, {"error": "forbidden"}
        if not _VALUE.fullmatch(value):
            return 400, {"error": "bad_txt"}
        name = f"{subdomain}.{PARENT}"
        self.published.added.append((name, value))
        self.published.keep(name, [*self.values(name), value][-2:])
        return 200, {"txt": value}

    def __enter__(self) -> Self:
        self.api.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.api.__exit__()
