"""A network of a test's own: nobody else looks at its servers, and a look at all ports meets only its own."""

import ctypes
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NEW = 0x40000000  # CLONE_NEWNET, <linux/sched.h>
_FLAGS = 0x8914  # SIOCSIFFLAGS, <linux/sockios.h>
_UP = 0x1  # IFF_UP
_kernel = ctypes.CDLL(None, use_errno=True)


@contextmanager
def own_network() -> Iterator[None]:
    """What this thread starts within, processes and threads, have a loopback of their own; needs root."""
    before = os.open(Path(f"/proc/self/task/{threading.get_native_id()}/ns/net"), os.O_RDONLY | os.O_CLOEXEC)
    try:
        _must(_kernel.unshare(_NEW))
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
                fcntl.ioctl(any_socket, _FLAGS, struct.pack("16sh14x", b"lo", _UP))
            yield
        finally:
            _must(_kernel.setns(before, _NEW))
    finally:
        os.close(before)


def _must(answer: int) -> None:
    if answer:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
