"""dehydrated's directory: `config` and `domains.txt`, `certs/NAME/*.pem`, `accounts/<CA in base64>/`.

The config is shell: its assignments are read, nothing is run.
"""

import base64
import binascii
import os
from collections.abc import Iterator, Mapping

from renewer.decoding import UndecodableError, decode
from renewer.errors import StateError
from renewer.model.desired import HookEvent
from renewer.moving import shell
from renewer.moving.found import Estate, Gap, Lineage, OldAccount, OldHook, Table, refusing
from renewer.moving.reading import Tree

CLIENT = "dehydrated"
HOMES = ("/etc/dehydrated", "/var/lib/dehydrated")
_CAS = {
    "letsencrypt": "https://acme-v02.api.letsencrypt.org/directory",
    "letsencrypt-test": "https://acme-staging-v02.api.letsencrypt.org/directory",
    "zerossl": "https://acme.zerossl.com/v2/DV90",
}


MARK = "#renewer# "
"""What stands before a line of domains.txt whose certificate was taken over."""


def glance(tree: Tree) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """The light half: of each certificate its name, what describes it, and the files servers may name."""
    said = _config(tree)
    base, listed = _base(tree, said), _listed(tree, said)
    taken = set(hidden(tree))
    for name in base.directories("certs"):
        if name not in taken:
            parts = ("fullchain.pem", "privkey.pem", "cert.pem", "chain.pem")
            yield name, listed, tuple(base.path("certs", name, part) for part in parts)


def domains(tree: Tree) -> tuple[str, str]:
    """The path of its list of names, and the text; "" if there is none. Raises StateError."""
    path = _listed(tree, _config(tree))
    place = Tree(os.path.dirname(path))
    return path, place.find(os.path.basename(path)) or ""


def marked(text: str, name: str, *, hidden: bool) -> str:
    """Its list with the lines of a certificate marked as comments, or without that mark. Pure."""
    made = []
    for line in text.splitlines(keepends=True):
        bare = line.removeprefix(MARK)
        ours = _directory_of(bare) == name and hidden == (bare == line)
        made.append((MARK + bare if hidden else bare) if ours else line)
    return "".join(made)


def hidden(tree: Tree) -> list[str]:
    """The certificates whose lines are marked."""
    _, text = domains(tree)
    lines = [line.removeprefix(MARK) for line in text.splitlines() if line.startswith(MARK)]
    return [name for line in lines if (name := _directory_of(line))]


def place_of(tree: Tree, name: str) -> str:
    """The directory of a certificate's files."""
    return _base(tree, _config(tree)).path("certs", name)


def _directory_of(line: str) -> str:
    """What the directory of a line's certificate is called: its alias, else its first name; "" if neither."""
    names, _, alias = line.partition("#")[0].partition(">")
    return alias.strip() or next(iter(names.lower().split()), "")


def _listed(tree: Tree, said: Mapping[str, str]) -> str:
    return said.get("DOMAINS_TXT") or _base(tree, said).path("domains.txt")


def read(tree: Tree) -> Estate:
    """All that dehydrated has there."""
    refused: list[Gap] = []
    said = _config(tree)
    base = _base(tree, said)
    accounts = tuple(_accounts(base, refused))
    lineages = []
    for name, config, files in glance(tree):
        with refusing(refused, name):
            lineages.append(_lineage(base, name, config, files, said, accounts))
    return Estate(
        client=CLIENT,
        directory=tree.root,
        lineages=tuple(lineages),
        accounts=accounts,
        refused=tuple(refused),
    )


def _config(tree: Tree) -> Mapping[str, str]:
    known = {"SCRIPTDIR": tree.root, "BASEDIR": tree.root}
    text = tree.find("config")
    said = {} if text is None else shell.settings(text, tree.path("config"), known=known)
    more = said.get("CONFIG_D")
    if more and os.path.isdir(more):
        pieces = Tree(more)
        for name in pieces.names():
            if name.endswith(".sh"):
                said |= shell.settings(pieces.text(name), pieces.path(name), known={**known, **said})
    return said


def _base(tree: Tree, said: Mapping[str, str]) -> Tree:
    base = said.get("BASEDIR") or tree.root
    return tree if os.path.realpath(base) == os.path.realpath(tree.root) else Tree(base)


