"""Readers in a tight loop while the link is turned."""

import subprocess
import sys
import time
from pathlib import Path

from renewer.model.facts import Version
from renewer.store.contract import Material
from renewer.store.disk import DiskStore, version_id
from tests.store.pairs import NOW, pair

_READER = """
import os, sys
live, stop = sys.argv[1:]
rounds, faults, seen = 0, [], set()
print("ready", flush=True)
while not os.path.exists(stop):
    for _ in range(50):
        rounds += 1
        try:
            fd = os.open(live, os.O_RDONLY | os.O_DIRECTORY)
            found = []
            for name in ("privkey.pem", "fullchain.pem"):
                file = os.open(name, os.O_RDONLY, dir_fd=fd)
                found.append(os.read(file, 100).split()[-1])
                os.close(file)
            os.close(fd)
            if len(set(found)) != 1:
                faults.append(found)
            seen.add(found[0])
        except OSError as error:
            faults.append(str(error))
print(rounds, len(seen), faults[:3])
"""


def test_tight_reader(tmp_path: Path) -> None:
    """During 200 turns a reader that opens `live` once always finds a pair, and never a mixed one."""
    state = tmp_path / "state"
    store = DiskStore(str(state))
    versions = [_marked(store, number) for number in range(8)]
    store.turn("www", versions[0])
    stop = tmp_path / "stop"
    reader = subprocess.Popen(
        [sys.executable, "-c", _READER, str(state / "certificates/www/live"), str(stop)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        for turn in range(200):
            store.turn("www", versions[turn % len(versions)])
            time.sleep(0.001)
        stop.touch()
        rounds, seen, faults = reader.communicate(timeout=60)[0].split(maxsplit=2)
    finally:
        reader.kill()
        reader.wait()
    assert faults.strip() == "[]"
    assert int(rounds) > 200
    assert int(seen) > 1


def _marked(store: DiskStore, number: int) -> str:
    """A version whose files say which one they belong to."""
    mark = f"{number}\n".encode()
    version = Version(id=version_id(NOW, f"{number:08x}"), made_at=NOW, leaf=pair(1)[0].leaf)
    material = Material(privkey=b"key " + mark, cert=b"cert " + mark, chain=b"")
    return store.put("www", version, material, key_mode=0o600).id
