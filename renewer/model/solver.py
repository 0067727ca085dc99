"""What a solver of challenges must do, and what it is given: `Task`, `Presented`, our own look at them."""

from collections.abc import Sequence
from typing import Protocol

from renewer.model.facts import Debris
from renewer.model.names import Identifier
from renewer.model.value import Value, Warn


class Task(Value):
    """One challenge to be answered: `key_authorization` is RFC 8555 §8.1's, already made.

    `account` is our account's URL, as the challenge names it if it does. Challenges without a token
    (dns-persist-01) have neither token nor key authorization; `issuers` are the names of the authority that
    theirs carry, `hashes` the account's hashed URIs for this name, and `named` is whether the challenge asks
    for `account` itself. `wildcard` is whether `*.` stands before the identifier in the order.
    """

    certificate: str
    identifier: Identifier
    type: str
    token: str
    key_authorization: str
    account: str | None = None
    issuers: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    named: bool = False
    wildcard: bool = False


class Presented(Value):
    """A challenge as it was presented; `where` says it to people (a path, a port, a record)."""

    task: Task
    where: str


class Solver(Protocol):
    """Answers one type of challenge. Any method may be called from any thread.

    Before an order: `ready`, save what `held_by` says, `open`. Then for the tasks of a certificate:
    `prepare`, `debris_of` each, save that in the ledger, `present_all`, `wait`, the authority looks,
    `clean_up_all`,
    `close`, then drop the records, or save in their place what `clean_up_all` returned. So a run that is
    killed anywhere leaves a record behind, and a later run's `sweep` finds what it left.
    """

    type: str

    def ready(self, names: Sequence[Identifier]) -> None:
        """Whether what proving these names needs on this host is there, by presence and form only.

        Files, programs, secrets: before any hook and any order. Asks nobody, changes nothing, runs nothing
        but what prints a secret. Raises RetryLater or GiveUp; its `identifiers` are those of `names` that are
        concerned, none if all are.
        """

    def held_by(self, certificate: str) -> Debris | None:
        """What `open` is about to leave behind if nobody calls `close`; None if nothing outlives us."""

    def open(self) -> None:
        """Take what must be held while an authority looks, a port, before it is asked for an order.

        Runs the `before` command; what is held already is no error. Raises RetryLater or GiveUp.
        """

    def prepare(self, tasks: Sequence[Task]) -> None:
        """Look up at once what the tasks will need; changes nothing, never raises."""

    def debris_of(self, task: Task) -> Debris | None:
        """What `present` is about to leave behind if nobody cleans up; None if nothing outlives the process.

        Looks, changes nothing, never raises.
        """

    def present(self, task: Task) -> Presented:
        """Quickly put the answer where the authority will look. Raises RetryLater or GiveUp."""

    def present_all(self, tasks: Sequence[Task]) -> Sequence[Presented]:
        """As `present`, for all tasks of a certificate: they may share one call to somebody.

        Raises RetryLater or GiveUp, and then some may have been presented.
        """

    def wait(self, presented: Sequence[Presented], warn: Warn) -> None:
        """Return when the authority can see them all; may be slow, never sleeps a flat time.

        Raises RetryLater if they cannot be seen and the config demands it.
        """

    def clean_up(self, task: Task) -> Debris | None:
        """Remove what `present` left, also after it failed half way; never raises.

        What cannot be removed comes back as debris for the next run.
        """

    def clean_up_all(self, tasks: Sequence[Task]) -> Sequence[Debris]:
        """As `clean_up`, for all tasks of a certificate."""

    def sweep(self, debris: Debris) -> bool:
        """Try again to remove something an earlier run left; whether it is gone (or never was there).

        Trusts nothing in the record: what does not look like ours stays. Never raises.
        """

    def close(self) -> str | None:
        """Stop listening, run the `after` command; called when nobody needs the solver any more.

        Returns what went wrong as a sentence: then the records of its debris stay, for a later `sweep`. Never
        raises; closing twice is no error.
        """


class OwnLook(Protocol):
    """Our own look at what was presented, before the authority's."""

    def look(self, presented: Sequence[Presented], warn: Warn) -> None:
        """Look at all of it; `warn` of what is not seen. Raises RetryLater if the config insists on it."""


class HoldsNothing:
    """For solvers that need nothing which others could hold."""

    def held_by(self, certificate: str) -> Debris | None:  # noqa: ARG002  the contract's signature
        """Nothing is left."""
        return None

    def open(self) -> None:
        """Nothing is held."""


class OneByOne:
    """For solvers that gain nothing from having all tasks of a certificate at once."""

    def prepare(self, tasks: Sequence[Task]) -> None:
        """Nothing is to be looked up."""

    def present_all(self: Solver, tasks: Sequence[Task]) -> Sequence[Presented]:
        """One after the other."""
        return [self.present(task) for task in tasks]

    def clean_up_all(self: Solver, tasks: Sequence[Task]) -> Sequence[Debris]:
        """One after the other."""
        return [left for task in tasks if (left := self.clean_up(task)) is not None]
