"""Every provider of dns-lexicon, by its name there: what is not ours to write.

It runs in a process of its own (`lexicon_child.py`), one a zone and call. Nothing of it is imported here.
The zones of a service take turns: what is made for one command at a time meets services that allow no more.
"""

import contextlib
import os.path
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any, ClassVar

import msgspec

from renewer.decoding import UndecodableError, decode
from renewer.errors import GiveUp, OurFault, RenewerError, RetryLater
from renewer.model.desired import Dns01
from renewer.model.dns_options import BUILT_IN, Rules, time_limit
from renewer.model.dns_provider import TxtRecord

TIME_LIMIT = 120.0  # seconds for the changes of one zone, unless the config says otherwise
TTL = "60"  # seconds: as short as most services allow, for the next order comes with other values
_CHILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lexicon_child.py")
_INSTALL = "install it for the Python that runs renewer: pip install 'renewer[lexicon]'"
_WAYS = {"service", "ttl", "timeout"}
_FINAL = {400, 401, 403, 404, 405, 410}  # of HTTP: what does not pass by itself
_WORDS = 400  # characters of what a service says
_USUAL = "an option of the service that is missing or wrong is the usual cause: `lexicon SERVICE --help`"
_NETWORK = {"ConnectionError", "Timeout", "TimeoutError", "OSError"}

_locks: dict[str, threading.Lock] = {}
_guard = threading.Lock()


Start = Callable[[str, bytes, Mapping[str, str], float], tuple[int | None, str]]


class LexiconProvider:
    """Changes a zone through the service that `service` names.

    The challenge has its secrets in their places. `start` runs a script in a process of its own: path, stdin,
    environment, seconds; exit code (None: ended) and output.
    """

    rules: ClassVar[Rules] = BUILT_IN["lexicon"]
    needs_zone = True

    def __init__(self, challenge: Dns01, start: Start) -> None:
        self._given = dict(challenge.options)
        self._env = {name: str(value) for name, value in challenge.env}
        self._start = start
        self._service = str(self._given["service"])
        self._limit = time_limit(self._given, TIME_LIMIT)
        with _guard:
            self._turn = _locks.setdefault(self._service, threading.Lock())

    def ready(self, names: Sequence[str]) -> None:  # noqa: ARG002  it is the same for all
        """Whether dns-lexicon is there and has that service."""
        if find_spec("lexicon") is None:
            raise GiveUp("dns-lexicon is not there", hint=_INSTALL, kind="config")
        known = _services()
        if known and self._service not in known:
            near = get_close_matches(self._service, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            text = f"dns-lexicon has no service '{self._service}'"
            raise GiveUp(text, hint=f"{hint}`lexicon --help` lists them", kind="config")

    def add(self, zone: str, records: Sequence[TxtRecord]) -> None:
        """Create the records, in one session."""
        self._run("add", zone, records)

    def remove(self, zone: str, records: Sequence[TxtRecord]) -> None:
        """Delete exactly these values, in one session."""
        self._run("remove", zone, records)

    def close(self) -> None:
        """Every session ends with its call."""

    def _run(self, act: str, zone: str, records: Sequence[TxtRecord]) -> None:
        options = {name: str(value) for name, value in self._given.items() if name not in _WAYS}
        job = {
            "path": sys.path,
            "act": act,
            "service": self._service,
            "zone": zone,
            "ttl": int(str(self._given.get("ttl", TTL))),
            "options": options,
            "records": [(record.name, record.value) for record in records],
        }
        with self._turn:
            said = self._child(job)
        if not said:
            return
        told = self._error(zone, said)
        told.untouched = said.keys() & {"missing", "unknown"} != set() or "AuthenticationError" in said.get(
            "kinds", ()
        )
        raise told

    def _child(self, job: Mapping[str, object]) -> dict[str, Any]:
        """What the other process says. Raises RetryLater if that is nothing."""
        code, output = self._start(_CHILD, msgspec.json.encode(job), self._env, self._limit)
        if code is None:
            raise RetryLater(
                f"{self._what} did not answer in {self._limit:g} s",
                hint="a slow service needs a longer timeout",
                kind="lexicon",
            )
        try:
            said: dict[str, Any] = decode(output, dict[str, Any])
        except UndecodableError:
            raise OurFault(f"{self._what} ended without a word (exit {code})", kind="lexicon") from None
        return said

    @property
    def _what(self) -> str:
        return f"{self._service} (by lexicon)"

    def _error(self, zone: str, said: Mapping[str, Any]) -> RenewerError:
        """What went wrong, with what to do."""
        if "missing" in said:
            return GiveUp(f"dns-lexicon is not there: {said['missing']}", hint=_INSTALL, kind="config")
        if "unknown" in said:
            return self._unknown(said["unknown"][0], said["known"])
        kinds, status = set(said.get("kinds", [])), said.get("status")
        words = " ".join(f"{said['text']} {said.get('body', '')}".split())[:_WORDS]
        told = f"{self._what} failed for {zone}: {said['error']}: {words}"
        if "ProviderNotAvailableError" in kinds:
            more = f"pip install 'dns-lexicon[{self._service}]'"
            return GiveUp(told, hint=f"`lexicon --help` lists the services; some need {more}", kind="config")
        final, hint = False, _USUAL
        if "AuthenticationError" in kinds or status in _FINAL:
            final, hint = True, f"are the credentials right, and does that account have the zone {zone}?"
        elif status is not None:
            hint = "the service has troubles of its own, or wants fewer requests"
        elif kinds & _NETWORK:
            hint = "can this host reach the service, and is its address right?"
        return (GiveUp if final else RetryLater)(
            told, hint=hint, kind=f"http-{status}" if status else "lexicon"
        )

    def _unknown(self, name: str, known: Sequence[str]) -> GiveUp:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        text = f"the option {name} is none of lexicon's provider {self._service}"
        return GiveUp(text, hint=f"{hint}It takes: {', '.join(known)}", kind="config")


def _services() -> list[str]:
    """The services that dns-lexicon has, by the names of its modules; none if they lie elsewhere now."""
    found = find_spec("lexicon")
    places = list(found.submodule_search_locations or ()) if found else []
    for place in places:
        for below in ("_private/providers", "providers"):
            with contextlib.suppress(OSError):
                files = os.listdir(os.path.join(place, below))
                if names := sorted(name[:-3] for name in files if name.endswith(".py") and name[0] != "_"):
                    return names
    return []
