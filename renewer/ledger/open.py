"""Opens the ledger that the config asks for."""

from renewer.errors import StateError
from renewer.ledger.contract import Ledger
from renewer.model.desired import Agent


def open_ledger(agent: Agent, *, write: bool) -> Ledger:
    """The agent's ledger, for a run (`write`) or only to look; looking makes nothing.

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
    return SqliteLedger.open(path) if write else SqliteLedger.look(path)
