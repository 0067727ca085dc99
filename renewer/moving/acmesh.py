"""acme.sh's directory: `NAME[_ecc]/{NAME.conf,NAME.key,fullchain.cer}`, `account.conf`, `ca/HOST/PATH/`.

Its files are shell that acme.sh sources; here they are read as data: lines `Le_X='…'`, nothing else.
"""

import base64
import binascii
import os
import re
from collections.abc import Iterator, Mapping

from renewer.errors import StateError
from renewer.model.desired import HookEvent
from renewer.moving import shell
from renewer.moving.found import Estate, Gap, Lineage, OldAccount, OldHook, SecretFile, Table, refusing
from renewer.moving.naming import table_name
from renewer.moving.reading import Tree

CLIENT = "acme.sh"
HOMES = ("~/.acme.sh", "/etc/acme.sh", "/acme.sh")
_BEGIN, _END = "__ACME_BASE64__START_", "__ACME_BASE64__END_"
_GIVE = "write [challenge.X] for it, then import again with --challenge X"


def glance(tree: Tree) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """The light half: of each certificate its name, what configures it, and the files servers may name."""
    for entry in tree.directories():
        name = entry.removesuffix("_ecc")
        if tree.has(entry, f"{name}.conf"):
            seen = tuple(tree.path(entry, one) for one in ("fullchain.cer", f"{name}.key", f"{name}.cer"))
            yield entry, tree.path(entry, f"{name}.conf"), seen


def read(tree: Tree) -> Estate:
    """All that acme.sh has there."""
    refused: list[Gap] = []
    accounts = tuple(_accounts(tree, refused))
    saved: Mapping[str, str] = {}
    with refusing(refused, "account.conf"):
        saved = shell.settings(tree.find("account.conf") or "", tree.path("account.conf"))
    lineages = []
    for entry, config, seen in glance(tree):
        with refusing(refused, entry):
            lineages.append(_lineage(tree, entry, config, seen, saved, accounts))
    return Estate(
        client=CLIENT,
        directory=tree.root,
        lineages=tuple(lineages),
        accounts=accounts,
        refused=tuple(refused),
    )


def _lineage(  # noqa: PLR0913, PLR0917  what a certificate hangs on
    tree: Tree,
    entry: str,
    config: str,
    seen: tuple[str, ...],
    saved: Mapping[str, str],
    accounts: tuple[OldAccount, ...],
) -> Lineage:
    name = entry.removesuffix("_ecc")
    said = {key: plain(one) for key, one in shell.settings(tree.text(entry, f"{name}.conf"), config).items()}
    server = said.get("Le_API", "https://acme-v02.api.letsencrypt.org/directory")
    account = next((one.id for one in accounts if one.server.rstrip("/") == server.rstrip("/")), None)
    challenge, why, remarks = _challenge(tree, entry, said, saved)
    return Lineage(
        name=entry,
        config=config,
        seen=seen,
        privkey=tree.read(entry, f"{name}.key"),
        fullchain=tree.read(entry, "fullchain.cer"),
        server=server,
        account=account,
        challenge=challenge,
        why=why,
        hint=_GIVE,
        hooks=tuple(_hooks(said)),
        copies=(files(tree, entry), *_copies(said)),
        reuse_key=said.get("Le_ForceNewDomainKey", "") != "1",
        profile=said.get("Le_CertificateProfile") or None,
        chain=said.get("Le_Preferred_Chain") or None,
        remarks=remarks,
    )


def plain(value: str) -> str:
    """A value as it was given: some are kept as base64 between two words. Raises StateError."""
    if not (value.startswith(_BEGIN) and value.endswith(_END)):
        return value
    try:
        return base64.b64decode(value[len(_BEGIN) : -len(_END)], validate=True).decode()
    except (binascii.Error, ValueError):
        raise StateError("a value in base64 is cut off", hint="look at its .conf", kind="refused") from None


