"""certbot's directory, as versions 0.x to 5.x have it: `renewal/NAME.conf`, `live/NAME`, `accounts/`.

The files are ConfigObj's; they are read as data, without its interpolation.
"""

import os
import re
from collections.abc import Iterator, Mapping

from renewer import ownership
from renewer.decoding import UndecodableError, decode
from renewer.errors import StateError
from renewer.model.desired import HookEvent
from renewer.moving import plugins
from renewer.moving.found import Estate, Gap, Lineage, OldAccount, OldHook, refusing
from renewer.moving.reading import Tree

CLIENT = "certbot"
HOMES = ("/etc/letsencrypt",)
LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
_STAYS = {  # parameters that only certbot itself needs, or that say what another one says
    *("account", "server", "authenticator", "installer", "config_dir", "work_dir", "logs_dir", "version"),
    *("webroot_path", "webroot_map", "key_type", "elliptic_curve", "rsa_key_size", "reuse_key", "autorenew"),
    *("pre_hook", "post_hook", "renew_hook", "deploy_hook", "pref_challs", "http01_port", "http01_address"),
    *("manual_auth_hook", "manual_cleanup_hook", "manual_public_ip_logging_ok", "domains", "certname"),
    *("preferred_chain", "preferred_profile", "required_profile", "allow_subset_of_names", "user_agent"),
    *(
        "nginx_server_root",
        "nginx_ctl",
        "apache_server_root",
        "apache_ctl",
        "directory_hooks",
        "rsa_key_size",
    ),
    *(
        "renew_by_default",
        "agree_dev_preview",
        "noninteractive_mode",
        "tos",
        "email",
        "eff_email",
        "keep",
        "renew_before_expiry",
    ),
    *("issuance_timeout", "new_key", "no_self_upgrade", "os_packages_only", "duplicate", "quiet", "expand"),
}
_TOLD = {  # parameters without a counterpart, and what takes their place
    "must_staple": "OCSP Must-Staple is asked for by no authority any more: left out",
    "strict_permissions": "our state is for root alone anyway",
    "no_verify_ssl": "the authority's TLS is always verified: a private one needs ca_bundle in [authority.X]",
    "break_my_certs": "left out",
}


def glance(tree: Tree) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """The light half: of each certificate its name, what configures it, and the files servers may name.

    Opens nothing.
    """
    for entry in tree.names("renewal"):
        name = entry.removesuffix(".conf")
        if name != entry and _is_plain(name):
            yield name, tree.path("renewal", entry), _files(tree, name)


def read(tree: Tree) -> Estate:
    """All that certbot has there."""
    lineages: list[Lineage] = []
    refused: list[Gap] = []
    everywhere = _directories(tree, refused)
    for name, config, files in glance(tree):
        with refusing(refused, name):
            lineages.append(_lineage(tree, name, config, files, everywhere))
    accounts = tuple(_accounts(tree, refused))
    return Estate(
        client=CLIENT,
        directory=tree.root,
        lineages=tuple(lineages),
        accounts=accounts,
        refused=tuple(refused),
    )


def _files(tree: Tree, name: str) -> tuple[str, ...]:
    parts = ("fullchain.pem", "privkey.pem", "cert.pem", "chain.pem")
    return tuple(tree.path("live", name, part) for part in parts)


def _is_plain(name: str) -> bool:
    return name not in ("", ".", "..") and "/" not in name


def _lineage(
    tree: Tree, name: str, config: str, files: tuple[str, ...], everywhere: tuple[OldHook, ...]
) -> Lineage:
    params = plugins.parsed(tree.text("renewal", f"{name}.conf"), config).get("renewalparams")
    if not isinstance(params, Mapping):
        raise StateError(
            f"{config} has no [renewalparams]", hint="certbot cannot renew it, either", kind="refused"
        )
    said = {key: _text(value) for key, value in params.items() if not isinstance(value, Mapping)}
    if said.get("autorenew", "True").lower() == "false":
        hint = "switch it on there (autorenew = True), or write [certificate.X] for it"
        raise StateError(f"{config}: certbot was told not to renew it", hint=hint, kind="refused")
    fullchain = tree.read("live", name, "fullchain.pem")
    way = plugins.way(name, params, said, fullchain)
    return Lineage(
        name=name,
        config=config,
        seen=files,
        privkey=tree.read("live", name, "privkey.pem"),
        fullchain=fullchain,
        server=said.get("server") or LETS_ENCRYPT,
        account=said.get("account"),
        challenge=way.challenge,
        challenges=way.challenges,
        why=way.why,
        hint=way.hint,
        hooks=(*everywhere, *_hooks(said), *way.hooks),
        reuse_key=said.get("reuse_key", "").lower() == "true",
        profile=said.get("required_profile") or said.get("preferred_profile") or None,
        chain=said.get("preferred_chain") or None,
        remarks=(*way.remarks, *_remarks(name, said)),
    )


