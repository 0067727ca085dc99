"""The solvers of DNS-01, from tasks to records, zone by zone, and of DNS-ACCOUNT-01: the same elsewhere.

All tasks of a certificate come together: their places are looked up at the same time, the records of a zone
go to the provider in one call, and are waited for together. Who asks name servers, and who changes records,
stands behind a door.
"""

import base64
import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from renewer.errors import GiveUp, OurFault, RenewerError, RetryLater
from renewer.issue import leftover
from renewer.model.desired import Dns01, PropagationCheck
from renewer.model.dns_provider import Provider, TxtRecord
from renewer.model.facts import Debris
from renewer.model.names import Identifier
from renewer.model.solver import HoldsNothing, Presented, Task
from renewer.model.value import Warn
from renewer.network.dns import NameServers
from renewer.network.dns.messages import RecordPlace
from renewer.network.protocol import Failed

PREFIX = "_acme-challenge"  # RFC 8555 §8.4
PARALLEL = 8  # zones changed at a time

_zone_locks: dict[str, threading.Lock] = {}
_guard = threading.Lock()


class Dns01Solver(HoldsNothing):
    """Publishes by what `provider` makes when it is first needed.

    `until` is the end of all waiting, on `clock.monotonic`.
    """

    type = "dns-01"

    def __init__(
        self, challenge: Dns01, *, provider: Callable[[], Provider], until: Callable[[], float]
    ) -> None:
        self._challenge = challenge
        self._make = provider
        self._until = until
        self._servers = NameServers(challenge.propagation.resolvers)
        self._places: dict[str, RecordPlace | Failed] = {}
        self._lock = threading.Lock()
        self._made: Provider | None = None
        self._untouched: set[Task] = set()  # what was certainly never published
        self._broken: dict[str, RenewerError] = {}  # by zone: what kept a sweep from removing

    def ready(self, names: Sequence[Identifier]) -> None:
        """Whether the provider has what it needs on this host, if it can tell."""
        bases = {name.base: name for name in names}
        try:
            self._provider().ready(list(bases))
        except RenewerError as error:
            concerned = {name for name, _ in error.identifiers}
            error.identifiers = tuple((str(one), error.text) for one in names if one.base in concerned)
            raise

    def prepare(self, tasks: Sequence[Task]) -> None:
        """Look up the places of all tasks at the same time; what fails is told by `present_all`."""
        self._look_up({self.asked(task) for task in tasks})

    def debris_of(self, task: Task) -> Debris | None:
        """The value at the name where it will lie."""
        try:
            record, zone = self._record(task)
        except RenewerError:
            return None  # then it will not be published either
        return leftover.of(record, zone, self._challenge.provider, task.certificate)

    def present(self, task: Task) -> Presented:
        """As `present_all`, for one."""
        return self.present_all([task])[0]

    def present_all(self, tasks: Sequence[Task]) -> list[Presented]:
        """Publish every record, in one call a zone. Raises RetryLater or GiveUp, naming who failed."""
        self._untouched.update(tasks)
        provider = self._provider()
        self.prepare(tasks)
        failed: dict[str, tuple[RenewerError, list[Task]]] = {}
        by_zone: dict[str, dict[Task, TxtRecord]] = {}
        for task in tasks:
            try:
                record, zone = self._record(task)
            except RenewerError as error:
                failed.setdefault(error.text, (error, []))[1].append(task)
            else:
                by_zone.setdefault(zone, {})[task] = record
        if failed:  # nothing is published in vain
            raise _joined(failed.values())
        self._untouched.difference_update(tasks)
        found = _each(
            lambda zone: _in_turn(zone, lambda: provider.add(zone, list(by_zone[zone].values()))), by_zone
        )
        for zone, refused in found.items():
            if refused is not None and refused.untouched:
                self._untouched.update(by_zone[zone])
        if errors := [(error, list(by_zone[zone])) for zone, error in found.items() if error]:
            raise _joined(errors)
        where = {task: record for records in by_zone.values() for task, record in records.items()}
        return [Presented(task=task, where=f"{where[task].name} TXT {where[task].value}") for task in tasks]

    def wait(self, presented: Sequence[Presented], warn: Warn) -> None:
        """Return when the records can be seen as the config says. Raises RetryLater."""
        wanted: dict[RecordPlace, set[str]] = {}
        names: dict[str, str] = {}
        for one in presented:
            place = self._seen_at(self.asked(one.task))
            wanted.setdefault(place, set()).add(value_of(one.task))
            names[place.name] = names[place.asked] = one.task.identifier.base
        try:
            self._servers.wait(wanted, self._challenge.propagation, until=self._until, warn=warn)
        except RenewerError as error:
            identifiers = tuple((names[name], said) for name, said in error.identifiers if name in names)
            raise type(error)(
                error.text, hint=error.hint, kind=error.kind, identifiers=identifiers
            ) from error

    def clean_up(self, task: Task) -> Debris | None:
        """As `clean_up_all`, for one."""
        return next(iter(self.clean_up_all([task])), None)

    def clean_up_all(self, tasks: Sequence[Task]) -> list[Debris]:
        """Remove our values, in one call a zone."""
        by_zone: dict[str, list[tuple[Task, TxtRecord]]] = {}
        for task in tasks:
            if task in self._untouched:
                continue
            try:
                record, zone = self._record(task)
            except RenewerError:
                continue  # it was never published
            by_zone.setdefault(zone, []).append((task, record))
        errors = _each(lambda zone: self._remove(zone, [record for _, record in by_zone[zone]]), by_zone)
        return [
            leftover.of(record, zone, self._challenge.provider, task.certificate, why=error.text)
            for zone, error in errors.items()
            if error
            for task, record in by_zone[zone]
        ]

    def sweep(self, debris: Debris) -> bool:
        """Remove exactly the value of a record that is ours by its form; one failure a zone is enough."""
        left = leftover.read(debris)
        if left is None or left.provider != self._challenge.provider:
            return left is None
        try:
            if left.zone in self._broken:
                return False
            self._remove(left.zone, [left.record])
        except RenewerError as error:
            self._broken[left.zone] = error
            return False
        return True

    def answers_for(self, debris: Debris) -> bool:
        """Whether the record was published by this provider, so that it may be removed by it."""
        left = leftover.read(debris)
        return left is not None and left.provider == self._challenge.provider

    def close(self) -> None:
        """Let the provider close its connections."""
        with self._lock:
            if self._made is not None:
                self._made.close()

    def asked(self, task: Task) -> str:
        """The name that the authority asks for (RFC 8555 §8.4)."""
        return f"{PREFIX}.{task.identifier.base}"

    def record_of(self, task: Task) -> str:
        """The record that the value is put in: the same one of a name, its wildcard and its aliases."""
        try:
            return self._record(task)[0].name
        except RenewerError:
            return self.asked(task)

    def _provider(self) -> Provider:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def _remove(self, zone: str, records: Sequence[TxtRecord]) -> None:
        provider = self._provider()
        _in_turn(zone, lambda: provider.remove(zone, records))

    def _record(self, task: Task) -> tuple[TxtRecord, str]:
        place = self._try_place(self.asked(task))
        record = TxtRecord(
            name=place.name,
            value=value_of(task),
            asked=place.asked,
            domain=task.identifier.base,
            token=task.token,
            key_authorization=task.key_authorization,
        )
        return record, place.zone

    def _look_up(self, names: set[str]) -> None:
        if new := sorted(names - self._places.keys()):
            self._places |= self._servers.places(new)

    def _place(self, asked: str) -> RecordPlace:
        self._look_up({asked})
        found = self._places[asked]
        if isinstance(found, Failed):
            raise found.error()
        return found

    def _seen_at(self, asked: str) -> RecordPlace:
        """Where it is looked for; who asks no server of a zone needs to know none."""
        if self._challenge.propagation.check is PropagationCheck.AUTHORITATIVE:
            return self._place(asked)
        return self._try_place(asked)

    def _try_place(self, asked: str) -> RecordPlace:
        """The place; for a provider that needs no zone also if there is none to be found."""
        try:
            return self._place(asked)
        except RenewerError:
            if self._provider().needs_zone:
                raise
            return RecordPlace(asked=asked, name=asked, zone="")


