"""A host of a test's own: its network, and /etc, /var and /run in which nothing that is written stays."""

import ctypes
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .own_network import own_network

_NEW = 0x00020000  # CLONE_NEWNS, <linux/sched.h>
_REC, _PRIVATE = 0x4000, 0x40000  # MS_REC, MS_PRIVATE, <linux/mount.h>
_kernel = ctypes.CDLL(None, use_errno=True)


@contextmanager
def own_host(scratch: Path) -> Iterator[None]:
    """What this thread starts within has files of its own over those of the machine; needs root.

    `scratch` becomes an empty directory in memory, which takes what is written.
    """
    before = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    at = Path.cwd()
    try:
        with own_network():
            _must(_kernel.unshare(_NEW))
            try:
                _mount(None, "/", None, _REC | _PRIVATE)
                _mount("tmpfs", str(scratch), "tmpfs")
                for name in ("etc", "var"):
                    upper, work = scratch / name / "upper", scratch / name / "work"
                    for directory in (upper, work):
                        directory.mkdir(parents=True)
                        directory.chmod(0o755)
                    said = f"lowerdir=/{name},upperdir={upper},workdir={work}"
                    _mount("overlay", f"/{name}", "overlay", 0, said)
                _mount("tmpfs", "/run", "tmpfs", 0, "mode=755")
                yield
            finally:
                _must(_kernel.setns(before, _NEW))
                os.chdir(at)
    finally:
        os.close(before)


def _mount(
    source: str | None, target: str, kind: str | None, flags: int = 0, data: str | None = None
) -> None:
    words = [None if word is None else word.encode() for word in (source, target, kind, data)]
    _must(_kernel.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]))


def _must(answer: int) -> None:
    if answer:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def emptied() -> None:
    """Take away what this machine's servers that do not run are configured to read, and what it calls."""
    for name in ("apache2", "dovecot", "exim4", "haproxy", "lighttpd", "mysql", "postgresql"):
        shutil.rmtree(f"/etc/{name}", ignore_errors=True)
    for place in ("/etc/letsencrypt", "/etc/prosody", "/etc/ssl/private", "/etc/cron.d"):
        shutil.rmtree(place, ignore_errors=True)
    for path in Path("/etc/postfix").glob("ma*.cf"):  # the directory must be there for each of its instances
        path.write_text("compatibility_level = 3.6\n" if path.name == "main.cf" else "")
    for link in Path("/etc/systemd/system").glob("*.wants/*.timer"):
        link.unlink()
