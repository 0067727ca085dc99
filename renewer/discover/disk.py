"""Certificates on disk: those that servers name, and those in the places where they usually lie."""

import base64
import os
import stat
from collections.abc import Iterable, Iterator, Sequence

from renewer.decoding import UndecodableError, decode
from renewer.model.facts import Leaf
from renewer.model.installed import CertificateUse, OnDisk
from renewer.servers.reading import Guard

PLACES = (  # a pattern, and how many directories deep
    ("/etc/letsencrypt/live/*/fullchain.pem", 0),
    ("/etc/ssl/private", 2),
    ("/etc/ssl/*.pem", 0),
    ("/etc/ssl/*.crt", 0),
    ("/etc/ssl/*/fullchain.pem", 0),
    ("/etc/pki/tls/certs/*.crt", 0),
    ("/etc/pki/tls/private", 1),
    ("/etc/nginx/ssl", 2),
    ("/etc/nginx/tls", 2),
    ("/etc/nginx/certs", 2),
    ("/etc/apache2/ssl", 2),
    ("/etc/haproxy/certs", 2),
    ("/etc/dehydrated/certs/*/fullchain.pem", 0),
    ("/var/lib/dehydrated/certs/*/fullchain.pem", 0),
    ("/etc/lego/certificates/*.crt", 0),
    ("/var/lib/lego/certificates/*.crt", 0),
    ("/root/.lego/certificates/*.crt", 0),
    ("/root/.acme.sh/*/fullchain.cer", 0),
    ("/home/*/.acme.sh/*/fullchain.cer", 0),
    ("/var/lib/caddy/.local/share/caddy/certificates/*/*/*.crt", 0),
    ("/etc/apache2/md/domains/*/pubcert.pem", 0),
    ("/var/lib/apache2/md/domains/*/pubcert.pem", 0),
    ("/etc/traefik/acme.json", 0),
)
_ENDINGS = (".pem", ".crt", ".cer", ".cert", ".chain", ".json")
_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
_MOST = 2000  # of one acme.json


class Disk:
    """Reads certificates, each file once; keys are never opened for themselves, only looked at."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._leaves: dict[str, Leaf | None] = {}

    def leaf(self, path: str, asked: str = "") -> Leaf | None:
        """The first certificate of a PEM file; None, told, where there is none to be read."""
        if path not in self._leaves:
            octets = self._guard.octets(path, asked)
            self._leaves[path] = None if octets is None else self._first(octets, path, asked or path)
        return self._leaves[path]

    def _first(self, octets: bytes, path: str, asked: str) -> Leaf | None:
        from renewer.certs import leaf

        head, found, rest = octets.partition(_BEGIN)
        body, end, _ = rest.partition(_END)
        if not found or not end:
            if asked != path or b"PRIVATE KEY" not in head:
                self._guard.tell(asked, f"{path} holds no certificate in PEM")
            return None
        try:
            return leaf(found + body + end + b"\n")
        except Exception as error:  # noqa: BLE001  a stranger's octets: whatever the parser makes of them
            why = str(error) if isinstance(error, ValueError) else type(error).__name__
            self._guard.tell(asked, f"{path} holds a certificate that cannot be read: {why}")
            return None

    def named(self, uses: Iterable[CertificateUse]) -> list[OnDisk]:
        """Those that servers name."""
        found = {}
        for use in uses:
            leaf = self.leaf(use.certificate, use.place) if use.certificate else None
            if leaf is not None and use.certificate not in found:
                found[use.certificate] = self._file(use.certificate, leaf, use.place, use.key)
        return list(found.values())

    def lying(self, places: Sequence[tuple[str, int]], known: Iterable[str]) -> Iterator[OnDisk]:
        """Those in places where they usually lie, but for the certificates of authorities."""
        seen = {os.path.realpath(path) for path in known}
        for pattern, depth in places:
            for place in self._guard.matching(pattern):
                files = self._guard.below(place, depth) if os.path.isdir(place) else [place]
                for path in files:
                    real = os.path.realpath(path)
                    if real in seen or not path.endswith(_ENDINGS) or not os.path.isfile(path):
                        continue
                    seen.add(real)
                    yield from self._lying(path)

    def _lying(self, path: str) -> Iterator[OnDisk]:
        if path.endswith(".json"):
            if path.endswith("acme.json"):
                yield from self._traefik(path)
            return
        octets = self._guard.octets(path)
        if octets is None or _BEGIN not in octets or not self._serves(octets):
            return
        leaf = self._leaves.setdefault(path, self._first(octets, path, path))
        if leaf is not None:
            yield self._file(path, leaf, path, None)

    def _serves(self, octets: bytes) -> bool:
        from renewer.certs import unfit

        block = _BEGIN + octets.partition(_BEGIN)[2].partition(_END)[0] + _END + b"\n"
        try:
            return unfit(block) is None
        except Exception:  # noqa: BLE001  a stranger's octets: told when its leaf is read
            return True

    def _traefik(self, path: str) -> Iterator[OnDisk]:
        """The certificates in Traefik's acme.json: base64 of PEM, by resolver."""
        octets = self._guard.octets(path)
        try:
            held = decode(octets or b"{}", dict[str, dict[str, object] | None])
        except UndecodableError:
            self._guard.tell(path, f"{path} is no JSON that Traefik could have written")
            return
        for resolver in held.values():
            several = (resolver or {}).get("Certificates")
            for one in several[:_MOST] if isinstance(several, list) else ():
                text = one.get("certificate") if isinstance(one, dict) else None
                try:
                    pem = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
                except ValueError:
                    continue
                leaf = self._first(pem, path, path) if pem else None
                if leaf is not None:
                    yield self._file(path, leaf, path, path)

    def _file(self, path: str, leaf: Leaf, how: str, key: str | None) -> OnDisk:
        key = key or _key_beside(path)
        return OnDisk(path=path, leaf=leaf, how=how, key=key, key_readable_by=self._readers(key))

    def _readers(self, key: str | None) -> str:
        """Who may read a key that should not, in words; "" if nobody, or if that is not to be seen."""
        entry = self._guard.entry(key) if key else None
        if key is None or entry is None or not stat.S_ISREG(entry.st_mode):
            return ""
        return "everybody" if entry.st_mode & 0o004 and _reachable(key) else ""


def _key_beside(path: str) -> str | None:
    directory, name = os.path.split(path)
    stem = os.path.splitext(name)[0]
    places = ("privkey.pem", f"{stem}.key", f"{os.path.basename(directory).removesuffix('_ecc')}.key")
    return next((one for one in (os.path.join(directory, p) for p in places) if os.path.isfile(one)), None)


def _reachable(path: str) -> bool:
    """Whether everybody may pass through the directories above a file, wherever its links lead."""
    above = os.path.dirname(os.path.realpath(path))
    while above != "/":
        try:
            if not os.stat(above).st_mode & 0o001:
                return False
        except OSError:
            return False
        above = os.path.dirname(above)
    return True
