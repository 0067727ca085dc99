"""acme2certifier: a second authority, written by others than Pebble and in another language.

It is under the GPL and therefore a program of its own in a virtual environment of its own (made by
`tests/setup.sh test`), never imported. Its validation ports are fixed: HTTP at 80, DNS at 53. So each process
that starts one has loopback addresses of its own, of which `web` is what every name resolves to there.
Binding them needs root, or a kernel that lets everybody have low ports.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .certificates import ServerRoot
from .loopback import ask
from .ports import free_port, release
from .process import Process, ServerFailedError
from .programs import installed_pebble

_MODULE = "acme2certifier"


def installed() -> Path | None:
    """Its Python, if it was set up."""
    checkout = Path(__file__).resolve().parents[2]
    for home in (checkout / ".venv", Path(sys.prefix)):
        python = home / _MODULE / "bin/python"
        if python.exists():
            return python
    return None


class Acme2certifier:
    """One of them, with its own DNS; started again it remembers everything (its SQLite stays)."""

    def __init__(
        self,
        workdir: Path,
        *,
        eab: Mapping[str, str] | None = None,
        profiles: Mapping[str, int] | None = None,
    ) -> None:
        """Prepare one that keeps its files in `workdir`.

        Args:
            workdir: Where its config, database, certificates and logs go.
            eab: Key ids and their HMAC keys (base64url); when given, every account must be bound to one.
            profiles: Profile names and the days that their certificates live.
        """
        self.workdir = workdir
        self.port = free_port()
        self.dns_management = free_port()
        number = os.getpid()
        self._net = f"127.{100 + number % 100}.{1 + number // 100 % 250}"
        self.ca_bundle = workdir / "tls-root.pem"
        self.issuer = workdir / "issuer.pem"
        self.log = workdir / "acme2certifier.log"
        self.renewal: dict[str, object] = {"renewalthreshold_pctg": 85, "retry_after_timeout": 21600}
        self.eab = dict(eab) if eab is not None else None
        self._profiles = dict(profiles or {})
        self._process: Process | None = None
        self._dns: Process | None = None

    @property
    def web(self) -> str:
        """The address that every name has there; HTTP-01 is asked for at its port 80."""
        return f"{self._net}.80"

    @property
    def directory(self) -> str:
        """The directory's URL."""
        return f"https://127.0.0.1:{self.port}/directory"

    def directory_document(self) -> dict[str, Any]:
        """The directory as it is served now."""
        document: dict[str, Any] = ask("GET", self.directory, ca_bundle=self.ca_bundle).json()
        return document

    # --- life ---------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start it and its DNS; returns when both answer."""
        self.workdir.mkdir(parents=True, exist_ok=True)
        if not self.ca_bundle.exists():
            root = ServerRoot("acme2certifier's own TLS")
            root.write(self.ca_bundle)
            root.issue(self.workdir, "localhost", "127.0.0.1", stem="tls")
            self._make_issuer()
            (self.workdir / "issued").mkdir()
        if self._dns is None:
            self._start_dns()
        self._write_config()
        python = installed()
        if python is None:
            raise ServerFailedError("acme2certifier is not set up; run: tests/setup.sh test")
        self._process = Process(
            [
                *(python, "-m", "gunicorn", "--no-control-socket", "--workers", "1", "--threads", "8"),
                *("--bind", f"127.0.0.1:{self.port}"),
                *("--certfile", self.workdir / "tls.pem", "--keyfile", self.workdir / "tls.key"),
                f"{_MODULE}.share.acme2certifier_wsgi:application",
            ],
            log=self.log,
            env={"ACME_SRV_CONFIGFILE": str(self.workdir / "acme_srv.cfg"), "PYTHONPATH": ""},
            cwd=self.workdir,
        )
        self._process.wait_for_port(self.port, timeout=30)
        return self

    def stop(self) -> None:
        """End it and its DNS, and give the ports back."""
        self.kill()
        if self._dns is not None:
            self._dns.stop()
            self._dns = None
        release(self.port, self.dns_management)

    def kill(self) -> None:
        """End it at once; its memory stays."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def renew_now(self) -> None:
        """From now on suggest windows that are over (RFC 9773, section 4.2)."""
        self.renewal = {
            "renewalthreshold_pctg": 0,
            "renewal_window_duration": 1,
            "retry_after_timeout": 21600,
        }
        self.restart()

    def restart(self) -> None:
        """Read the config again."""
        if self._process is not None:
            self._process.stop()
        self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- inside -------------------------------------------------------------------------------------------

    def _start_dns(self) -> None:
        address = f"{self._net}.153:53"
        self._dns = Process(
            [
                installed_pebble().challtestsrv,
                *("-dnsserver", address, "-management", f"127.0.0.1:{self.dns_management}"),
                *("-defaultIPv4", self.web, "-defaultIPv6", ""),
                *("-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""),
            ],
            log=self.workdir / "dns.log",
        )
        self._dns.wait_for_port(self.dns_management)
        self._dns.wait_for_port(53, host=f"{self._net}.153")

    def _make_issuer(self) -> None:
        """The certificate that signs, its key, and the list of what was revoked, which it insists on."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "acme2certifier test root")])
        now = datetime.now(UTC)
        usage = x509.KeyUsage(
            **dict.fromkeys(
                (
                    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
                    *("key_agreement", "encipher_only", "decipher_only"),
                ),
                False,
            ),
            key_cert_sign=True,
            crl_sign=True,
        )
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        empty = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(name)
            .last_update(now)
            .next_update(now + timedelta(days=30))
            .sign(key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        form, open_ = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        self.issuer.write_bytes(certificate.public_bytes(pem))
        (self.workdir / "issuer.key").write_bytes(key.private_bytes(pem, form, open_))
        (self.workdir / "issuer.crl").write_bytes(empty.public_bytes(pem))

    def _write_config(self) -> None:
        sections: dict[str, dict[str, object]] = {
            "DEFAULT": {"debug": False, "dns_server_list": json.dumps([f"{self._net}.153"])},
            "DBhandler": {"handler": "wsgi", "dbfile": self.workdir / "acme.db"},
            "Account": {"contact_check_disable": True},
            "Challenge": {
                "dns_persist_01_support": True,
                "dns_server_list": json.dumps([f"{self._net}.153"]),
            },
            "Renewalinfo": self.renewal,
            "Order": {},
            "CAhandler": self._handler(30),
        }
        if self._profiles:
            names = {name: f"https://example.org/{name}" for name in self._profiles}
            sections["Order"] = {
                "profiles": json.dumps(names),
                "profiles_check_disable": False,
                "profile_cahandler": json.dumps({name: name for name in self._profiles}),
            }
            sections["CAhandler"] = {"multi_handler": True, "default_handler": next(iter(self._profiles))}
            for name, days in self._profiles.items():
                sections[f"CAhandler:{name}"] = self._handler(days)
        if self.eab is not None:
            (self.workdir / "eab.json").write_text(json.dumps(self.eab))
            sections["EABhandler"] = {
                "eab_handler_module": f"{_MODULE}.eabhandlers.json_handler",
                "key_file": self.workdir / "eab.json",
            }
        text = "".join(
            f"[{title}]\n" + "".join(f"{key}: {value}\n" for key, value in table.items()) + "\n"
            for title, table in sections.items()
        )
        (self.workdir / "acme_srv.cfg").write_text(text)

    def _handler(self, days: int) -> dict[str, object]:
        return {
            "handler_module": f"{_MODULE}.cahandlers.openssl_ca_handler",
            "issuing_ca_key": self.workdir / "issuer.key",
            "issuing_ca_cert": self.issuer,
            "issuing_ca_crl": self.workdir / "issuer.crl",
            "ca_cert_chain_list": "[]",
            "cert_validity_days": days,
            "cert_save_path": self.workdir / "issued",
        }


Acme2certifierFactory = Callable[..., Acme2certifier]
"""Makes started ones; takes the keywords of Acme2certifier."""
