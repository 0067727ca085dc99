"""The world's clock, real or injected; and OpenSSL's idea of the present in contexts that we hold."""

import ctypes
import ssl
import time
from datetime import UTC, datetime, timedelta
from typing import Any


class RealClock:
    """The system's clock: going forward is waiting."""

    injected = False

    def now(self) -> datetime:
        """The present moment."""
        return datetime.now(UTC)

    def forward(self, by: timedelta) -> None:
        """Wait."""
        time.sleep(max(by.total_seconds(), 0))


class InjectedClock:
    """A clock that runs like the real one and is set forward by us: everybody in the world follows it."""

    injected = True

    def __init__(self) -> None:
        """Begin at the present."""
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        """What the world takes for the present."""
        return datetime.now(UTC) + self._ahead

    def forward(self, by: timedelta) -> None:
        """So much later, at once."""
        self._ahead += by


WorldClock = RealClock | InjectedClock


def at(context: ssl.SSLContext, moment: datetime) -> ssl.SSLContext:
    """Let a context check certificates as of a moment (X509_VERIFY_PARAM_set_time), for Python has no way to.

    The context's pointer is the first thing in Python's object after its head.
    """
    library = _library()
    pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__).value
    library.X509_VERIFY_PARAM_set_time(library.SSL_CTX_get0_param(pointer), int(moment.timestamp()))
    return context


def _library() -> Any:
    import _ssl

    library = ctypes.CDLL(getattr(_ssl, "__file__", None))
    library.SSL_CTX_get0_param.restype = ctypes.c_void_p
    library.SSL_CTX_get0_param.argtypes = [ctypes.c_void_p]
    library.X509_VERIFY_PARAM_set_time.restype = None
    library.X509_VERIFY_PARAM_set_time.argtypes = [ctypes.c_void_p, ctypes.c_long]
    return library
