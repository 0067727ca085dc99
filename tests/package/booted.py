"""A system of this machine's own files under a systemd that it booted: process 1 in namespaces of its own.

What it changes lies in memory; its network is a loopback alone. None of the machine's services is started.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.package.debian import CHECKOUT, LIMIT, mount

_BOOT = """\
set -e
mount --make-rprivate /
memory=$1; root=$memory/root
mkdir "$memory/upper" "$memory/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$memory/upper,workdir=$memory/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for place in run dev tmp var/tmp; do mount -t tmpfs -o mode=755 tmpfs "$root/$place"; done
chmod 1777 "$root/tmp" "$root/var/tmp"
for node in null zero full random urandom tty; do
    touch "$root/dev/$node"; mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm" # else systemd does, over what is brought in below it
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"
# the machine's own services stay away, and so does what tidies up at boot
rm -rf "$root"/etc/systemd/system/*
for unit in systemd-tmpfiles-setup.service systemd-update-utmp.service systemd-timesyncd.service \\
    sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount systemd-pcrphase.service \\
    systemd-pcrphase-sysinit.service systemd-tmpfiles-clean.timer systemd-sysusers.service; do
    ln -s /dev/null "$root/etc/systemd/system/$unit"
done
shift
for place do # what lies on file systems of their own
    mkdir -p "$root$place"
    mount --rbind "$place" "$root$place"
done
mkdir -p "$root/mnt/before"
cd "$root"
pivot_root . mnt/before
umount -l /mnt/before
exec env -i container=test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
    /lib/systemd/systemd --system --unit=basic.target --log-target=null --show-status=no
"""


@dataclass(frozen=True)
class Booted:
    """A running system; `pid` is its process 1 as seen from here."""

    pid: int

    def argv(self, *words: str) -> list[str]:
        """What runs this inside, as root."""
        return ["nsenter", "--target", str(self.pid), "--all", "--wdns=/", *words]

    def run(self, *words: str, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """Run a program inside."""
        clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **(env or {})}
        return subprocess.run(
            self.argv(*words), capture_output=True, text=True, check=False, timeout=LIMIT, env=clean
        )


@contextmanager
def booted(place: Path, shared: Sequence[Path]) -> Iterator[Booted]:
    """Boot it; `place` is an empty directory of the test's, `shared` what it sees of this machine as is."""
    memory, groups = place / "memory", place / "groups"
    memory.mkdir()
    groups.mkdir()
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(memory))
    mount("-t", "cgroup2", "cgroup2", str(groups))
    group = groups / f"renewer-test-{os.getpid()}"
    starter: subprocess.Popen[bytes] | None = None
    try:
        group.mkdir()
        (place / "boot").write_text(_BOOT)
        visible = dict.fromkeys(str(path) for path in (*shared, CHECKOUT) if _elsewhere(path))
        script = 'echo $$ >"$0/cgroup.procs"; exec "$@"'
        namespaces = ("--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--fork", "--kill-child")
        boot = ("/bin/bash", str(place / "boot"), str(memory), *visible)
        with (place / "boot.log").open("wb") as log:
            starter = subprocess.Popen(
                ["/bin/sh", "-c", script, str(group), "unshare", *namespaces, *boot],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        yield Booted(_first(starter, place / "boot.log"))
    finally:
        if starter is not None:
            starter.send_signal(signal.SIGKILL)
            starter.wait(LIMIT)
        _empty(group)
        subprocess.run(["umount", str(groups)], check=True)
        subprocess.run(["umount", "--recursive", "--lazy", str(memory)], check=True)


_COVERED = ("/tmp", "/var/tmp", "/run")  # noqa: S108  by file systems of its own


def _elsewhere(path: Path) -> bool:
    """Whether it must be brought in: it lies on another file system, or where another one is put."""
    hidden = any(path.is_relative_to(place) for place in _COVERED)
    return hidden or path.stat().st_dev != Path("/").stat().st_dev


def _first(starter: "subprocess.Popen[bytes]", log: Path) -> int:
    """Its process 1, once systemd says that it is up."""
    deadline = time.monotonic() + LIMIT
    children = Path(f"/proc/{starter.pid}/task/{starter.pid}/children")
    while time.monotonic() < deadline:
        assert starter.poll() is None, log.read_text()
        pids = children.read_text().split()
        if pids and Path(f"/proc/{pids[0]}/comm").read_text().strip() == "systemd":
            system = Booted(int(pids[0]))
            said = system.run("systemctl", "is-system-running").stdout.strip()
            if said in {"running", "degraded"}:
                return system.pid
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def _empty(group: Path) -> None:
    """Remove a group and those below it, when everybody in them has ended."""
    deadline = time.monotonic() + LIMIT
    while group.exists():
        (group / "cgroup.kill").write_text("1") if (group / "cgroup.kill").exists() else None
        for below in sorted(group.rglob("*"), reverse=True):
            if below.is_dir():
                try:
                    below.rmdir()
                except OSError:
                    break
        try:
            group.rmdir()
        except OSError:
            assert time.monotonic() < deadline, "who is still in there?"
            time.sleep(0.05)
