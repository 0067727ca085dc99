"""HTTP to the servers of the test bed."""

from pathlib import Path
from typing import Any

import requests


def ask(method: str, url: str, *, ca_bundle: Path | None = None, **arguments: Any) -> requests.Response:
    """Send one request and insist on success, whatever the environment says of proxies and roots."""
    with requests.Session() as session:
        # REQUESTS_CA_BUNDLE and https_proxy would otherwise get between us and our own server.
        session.trust_env = False
        verify = str(ca_bundle) if ca_bundle is not None else True
        response = session.request(method, url, verify=verify, timeout=30, **arguments)
        response.raise_for_status()
        return response
