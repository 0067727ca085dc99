"""Pebble: the ACME authority that Let's Encrypt publishes for testing clients, with its own DNS."""

import base64
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import requests

from .certificates import ServerRoot
from .challtestsrv import ChallTestSrv
from .loopback import ask
from .ports import free_port, release
from .process import Process
from .programs import installed_pebble

PROFILES: Mapping[str, timedelta] = {
    "default": timedelta(days=90),
    "shortlived": timedelta(days=6),
    "seconds": timedelta(seconds=90),
    "long": timedelta(days=398),
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request that reached Pebble's handlers, as its log tells it."""

    method: str
    path: str


class Pebble:
    """One Pebble. Its memory is all it has: started again it is a new authority at the old address.

    `dns` is its DNS. `directory` and `ca_bundle` are what a config needs; challenges over HTTP are asked for
    at `http_port`, those over TLS at `tls_port`, whoever listens there.
    """

    def __init__(
        self,
        workdir: Path,
        *,
        profiles: Mapping[str, timedelta] = PROFILES,
        nonce_reject: int = 5,
        authz_reuse: int = 0,
        retry_after_authz: int = 0,
        retry_after_order: int = 0,
        strict: bool = True,
        eab: Mapping[str, str] | None = None,
        blocklist: Sequence[str] = (),
        http_port: int | None = None,
        tls_port: int | None = None,
        chain_length: int = 1,
        alternate_roots: int = 0,
        always_valid: bool = False,
        dns_server: str | None = None,
        caa: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare one that keeps its files in `workdir`; `start` starts it.

        Args:
            workdir: Where its config, certificates and logs go.
            profiles: Profile names and the lifetime of their certificates; name one, or Pebble throws dice.
            nonce_reject: Per cent of good nonces refused as badNonce.
            authz_reuse: Per cent of valid authorizations used again; 0, so that a failing name really fails.
            retry_after_authz: Seconds of Retry-After on authorizations; 0 is none worth the name.
            retry_after_order: The same for orders.
            strict: Also refuse what later versions will refuse.
            eab: Key ids and their HMAC keys (base64url); when given, every account must be bound to one.
            blocklist: Domains that it refuses as rejectedIdentifier.
            http_port: Port asked for HTTP-01 tokens; a free one when None.
            tls_port: Port asked for TLS-ALPN-01; a free one when None.
            chain_length: Intermediates between leaf and root.
            alternate_roots: Further chains offered as alternates.
            always_valid: Believe every challenge without looking.
            dns_server: HOST:PORT of the resolver that it asks; its own DNS when None.
            caa: Its own names in CAA records and in those of dns-persist-01.
            env: More environment (PEBBLE_…).
        """
        self.workdir = workdir
        self.port = free_port()
        self.management_port = free_port()
        self._own_ports = [self.port, self.management_port]
        self.http_port = http_port if http_port is not None else self._own_port()
        self.tls_port = tls_port if tls_port is not None else self._own_port()
        self.profiles = dict(profiles)
        self.dns = ChallTestSrv(workdir)
        self._dns_server = dns_server
        self.log = workdir / "pebble.log"
        self.ca_bundle = workdir / "ca.pem"
        self._process: Process | None = None
        self._strict = strict
        self._env = {
            "PEBBLE_VA_NOSLEEP": "1",
            "PEBBLE_WFE_NONCEREJECT": str(nonce_reject),
            "PEBBLE_AUTHZREUSE": str(authz_reuse),
            "PEBBLE_CHAIN_LENGTH": str(chain_length),
            "PEBBLE_ALTERNATE_ROOTS": str(alternate_roots),
            **({"PEBBLE_VA_ALWAYS_VALID": "1"} if always_valid else {}),
            **(env or {}),
        }
        self._config = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management_port}",
            "certificate": str(workdir / "tls.pem"),
            "privateKey": str(workdir / "tls.key"),
            "httpPort": self.http_port,
            "tlsPort": self.tls_port,
            "externalAccountBindingRequired": eab is not None,
            "externalAccountMACKeys": dict(eab or {}),
            "domainBlocklist": list(blocklist),
            "caaIdentities": list(caa),
            "retryAfter": {"authz": retry_after_authz, "order": retry_after_order},
            "keyAlgorithm": "ecdsa",
            "profiles": {
                name: {"description": f"lives {lifetime}", "validityPeriod": int(lifetime.total_seconds())}
                for name, lifetime in profiles.items()
            },
        }

    def _own_port(self) -> int:
        port = free_port()
        self._own_ports.append(port)
        return port

    # --- life ---------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start it and its DNS; returns when both answer."""
        self.workdir.mkdir(parents=True, exist_ok=True)
        if not self.ca_bundle.exists():
            root = ServerRoot("Pebble's own TLS")
            root.write(self.ca_bundle)
            root.issue(self.workdir, "localhost", "127.0.0.1", stem="tls")
        config = self.workdir / "pebble.json"
        config.write_text(json.dumps({"pebble": self._config}, indent=2))
        if self._dns_server is None and not self.dns.running:
            self.dns.start()
        argv: list[str | Path] = [
            installed_pebble().pebble,
            "-config",
            config,
            "-dnsserver",
            self._dns_server or self.dns.address,
        ]
        if self._strict:
            argv.append("-strict")
        self._process = Process(argv, log=self.log, env=self._env)
        self._process.wait_for_port(self.management_port)
        self._process.wait_for_port(self.port)
        return self

    def stop(self) -> None:
        """End it and its DNS, and give the ports back."""
        self.kill()
        self.dns.stop()
        release(*self._own_ports)

    def kill(self) -> None:
        """End it at once; DNS and address stay, `start` puts a new authority there."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    @property
    def alive(self) -> bool:
        """Whether it is running."""
        return self._process is not None and self._process.alive

    @property
    def pid(self) -> int | None:
        """Its process id, while it is running."""
        return self._process.pid if self._process is not None else None

    # --- what a client is told ----------------------------------------------------------------------------

    @property
    def directory(self) -> str:
        """The directory's URL."""
        return f"https://127.0.0.1:{self.port}/dir"

    def directory_document(self) -> dict[str, Any]:
        """The directory as it is served now."""
        document: dict[str, Any] = ask("GET", self.directory, ca_bundle=self.ca_bundle).json()
        return document

    # --- the management side ------------------------------------------------------------------------------

    def root_pem(self, number: int = 0) -> str:
        """The root that its certificates lead to; alternates have higher numbers."""
        return self._managed("GET", f"/roots/{number}").text

    def intermediate_pem(self, number: int = 0) -> str:
        """The certificate that signs leaves."""
        return self._managed("GET", f"/intermediates/{number}").text

    def write_roots(self, path: Path) -> Path:
        """Write the root as a bundle for clients of the web server under test."""
        path.write_text(self.root_pem())
        return path

    def set_renewal_info(
        self, pem: str, start: datetime, end: datetime, *, explanation_url: str | None = None
    ) -> None:
        """Set the suggested window of a certificate (RFC 9773, section 4.2)."""
        window = {"start": _rfc3339(start), "end": _rfc3339(end)}
        answer: dict[str, Any] = {"suggestedWindow": window}
        if explanation_url is not None:
            answer["explanationURL"] = explanation_url
        self.set_renewal_info_document(pem, json.dumps(answer))

    def set_renewal_info_document(self, pem: str, document: str) -> None:
        """Serve any text as the renewal information of a certificate, also a broken one."""
        leaf = pem[: pem.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"
        self._managed("POST", "/set-renewal-info/", json={"certificate": leaf, "ariResponse": document})

    def cert_status(self, serial_hex: str) -> str:
        """Whether the certificate of a serial is "Valid" or "Revoked"."""
        response = self._managed("GET", f"/cert-status-by-serial/{serial_hex}")
        return str(response.json()["Status"])

    def _managed(self, method: str, path: str, **arguments: Any) -> requests.Response:
        url = f"https://127.0.0.1:{self.management_port}{path}"
        return ask(method, url, ca_bundle=self.ca_bundle, **arguments)

    # --- what it saw --------------------------------------------------------------------------------------

    def mark(self) -> int:
        """A point in its log; the questions below then answer for what came after it."""
        return self.log.stat().st_size

    def requests(self, since: int = 0) -> tuple[Request, ...]:
        """Every request that reached a handler, in order."""
        lines = re.findall(r"\b(GET|HEAD|POST) (/\S*) -> calling handler", self._log_since(since))
        return tuple(Request(method, path) for method, path in lines)

    def orders_created(self, since: int = 0) -> int:
        """How many orders were created."""
        return len(re.findall(r'Added order "', self._log_since(since)))

    def certificates_issued(self, since: int = 0) -> tuple[str, ...]:
        """The serials (lower-case hex) of the certificates issued, in order."""
        serials = re.findall(r"Issued certificate serial ([0-9a-f]+)", self._log_since(since))
        return tuple(f"{int(serial, 16):x}" for serial in serials)

    def _log_since(self, mark: int) -> str:
        with self.log.open("rb") as log:
            log.seek(mark)
            return log.read().decode(errors="replace")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


PebbleFactory = Callable[..., Pebble]
"""The type of the fixture `pebble_factory`; it takes the keywords of Pebble."""


def new_eab_key() -> str:
    """An HMAC key for external account binding, as Pebble's config and ours take it."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
