"""certbot's plugins and what takes their place: webroot, standalone, manual, servers, and DNS services."""

import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING

from renewer.errors import StateError
from renewer.model.value import Value
from renewer.moving.found import Gap, OldHook, SecretFile, Table
from renewer.moving.naming import table_name
from renewer.moving.reading import Tree

if TYPE_CHECKING:
    from renewer.model.installed import WebSite

BESIDE = "127.0.0.1:8402"
"""Where the shipped snippets for web servers hand challenges to."""


class ProvedBy(Value):
    """How names are proved, in our tables; `why` and `hint` where there is no counterpart."""

    challenge: Table | None = None
    challenges: Mapping[str, Table] = {}
    why: str = ""
    hint: str = ""
    hooks: tuple[OldHook, ...] = ()
    remarks: tuple[Gap, ...] = ()


_GIVE = "write [challenge.X] for it, then import again with --challenge X"


def parsed(text: str, path: str) -> Mapping[str, object]:
    """What a file of ConfigObj's says: texts, lists of texts and sections. Raises StateError."""
    from configobj import ConfigObj, ConfigObjError

    try:
        made: Mapping[str, object] = ConfigObj(text.splitlines(), interpolation=False, list_values=True)
    except (ConfigObjError, RecursionError) as error:
        said = str(error).strip().partition("\n")[0]
        raise StateError(f"{path} cannot be read: {said}", hint="is it cut off?", kind="refused") from None
    return made


def shell(command: str) -> tuple[str, ...]:
    """A command of the client's, which it gave to a shell, as argv."""
    return ("/bin/sh", "-c", command)


def way(name: str, params: Mapping[str, object], said: Mapping[str, str], chain: bytes) -> ProvedBy:
    """The way of a certificate, from its [renewalparams]; `said` has their texts, `chain` is its own."""
    kind = said.get("authenticator", "").removeprefix("certbot-").removeprefix("plugins:")
    server = said.get("installer") or (kind if kind in _SERVERS else "")
    hooks = (OldHook(argv=(), shipped=server),) if server in _SERVERS else ()
    if kind == "webroot":
        found = _webroot(params, said)
    elif kind == "standalone":
        found = ProvedBy(challenge={"type": "http-01", "listen": _listen(said)})
    elif kind == "manual":
        found = _manual(said)
    elif kind in _SERVERS:
        found = _of_server(name, kind, said, chain)
    elif kind.startswith("dns-"):
        found = _dns(name, kind, said)
    else:
        found = ProvedBy(why=f"certbot's authenticator '{kind}' is unknown here", hint=_GIVE)
    return ProvedBy(
        challenge=found.challenge,
        challenges=found.challenges,
        why=found.why,
        hint=found.hint,
        hooks=hooks,
        remarks=found.remarks,
    )


_SERVERS = ("nginx", "apache")


def _listen(said: Mapping[str, str]) -> str:
    port = said.get("http01_port", "80")
    address = said.get("http01_address", "")
    host = f"[{address}]" if ":" in address else address or "0.0.0.0"  # noqa: S104  as certbot does
    return f"{host}:{port}"


def _webroot(params: Mapping[str, object], said: Mapping[str, str]) -> ProvedBy:
    by_name = params.get("webroot_map")
    places = {
        name: str(path)
        for name, path in (by_name.items() if isinstance(by_name, Mapping) else ())
        if str(path).startswith("/")
    }
    named = [one.strip() for one in said.get("webroot_path", "").split(",") if one.strip()]
    usual = named[-1] if named else next(iter(places.values()), "")
    if not usual.startswith("/"):
        return ProvedBy(why="its webroot is not on record", hint=_GIVE)
    other = {
        name: _in(path) for name, path in places.items() if os.path.normpath(path) != os.path.normpath(usual)
    }
    return ProvedBy(challenge=_in(usual), challenges=other)


def _in(path: str) -> Table:
    return {"type": "http-01", "webroot": os.path.normpath(path)}