class DnsAccount01Solver(Dns01Solver):
    """DNS-ACCOUNT-01 (draft-ietf-acme-dns-account-label): a name that only our account asks for.

    So several accounts and clients prove one name without meeting, and each can be delegated on its own.
    """

    type = "dns-account-01"

    def asked(self, task: Task) -> str:
        """The name that the authority asks for."""
        if task.account is None:
            raise OurFault("dns-account-01 needs the account's URL, and the task has none")
        return record_name(task.account, task.identifier.base)


def record_name(account: str, name: str) -> str:
    """The name that the authority asks for, with the account's label (§3.2)."""
    return f"{record_label(account)}.{name}"


def record_label(account: str) -> str:
    """`_` + lowercase(base32(SHA-256(account URL)[0:10])) + `._acme-challenge` (§3.2)."""
    digest = hashlib.sha256(account.encode("ascii")).digest()[:10]
    label = base64.b32encode(digest).decode().lower()  # ten octets are sixteen letters, without padding
    return f"_{label}.{PREFIX}"


def value_of(task: Task) -> str:
    """RFC 8555 §8.4: the base64url of the SHA-256 of the key authorization."""
    return leftover.digest(task.key_authorization)


def _in_turn(zone: str, act: Callable[[], None]) -> None:
    """One change of a zone at a time, also of several certificates: some providers write whole zones."""
    with _guard:
        lock = _zone_locks.setdefault(zone, threading.Lock())
    with lock:
        act()


def _each(act: Callable[[str], object], names: Iterable[str]) -> Mapping[str, RenewerError | None]:
    """Do something for each at the same time; what went wrong, by name."""

    def tried(name: str) -> RenewerError | None:
        try:
            act(name)
        except RenewerError as error:
            return error
        return None

    several = list(names)
    if len(several) < 2:
        return {name: tried(name) for name in several}
    with ThreadPoolExecutor(min(PARALLEL, len(several))) as pool:
        return dict(zip(several, pool.map(tried, several), strict=True))


def _joined(failed: Iterable[tuple[RenewerError, list[Task]]]) -> RenewerError:
    """One error out of several; final if any of them is, for then waiting helps nobody."""
    errors = list(failed)
    worst = next((error for error, _ in errors if isinstance(error, GiveUp)), errors[0][0])
    kind = GiveUp if isinstance(worst, GiveUp) else RetryLater
    return kind(
        "; ".join(dict.fromkeys(error.text for error, _ in errors)),
        hint="; ".join(dict.fromkeys(error.hint for error, _ in errors if error.hint)),
        kind=worst.kind,
        identifiers=tuple(
            dict.fromkeys((task.identifier.base, error.text) for error, tasks in errors for task in tasks)
        ),
    )
