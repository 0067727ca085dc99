"""What somebody does who has conquered a worker: code that runs in its place, after it gave up its rights."""

import ctypes
import json
import os
import signal
import socket
import struct
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from renewer.network import nursery
from renewer.network.channel import Channel
from renewer.network.protocol import FRAME, HEAD, VERSION, Done, Remark, frame

_PTRACE_ATTACH = 16
_PIDFD_OPEN, _PIDFD_GETFD, _MOUNT = 434, 438, 165
_libc = ctypes.CDLL(None, use_errno=True)  # before the rights are gone
Given = dict[str, Any]


def _did(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _read(path: str) -> None:
    with open(path, "rb") as file:
        file.read(1)


def _write(path: str) -> None:
    with open(path, "wb") as file:
        file.write(b"x")


def _trace(pid: int) -> None:
    _did(_libc.ptrace(_PTRACE_ATTACH, pid, 0, 0))


def _peek(pid: int) -> None:
    buffer = ctypes.create_string_buffer(8)
    here = struct.pack("=QQ", ctypes.addressof(buffer), 8)
    _did(_libc.process_vm_readv(pid, here, 1, here, 1, 0))


def _take_descriptor(pid: int) -> None:
    pidfd = os.pidfd_open(pid)
    _did(_libc.syscall(_PIDFD_GETFD, pidfd, 3, 0))


def _execute() -> None:
    child = os.fork()
    if not child:
        try:
            os.execv("/bin/true", ["true"])  # noqa: S606  it is refused
        except OSError as error:
            os._exit(error.errno or 1)
    if code := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise OSError(code, os.strerror(code))


def _fork_without_end() -> None:
    children = []
    try:
        for _ in range(600):
            child = os.fork()
            if not child:
                signal.pause()
                os._exit(0)
            children.append(child)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _open_without_end() -> None:
    held: list[Any] = []
    try:
        while len(held) < 5000:
            held.append(os.dup(1))
    finally:
        for one in held:
            os.close(one)


def _remember_without_end() -> None:
    held: list[Any] = []
    while len(held) < 64:
        held.append(bytearray(64 << 20))


def _take_port(port: int) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", port))
        sock.listen()


def tries(given: Given) -> dict[str, Callable[[], object]]:
    """What is tried: a name for people, and the deed, which raises where it is refused."""
    main, other = given["main"], given["other"]
    return {
        "read a certificate's key": lambda: _read(given["key"]),
        "read the account's key": lambda: _read(given["account"]),
        "read the ledger": lambda: _read(given["ledger"]),
        "read /etc/shadow": lambda: _read("/etc/shadow"),
        "list the state directory": lambda: os.listdir(given["state"]),
        "read main's memory (/proc)": lambda: _read(f"/proc/{main}/mem"),
        "read main's memory (process_vm_readv)": lambda: _peek(main),
        "trace main": lambda: _trace(main),
        "take a descriptor of main's": lambda: _take_descriptor(main),
        "read main's environment": lambda: _read(f"/proc/{main}/environ"),
        "signal main": lambda: os.kill(main, 0),
        "read the nursery's memory": lambda: _peek(os.getppid()),
        "trace the nursery": lambda: _trace(os.getppid()),
        "signal the nursery": lambda: os.kill(os.getppid(), 0),
        "read another worker's memory": lambda: _peek(other),
        "trace another worker": lambda: _trace(other),
        "signal another worker": lambda: os.kill(other, 0),
        "write where everybody may": lambda: _write(os.path.join(tempfile.gettempdir(), "hostile")),
        "write into the state directory": lambda: _write(os.path.join(given["state"], "new")),
        "execute a program": _execute,
        "become root": lambda: os.setuid(0),
        "mount": lambda: _did(_libc.mount(b"none", b"/mnt", b"tmpfs", 0, None)),
        "listen on a port": lambda: _take_port(given["port"]),
        "open without end": _open_without_end,
        "fork without end": _fork_without_end,
        "take memory without end": _remember_without_end,
    }


def attack(channel: Channel, given: Given) -> None:
    """Answer the first request by what came of each try."""
    octets = channel.receive()
    number = HEAD.unpack_from(octets or b"")[2]
    for name, act in tries(given).items():
        try:
            act()
        except (OSError, MemoryError) as error:
            got = f"refused: {type(error).__name__}"
        else:
            got = "done"
        channel.send(frame(number, Remark(text=json.dumps([name, got]))))
    channel.send(frame(number, Done()))
    channel.receive()


def misbehave(channel: Channel, given: Given) -> None:  # noqa: C901, PLR0912  a way each
    """Answer the first request by breaking the rules of the door in one way."""
    octets = channel.receive() or b""
    number = HEAD.unpack_from(octets)[2]
    match given["how"]:
        case "1 GiB":
            channel._sock.send(HEAD.pack(1 << 30, VERSION, number, 0) + b"x" * 1000)
        case "half a frame":
            channel._sock.send(HEAD.pack(1000, VERSION, number, 0) + b"x")
        case "no JSON":
            channel._sock.send(HEAD.pack(4, VERSION, number, 0) + b"\xff\x00{}")
        case "another version":
            channel._sock.send(HEAD.pack(2, 77, number, 0) + b"{}")
        case "an answer that nobody waits for":
            channel.send(frame(number + 1000, Done()))
        case "a question that is never granted":
            channel.send(frame(number | 1 << 31, Done()))
        case "notes without end":
            while True:
                channel.send(frame(number, Remark(text="x" * 1000)))
        case "an answer without end":
            while True:
                channel._sock.setblocking(True)
                channel._sock.sendall(
                    HEAD.pack(FRAME - HEAD.size, VERSION, number, 0) + b" " * (FRAME - HEAD.size)
                )
        case "its end":
            os._exit(0)
        case "a child left behind":
            if not os.fork():
                os.setsid()
                if not os.fork():
                    signal.pause()
                os._exit(0)
            os._exit(0)
    channel.receive()


DEEDS: dict[str, Callable[[Channel, Given], None]] = {"attack": attack, "misbehave": misbehave}


def main(arguments: list[str], given: str) -> None:
    """A nursery whose workers of a kind (`duty`; None: all) are conquered."""
    told: Given = json.loads(given)
    usual = nursery.begin

    def begin(channel: Channel, duty: str) -> None:
        if told.get("duty") in (None, duty):
            DEEDS[told["deed"]](channel, told)
        else:
            usual(channel, duty)

    nursery.begin = begin
    nursery.main(arguments)


if __name__ == "__main__":
    main(sys.argv[1:2], sys.argv[2])
