"""A damaged version is made of its other files again; files get the rights that the configuration says."""

import os
import stat
from collections.abc import Sequence

from renewer import statedir
from renewer.decoding import UndecodableError, decode
from renewer.errors import StateError
from renewer.model.facts import Version
from renewer.model.value import Value
from renewer.store import layout
from renewer.store.contract import Found, Material
from renewer.store.workspace import Bench


class _Note(Value):
    """The one thing of `version.json` that matters here."""

    csr: str | None = None


_PEM = (layout.PRIVKEY, layout.CERT, layout.CHAIN, layout.FULLCHAIN)


def whole(bench: Bench, certificate: str, version: str, remembered: Version | None) -> Material | None:
    """What a version must have held, from those of its files that can be read; None if they do not tell.

    Leaf and chain stand twice on disk: in files of their own and in `fullchain.pem`. What is taken fits the
    key and, if that version is `remembered`, is its leaf. Of two chains the longer counts: files are cut off
    and do not grow.
    """
    with (
        bench.home(certificate) as home,
        home.open(layout.VERSIONS) as versions,
        versions.open(version) as place,
    ):
        parts = {name: _read(place, name) for name in _PEM}
        elsewhere = _csr(place) if keyless(place) else remembered.csr if remembered else None
    return made_of(parts, remembered.leaf.fingerprint if remembered else None, elsewhere)


def keyless(place: statedir.StateDirectory) -> bool:
    """Whether a version has no key because that is elsewhere, as its own note says."""
    return place.mode(layout.PRIVKEY) is None and bool(_csr(place))


def _csr(place: statedir.StateDirectory) -> str | None:
    """What a version's note says of the key of its request."""
    try:
        found: _Note = decode(_read(place, layout.ABOUT) or b"", _Note)
    except UndecodableError:
        return None
    return found.csr


def made_of(
    parts: dict[str, bytes | None], fingerprint: str | None, elsewhere: str | None = None
) -> Material | None:
    """The same from what the files hold, by their names; None for one that is not there.

    `elsewhere` tells the key of a version that has none here.
    """
    from renewer import certs

    key = parts[layout.PRIVKEY] or b""
    if not key and not elsewhere:
        return None
    full = _certificates(parts[layout.FULLCHAIN])
    leaves = dict.fromkeys((*_certificates(parts[layout.CERT])[:1], *full[:1]))
    chains = [full[1:]] if full else []
    if parts[layout.CHAIN] is not None:
        chains.append(_certificates(parts[layout.CHAIN]))
    for leaf in leaves:
        if fingerprint is not None and certs.leaf(leaf).fingerprint != fingerprint:
            continue
        for chain in sorted(chains, key=len, reverse=True):
            if _belongs(key, elsewhere, leaf, chain):
                return Material(privkey=key, cert=leaf, chain=b"".join(chain))
    return None


def _belongs(key: bytes, elsewhere: str | None, leaf: bytes, chain: Sequence[bytes]) -> bool:
    from renewer import certs, x509

    try:
        fits = x509.matches(key, leaf) if key else certs.spki(leaf) == elsewhere
        return fits and certs.in_order([leaf, *chain])
    except ValueError:
        return False


def _certificates(pem: bytes | None) -> tuple[bytes, ...]:
    """The certificates of a file that can be read; none of one that cannot."""
    from renewer import certs

    try:
        found = certs.split_chain(pem) if pem else ()
        for one in found:
            certs.leaf(one)
    except ValueError:
        return ()
    return found


def _read(place: statedir.StateDirectory, name: str) -> bytes | None:
    try:
        return place.read(name)
    except StateError:
        return None


def settle(bench: Bench, certificate: str, version: str, key_mode: int) -> None:
    """Give a version's directory and files the mode and group that they would be made with now."""
    group = bench.group
    with (
        bench.writing(certificate) as (home, _),
        home.ensure(layout.VERSIONS, bench.mode, group) as versions,
        versions.ensure(version, bench.mode, group) as place,
    ):
        for name, mode in modes(key_mode, shared=group is not None).items():
            _settle_file(place, name, mode, group)


def _settle_file(place: statedir.StateDirectory, name: str, mode: int, group: int | None) -> None:
    """Give a file of ours its mode and group; what is not there, or not ours alone, is left as it is."""
    path = f"{place.path}/{name}"
    with statedir.told(path):
        try:
            status = os.stat(name, dir_fd=place.fd, follow_symlinks=False)
        except FileNotFoundError:
            return
        ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
        if not ours or status.st_mode & 0o022:
            return
        if status.st_mode & ~mode & 0o777:  # nobody else reads it while it changes hands
            os.chmod(name, mode & 0o600, dir_fd=place.fd)
        if group is not None and status.st_gid != group:
            os.chown(name, -1, group, dir_fd=place.fd, follow_symlinks=False)
        os.chmod(name, mode, dir_fd=place.fd)
        now = stat.S_IMODE(os.stat(name, dir_fd=place.fd, follow_symlinks=False).st_mode)
    if now & ~mode:
        raise StateError(
            f"{path} stays {now:04o}: its file system ignores modes",
            hint="keep the state directory on a file system of this host",
            kind="modes",
        )


def modes(key_mode: int, *, shared: bool) -> dict[str, int]:
    """The mode of each file of a version; `shared` is whether a group may read them."""
    usual = 0o640 if shared else 0o600
    return {layout.PRIVKEY: key_mode, **dict.fromkeys((*_PEM[1:], layout.ABOUT), usual)}


def otherwise(found: Found, key_mode: int, group: int | None) -> bool:
    """Whether a version's directory or one of its files has other rights than it would be made with now."""
    wanted = (0o750 if group is not None else 0o700, *modes(key_mode, shared=group is not None).values())
    return any(
        status is not None and (status[0] != mode or (group is not None and status[1] != group))
        for status, mode in zip(found.rights, wanted, strict=True)
    )