def _of_server(name: str, kind: str, said: Mapping[str, str], chain: bytes) -> ProvedBy:
    """Certbot put challenges into the server's configuration; ours go where its blocks show files.

    A block that only redirects to TLS shows those of its TLS block, for authorities follow. Names without
    such a block are answered beside the server, which needs the snippet.
    """
    port = int(said.get("http01_port", "80")) if said.get("http01_port", "80").isdigit() else 80
    found = {one: _shown(one, kind, port) for one in _names(chain)}
    roots = {one: place for one, place in found.items() if place is not None}
    remarks = [
        Gap(about=name, text=f"{kind} shows {root} for {one} ({where}): its challenges go there", hint=_PROOF)
        for one, (root, where) in roots.items()
    ]
    if len(roots) < len(found) or not found:
        hint = (
            f"include the snippet of renewer for {kind} (renewer challenge show), or name its webroot instead"
        )
        text = f"certbot put challenges into {kind}'s configuration itself; renewer answers at {BESIDE}"
        remarks.append(Gap(about=name, text=text, hint=hint))
    usual = next(iter(roots.values()))[0] if len(roots) == len(found) and found else ""
    challenge: Table = _in(usual) if usual else {"type": "http-01", "listen": BESIDE}
    other = {one: _in(root) for one, (root, _) in roots.items() if root != usual}
    return ProvedBy(challenge=challenge, challenges=other, remarks=tuple(remarks))


_PROOF = "renewer rehearse proves it"


def _names(chain: bytes) -> tuple[str, ...]:
    from renewer import certs

    try:
        return tuple(map(str, certs.leaf(certs.split_chain(chain)[0]).names))
    except ValueError:
        return ()


def _shown(name: str, kind: str, port: int) -> tuple[str, str] | None:
    """The directory that a server shows for a name at a port, and where that is said."""
    mine = [one for one in _sites() if one.server == kind and name in one.names]
    for site in mine:
        if port in site.in_clear:
            tls = [one for one in mine if one.by_tls and one.root]
            shows = site if site.root else next(iter(tls), site)
            return (shows.root, shows.place) if shows.root and os.path.isdir(shows.root) else None
    for site in _sites():  # which answers for names that no other has
        if site.server == kind and not mine and not site.names and port in site.in_clear and site.root:
            return (site.root, site.place) if os.path.isdir(site.root) else None
    return None


@cache
def _sites() -> "tuple[WebSite, ...]":
    from renewer.servers import catalogue, sockets
    from renewer.servers.reading import Guard

    with Guard() as guard:
        return tuple(catalogue.websites(guard, sockets.processes()))


def _manual(said: Mapping[str, str]) -> ProvedBy:
    run, tidy = said.get("manual_auth_hook"), said.get("manual_cleanup_hook")
    if not run:
        return ProvedBy(why="it was proved by hand (authenticator manual without a hook)", hint=_GIVE)
    if "dns" in said.get("pref_challs", "").partition(",")[0]:
        options: dict[str, object] = {"run": list(shell(run)), "convention": "certbot"}
        if tidy:
            options["cleanup"] = list(shell(tidy))
        return ProvedBy(challenge={"type": "dns-01", "provider": "script", "options": options})
    table: dict[str, object] = {"type": "http-01", "script": list(shell(run)), "convention": "certbot"}
    if tidy:
        table["cleanup"] = list(shell(tidy))
    return ProvedBy(challenge=table)


# DNS services ---------------------------------------------------------------------------------------------

_LEXICON: Mapping[str, tuple[str, Mapping[str, str]]] = {
    # plugin: service of lexicon, and its options by what the plugin's file calls them
    "cloudflare": (
        "cloudflare",
        {"api_token": "auth_token", "email": "auth_username", "api_key": "auth_token"},
    ),
    "digitalocean": ("digitalocean", {"token": "auth_token"}),
    "linode": ("linode4", {"key": "auth_token"}),
    "dnsimple": ("dnsimple", {"token": "auth_token"}),
    "luadns": ("luadns", {"email": "auth_username", "token": "auth_token"}),
    "nsone": ("nsone", {"api_key": "auth_token"}),
    "gehirn": ("gehirn", {"api_token": "auth_token", "api_secret": "auth_secret"}),
    "sakuracloud": ("sakuracloud", {"api_token": "auth_token", "api_secret": "auth_secret"}),
    "dnsmadeeasy": ("dnsmadeeasy", {"api_key": "auth_username", "secret_key": "auth_token"}),
    "ovh": (
        "ovh",
        {
            "endpoint": "auth_entrypoint",
            "application_key": "auth_application_key",
            "application_secret": "auth_application_secret",
            "consumer_key": "auth_consumer_key",
        },
    ),
}
_OPEN = ("endpoint", "email")  # what is no secret