def _text(value: object) -> str:
    """A value as one text: a comma in one that stands without quotes makes a list of it."""
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    text = str(value)
    return "" if text == "None" else text


def _hooks(said: Mapping[str, str]) -> Iterator[OldHook]:
    events = {
        "pre_hook": HookEvent.PRE,
        "post_hook": HookEvent.POST,
        "renew_hook": HookEvent.DEPLOY,
        "deploy_hook": HookEvent.DEPLOY,
    }
    for key, event in events.items():
        if said.get(key):
            yield OldHook(argv=plugins.shell(said[key]), events=(event,))


def _directories(tree: Tree, refused: list[Gap]) -> tuple[OldHook, ...]:
    """The directories of hooks that certbot runs for every certificate, where something is in them."""
    found = []
    for part, event in (("pre", HookEvent.PRE), ("post", HookEvent.POST), ("deploy", HookEvent.DEPLOY)):
        path = tree.path("renewal-hooks", part)
        try:
            if not os.path.isdir(path) or not ownership.programs_in(path):
                continue
            if fault := ownership.why_not_run_any(path, "renewal-hooks"):
                refused.append(Gap(about=path, text=fault, hint="then import again"))
                continue
        except OSError as error:
            refused.append(Gap(about=path, text=f"cannot be read: {error.strerror}"))
            continue
        found.append(OldHook(argv=(path,), events=(event,)))
    return tuple(found)


def _remarks(name: str, said: Mapping[str, str]) -> Iterator[Gap]:
    if "renew_before_expiry" in said:
        text = f"renew_before_expiry = {said['renew_before_expiry']} is left out"
        yield Gap(
            about=name,
            text=text,
            hint="renewer renews when the authority says so, or after two thirds of the lifetime",
        )
    for key, text in _TOLD.items():
        if said.get(key, "").lower() == "true":
            yield Gap(about=name, text=f"{key}: {text}")
    for key in said:
        if (
            key not in _STAYS
            and key not in _TOLD
            and not key.startswith("dns_")
            and key != "renew_before_expiry"
        ):
            yield Gap(about=name, text=f"{key} = {said[key]} is left out", hint="renewer has no such setting")


def _accounts(tree: Tree, refused: list[Gap]) -> Iterator[OldAccount]:
    """Every account, each once, though directories of older names are links to newer ones."""
    known: set[str] = set()
    for host in tree.directories("accounts"):
        for place in _places(tree, ("accounts", host), depth=4):
            real = os.path.realpath(tree.path(*place))
            if real in known:
                continue
            known.add(real)
            with refusing(refused, f"account {place[-1]}"):
                yield _account(tree, place)


def _places(tree: Tree, parts: tuple[str, ...], depth: int) -> Iterator[tuple[str, ...]]:
    for name in tree.directories(*parts):
        here = (*parts, name)
        if tree.has(*here, "private_key.json"):
            yield here
        elif depth:
            yield from _places(tree, here, depth - 1)


def _account(tree: Tree, place: tuple[str, ...]) -> OldAccount:
    _, host, *path, number = place
    url: str | None = None
    contact: tuple[str, ...] = ()
    if tree.has(*place, "regr.json"):
        try:
            said = decode(tree.read(*place, "regr.json"))
        except UndecodableError:
            said = None
        if isinstance(said, dict):
            uri, body = said.get("uri"), said.get("body")
            url = uri if isinstance(uri, str) and re.match(r"https://", uri) else None
            told = body.get("contact") if isinstance(body, dict) else None
            contact = tuple(one for one in told or () if isinstance(one, str))
    return OldAccount(
        id=number,
        server="/".join((f"https://{host}", *path)),
        path=tree.path(*place, "private_key.json"),
        key=tree.read(*place, "private_key.json"),
        url=url,
        contact=contact,
    )
