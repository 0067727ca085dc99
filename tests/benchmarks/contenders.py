"""The programs that are measured, each called as its users call it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.measure import BenchmarkFailedError, Sample, clean_environment, measure
from tests.servers.nginx import Nginx
from tests.servers.pebble import Pebble

CHECKOUT = Path(__file__).resolve().parents[2]
PEERS = CHECKOUT / ".bench"


class Bed:
    """The authority and the web server that all contenders use."""

    def __init__(self, directory: Path, pebble: Pebble, nginx: Nginx) -> None:
        self.directory = directory
        self.pebble = pebble
        self.nginx = nginx
        self.roots = pebble.write_roots(directory / "roots.pem")

    @property
    def webroot(self) -> Path:
        """What nginx serves where Pebble asks for tokens."""
        return self.nginx.webroot

    def issued(self, mark: int) -> int:
        """How many certificates were issued since."""
        return len(self.pebble.certificates_issued(mark))


class Renewer:
    """Ours. One state directory; the config is written anew for each measurement."""

    def __init__(self, bed: Bed, name: str) -> None:
        self.bed = bed
        self.directory = bed.directory / name
        self.state = self.directory / "state"
        self.config = self.directory / "config.toml"
        self.directory.mkdir()
        script = Path(sys.executable).with_name("renewer")
        self.words = [str(script)] if script.exists() else [sys.executable, "-m", "renewer"]

    def configure(
        self, certificates: Sequence[str], *, names: Sequence[str] = (), endpoints: Sequence[str] = ()
    ) -> None:
        """Write a config with these certificates, each for NAME.example.org or all for the same `names`.

        `endpoints` are tables in TOML, one a certificate, where it is to be looked at.
        """
        lines = [
            f'[agent]\nstate = "{self.state}"\nlook_every = "1m"\npreflight = "off"\n',
            f'[authority.pebble]\ndirectory = "{self.bed.pebble.directory}"',
            f'ca_bundle = "{self.bed.pebble.ca_bundle}"\nroots = "{self.bed.roots}"\nprofile = "default"\n',
            '[defaults]\nauthority = "pebble"\ncontact = ["ops@example.org"]\nagree_terms = true',
            f'challenge = {{ type = "http-01", webroot = "{self.bed.webroot}", preflight = "off" }}\n',
        ]
        for number, one in enumerate(certificates):
            wanted = list(names) or [f"{one}.example.org"]
            where = endpoints[number] if endpoints else ""
            lines.append(f"[certificate.{one}]\nnames = {json.dumps(wanted)}\nendpoints = [{where}]\n")
        self.config.write_text("\n".join(lines))

    def run(self, *arguments: str) -> Sample:
        """One `renewer run`."""
        return measure([*self.words, "--config", self.config, "run", *arguments], cwd=CHECKOUT)

    def import_list(self) -> tuple[tuple[str, ...], float]:
        """The modules that one run imports, and the seconds that this takes by Python's own account."""
        return imports([sys.executable, "-X", "importtime", *self._module(), "run"])

    def _module(self) -> list[str]:
        return ["-m", "renewer", "--config", str(self.config)]


class Certbot:
    """Certbot of its own venv, with a configuration directory of its own."""

    def __init__(self, bed: Bed, name: str) -> None:
        self.bed = bed
        self.directory = bed.directory / name
        self.config = self.directory / "config"
        self.program = PEERS / "certbot" / "bin" / "certbot"
        # --no-random-sleep-on-renew: asleep it would be slower still when run from a timer.
        self.common: list[str] = [
            "--non-interactive",
            *("--config-dir", str(self.config)),
            *("--work-dir", str(self.directory / "work")),
            *("--logs-dir", str(self.directory / "logs")),
            *("--server", bed.pebble.directory),
            *("--agree-tos", "--register-unsafely-without-email"),
        ]

    @property
    def version(self) -> str:
        """Its own word."""
        return _word(self.program, "--version").split()[-1]

    def certonly(self, name: str, names: Sequence[str] = ()) -> Sample:
        """One issuance by webroot, for NAME.example.org or for `names`."""
        domains = [word for one in names or [f"{name}.example.org"] for word in ("-d", one)]
        how = ["--webroot", "-w", str(self.bed.webroot), *domains, "--cert-name", name]
        return self._run("certonly", *self.common, *how)

    def renew(self, *arguments: str) -> Sample:
        """One `certbot renew` over all its lineages."""
        return self._run("renew", *self.common, "--no-random-sleep-on-renew", *arguments)

    def clone(self, source: str, names: Sequence[str]) -> None:
        """Make more lineages out of one, as certbot lays them out."""
        renewal = (self.config / "renewal" / f"{source}.conf").read_text()
        for name in names:
            archive = self.config / "archive" / name
            shutil.copytree(self.config / "archive" / source, archive)
            live = self.config / "live" / name
            live.mkdir()
            for kind in ("cert", "chain", "fullchain", "privkey"):
                (live / f"{kind}.pem").symlink_to(f"../../archive/{name}/{kind}1.pem")
            text = renewal.replace(f"/{source}/", f"/{name}/").replace(
                f"archive/{source}\n", f"archive/{name}\n"
            )
            (self.config / "renewal" / f"{name}.conf").write_text(text)

    def import_list(self) -> tuple[tuple[str, ...], float]:
        """The modules that one `certbot renew` imports, and the seconds for it."""
        python = self.program.with_name("python")
        argv = [str(python), "-X", "importtime", str(self.program), "renew", *self.common]
        return imports([*argv, "--no-random-sleep-on-renew"], env=self._env())

    def _run(self, *arguments: str) -> Sample:
        return measure([self.program, *arguments], env=self._env())

    def _env(self) -> dict[str, str]:
        return {"REQUESTS_CA_BUNDLE": str(self.bed.pebble.ca_bundle)}