def _challenge(
    tree: Tree, entry: str, said: Mapping[str, str], saved: Mapping[str, str]
) -> tuple[Table | None, str, tuple[Gap, ...]]:
    ways = list(dict.fromkeys(one for one in said.get("Le_Webroot", "").split(",") if one))
    alias = said.get("Le_ChallengeAlias", "").strip(",")
    if len(ways) > 1:
        return None, f"several ways prove its names ({', '.join(ways)})", ()
    way = ways[0] if ways else ""
    if way.startswith("/"):
        return {"type": "http-01", "webroot": way}, "", ()
    if way == "no":
        port = said.get("Le_HTTPPort") or "80"
        return {"type": "http-01", "listen": f"0.0.0.0:{port}"}, "", ()
    if re.fullmatch(r"dns_[A-Za-z0-9_]+", way):
        return _dns(tree, entry, way, alias, saved)
    kind = {"dns": "the manual mode of DNS", "": "an unknown way"}.get(way, f"'{way}'")
    return None, f"{kind} proves its names, which has no counterpart here", ()


def _dns(
    tree: Tree, entry: str, way: str, alias: str, saved: Mapping[str, str]
) -> tuple[Table | None, str, tuple[Gap, ...]]:
    """Its own DNS programs go on as they are, with the secrets that it kept, each in a file of its own."""
    run = tree.path("dnsapi", f"{way}.sh")
    if not os.path.isfile(run):
        return None, f"{run}, which makes its DNS records, is not there", ()
    options: dict[str, object] = {"run": run, "convention": "acme.sh", "acme_sh": tree.path("acme.sh")}
    env = {}
    for key, value in saved.items():
        if key.startswith("SAVED_") and value:
            name = key.removeprefix("SAVED_")
            env[name] = {"file": SecretFile(name=table_name(f"acme-sh-{name}"), content=plain(value))}
    table: dict[str, object] = {"type": "dns-01", "provider": "script", "options": options}
    remarks = [Gap(about=entry, text=f"{run} goes on making its DNS records: keep acme.sh's files")]
    if env:
        table["env"] = env
        remarks.append(
            Gap(about=entry, text="what account.conf keeps as SAVED_… gets files of its own, secrets/…")
        )
    if alias:
        remarks.append(
            Gap(about=entry, text=f"its challenge alias {alias} is followed by the CNAME that is there")
        )
    return table, "", tuple(remarks)


def _hooks(said: Mapping[str, str]) -> Iterator[OldHook]:
    events = {"Le_PreHook": HookEvent.PRE, "Le_PostHook": HookEvent.POST}
    events |= {"Le_RenewHook": HookEvent.DEPLOY, "Le_ReloadCmd": HookEvent.DEPLOY}
    for key, event in events.items():
        if said.get(key):
            yield OldHook(argv=("/bin/sh", "-c", said[key]), events=(event,))


def files(tree: Tree, entry: str) -> dict[str, str]:
    """Its own files, which servers may name: they follow ours, and go on from there if it is handed back."""
    name = entry.removesuffix("_ecc")
    parts = {"key": f"{name}.key", "cert": f"{name}.cer", "chain": "ca.cer", "fullchain": "fullchain.cer"}
    return {part: tree.path(entry, file) for part, file in parts.items()}


def _copies(said: Mapping[str, str]) -> Iterator[Table]:
    parts = {
        "key": "RealKeyPath",
        "cert": "RealCertPath",
        "chain": "RealCACertPath",
        "fullchain": "RealFullChainPath",
    }
    table = {
        part: said[f"Le_{key}"] for part, key in parts.items() if said.get(f"Le_{key}", "").startswith("/")
    }
    if table:
        yield table


def _accounts(tree: Tree, refused: list[Gap]) -> Iterator[OldAccount]:
    for place in tree.below("ca"):
        if place[-1] != "account.key":
            continue
        with refusing(refused, f"account {'/'.join(place[1:-1])}"):
            yield _account(tree, place[:-1])


def _account(tree: Tree, here: tuple[str, ...]) -> OldAccount:
    said: Mapping[str, str] = {}
    if tree.has(*here, "ca.conf"):
        said = shell.settings(tree.text(*here, "ca.conf"), tree.path(*here, "ca.conf"))
    url, mail = said.get("ACCOUNT_URL"), said.get("CA_EMAIL", "")
    return OldAccount(
        id="/".join(here[1:]),
        server="https://" + "/".join(here[1:]),
        path=tree.path(*here, "account.key"),
        key=tree.read(*here, "account.key"),
        url=url if url and url.startswith("https://") else None,
        contact=(f"mailto:{mail}",) if "@" in mail else (),
    )
