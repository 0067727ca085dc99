"""A run with nothing due is cheap: what only acting needs is never imported."""

import json
import re
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from renewer import certs, clock, x509
from renewer.ledger.sqlite import SqliteLedger
from renewer.model.desired import KeyType
from renewer.model.facts import Deployment, DeploymentState, EndpointState, Sighting, Version, Window
from renewer.model.names import Identifier
from renewer.store.contract import Material
from renewer.store.disk import DiskStore, version_id
from renewer.store.lock import Lock

HEAVY = {"acme", "josepy", "requests", "dns", "rich", "jinja2", "cryptography", "ssl", "http", "workers"}
HOST = "web-1"
ENDPOINT = "www.example.org:443"

# Run the command as the console script does, then say on stderr what is loaded.
PROBE = """
import json, sys
from renewer.cli.app import main
try:
    main()
finally:
    loaded = {name.removeprefix("renewer.").split(".")[0] for name in sys.modules}  # its workers among them
    print(json.dumps(sorted(loaded)), file=sys.stderr)
"""
_RAN = re.compile(r'<time id="ran".*</span>')  # when the last run was: the line that each run renews


def wait_for_another_second() -> None:
    """Until the clock shows another second than now: what is told to the second has then changed."""
    begun = int(time.time())
    while int(time.time()) == begun:
        time.sleep(0.01)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """One certificate with a hook and an endpoint, all done: installed, deployed, seen, its window known."""
    path, state, hook = tmp_path / "config.toml", tmp_path / "state", tmp_path / "reload"
    hook.write_text("#!/bin/sh\nexit 1\n", "utf-8")
    hook.chmod(0o755)
    path.write_text(
        f"""
        [agent]
        state = "{state}"
        host = "{HOST}"
        look_every = "30d"

        [authority.test]
        directory = "https://127.0.0.1:9/directory"
        agree_terms = true

        [hook.reload]
        run = "{hook}"

        [certificate.www]
        names = ["www.example.org"]
        authority = "test"
        challenge = {{ type = "http-01", webroot = "{tmp_path}" }}
        hooks = ["reload"]
        endpoints = ["{ENDPOINT}"]
        """,
        "utf-8",
    )
    with Lock(str(state)).acquire(0):
        _fill(str(state))
    return path


def _fill(state: str) -> None:
    """The facts that an earlier run would have left."""
    now, name = clock.now(), Identifier.parse("www.example.org")
    key = x509.new_key(KeyType.ECDSA_P256)
    cert = x509.placeholder((name,), key, now)  # self-signed, and as good as any where nobody looks
    leaf = certs.leaf(cert)
    version = Version(
        id=version_id(now, leaf.serial), made_at=now, leaf=leaf, authority="test", account="https://a/1"
    )
    store, ledger = DiskStore(state), SqliteLedger.open(f"{state}/ledger.db")
    store.put("www", version, Material(privkey=key, cert=cert, chain=b""), key_mode=0o600)
    store.turn("www", version.id)
    of: dict[str, Any] = {"certificate": "www", "host": HOST, "version": version.id}
    ledger.save(
        Window(certificate="www", serial=leaf.serial, asked_at=now, ask_again=now + timedelta(days=300)),
        Deployment(**of, hook="reload", state=DeploymentState.DONE, at=now),
        Sighting(
            **of,
            endpoint=ENDPOINT,
            address="192.0.2.1",
            state=EndpointState.VERIFIED,
            at=now,  # whatever its own point in the second half of the 30 days is, it is not reached
            local=True,
            fingerprint=leaf.fingerprint,
        ),
    )
    ledger.close()


def _run(config: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    command = [sys.executable, "-c", PROBE, "--config", str(config), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done, set(json.loads(done.stderr.splitlines()[-1]))


def test_a_run_with_nothing_due_imports_nothing_heavy(config: Path) -> None:
    """No step, no question, no look: then no ACME, HTTP, DNS, TLS, X.509, tables or pages are loaded."""
    _run(config, "run")  # remembers the facts of the version: from now on nobody parses it
    done, loaded = _run(config, "run")

    assert (done.returncode, sorted(loaded & HEAVY)) == (0, []), done.stderr
    assert done.stdout.startswith("nothing to do for 1 certificate; the next renewal is at ")


@pytest.mark.parametrize("arguments", [("plan",), ("status", "--json"), ("run", "--json")], ids=" ".join)
def test_looking_at_the_facts_imports_nothing_heavy(config: Path, arguments: tuple[str, ...]) -> None:
    """Commands that only tell what is known are as cheap."""
    _run(config, "run")
    done, loaded = _run(config, *arguments)

    assert (done.returncode, sorted(loaded & HEAVY)) == (0, []), done.stderr


def test_metrics_and_the_page_are_brought_up_to_date_as_cheaply(config: Path) -> None:
    """Both tell of the run that found nothing to do, and no template is loaded for that."""
    page, metrics = config.parent / "index.html", config.parent / "renewer.prom"
    text = config.read_text("utf-8") + f'\n[report]\npage = "{page}"\nmetrics = "{metrics}"\n'
    config.write_text(text, "utf-8")
    _run(config, "run")
    _, first_loaded = _run(config, "run")  # from now on the version is remembered, and the page written
    first = (page.read_text("utf-8"), metrics.read_text("utf-8"))
    wait_for_another_second()
    done, loaded = _run(config, "run")
    second = (page.read_text("utf-8"), metrics.read_text("utf-8"))

    assert (done.returncode, sorted((first_loaded | loaded) & HEAVY)) == (0, []), done.stderr
    assert second[0] != first[0]
    assert second[1] != first[1]
    assert _RAN.sub("", second[0]) == _RAN.sub("", first[0])
    assert page.stat().st_mode & 0o777 == 0o644


def test_the_probe_sees_what_is_imported(config: Path) -> None:
    """The first run parses the version: there the probe must find the library, or it proves nothing."""
    _, loaded = _run(config, "run")

    assert "cryptography" in loaded


def test_nothing_due_changes_nothing_on_disk(config: Path) -> None:
    """A second run leaves the certificate's files and link as they are."""
    _run(config, "run")
    live = config.parent / "state" / "certificates" / "www" / "live"
    before = (live.readlink(), sorted(path.stat().st_mtime_ns for path in live.iterdir()))
    _run(config, "run")

    assert (live.readlink(), sorted(path.stat().st_mtime_ns for path in live.iterdir())) == before
