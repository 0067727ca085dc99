"""Opens the ledger that the config asks for."""

from renewer.errors import StateError
from renewer.ledger.contract import UNWRITABLE, Ledger
from renewer.model.desired import Agent


def open_ledger(agent: Agent, *, write: bool) -> Ledger:
    """The agent's ledger, for a run (`write`) or only to look; looking makes nothing.

    One that cannot be written is read, `forgets` says why; `go_on_in_memory` is for who must go on without.
    Raises StateError if it cannot be used. To write, the state directory must be there: take the lock first.
    """
    if agent.ledger != "sqlite":
        raise StateError(
            "this version keeps its ledger in SQLite only",
            hint='set [agent] ledger = "sqlite", or leave it out',
            kind="ledger",
        )
    from renewer.ledger.sqlite import SqliteLedger  # 9 ms

    path = f"{agent.state}/ledger.db"
    if not write:
        return SqliteLedger.look(path)
    try:
        return SqliteLedger.open(path)
    except StateError as error:
        if error.kind != UNWRITABLE:
            raise
        return SqliteLedger.unwritable(path, error)  # what cannot be remembered is still told
