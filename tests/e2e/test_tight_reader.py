"""A reader that looks all the time, while certificates are renewed: never missing, never mixed."""

import subprocess
import sys
from pathlib import Path

from renewer.run import Limits
from tests.e2e.site import Site
from tests.servers.handshake import wait_until

RENEWALS = 15

# The link is resolved once and both files are read below it, as a server does that reads its config
READER = """
import os, sys
live, stop = sys.argv[1:]
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
pairs, looks = {}, 0
while not os.path.exists(stop) or not looks:
    there = os.path.join(os.path.dirname(live), os.readlink(live))
    with open(f"{there}/privkey.pem", "rb") as key, open(f"{there}/fullchain.pem", "rb") as chain:
        pairs[key.read()] = chain.read()
    looks += 1
    if looks == 1:
        print("looking", flush=True)
for key, chain in pairs.items():
    assert load_pem_private_key(key, None).public_key() == load_pem_x509_certificate(chain).public_key()
print(looks, len(pairs))
"""


def test_tight_reader(site: Site, tmp_path: Path) -> None:
    """Over fifteen real renewals a reader sees a pair at every look, and key and chain always fit."""
    site.change(hooks=[], endpoints=[])
    site.run()
    stop = tmp_path / "stop"
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(site.live()), str(stop)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "looking\n"
        for _ in range(RENEWALS):
            assert site.run(Limits(force=True)).exit == 0
            assert reader.poll() is None, reader.stdout.read()
        stop.touch()
        said, _ = reader.communicate(timeout=60)
        assert reader.returncode == 0, said
    finally:
        reader.kill()
        reader.communicate()
    looks, pairs = map(int, said.split())
    assert looks > 100 * RENEWALS
    assert pairs > RENEWALS // 2  # it was there while they turned
    wait_until(lambda: len(site.versions()) <= 7, what="old versions to go")