def _dns(name: str, kind: str, said: Mapping[str, str]) -> ProvedBy:
    plugin = kind.removeprefix("dns-")
    prefix = f"dns_{plugin.replace('-', '_')}_"
    path = said.get(f"{prefix}credentials", "")
    maker: Callable[[str, str, Mapping[str, str]], ProvedBy] | None = None
    if plugin == "rfc2136":
        maker = _rfc2136
    elif plugin in _LEXICON:
        maker = _lexicon
    if maker is None:
        service = f"its credentials are {path}" if path else "its credentials are in the environment"
        return ProvedBy(
            why=f"certbot's plugin {kind} has no counterpart ({service})",
            hint=f"docs/dns.md lists what there is; {_GIVE}",
        )
    if not path:
        return ProvedBy(why=f"the credentials of {kind} are not on record", hint=_GIVE)
    try:
        text = Tree(os.path.dirname(path)).text(os.path.basename(path))
        values = {key: str(value) for key, value in parsed(text, path).items() if isinstance(value, str)}
    except StateError as error:
        return ProvedBy(why=f"the credentials of {kind} cannot be used: {error.text}", hint=error.hint)
    own = {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
    return maker(name, plugin, own)


def _rfc2136(name: str, plugin: str, own: Mapping[str, str]) -> ProvedBy:
    server, key, secret = own.get("server", ""), own.get("name", ""), own.get("secret", "")
    algorithm = own.get("algorithm", "HMAC-MD5").lower()
    if not (server and key and secret):
        return ProvedBy(why=f"the credentials of dns-{plugin} lack server, name or secret", hint=_GIVE)
    if algorithm not in ("hmac-sha256", "hmac-sha384", "hmac-sha512"):
        text = f"its key for DNS updates uses {algorithm}, which is not signed with any more"
        return ProvedBy(why=text, hint=f"make a new one (tsig-keygen), then: {_GIVE}")
    host = f"[{server}]" if ":" in server else server
    file = SecretFile(name=table_name(f"certbot-{key}.tsig"), content=secret)
    tsig = {"name": key, "algorithm": algorithm, "secret": {"file": file}}
    table: Table = {
        "type": "dns-01",
        "provider": "rfc2136",
        "server": f"{host}:{own.get('port', '53')}",
        "tsig": tsig,
    }
    return ProvedBy(challenge=table, remarks=(_taken_out(name, file),))


def _lexicon(name: str, plugin: str, own: Mapping[str, str]) -> ProvedBy:
    service, known = _LEXICON[plugin]
    options: dict[str, object] = {"service": service}
    remarks = []
    for key, option in known.items():
        if not own.get(key):
            continue
        if key in _OPEN:
            options[option] = own[key]
            continue
        file = SecretFile(name=table_name(f"certbot-{plugin}-{key}"), content=own[key])
        options[option] = {"file": file}
        remarks.append(_taken_out(name, file))
    if not remarks:
        return ProvedBy(why=f"the credentials of dns-{plugin} hold none that are known", hint=_GIVE)
    text = f"DNS records at {service} are made by dns-lexicon, which is an extra"
    remarks.append(Gap(about=name, text=text, hint="pip install 'renewer[lexicon]'"))
    return ProvedBy(
        challenge={"type": "dns-01", "provider": "lexicon", "options": options}, remarks=tuple(remarks)
    )


def _taken_out(name: str, file: SecretFile) -> Gap:
    return Gap(about=name, text=f"its secret gets a file of its own, secrets/{file.name}, for root alone")
