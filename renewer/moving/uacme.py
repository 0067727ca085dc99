"""uacme's directory: `NAME/cert.pem` (the whole chain), `private/NAME/key.pem`, `private/key.pem` (account).

Which authority, how names are proved and what is called afterwards stood on its command line.
"""

from collections.abc import Iterator

from renewer.moving.found import Estate, Gap, Lineage, OldAccount, refusing
from renewer.moving.reading import Tree

CLIENT = "uacme"
HOMES = ("/etc/ssl/uacme", "/usr/local/etc/ssl/uacme")
_SERVER = "https://acme-v02.api.letsencrypt.org/directory"  # what it uses if no other is named


def glance(tree: Tree) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """The light half: of each certificate its name, what describes it, and the files servers may name."""
    for name in tree.directories():
        if name != "private" and tree.has(name, "cert.pem"):
            files = (tree.path(name, "cert.pem"), tree.path("private", name, "key.pem"))
            yield name, tree.path(name), files


def read(tree: Tree) -> Estate:
    """All that uacme has there."""
    refused: list[Gap] = []
    accounts: list[OldAccount] = []
    if tree.has("private", "key.pem"):
        with refusing(refused, "account"):
            key, path = tree.read("private", "key.pem"), tree.path("private", "key.pem")
            accounts.append(OldAccount(id="account", server=_SERVER, path=path, key=key))
    lineages = []
    for name, config, files in glance(tree):
        with refusing(refused, name):
            lineages.append(_lineage(tree, name, config, files, known=bool(accounts)))
    told = "its authority, how names are proved and its hook stood on its command line, not in its files"
    hint = "Let's Encrypt is taken for it: write another authority = … into the new file, if it was one"
    remarks = (Gap(about=CLIENT, text=told, hint=hint),)
    return Estate(
        client=CLIENT,
        directory=tree.root,
        lineages=tuple(lineages),
        accounts=tuple(accounts),
        refused=tuple(refused),
        remarks=remarks,
    )


def _lineage(tree: Tree, name: str, config: str, files: tuple[str, ...], *, known: bool) -> Lineage:
    return Lineage(
        name=name,
        config=config,
        seen=files,
        privkey=tree.read("private", name, "key.pem"),
        fullchain=tree.read(name, "cert.pem"),
        server=_SERVER,
        account="account" if known else None,
        why="uacme does not keep how its names are proved",
        hint="write [challenge.X] for it (docs/challenges.md), then import again with --challenge X",
        copies=({"fullchain": files[0], "key": files[1]},),
        reuse_key=True,
    )
