"""Libraries of others in a worker: what they import and read when they are first used, had beforehand.

Afterwards nothing can be imported any more where Python lies in a directory that only root may read.
"""

import contextlib
import os
import pkgutil
import threading
from collections.abc import Callable
from importlib import import_module

from renewer.network import tls

_PACKAGES = ("encodings", "email", "http", "urllib", "json", "xml.etree")
_MODULES = ("netrc", "idna", "gzip", "zlib", "stringprep", "mimetypes", "uuid", "calendar", "_strptime")
_ROOTS = "REQUESTS_CA_BUNDLE"


def ready() -> None:
    """What most of them come to need of Python's own, and whom `requests` trusts."""
    for package in _PACKAGES:
        for found in pkgutil.iter_modules(import_module(package).__path__, f"{package}."):
            load(found.name)
    for name in _MODULES:
        load(name)
    with contextlib.suppress(Exception), open(import_module("requests.certs").where(), "rb") as file:
        os.environ.setdefault(_ROOTS, tls.in_memory(file.read()))


def load(name: str) -> None:
    """Import a module, if there is one and it can be: whatever a stranger's does when it is imported."""
    with contextlib.suppress(Exception, SystemExit):
        import_module(name)


def within(seconds: float, work: Callable[[], None]) -> bool:
    """Whether it ended in time; what goes on after that ends with the worker. Raises what it raised."""
    ended: list[BaseException | None] = []

    def tried() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  it belongs to who waits
            ended.append(error)
        else:
            ended.append(None)

    thread = threading.Thread(target=tried, daemon=True)
    thread.start()
    thread.join(seconds)
    if ended and ended[0] is not None:
        raise ended[0]
    return bool(ended)
