"""The processes that a process has begun, as the kernel lists them."""

import contextlib
from pathlib import Path

from renewer import clock


def below(pid: int) -> list[int]:
    """Every process that came from this one."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread may end meanwhile
            for child in map(int, (task / "children").read_text("ascii").split()):
                found += [child, *below(child)]
    return found


def name_of(pid: int) -> str:
    """What `ps` calls it."""
    return Path(f"/proc/{pid}/comm").read_text("ascii").strip()


def user_of(pid: int) -> int:
    """Who it is."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Uid:"))


def ended(pid: int) -> bool:
    """Whether a process is gone within a generous while."""
    for _ in range(600):
        try:
            state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        clock.sleep(0.05)
    return False
