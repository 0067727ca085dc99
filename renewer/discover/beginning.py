"""A first configuration from what was found and answered, and the TLS block for the web server. Pure."""

import json
import posixpath
from collections.abc import Collection, Iterable, Iterator, Sequence

from renewer import words
from renewer.model.installed import WebSite
from renewer.model.value import Value
from renewer.moving.naming import table_name

LISTEN = "0.0.0.0:80"
"""Where we answer ourselves if no web server does."""

BEHIND = "127.0.0.1:8402"
"""Where we answer behind a web server whose directory is not told: as in the snippets."""

CONF_D = "conf.d"
INCLUDE = f'include = ["{CONF_D}/*.toml"]'
_NOT_PUBLIC = (".local", ".internal", ".localhost", ".test", ".invalid", ".lan", ".home.arpa", ".example")
_MAIN = {"nginx": "/etc/nginx/nginx.conf", "apache": "/etc/apache2/apache2.conf"}


class FirstCertificate(Value):
    """One to begin with: proved through `webroot`, or by our own listener; `site` shows it, if known."""

    name: str
    names: tuple[str, ...]
    webroot: str = ""
    listen: str = ""
    hooks: tuple[str, ...] = ()
    site: WebSite | None = None


class FirstAuthority(Value):
    """Who issues, and what it is told; without `directory` one that is built in."""

    name: str
    contact: tuple[str, ...] = ()
    directory: str = ""
    staging: str = ""
    ca_bundle: str = ""


class TlsBlock(Value):
    """What a web server must be told, and where it goes.

    `whole` is a site of its own; else it is lines for the site at `place`, which may include them. `paths`
    are the files that could take it, the best first: none where lines of the site itself must change.
    """

    text: str
    paths: tuple[str, ...]
    whole: bool
    place: str = ""


def is_public(name: str) -> bool:
    """Whether a public authority could issue for a host name by HTTP: not for wildcards."""
    plain = "." in name and "*" not in name and not name.replace(".", "").isdigit() and ":" not in name
    return plain and not name.endswith(_NOT_PUBLIC)


def of_sites(sites: Iterable[WebSite], kept: Collection[str]) -> list[FirstCertificate]:
    """A certificate for each site with names that nobody renews yet; `kept` are those that somebody does."""
    found: list[FirstCertificate] = []
    seen = set(kept)
    known = list(sites)
    for site in known:
        names = tuple(name for name in map(str.lower, site.names) if is_public(name) and name not in seen)
        if names:
            seen.update(names)
            found.append(of_names(names, known, taken={one.name for one in found}))
    return found


def of_names(
    names: Sequence[str], sites: Sequence[WebSite], *, taken: Collection[str] = (), webroot: str = ""
) -> FirstCertificate:
    """One certificate, proved where the site that has its first name serves it, else the default one."""
    own = [site for site in sites if not {*map(str.lower, site.names)}.isdisjoint(names)]
    clear = [site for site in own if site.in_clear]
    clear += [site for site in sites if not site.names and site.in_clear]
    root = webroot or next((site.root for site in clear if site.root), "")
    shown = next((site for site in own if site.by_tls), None) or next(iter(own or clear), None)
    server_there = any(site.in_clear for site in sites)
    return FirstCertificate(
        name=table_name(names[0], taken),
        names=tuple(names),
        webroot=root,
        listen="" if root else BEHIND if server_there else LISTEN,
        hooks=(shown.server,) if shown else (),
        site=shown,
    )


def config(
    path: str, who: FirstAuthority, certificates: Sequence[FirstCertificate], state: str
) -> dict[str, str]:
    """The files of a configuration whose main one is at `path`, with what each key is for; that one last."""
    directory = f"{posixpath.dirname(path)}/{CONF_D}"
    files = {f"{directory}/{one.name}.toml": "\n".join((*_table(one, state), "")) for one in certificates}
    return files | {path: "\n".join((*_head(who), *_hooks(certificates), ""))}


def _head(authority: FirstAuthority) -> Iterator[str]:
    yield "# Written by `renewer init`; it is yours to change. Every key: docs/configuration.md"
    yield "# After a change: renewer config check; of webroots, copies or `wake`: renewer timer install, too"
    yield ""
    yield "# the certificates, one a file"
    yield INCLUDE
    yield ""
    yield "# what goes for every certificate"
    yield "[defaults]"
    yield f"authority   = {_text(authority.name)}"
    if authority.contact:
        yield "# whom the authority may write to"
        yield f"contact     = {_text(list(authority.contact))}"
    else:
        yield '# contact   = ["ops@example.org"]  # whom the authority may write to'
    yield "# you said that you agree to its terms of service"
    yield "agree_terms = true"
    if authority.directory:
        yield ""
        yield f"[authority.{authority.name}]"
        yield f"directory = {_text(authority.directory)}"
        if authority.staging:
            yield "# where `renewer rehearse` plays"
            yield f"staging   = {_text(authority.staging)}"
        if authority.ca_bundle:
            yield "# who is trusted to be it"
            yield f"ca_bundle = {_text(authority.ca_bundle)}"
        yield '# what served certificates must chain to: "system" for a public one, or a PEM file'
        yield 'roots     = "any"'
    yield ""
    yield "# who is told when something fails: docs/notices.md"
    yield "# [notify.mail]"
    yield '# type = "email"'
    yield '# to   = ["ops@example.org"]'


