"""Servers that renew by themselves and go on doing so: their certificates are read and watched."""

from collections.abc import Iterator

from renewer.decoding import UndecodableError, decode
from renewer.errors import RenewerError
from renewer.moving.found import Estate, Gap, LeftThere
from renewer.moving.reading import Tree

CADDY = ("/var/lib/caddy/.local/share/caddy", "~/.local/share/caddy", "/data/caddy")
MOD_MD = ("/etc/apache2/md", "/var/lib/apache2/md", "/etc/httpd/md", "/etc/httpd/state/md")
TRAEFIK = ("/etc/traefik", "/letsencrypt", "/var/lib/traefik", "/data")
_STAYS = "it goes on renewing by itself; renewer tells when what it has comes near its end"


def glance_caddy(tree: Tree) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Caddy's: name, directory, files."""
    for place in tree.below("certificates", depth=3):
        if place[-1].endswith(".crt"):
            name = place[-1].removesuffix(".crt")
            path = tree.path(*place)
            yield name, tree.path(*place[:-1]), (path, path.removesuffix(".crt") + ".key")


def glance_mod_md(tree: Tree) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """mod_md's: name, directory, files."""
    for name in tree.directories("domains"):
        if tree.has("domains", name, "pubcert.pem"):
            here = ("domains", name)
            yield name, tree.path(*here), (tree.path(*here, "pubcert.pem"), tree.path(*here, "privkey.pem"))


def glance_traefik(tree: Tree) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Traefik's: main name, its file. No server can name a certificate in there."""
    if not tree.has("acme.json"):
        return
    try:
        said = decode(tree.read("acme.json"))
    except UndecodableError:
        return
    for resolver in said.values() if isinstance(said, dict) else ():
        held = resolver.get("Certificates") if isinstance(resolver, dict) else None
        for one in held if isinstance(held, list) else ():
            domain = one.get("domain") if isinstance(one, dict) else None
            main = domain.get("main") if isinstance(domain, dict) else None
            if isinstance(main, str):
                yield main, tree.path("acme.json"), ()


def read_caddy(tree: Tree) -> Estate:
    """Caddy's certificates, to be watched."""
    return _files("caddy", tree, glance_caddy(tree))


def read_mod_md(tree: Tree) -> Estate:
    """mod_md's certificates, to be watched."""
    return _files("mod_md", tree, glance_mod_md(tree))


def read_traefik(tree: Tree) -> Estate:
    """Traefik's certificates, to be watched at their ports."""
    refused = []
    watched = []
    try:
        for name, _, _ in glance_traefik(tree):
            if not name.startswith("*"):
                watched.append(LeftThere(name=name, endpoint=f"{name}:443"))
    except RenewerError as error:
        refused.append(Gap(about="acme.json", text=error.text, hint=error.hint))
    return Estate(
        client="traefik",
        directory=tree.root,
        watched=tuple(watched),
        refused=tuple(refused),
        remarks=(Gap(about="traefik", text=_STAYS),),
    )


def _files(client: str, tree: Tree, found: Iterator[tuple[str, str, tuple[str, ...]]]) -> Estate:
    from renewer import certs

    watched, refused = [], []
    for name, _, files in found:
        try:
            certs.leaf(tree.read(files[0]))
            watched.append(LeftThere(name=name, file=files[0]))
        except RenewerError as error:
            refused.append(Gap(about=name, text=error.text, hint=error.hint))
        except ValueError as error:
            refused.append(Gap(about=name, text=f"{files[0]}: {error}", hint=f"look at it: ls -l {files[0]}"))
    return Estate(
        client=client,
        directory=tree.root,
        watched=tuple(watched),
        refused=tuple(refused),
        remarks=(Gap(about=client, text=_STAYS),),
    )
