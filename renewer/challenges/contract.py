"""What a solver of challenges must do."""

from collections.abc import Callable, Sequence
from typing import Protocol

from renewer.model.facts import Debris
from renewer.model.names import Identifier
from renewer.model.value import Value


class Task(Value):
    """One challenge to be answered: `key_authorization` is RFC 8555 §8.1's, already made."""

    certificate: str
    identifier: Identifier
    type: str
    token: str
    key_authorization: str


class Presented(Value):
    """A challenge as it was presented; `where` says it to people (a path, a port, a record)."""

    task: Task
    where: str


Warn = Callable[[str], None]
"""Takes a sentence for the operator about something odd that does not stop the work."""


class Solver(Protocol):
    """Answers one type of challenge. Any method may be called from any thread.

    The order for a task: `debris_of`, save that in the ledger, `present`, `wait`, the authority looks,
    `clean_up`, `close`, then drop the record, or save in its place what `clean_up` returned. So a run that is
    killed anywhere leaves a record behind, and a later run's `sweep` finds what it left.
    """

    type: str

    def debris_of(self, task: Task) -> Debris | None:
        """What `present` is about to leave behind if nobody cleans up; None if nothing outlives the process.

        Looks, changes nothing, never raises.
        """

    def present(self, task: Task) -> Presented:
        """Quickly put the answer where the authority will look. Raises RetryLater or GiveUp."""

    def wait(self, presented: Sequence[Presented], warn: Warn) -> None:
        """Return when the authority can see them all; may be slow, never sleeps a flat time.

        Raises RetryLater if they cannot be seen and the config demands it.
        """

    def clean_up(self, task: Task) -> Debris | None:
        """Remove what `present` left, also after it failed half way; never raises.

        What cannot be removed comes back as debris for the next run.
        """

    def sweep(self, debris: Debris) -> bool:
        """Try again to remove something an earlier run left; whether it is gone (or never was there).

        Trusts nothing in the record: what does not look like ours stays. Never raises.
        """

    def close(self) -> None:
        """Stop listening, run the `after` command; called when nobody needs the solver any more.

        Never raises; closing twice is no error.
        """
