"""Which file system a path lies on: on one that other hosts share, SQLite must not keep a WAL."""

import os

# Shared memory between hosts does not exist, and WAL's index is shared memory (sqlite.org/wal.html)
_NETWORK = frozenset(
    {
        *(
            "9p",
            "afs",
            "beegfs",
            "ceph",
            "cifs",
            "davfs",
            "gfs2",
            "glusterfs",
            "lustre",
            "ncpfs",
            "nfs",
            "nfs4",
        ),
        *("ocfs2", "orangefs", "smb3", "smbfs", "virtiofs"),
        *("fuse.ceph-fuse", "fuse.davfs2", "fuse.gcsfuse", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs"),
    }
)
_MOUNTS = "/proc/self/mounts"


def network_filesystem(path: str, mounts: str = _MOUNTS) -> str | None:
    """The type of the network file system that a path lies on; None if it is local, or nobody knows."""
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    real = os.path.realpath(path)
    best, found = "", ""
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = _unescape(fields[1])
        inside = point in ("/", real) or real.startswith(f"{point}/")
        if inside and len(point) >= len(best):  # the last of equals lies on top
            best, found = point, fields[2]
    return found if found in _NETWORK else None


def _unescape(text: str) -> str:
    """Spaces, tabs, newlines and backslashes stand there in octal (getmntent(3))."""
    for octal, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(octal, character)
    return text
