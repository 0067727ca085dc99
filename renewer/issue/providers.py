"""A provider by its name: scripts of the operator's here, others behind a door, each with its own secrets.

Secrets, accounts and what is trusted are taken from this host at the moment of the call, and go in as values.
A provider of ours is employed anew for each call; one of others once, for it may remember something.
"""

import math
import re
import threading
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from renewer import clock, secrets
from renewer.errors import GiveUp, RenewerError
from renewer.model.desired import Dns01, OptionValue, Secret, SecretSource
from renewer.model.dns_options import BUILT_IN, Rules, option_faults, time_limit
from renewer.model.dns_provider import AcmeDnsAccount, Provider, TxtRecord, untouched
from renewer.network.protocol import DoorMessage, shares, trusting
from renewer.network.providers import messages as say
from renewer.network.providers import opened
from renewer.provisioning import acme_dns as accounts
from renewer.provisioning.dns_script import ScriptProvider

if TYPE_CHECKING:
    from renewer.network.door import Door, Opener

_NEED_ZONE = frozenset({"rfc2136"})  # of ours
_ELSEWHERE = Secret(source=SecretSource.ENV, argument=())  # in the place of a reference that is followed
_turns: dict[str, threading.Lock] = {}
_guard = threading.Lock()
_LIMIT, _GRACE = 120.0, 20.0  # seconds for lexicon, and to say that they are over
_ACCOUNT = re.compile(r"[!-~]+( [!-~]+){3}")


def make(challenge: Dns01) -> Provider:
    """The provider that a challenge names. Raises GiveUp if there is none, or if its options are wrong."""
    rules = BUILT_IN.get(challenge.provider)
    if rules is None:
        return _Foreign(challenge)
    _check(challenge, rules)
    match challenge.provider:
        case "script":
            return ScriptProvider(challenge)
        case "acme-dns":
            return _AcmeDns(challenge)
        case "lexicon":
            return _Lexicon(challenge)
    return _Behind(challenge, needs_zone=challenge.provider in _NEED_ZONE)


def _check(challenge: Dns01, rules: Rules) -> None:
    if faults := option_faults(rules, challenge.options):
        said = "; ".join(f"{name} {text}" for name, text, _ in faults)
        hint = "; ".join(dict.fromkeys(hint for *_, hint in faults if hint))
        raise GiveUp(f"the options of the provider {challenge.provider}: {said}", hint=hint, kind="config")
    if challenge.env and not rules.env:
        hint = 'provider = "script"'
        raise GiveUp(f"the provider {challenge.provider} takes no env", hint=hint, kind="config")


class _Behind:
    """One of ours, behind a door that is opened for each call."""

    def __init__(self, challenge: Dns01, *, needs_zone: bool) -> None:
        self._challenge = challenge
        self.needs_zone = needs_zone

    def ready(self, names: Sequence[str]) -> None:
        """Whether what is put in is there, and what else it needs."""
        self._ask(say.Prepare(names=tuple(names)))

    def add(self, zone: str, records: Sequence[TxtRecord]) -> None:
        """As the provider does; what is put in and is not there has changed nothing."""
        self._ask(*(say.Publish(zone=zone, records=tuple(some)) for some in shares(records, say.RECORDS)))

    def remove(self, zone: str, records: Sequence[TxtRecord]) -> None:
        """As the provider does."""
        self._ask(*(say.Remove(zone=zone, records=tuple(some)) for some in shares(records, say.RECORDS)))

    def close(self) -> None:
        """Nothing is kept."""

    def _ask(self, *requests: DoorMessage) -> None:
        self._have_done(self._challenge.provider, requests)

    def _have_done(
        self,
        who: str,
        requests: Sequence[DoorMessage],
        *,
        opener: "Opener | None" = None,
        within: float = math.inf,
    ) -> None:
        with untouched():
            told, hidden = _employment(self._challenge)
        door = opened(who, lambda: told, opener)
        try:
            _do(door, requests, hidden, within)
        finally:
            door.close()


class _Lexicon(_Behind):
    """Every provider of dns-lexicon. The zones of a service take turns: made for one command at a time."""

    def __init__(self, challenge: Dns01) -> None:
        super().__init__(challenge, needs_zone=True)
        self._service = str(dict(challenge.options)["service"])
        with _guard:
            self._turn = _turns.setdefault(self._service, threading.Lock())

    def ready(self, names: Sequence[str]) -> None:
        """Whether dns-lexicon is there and has that service: seen without any of it at work."""
        self._apart("lexicon", say.Prepare(names=tuple(names)))

    def _ask(self, *requests: DoorMessage) -> None:
        with self._turn:
            self._apart(f"lexicon {self._service}", *requests)

    def _apart(self, who: str, *requests: DoorMessage) -> None:
        from renewer import workers

        within = time_limit(dict(self._challenge.options), _LIMIT) + _GRACE
        self._have_done(who, requests, opener=workers.apart(), within=within)


