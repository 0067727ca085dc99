"""What stands in [report]."""

from msgspec import UNSET, UnsetType

from renewer.config import scalars
from renewer.config.agent import checked
from renewer.config.authorities import resolve_secret
from renewer.config.channels import Channels
from renewer.config.faults import Faults, Path
from renewer.config.schema import ReportTable
from renewer.model.desired import Agent, Report

_FORMS = (".html", ".txt", ".csv", ".json")


def resolve_report(
    table: ReportTable | UnsetType, agent: Agent, channels: Channels, faults: Faults
) -> Report:
    """The files, the ping and the summary; none of them unless it is there."""
    if table is UNSET:
        return Report()
    heartbeat = None
    if table.heartbeat is not UNSET:
        heartbeat = resolve_secret(("report", "heartbeat"), table.heartbeat, faults)
    return Report(
        metrics=_file("metrics", table.metrics, agent, faults),
        page=_file("page", table.page, agent, faults),
        heartbeat=heartbeat,
        summary=None if table.summary is UNSET else table.summary,
        summary_to=_summary_to(table, channels, faults),
        summary_file=_summary_file(table, agent, faults),
    )


def _summary_to(table: ReportTable, channels: Channels, faults: Faults) -> tuple[str, ...]:
    at: Path = ("report", "summary_to")
    names = [] if table.summary_to is UNSET else table.summary_to
    if table.summary is UNSET and (names or table.summary_file is not UNSET):
        faults.add(("report",), "says where a summary goes, and not how often", 'write summary = "weekly"')
    return channels.chosen(names, at)


def _summary_file(table: ReportTable, agent: Agent, faults: Faults) -> str | None:
    path = _file("summary_file", table.summary_file, agent, faults)
    if path and not path.endswith(_FORMS):
        hint = f"end its name with one of {' '.join(_FORMS)}"
        faults.add(("report", "summary_file"), "does not say in which form it is", hint)
    return path


def _file(key: str, given: str | UnsetType, agent: Agent, faults: Faults) -> str | None:
    """A path that nothing else of ours lies at: the state directory is nobody's but the agent's."""
    path = checked(faults, ("report", key), given, scalars.absolute)
    if path and (path == agent.state or path.startswith(f"{agent.state}/")):
        hint = "put it where its readers may go, as below /var/lib/prometheus or /var/www"
        faults.add(("report", key), f"lies in the state directory {agent.state}, which holds keys", hint)
    return path
