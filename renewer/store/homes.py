"""A certificate's directory as a whole: it gets another name, or goes."""

from renewer.model.names import CERTIFICATE_NAME
from renewer.store.bench import Bench, demand, discard


def rename(bench: Bench, certificate: str, new: str) -> None:
    """Let a directory have another name; by the same step the old one becomes a link to it.

    So servers whose config names the old path find it at every instant. Done before is done; what lies under
    the new name goes. Raises StateError if there is no such certificate.
    """
    for name in (certificate, new):
        demand(CERTIFICATE_NAME, name, "certificate")
    with bench.shelves() as (certificates, tmp):
        if certificates.is_link(certificate) and certificates.link(certificate) == new:
            return
        with certificates.open(certificate):
            pass  # it is there, and ours
        discard(certificates, new, tmp)
        certificates.symlink(new, new)  # a link to itself, until both have changed places
        certificates.exchange(certificate, new)


def alias(bench: Bench, certificate: str) -> str | None:
    """The new name of a certificate that was renamed; None if it was not."""
    demand(CERTIFICATE_NAME, certificate, "certificate")
    with bench.certificates() as certificates:
        if certificates is None or not certificates.is_link(certificate):
            return None
        return certificates.link(certificate)


def forget(bench: Bench, certificate: str) -> None:
    """Delete all that there is of a certificate, or the link that a renaming left; gone already is no error.

    Out of sight by one rename, and then taken apart.
    """
    demand(CERTIFICATE_NAME, certificate, "certificate")
    with bench.shelves() as (certificates, tmp):
        discard(certificates, certificate, tmp)
