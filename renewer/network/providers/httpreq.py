"""A server of the operator's own that publishes records: the JSON API that lego's provider `httpreq` speaks.

POST {endpoint}/present and {endpoint}/cleanup with {"fqdn": "_acme-challenge.example.org.", "value": "…"},
in the mode RAW with {"domain": …, "token": …, "keyAuth": …}; any status below 400 means that it is done.
"""

import base64
from collections.abc import Sequence
from typing import ClassVar

from renewer.errors import GiveUp, RenewerError
from renewer.model.desired import Dns01
from renewer.model.dns_options import BUILT_IN, Rules
from renewer.model.dns_provider import TxtRecord, each
from renewer.network.providers.web import Api


class HttpreqProvider:
    """Sends each record to the configured server; the challenge has its secrets in their places."""

    rules: ClassVar[Rules] = BUILT_IN["httpreq"]
    needs_zone = False

    def __init__(self, challenge: Dns01) -> None:
        self._options = dict(challenge.options)
        self._raw = "mode" in self._options
        self._api = Api("httpreq server", str(self._options["endpoint"]), self._options)

    def ready(self, names: Sequence[str]) -> None:
        """They were given."""

    def add(self, zone: str, records: Sequence[TxtRecord]) -> None:  # noqa: ARG002  the server knows its zones
        """One request a record."""
        for number, record in enumerate(records):
            try:
                self._post("/present", record)
            except RenewerError as error:
                error.untouched = error.untouched and not number
                raise

    def remove(self, zone: str, records: Sequence[TxtRecord]) -> None:  # noqa: ARG002
        """One request a record."""
        each(records, lambda record: self._post("/cleanup", record))

    def close(self) -> None:
        """Every request has a connection of its own."""

    def _post(self, path: str, record: TxtRecord) -> None:
        reply = self._api.post(path, self._body(record), self._credentials())
        if not 200 <= reply.status < 300:
            raise self._api.refused(reply)

    def _body(self, record: TxtRecord) -> dict[str, str]:
        if not self._raw:
            return {"fqdn": f"{record.name}.", "value": record.value}
        if not record.key_authorization:
            raise GiveUp(
                f"{record.name} TXT {record.value} of a killed run may still be there",
                hint="in the mode RAW it cannot be named to the server any more: remove it by hand",
                kind="config",
            )
        return {"domain": record.domain, "token": record.token, "keyAuth": record.key_authorization}

    def _credentials(self) -> dict[str, str]:
        """Basic authentication (RFC 7617)."""
        if "username" not in self._options:
            return {}
        pair = f"{self._options['username']}:{self._options['password']}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
