"""Every provider of dns-lexicon, by its name there: what is not ours to write.

Its providers set no time limits, print, log and wait for ever, and read the environment: so a worker lives
for one call, and ends with it. It is always a process of its own.
"""

import argparse
import contextlib
import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any, ClassVar

from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import Dns01
from renewer.model.dns_options import BUILT_IN, Rules, time_limit
from renewer.model.dns_provider import TxtRecord
from renewer.network import foreign

TIME_LIMIT = 120.0  # seconds for the changes of one zone, unless the config says otherwise
TTL = 60  # seconds: as short as most services allow, for the next order comes with other values
_INSTALL = "install it for the Python that runs renewer: pip install 'renewer[lexicon]'"
_WAYS = {"service", "ttl", "timeout"}
_FINAL = {400, 401, 403, 404, 405, 410}  # of HTTP: what does not pass by itself
_WORDS = 400  # characters of what a service says
_USUAL = "an option of the service that is missing or wrong is the usual cause: `lexicon SERVICE --help`"
_NETWORK = {"ConnectionError", "Timeout", "TimeoutError", "OSError"}


class LexiconProvider:
    """Changes a zone through the service that `service` names; secrets are in their places."""

    rules: ClassVar[Rules] = BUILT_IN["lexicon"]
    needs_zone = True

    def __init__(self, challenge: Dns01) -> None:
        self._given = dict(challenge.options)
        self._env = {name: str(value) for name, value in challenge.env}
        self._service = str(self._given["service"])
        self._limit = time_limit(self._given, TIME_LIMIT)

    def ready(self, names: Sequence[str]) -> None:  # noqa: ARG002  it is the same for all
        """Whether dns-lexicon is there and has that service."""
        known = _services()
        if known is None:
            raise _missing("no module named lexicon")
        if known and self._service not in known:
            near = get_close_matches(self._service, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            text = f"dns-lexicon has no service '{self._service}'"
            raise GiveUp(text, hint=f"{hint}`lexicon --help` lists them", kind="config")

    def add(self, zone: str, records: Sequence[TxtRecord]) -> None:
        """Create the records, in one session."""
        self._run("create_record", zone, records)

    def remove(self, zone: str, records: Sequence[TxtRecord]) -> None:
        """Delete exactly these values, in one session."""
        self._run("delete_record", zone, records)

    def close(self) -> None:
        """Every session ends with its call."""

    def _run(self, act: str, zone: str, records: Sequence[TxtRecord]) -> None:
        """Ends at the time limit; whatever is still at work then ends with the worker."""
        try:
            done = foreign.within(self._limit, lambda: self._change(act, zone, records))
        except Exception as error:  # noqa: BLE001  some ninety providers, each with exceptions of its own
            raise self._error(zone, error) from None
        if not done:
            text = f"{self._what} did not answer in {self._limit:g} s"
            raise RetryLater(text, hint="a slow service needs a longer timeout", kind="lexicon")

    def _change(self, act: str, zone: str, records: Sequence[TxtRecord]) -> None:
        try:
            from lexicon import client
        except ImportError as error:
            raise _missing(str(error)) from error
        os.environ.update(self._env)
        with self._client(client, zone) as operations:
            for record in records:
                if getattr(operations, act)(rtype="TXT", name=record.name, content=record.value) is False:
                    text = f"{self._what} failed for {zone}: it did not say why"
                    raise RetryLater(text, hint=_USUAL, kind="lexicon")

    def _client(self, client: Any, zone: str) -> Any:
        """A client for exactly this zone; its own guess would ask the network for a list of suffixes."""
        from lexicon.config import ConfigResolver, DictConfigSource

        head, _, tail = zone.partition(".")  # split so that it comes out whole
        split = SimpleNamespace(domain=head, suffix=tail)
        client.tldextract = SimpleNamespace(TLDExtract=lambda **_: lambda _: split)
        options = {name: str(value) for name, value in self._given.items() if name not in _WAYS}
        config = ConfigResolver().with_dict(  # type: ignore[no-untyped-call]
            {
                "provider_name": self._service,
                "domain": zone,
                "ttl": int(str(self._given.get("ttl", TTL))),
                self._service: options,
            }
        )
        made = client.Client(config)
        made.config.add_config_source(DictConfigSource({"domain": zone}), 0)
        self._check(made, options)
        return made

    def _check(self, made: Any, options: Mapping[str, str]) -> None:
        """Options that the provider has no argument for on lexicon's own command line."""
        parser = argparse.ArgumentParser(add_help=False)
        made.provider_class.configure_parser(parser)
        # Some ask for an option by the spelling of the command line.
        actions = parser._actions  # noqa: SLF001  argparse has no other way to list them
        known = {one.dest for one in actions}
        known |= {text.lstrip("-") for one in actions for text in one.option_strings}
        for name in options:
            if name not in known:
                shown = sorted(one for one in known if "-" not in one)
                near = get_close_matches(name, shown, n=1)
                hint = f"did you mean {near[0]}? " if near else ""
                text = f"the option {name} is none of lexicon's provider {self._service}"
                error = GiveUp(text, hint=f"{hint}It takes: {', '.join(shown)}", kind="config")
                error.untouched = True
                raise error

    @property
    def _what(self) -> str:
        return f"{self._service} (by lexicon)"

    def _error(self, zone: str, error: Exception) -> RenewerError:
        """What went wrong, with what to do."""
        if isinstance(error, RenewerError):
            return error
        kinds = {one.__name__ for one in type(error).__mro__}
        response = getattr(error, "response", None)
        status = getattr(response, "status_code", None)
        words = " ".join(f"{error} {str(getattr(response, 'text', ''))[:500]}".split())[:_WORDS]
        told = f"{self._what} failed for {zone}: {type(error).__name__}: {words}"
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
        kind = f"http-{status}" if status else "lexicon"
        made = (GiveUp if final else RetryLater)(told, hint=hint, kind=kind)
        made.untouched = "AuthenticationError" in kinds
        return made


def _missing(why: str) -> GiveUp:
    error = GiveUp(f"dns-lexicon is not there: {why}", hint=_INSTALL, kind="config")
    error.untouched = True
    return error


def prepare(service: str) -> None:
    """Import what the provider of a service needs ("": none is going to work), while there are rights."""
    if _services() is None or not service:
        return
    foreign.ready()
    with contextlib.suppress(Exception):
        from lexicon import client

        given = Dns01(provider="lexicon", options=(("service", service),))
        LexiconProvider(given)._client(client, "example.org")  # noqa: SLF001  as a change makes it
        known = client._find_providers()  # type: ignore[attr-defined]  # noqa: SLF001  it reads a directory
        client._find_providers = lambda: known  # type: ignore[attr-defined]  # noqa: SLF001


@cache
def _services() -> list[str] | None:
    """The services of dns-lexicon, by its modules' names; none if they lie elsewhere, None without it."""
    found = find_spec("lexicon")
    if found is None:
        return None
    for place in found.submodule_search_locations or ():
        for below in ("_private/providers", "providers"):
            with contextlib.suppress(OSError):
                files = os.listdir(os.path.join(place, below))
                if names := sorted(name[:-3] for name in files if name.endswith(".py") and name[0] != "_"):
                    return names
    return []
