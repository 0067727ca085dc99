"""Certificates that are only watched."""

from collections.abc import Container, Mapping

from msgspec import UNSET, UnsetType

from renewer.config import scalars
from renewer.config.agent import checked
from renewer.config.authorities import chain_roots
from renewer.config.channels import Channels
from renewer.config.endpoints import resolve_endpoint
from renewer.config.faults import Faults, Path
from renewer.config.schema import EndpointTable, WatchTable
from renewer.model.desired import Endpoint, Watch
from renewer.model.names import Identifier


def resolve_watches(
    tables: Mapping[str, WatchTable] | UnsetType,
    channels: Channels,
    certificates: Container[str],
    faults: Faults,
) -> dict[str, Watch]:
    """Every one with a table, in the order of the files.

    No watch has the name of a certificate: notices, the log and `ack` speak of both by name alone.
    """
    given = {} if tables is UNSET else tables
    for name in given:
        if name in certificates:
            hint = "give it another name"
            faults.add(("watch", name), "has the name of a certificate that is renewed", hint)
    return {name: _watch(name, table, channels, faults) for name, table in given.items()}


def _watch(name: str, table: WatchTable, channels: Channels, faults: Faults) -> Watch:
    at: Path = ("watch", name)
    if (table.endpoint is UNSET) == (table.file is UNSET) and not faults.spoilt((*at, "endpoint")):
        hint = 'endpoint = "mail.example.org:993", or file = "/etc/ssl/mail.pem"'
        faults.add((*at, "endpoint"), "exactly one of endpoint and file is needed", hint)
    if table.file is not UNSET and table.roots is not UNSET:
        faults.add((*at, "roots"), "goes with endpoint, not with file", "take it out")
    endpoint = None
    if table.endpoint is not UNSET:
        try:
            endpoint = _endpoint(table.endpoint)
        except ValueError as error:
            faults.add((*at, "endpoint"), str(error))
    return Watch(
        name=name,
        endpoint=endpoint,
        file=checked(faults, (*at, "file"), table.file, scalars.absolute),
        roots=checked(faults, (*at, "roots"), table.roots, chain_roots) or "system",
        notify=channels.chosen([] if table.notify is UNSET else table.notify, (*at, "notify")),
    )


def _endpoint(given: str | EndpointTable) -> Endpoint:
    """Any port at all: what is asked for is the host itself, unless `server_name` says otherwise."""
    if isinstance(given, str):
        asked = scalars.host_and_port(given)[0]
    elif given.server_name is not UNSET:
        asked = given.server_name
    else:
        asked = "" if given.host is UNSET else given.host
    return resolve_endpoint(given, (Identifier.parse(asked),) if asked else ())