class _Foreign(_Behind):
    """One of others: made once, and asked what it takes before it is told anything."""

    def __init__(self, challenge: Dns01) -> None:
        self._told: tuple[DoorMessage, ...] = ()
        self._hidden: list[str] = []
        self._door = opened(challenge.provider, lambda: self._told)
        try:
            found = self._door.ask(say.Describe(provider=challenge.provider), say.Described)
            _check(challenge, found.rules)
        except RenewerError:
            self._door.close()
            raise
        super().__init__(challenge, needs_zone=found.needs_zone)
        self._making = threading.Lock()

    def close(self) -> None:
        """Let it go of its connections."""
        if self._told:
            self._door.do(say.Dismiss())
        self._door.close()

    def _ask(self, *requests: DoorMessage) -> None:
        with untouched(), self._making:
            if not self._told:
                told, self._hidden = _employment(self._challenge)
                _do(self._door, told, self._hidden)
                self._told = told
        _do(self._door, requests, self._hidden)


class _AcmeDns(_Behind):
    """acme-dns: whose account a record belongs to, and which of its places are in use, is known here."""

    def __init__(self, challenge: Dns01) -> None:
        super().__init__(challenge, needs_zone=False)
        options = dict(challenge.options)
        self._server = str(options["server"]).rstrip("/")
        if "storage" not in options:
            raise GiveUp("acme-dns needs a file for its accounts", hint='storage = "/path"', kind="config")
        self._storage = str(options["storage"])

    def ready(self, names: Sequence[str]) -> None:
        """Whether there are any accounts: aliases may lead a name to any of them."""
        if not accounts.load(self._storage) and names:
            raise accounts.missing(names[0], self._storage)
        super().ready(names)

    def add(self, zone: str, records: Sequence[TxtRecord]) -> None:
        """Set each value at the account of its name."""
        known = accounts.load(self._storage)
        mine = [accounts.chosen(known, zone, record, self._storage) for record in records]
        accounts.reserve(self._server, mine, records)
        pairs = list(zip(mine, records, strict=True))
        self._ask(
            *(
                say.Publish(
                    zone=zone,
                    records=tuple(record for _, record in some),
                    accounts=tuple(account for account, _ in some),
                )
                for some in shares(pairs, say.RECORDS)
            )
        )

    def remove(self, zone: str, records: Sequence[TxtRecord]) -> None:  # noqa: ARG002  there is none to be told
        """Free their places."""
        accounts.free(self._server, records)


def register(challenge: Dns01, domain: str) -> AcmeDnsAccount:
    """Make an account at the challenge's acme-dns server for a domain, and store it.

    Raises RetryLater, GiveUp or StateError.
    """
    options = dict(challenge.options)
    told, _ = _employment(challenge)
    door = opened(challenge.provider, lambda: told)
    try:
        account: AcmeDnsAccount = door.ask(say.Register(), say.Registered).account
    finally:
        door.close()
    if not _ACCOUNT.fullmatch(" ".join(msgspec.structs.astuple(account))):
        text = f"the acme-dns server {options['server']} registered, but what it answered is no account"
        raise GiveUp(text, hint="is it an acme-dns server?", kind="http")
    accounts.add(str(options["storage"]), domain, account, str(options["server"]).rstrip("/"))
    return account


def _do(
    door: "Door[Any]", requests: Sequence[DoorMessage], hidden: Sequence[str], within: float = math.inf
) -> None:
    """Ask one after the other, each of which may take so many seconds."""
    try:
        with untouched():
            door.open()
        for number, request in enumerate(requests):
            end = clock.monotonic() + within
            try:
                door.do(request, until=partial(float, end))
            except RenewerError as error:
                error.untouched = error.untouched and not number
                raise
    except RenewerError as error:
        raise _without(error, hidden) from None


def _employment(challenge: Dns01) -> tuple[tuple[DoorMessage, ...], list[str]]:
    """What tells a provider all that it needs at this moment, and the secrets among that."""
    told, hidden = _told(challenge)
    options = dict(told.options)
    said: list[DoorMessage] = []
    if challenge.provider in BUILT_IN and (bundle := options.pop("ca_bundle", None)):
        said += trusting(secrets.roots(str(bundle)))
        told = msgspec.structs.replace(told, options=tuple(options.items()))
    key = ""
    if told.rfc2136 is not None and told.rfc2136.tsig is not None:
        key = secrets.resolve(told.rfc2136.tsig.secret)
        tsig = msgspec.structs.replace(told.rfc2136.tsig, secret=_ELSEWHERE)
        told = msgspec.structs.replace(told, rfc2136=msgspec.structs.replace(told.rfc2136, tsig=tsig))
        hidden.append(key)
    return (*said, say.Employ(challenge=told, key=key)), hidden


def _told(challenge: Dns01) -> tuple[Dns01, list[str]]:
    """The challenge with its secrets in their places, and those by themselves."""
    found: list[str] = []

    def told(value: OptionValue) -> OptionValue:
        if not isinstance(value, Secret):
            return value
        found.append(secrets.resolve(value))
        return found[-1]

    options = tuple((name, told(value)) for name, value in challenge.options if name != "storage")
    env = tuple((name, str(told(value))) for name, value in challenge.env)
    given = Dns01(provider=challenge.provider, rfc2136=challenge.rfc2136, options=options, env=env)
    return given, found


def _without(error: RenewerError, hidden: Sequence[str]) -> RenewerError:
    """The error, and none of the secrets in what it says."""
    error.text, error.hint = secrets.hidden(error.text, hidden), secrets.hidden(error.hint, hidden)
    error.identifiers = tuple((name, secrets.hidden(said, hidden)) for name, said in error.identifiers)
    return error
