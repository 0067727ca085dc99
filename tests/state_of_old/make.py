"""Made the old state, once: `python -m tests.state_of_old.make OLD BEFORE`, checkouts of c0fc4e7 and e11d8eb.

OLD issues two certificates at a real Pebble, renews both, fails to deploy one and is rolled back with the
other; a third is refused by the authority. BEFORE prints what the golden files hold. Needs root: the
authority is at port 9, where nobody listens later.
"""

import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.servers.pebble import Pebble
from tests.state_of_old.golden import keep
from tests.state_of_old.place import HOOK, PACKED, OldPlace, command, write_config, write_hook

FAILING = "#!/bin/sh\necho 'the line is dead' >&2\nexit 1\n"
LATE = """
[certificate.late]
names = ["late.example.net"]
authority = "pebble"
challenge = "here"
endpoints = []
"""
"""Only when it is made; later it is left behind on disk."""
BROKEN = ("(the hook phone breaks)",)
STORY: tuple[tuple[tuple[str, ...], int], ...] = (  # what is typed, and its exit code
    (("run",), 3),
    (("run", "--only", "shop", "--force"), 0),
    (("rollback", "shop", "--reason", "the new one broke checkout"), 0),
    (BROKEN, 0),
    (("run", "--only", "www", "--force"), 1),
)


def make(old: Path) -> None:
    """The state, packed."""
    with tempfile.TemporaryDirectory(prefix="rnw-") as directory:
        root = Path(directory)
        root.chmod(0o755)
        pebble = Pebble(root / "pebble", blocklist=("late.example.net",), http_port=7, nonce_reject=0)
        pebble.port = 9
        pebble._config["listenAddress"] = "127.0.0.1:9"
        with pebble:
            shutil.copy(pebble.ca_bundle, root / "ca.pem")
            write_config(root, LATE)
            for name in ("reload", "phone"):
                write_hook(root / name, HOOK)
            for arguments, code in STORY:
                if arguments == BROKEN:
                    write_hook(root / "phone", FAILING)
                    continue
                ended = command(old, root / "config.toml", None, *arguments)
                assert ended.code == code, f"{arguments}: {ended}"
        with tarfile.open(PACKED, "w:gz", compresslevel=9) as packed:
            packed.add(
                root / "state", "state", filter=lambda one: None if one.name.endswith("/lock") else one
            )
            packed.add(root / "ca.pem", "ca.pem")


if __name__ == "__main__":
    old, before = map(Path, sys.argv[1:])
    make(old)
    with tempfile.TemporaryDirectory(prefix="rnw-") as directory:
        keep(OldPlace(Path(directory), before))