def _lineage(  # noqa: PLR0913, PLR0917  what a certificate hangs on
    base: Tree,
    name: str,
    config: str,
    files: tuple[str, ...],
    said: Mapping[str, str],
    accounts: tuple[OldAccount, ...],
) -> Lineage:
    if base.has("certs", name, "config"):
        own = shell.settings(base.text("certs", name, "config"), base.path("certs", name, "config"))
        said = {**said, **own}
    ca = said.get("CA", "letsencrypt")
    server = _CAS.get(ca, ca)
    account = next((one.id for one in accounts if one.server.rstrip("/") == server.rstrip("/")), None)
    challenge, why, remarks = _challenge(name, said)
    where = {part: base.path("certs", name, f"{part}.pem") for part in ("cert", "chain", "fullchain")}
    return Lineage(
        name=name,
        config=config,
        seen=files,
        privkey=base.read("certs", name, "privkey.pem"),
        fullchain=base.read("certs", name, "fullchain.pem"),
        server=server,
        account=account,
        challenge=challenge,
        why=why,
        hint="write [challenge.X] for it, then import again with --challenge X",
        hooks=tuple(_hooks(said)),
        copies=({"key": base.path("certs", name, "privkey.pem"), **where},),
        reuse_key=said.get("PRIVATE_KEY_RENEW", "yes").lower() == "no",
        profile=said.get("ACME_PROFILE") or None,
        chain=said.get("PREFERRED_CHAIN") or None,
        remarks=remarks,
    )


def _challenge(name: str, said: Mapping[str, str]) -> tuple[Table | None, str, tuple[Gap, ...]]:
    kind, hook = said.get("CHALLENGETYPE", "http-01"), said.get("HOOK", "")
    if kind == "http-01":
        place = said.get("WELLKNOWN", "/var/www/dehydrated").rstrip("/")
        if place.endswith("/.well-known/acme-challenge"):
            return {"type": kind, "webroot": place.removesuffix("/.well-known/acme-challenge") or "/"}, "", ()
        # Tokens stand in that very directory, which servers show under another path
        table: Table = {
            "type": kind,
            "script": [
                "/bin/sh",
                "-c",
                'umask 022; printf %s "$CERTBOT_VALIDATION" >"$0/$CERTBOT_TOKEN"',
                place,
            ],
            "cleanup": ["/bin/sh", "-c", 'rm -f "$0/$CERTBOT_TOKEN"', place],
            "convention": "certbot",
        }
        text = f"tokens go to {place} as before, which the server shows as /.well-known/acme-challenge"
        return table, "", (Gap(about=name, text=text),)
    if kind == "dns-01" and hook:
        options: dict[str, object] = {"run": hook, "convention": "dehydrated"}
        if said.get("HOOK_CHAIN", "no").lower() == "yes":
            options["chain"] = "yes"
        return {"type": kind, "provider": "script", "options": options}, "", ()
    return None, f"its challenge {kind} has no counterpart here", ()


_PUT = 'umask 022; printf %s "$CERTBOT_VALIDATION" >"$0/$CERTBOT_TOKEN"'


def _hooks(said: Mapping[str, str]) -> Iterator[OldHook]:
    hook = said.get("HOOK")
    if hook:
        script = (
            'exec "$0" deploy_cert "${RENEWED_LINEAGE##*/}" "$RENEWED_LINEAGE/privkey.pem" '
            '"$RENEWED_LINEAGE/cert.pem" "$RENEWED_LINEAGE/fullchain.pem" "$RENEWED_LINEAGE/chain.pem" '
            '"$(date +%s)"'
        )
        note = "dehydrated's HOOK, called with deploy_cert as dehydrated does"
        yield OldHook(argv=("/bin/sh", "-c", script, hook), events=(HookEvent.DEPLOY,), note=note)


def _accounts(base: Tree, refused: list[Gap]) -> Iterator[OldAccount]:
    for coded in base.directories("accounts"):
        here = ("accounts", coded)
        with refusing(refused, f"account {coded}"):
            yield _account(base, coded, here)


def _account(base: Tree, coded: str, here: tuple[str, str]) -> OldAccount:
    try:
        server = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode().strip()
    except (binascii.Error, ValueError):
        text = f"{base.path(*here)} is not called after an authority"
        raise StateError(text, hint="look at it", kind="refused") from None
    url: str | None = None
    if base.has(*here, "account_id.json"):
        try:
            said = decode(base.read(*here, "account_id.json"))
        except UndecodableError:
            said = None
        found = said.get("url") if isinstance(said, dict) else None
        url = found if isinstance(found, str) and found.startswith("https://") else None
    return OldAccount(
        id=coded,
        server=server,
        path=base.path(*here, "account_key.pem"),
        key=base.read(*here, "account_key.pem"),
        url=url,
    )
