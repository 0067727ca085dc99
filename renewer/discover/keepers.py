"""Who renews a certificate: told by the client's own directory that its file lies in; nothing is run."""

import base64
import os
import re
from collections.abc import Iterator, Mapping, Sequence

from renewer.model.installed import RenewedBy
from renewer.servers.reading import Guard

_PARTS = {"fullchain.pem", "cert.pem", "chain.pem", "privkey.pem"}
_ACME_SH_HOMES = ("/root/.acme.sh", "/home/*/.acme.sh", "/etc/acme.sh", "/opt/acme.sh", "/var/lib/acme.sh")
_ASSIGNED = re.compile(r"^(\w+)='?([^'\n]*)'?$", re.MULTILINE)
_CONFOBJ = re.compile(r"^(\w+)\s*=\s*(.*?)\s*$", re.MULTILINE)
_VERSION = re.compile(r"(/.*)/certificates/([^/]+)/versions/[^/]+/[^/]+")
_BASE64 = re.compile(r"__ACME_BASE64__START_(.*?)__ACME_BASE64__END_")
_WANTED = {
    *(
        "renew_before_expiry",
        "authenticator",
        "deploy_hook",
        "renew_hook",
        "reuse_key",
        "autorenew",
        "version",
    ),
    *("Le_RenewalDays", "Le_ReloadCmd", "Le_RealFullChainPath"),
}


class Keepers:
    """Finds who keeps a file; what the clients' directories say is read once."""

    def __init__(self, guard: Guard, state: str, copies: Mapping[str, str]) -> None:
        """`state` is our state directory, `copies` our certificates by the paths of their copies."""
        self._guard = guard
        self._state = os.path.realpath(state)
        self._copies = {os.path.realpath(path): (path, name) for path, name in copies.items()}
        self._installed: dict[str, RenewedBy] | None = None
        self._known: dict[str, RenewedBy | None] = {}

    def of(self, path: str) -> RenewedBy | None:
        """Who renews what lies there; None if nobody does that we know of."""
        if path not in self._known:
            real = os.path.realpath(path)
            found = next((one for way in (path, real) for one in self._ways(way)), None)
            self._known[path] = found
        return self._known[path]

    def _ways(self, path: str) -> Iterator[RenewedBy]:
        real = os.path.realpath(path)
        if real in self._copies:
            _, name = self._copies[real]
            yield RenewedBy(client="renewer", how=f"a copy of {name}", name=name)
        parts = path.split("/")
        yield from _renewer(real, self._state)
        for way in (_certbot, _lego, _dehydrated, _caddy, _mod_md, _traefik):
            found = way(self._guard, path, parts)
            if found is not None:
                yield found
        own = self._acme_sh(path)
        if own is not None:
            yield own

    def _acme_sh(self, path: str) -> RenewedBy | None:
        name = os.path.basename(os.path.dirname(path))
        config = os.path.join(os.path.dirname(path), f"{name.removesuffix('_ecc')}.conf")
        if os.path.isfile(config):
            found = _acme_sh(self._guard, config)
            if found is not None:
                return found
        if self._installed is None:
            self._installed = {}
            for home in _ACME_SH_HOMES:
                for one in self._guard.matching(f"{home}/*/*.conf"):
                    keeper = _acme_sh(self._guard, one)
                    if keeper is not None and (target := keeper.settings.get("Le_RealFullChainPath")):
                        self._installed[target] = keeper
        return self._installed.get(path)


def _renewer(real: str, state: str) -> Iterator[RenewedBy]:
    """Whether a file is a version in our own state, or in that of another agent of this kind."""
    found = _VERSION.fullmatch(real)
    if found and (found[1] == state or os.path.isfile(f"{found[1]}/ledger.db")):
        yield RenewedBy(client="renewer", how=f"{found[1]}/certificates/{found[2]}", name=found[2])


def _settings(guard: Guard, path: str, pattern: re.Pattern[str]) -> dict[str, str]:
    return {name: value for name, value in pattern.findall(guard.text(path) or "") if name in _WANTED}


def _certbot(guard: Guard, _: str, parts: Sequence[str]) -> RenewedBy | None:
    if len(parts) < 4 or parts[-3] not in ("live", "archive"):
        return None
    home, name = "/".join(parts[:-3]) or "/", parts[-2]
    config = f"{home}/renewal/{name}.conf"
    if not os.path.isfile(config):
        return None
    settings = _settings(guard, config, _CONFOBJ)
    if settings.get("autorenew", "True").lower() == "false":
        return None
    return RenewedBy(client="certbot", how=config, config=config, name=name, settings=settings)


def _acme_sh(guard: Guard, config: str) -> RenewedBy | None:
    text = guard.text(config) or ""
    if "Le_Domain=" not in text:
        return None
    said = {name: _decoded(value) for name, value in _ASSIGNED.findall(text) if name in _WANTED}
    name = os.path.basename(config).removesuffix(".conf")
    return RenewedBy(client="acme.sh", how=config, config=config, name=name, settings=said)


def _decoded(value: str) -> str:
    """What acme.sh keeps in base64, in plain letters."""
    found = _BASE64.fullmatch(value)
    if not found:
        return value
    try:
        return base64.b64decode(found[1], validate=True).decode("utf-8", "replace")
    except ValueError:
        return ""


def _lego(_: Guard, path: str, parts: Sequence[str]) -> RenewedBy | None:
    stem, ending = os.path.splitext(path)
    if ending not in (".crt", ".pem") or len(parts) < 3 or parts[-2] != "certificates":
        return None
    note = f"{stem}.json"
    if not os.path.isfile(note):
        return None
    return RenewedBy(client="lego", how=note, config=note, name=os.path.basename(stem))


def _dehydrated(_: Guard, __: str, parts: Sequence[str]) -> RenewedBy | None:
    if len(parts) < 4 or parts[-3] != "certs" or not parts[-1].startswith(("fullchain", "cert", "privkey")):
        return None
    home = "/".join(parts[:-3])
    for config in (f"{home}/domains.txt", "/etc/dehydrated/domains.txt"):
        if os.path.isdir(f"{home}/accounts") and os.path.isfile(config):
            return RenewedBy(client="dehydrated", how=config, config=config, name=parts[-2])
    return None


def _caddy(_: Guard, path: str, parts: Sequence[str]) -> RenewedBy | None:
    if len(parts) < 5 or parts[-4] != "certificates" or parts[-2] != os.path.splitext(parts[-1])[0]:
        return None
    note = f"{os.path.splitext(path)[0]}.json"
    return RenewedBy(client="caddy", how=note, config=note, name=parts[-2]) if os.path.isfile(note) else None


def _mod_md(_: Guard, path: str, parts: Sequence[str]) -> RenewedBy | None:
    if len(parts) < 4 or parts[-1] != "pubcert.pem" or parts[-3] != "domains":
        return None
    note = f"{os.path.dirname(path)}/md.json"
    return RenewedBy(client="mod_md", how=note, config=note, name=parts[-2]) if os.path.isfile(note) else None


def _traefik(_: Guard, path: str, parts: Sequence[str]) -> RenewedBy | None:
    name = parts[-1].partition("#")[0]
    return RenewedBy(client="traefik", how=path, config=path) if name.endswith("acme.json") else None