_BOUNDED = ("timeout", "--kill-after=5", "120")


class Lego:
    """Lego, a Go client, fifty processes at once."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.directory = bed.directory / "lego"
        self.program = PEERS / "lego" / "lego"
        self.common = [
            *("--path", str(self.directory), "--server", bed.pebble.directory),
            *("--email", "ops@example.org", "--accept-tos"),
            *("--http", "--http.webroot", str(bed.webroot)),
        ]

    @property
    def installed(self) -> bool:
        """Whether there is one to compare with."""
        return self.program.exists()

    @property
    def version(self) -> str:
        """Its package's."""
        return (self.program.with_name("VERSION")).read_text().strip()

    def register(self) -> None:
        """Make the account, so that the measured runs find one."""
        self._run([self.program, *self.common, "--domains", "first-lego.example.org", "run"])

    def many(self, names: Sequence[str], processes: int) -> Sample:
        """One process a certificate, so many at once; all are ended if they hang, as they may at Pebble."""
        command = [str(self.program), *self.common, "--domains", "{}.example.org", "run"]
        return self._run([*_BOUNDED, "xargs", f"-P{processes}", "-I{}", *command], "\n".join(names).encode())

    def _run(self, argv: Sequence[str | Path], stdin: bytes = b"") -> Sample:
        return measure(argv, env={"LEGO_CA_CERTIFICATES": str(self.bed.pebble.ca_bundle)}, stdin=stdin)


class AcmeTiny:
    """acme-tiny, about the least that a client can be; keys and CSRs are made before and not counted."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.directory = bed.directory / "acme-tiny"
        self.program = PEERS / "acme-tiny" / "bin" / "acme-tiny"
        self.tokens = bed.webroot / ".well-known" / "acme-challenge"

    @property
    def version(self) -> str:
        """Its package's."""
        code = "import importlib.metadata as m; print(m.version('acme-tiny'))"
        return _word(self.program.with_name("python"), "-c", code)

    def prepare(self, names: Sequence[str]) -> None:
        """Make the account's key and a CSR for each name."""
        self.directory.mkdir(exist_ok=True)
        self.tokens.mkdir(parents=True, exist_ok=True)
        account = self.directory / "account.key"
        if not account.exists():
            _word("openssl", "genrsa", "-out", account, "2048")
        for name in names:
            files = ["-keyout", f"{self.directory}/{name}.key", "-out", f"{self.directory}/{name}.csr"]
            curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
            subject = ["-subj", "/", "-addext", f"subjectAltName=DNS:{name}.example.org"]
            _word("openssl", "req", "-new", *curve, *files, *subject)

    def many(self, names: Sequence[str], processes: int) -> Sample:
        """One process a certificate, so many at once."""
        command: list[str | Path] = [
            *(self.program, "--quiet", "--disable-check"),
            *("--account-key", self.directory / "account.key", "--csr", self.directory / "{}.csr"),
            *("--acme-dir", self.tokens, "--directory-url", self.bed.pebble.directory),
        ]
        env = {"SSL_CERT_FILE": str(self.bed.pebble.ca_bundle)}
        return measure(
            ["xargs", f"-P{processes}", "-I{}", *command], env=env, stdin="\n".join(names).encode()
        )


def imports(argv: Sequence[str], *, env: dict[str, str] | None = None) -> tuple[tuple[str, ...], float]:
    """What `python -X importtime` tells about a command: module names, and the sum of their own times."""
    environment = {**clean_environment(), **(env or {})}
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, cwd=CHECKOUT, check=False)
    if done.returncode != 0:
        raise BenchmarkFailedError(f"{' '.join(argv)} exited {done.returncode}")
    rows = [line[len("import time:") :].split("|") for line in done.stderr.splitlines() if "|" in line]
    rows = [row for row in rows if len(row) == 3 and row[0].strip().isdigit()]
    return tuple(row[2].strip() for row in rows), sum(int(row[0]) for row in rows) / 1e6


def _word(program: str | Path, *arguments: str | Path) -> str:
    words = [str(program), *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, env=dict(os.environ), check=False)
    if done.returncode != 0:
        raise BenchmarkFailedError(f"{' '.join(words)} exited {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()
