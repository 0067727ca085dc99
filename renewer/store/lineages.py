"""Certbot's way to name a certificate: a directory `<state>/live/<name>` of links, the name at its end.

Scripts written for certbot take the name from the path. The links lead through `certificates/<name>/live`, so
that they are right at every instant and need no turning.
"""

from renewer import statedir
from renewer.model.names import CERTIFICATE_NAME
from renewer.store import layout
from renewer.store.workspace import Bench, demand, discard, fresh

_FILES = (layout.PRIVKEY, layout.CERT, layout.CHAIN, layout.FULLCHAIN)


def ensure(bench: Bench, certificate: str, *, key: bool = True) -> str:
    """Make the directory, or put it right link by link; returns its path. Done before is done."""
    demand(CERTIFICATE_NAME, certificate, "certificate")
    with (
        bench.shelves() as (_, tmp),
        statedir.ensure_root(bench.state, bench.mode, bench.group) as root,
        root.ensure(layout.LINEAGES, bench.mode, bench.group) as lineages,
        lineages.ensure(certificate, bench.mode, bench.group) as home,
    ):
        for file in _FILES:
            target = f"../../{layout.CERTIFICATES}/{certificate}/{layout.LIVE}/{file}"
            if not key and file == layout.PRIVKEY:
                home.discard(file)
                continue
            if home.link(file) == target:
                continue
            with fresh(tmp) as name:
                tmp.symlink(name, target)
                tmp.move(name, home, file)
        return home.path


def there(bench: Bench, certificate: str) -> bool:
    """Whether a certificate has one."""
    root = statedir.find_root(bench.state)
    if root is None:
        return False
    with root:
        lineages = root.find(layout.LINEAGES)
        if lineages is None:
            return False
        with lineages:
            return lineages.mode(certificate) is not None


def forget(bench: Bench, certificate: str) -> None:
    """Remove the directory of a certificate; one that is not there is no error."""
    if not there(bench, certificate):
        return
    with (
        bench.shelves() as (_, tmp),
        statedir.ensure_root(bench.state, bench.mode, bench.group) as root,
        root.ensure(layout.LINEAGES, bench.mode, bench.group) as lineages,
    ):
        discard(lineages, certificate, tmp)
        lineages.sync()