def _table(one: FirstCertificate, state: str) -> Iterator[str]:
    yield "# Written by `renewer init`; it is yours to change."
    if one.site:
        yield f"# {one.site.server}: {words.line(one.site.place)}"
    yield f"# its files: {state}/certificates/{one.name}/live/fullchain.pem and privkey.pem"
    yield f'[certificate."{one.name}"]' if "." in one.name else f"[certificate.{one.name}]"
    yield f"names     = {_text(list(one.names))}"
    if one.webroot:
        yield "# the web server serves this directory on port 80; the proof is laid there for a moment"
        yield f'challenge = {{ type = "http-01", webroot = {_text(one.webroot)} }}'
    elif one.listen == BEHIND:
        yield "# the web server must pass /.well-known/acme-challenge/ on to this address: docs/challenges.md"
        yield f'challenge = {{ type = "http-01", listen = {_text(one.listen)} }}'
    else:
        yield "# nobody listens on port 80: we answer there ourselves while names are proved"
        yield f'challenge = {{ type = "http-01", listen = {_text(one.listen)} }}'
    if one.hooks:
        yield "# what makes the server load it: renewer hooks list"
        yield f"hooks     = {_text(list(one.hooks))}"
    else:
        yield '# hooks   = ["postfix"]  # what makes a server load it: renewer hooks list'


def _hooks(certificates: Iterable[FirstCertificate]) -> Iterator[str]:
    """Of servers that are not the usual ones, what their hooks must be told."""
    told: dict[str, tuple[tuple[str, str], ...]] = {}
    for one in certificates:
        if one.site and one.site.settings and one.site.server in one.hooks:
            told.setdefault(one.site.server, one.site.settings)
    for server, settings in told.items():
        inside = ", ".join(f"{name} = {_text(value)}" for name, value in settings)
        yield from ("", f"# where this {server} is", f"[hook.{server}]", f"run = {_text(server)}")
        yield f"env = {{ {inside} }}"


def tls_block(one: FirstCertificate, live: str, *, ipv6: bool) -> TlsBlock | None:
    """What the web server must be told for a certificate; None if it is none that we know how to tell."""
    site = one.site
    if site is None or site.server not in _MAIN:
        return None
    base = posixpath.dirname(dict(site.settings).get(f"{site.server.upper()}_CONF", _MAIN[site.server]))
    pair = _pair(site.server, live)
    own = not {*map(str.lower, site.names)}.isdisjoint(one.names)
    if own and (site.by_tls or site.server == "apache"):
        return TlsBlock(text="\n".join(pair), paths=(), whole=False, place=site.place)
    listens = ["listen 443 ssl;", *(["listen [::]:443 ssl;"] if ipv6 else [])]
    file = f"renewer-{one.name}.conf"
    if own:
        paths = (f"{base}/snippets/{file}", f"{base}/{file}")
        return TlsBlock(text="\n".join((*listens, *pair, "")), paths=paths, whole=False, place=site.place)
    places = ("conf.d", "http.d", "sites-enabled") if site.server == "nginx" else ("sites-enabled", "conf.d")
    root = one.webroot or site.root or "/var/www/html"
    lines = _nginx(one, root, [*listens, *pair]) if site.server == "nginx" else _apache(one, root, pair)
    text = "\n".join(("# Written by `renewer init`; it is yours to change.", *lines, ""))
    return TlsBlock(text=text, paths=tuple(f"{base}/{place}/{file}" for place in places), whole=True)


def _pair(server: str, live: str) -> list[str]:
    if server == "apache":
        names = ("SSLEngine on", f"SSLCertificateFile {_quoted(f'{live}/fullchain.pem')}")
        return [*names, f"SSLCertificateKeyFile {_quoted(f'{live}/privkey.pem')}"]
    file, key = _quoted(f"{live}/fullchain.pem"), _quoted(f"{live}/privkey.pem")
    return [f"ssl_certificate {file};", f"ssl_certificate_key {key};"]


def _nginx(one: FirstCertificate, root: str, said: Sequence[str]) -> list[str]:
    names = f"server_name {' '.join(one.names)};"
    return ["server {", *(f"    {line}" for line in (*said, names, f"root {_quoted(root)};")), "}"]


def _apache(one: FirstCertificate, root: str, said: Sequence[str]) -> list[str]:
    first, *others = one.names
    lines = [f"ServerName {first}", *(f"ServerAlias {name}" for name in others)]
    inside = (*lines, f"DocumentRoot {_quoted(root)}", *said)
    return ["<VirtualHost *:443>", *(f"    {line}" for line in inside), "</VirtualHost>"]


def _quoted(path: str) -> str:
    """A path as both servers take it."""
    if all(char.isalnum() or char in "/._-" for char in path):
        return path
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(value: object) -> str:
    """A value as TOML, of which JSON's strings and lists are a part."""
    return json.dumps(value, ensure_ascii=True)
