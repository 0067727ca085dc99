"""A certificate's directory as a whole: it gets another name, or goes."""

import stat

from renewer import statedir
from renewer.model.names import CERTIFICATE_NAME
from renewer.store.workspace import Bench, demand, discard, fresh


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
        certificates.exchange(certificate, new)


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


def _link(certificates: statedir.StateDirectory, name: str) -> str | None:
    """Where a link of that name points; None if it is none."""
    return certificates.link(name) if stat.S_ISLNK(certificates.mode(name) or 0) else None
