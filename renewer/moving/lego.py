"""lego's directory: `certificates/ID.{crt,key,json}` with `*` as `_`, and `accounts/` as 4 and 5 have them.

How names were proved is in no file of lego 4: it stood on its command line.
"""

import os
from collections.abc import Iterator, Mapping

from renewer.decoding import UndecodableError, decode
from renewer.moving.found import Estate, Gap, Lineage, OldAccount, Table, refusing
from renewer.moving.reading import Tree

CLIENT = "lego"
HOMES = ("/etc/lego", "/var/lib/lego", "~/.lego", "~/.config/lego")
_SUFFIX = ".crt"


def glance(tree: Tree) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """The light half: of each certificate its name, what describes it, and the files servers may name."""
    for entry in tree.names("certificates"):
        name = entry.removesuffix(_SUFFIX)
        if name != entry and not name.endswith(".issuer"):
            files = tuple(tree.path("certificates", name + end) for end in (_SUFFIX, ".key", ".issuer.crt"))
            yield name, tree.path("certificates", f"{name}.json"), files


def read(tree: Tree) -> Estate:
    """All that lego has there."""
    refused: list[Gap] = []
    accounts = tuple(_accounts(tree, refused))
    lineages = []
    for name, config, files in glance(tree):
        with refusing(refused, name):
            lineages.append(_lineage(tree, name, config, files, accounts))
    told = "how lego proved names stood on its command line (and its hooks), not in its files"
    hint = "the challenge that you name is used; write your --run-hook or --renew-hook as [hook.X]"
    return Estate(
        client=CLIENT,
        directory=tree.root,
        lineages=tuple(lineages),
        accounts=accounts,
        refused=tuple(refused),
        remarks=(Gap(about=CLIENT, text=told, hint=hint),),
    )


def _lineage(
    tree: Tree, name: str, config: str, files: tuple[str, ...], accounts: tuple[OldAccount, ...]
) -> Lineage:
    said = _object(tree, "certificates", f"{name}.json")
    url = said.get("certUrl") or said.get("certStableUrl") or ""
    at = next((one for one in accounts if isinstance(url, str) and _host(url) == _host(one.server)), None)
    fullchain, key = f"certificates/{name}{_SUFFIX}", f"certificates/{name}.key"
    issuer = f"certificates/{name}.issuer.crt"
    copies: Table = {"fullchain": tree.path(fullchain), "key": tree.path(key)}
    if tree.has(issuer):
        copies = {**copies, "chain": tree.path(issuer)}
    return Lineage(
        name=name,
        config=config,
        seen=files,
        privkey=tree.read(key),
        fullchain=tree.read(fullchain),
        server=at.server if at else None,
        account=at.id if at else None,
        why="lego does not keep how its names are proved",
        hint="write [challenge.X] for it (docs/challenges.md), then import again with --challenge X",
        copies=(copies,),
        reuse_key=False,
        remarks=(),
    )


def _host(url: str) -> str:
    return url.removeprefix("https://").partition("/")[0]


def _object(tree: Tree, *parts: str) -> Mapping[str, object]:
    """What a JSON file says; nothing if it is missing or no object."""
    if not tree.has(*parts):
        return {}
    try:
        said = decode(tree.read(*parts))
    except UndecodableError:
        return {}
    return said if isinstance(said, dict) else {}


def _accounts(tree: Tree, refused: list[Gap]) -> Iterator[OldAccount]:
    """4: `<host>/<email>/{account.json,keys/<email>.key}`, 5: `<host>/<id>/{account.json,<id>.key}`."""
    for host in tree.directories("accounts"):
        for who in tree.directories("accounts", host):
            here = ("accounts", host, who)
            key = (*here, "keys", f"{who}.key") if tree.has(*here, "keys") else (*here, f"{who}.key")
            with refusing(refused, f"account {who}"):
                said = _object(tree, *here, "account.json")
                yield _account(tree, said, key, who)


def _account(tree: Tree, said: Mapping[str, object], key: tuple[str, ...], who: str) -> OldAccount:
    registration = said.get("registration")
    uri = registration.get("uri") if isinstance(registration, dict) else None
    url = uri if isinstance(uri, str) and uri.startswith("https://") else None
    mail, server = said.get("email"), said.get("server")
    return OldAccount(
        id=os.path.join(key[1], who),
        server=server if isinstance(server, str) else _server(key[1], url),
        path=tree.path(*key),
        key=tree.read(*key),
        url=url,
        contact=(f"mailto:{mail}",) if isinstance(mail, str) and "@" in mail else (),
    )


def _server(directory: str, url: str | None) -> str:
    """The directory's URL if that is known: lego keeps the host alone, with _ for the colon of a port."""
    from renewer.config.authorities import BUILT_IN

    host = _host(url) if url else directory
    return next((one for one, _ in BUILT_IN.values() if _host(one) == host), f"https://{host}")
