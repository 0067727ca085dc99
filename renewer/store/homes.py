"""A certificate's directory as a whole: it gets another name, or goes."""

import os
import stat

from renewer.model.names import CERTIFICATE_NAME
from renewer.store import safe
from renewer.store.bench import Bench, demand, discard, fresh

_RENAME_EXCHANGE = 2  # linux/fs.h


def rename(bench: Bench, certificate: str, new: str) -> None:
    """Let a directory have another name; by the same step the old one becomes a link to it.

    So servers whose config names the old path find it at every instant. Done before is done; what lies under
    the new name goes, be it a placeholder or the link of an earlier renaming, which is undone so. Raises
    StateError if there is no such certificate.
    """
    for name in (certificate, new):
        demand(CERTIFICATE_NAME, name, "certificate")
    with bench.shelves() as (certificates, tmp):
        if _link(certificates, certificate) == new:
            return
        with certificates.open(certificate):
            pass  # it is there, and ours
        if _link(certificates, new) is None:
            discard(certificates, new, tmp)
        with fresh(tmp) as link:  # to itself, until both have changed places; perhaps over an earlier one
            tmp.symlink(link, new)
            tmp.move(link, certificates, new)
        _exchange(certificates, certificate, new)


def alias(bench: Bench, certificate: str) -> str | None:
    """The new name of a certificate that was renamed; None if it was not."""
    demand(CERTIFICATE_NAME, certificate, "certificate")
    with bench.certificates() as certificates:
        return _link(certificates, certificate) if certificates else None


def forget(bench: Bench, certificate: str) -> None:
    """Delete all that there is of a certificate, or the link that a renaming left; gone already is no error.

    Out of sight by one rename, and then taken apart.
    """
    demand(CERTIFICATE_NAME, certificate, "certificate")
    with bench.shelves() as (certificates, tmp):
        discard(certificates, certificate, tmp)


def _link(certificates: safe.Directory, name: str) -> str | None:
    """Where a link of that name points; None if it is none."""
    return certificates.link(name) if stat.S_ISLNK(certificates.mode(name) or 0) else None


def _exchange(directory: safe.Directory, name: str, other: str) -> None:
    """Let two names change places by one step, durably: renameat2(2), which Python does not offer."""
    import ctypes

    system = ctypes.CDLL(None, use_errno=True)
    with safe.told(f"{directory.path}/{other}"):
        if system.renameat2(directory.fd, name.encode(), directory.fd, other.encode(), _RENAME_EXCHANGE):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    directory.sync()
