"""What stands in [report]."""

from msgspec import UNSET, UnsetType

from renewer.config import scalars
from renewer.config.agent import checked
from renewer.config.authorities import resolve_secret
from renewer.config.faults import Faults
from renewer.config.schema import ReportTable
from renewer.model.desired import Agent, Report


def resolve_report(table: ReportTable | UnsetType, agent: Agent, faults: Faults) -> Report:
    """The files and the ping; none of them unless it is there."""
    if table is UNSET:
        return Report()
    heartbeat = None
    if table.heartbeat is not UNSET:
        heartbeat = resolve_secret(("report", "heartbeat"), table.heartbeat, faults)
    return Report(
        metrics=_file("metrics", table.metrics, agent, faults),
        page=_file("page", table.page, agent, faults),
        heartbeat=heartbeat,
    )


def _file(key: str, given: str | UnsetType, agent: Agent, faults: Faults) -> str | None:
    """A path that nothing else of ours lies at: the state directory is nobody's but the agent's."""
    path = checked(faults, ("report", key), given, scalars.absolute)
    if path and (path == agent.state or path.startswith(f"{agent.state}/")):
        hint = "put it where its readers may go, as below /var/lib/prometheus or /var/www"
        faults.add(("report", key), f"lies in the state directory {agent.state}, which holds keys", hint)
    return path
