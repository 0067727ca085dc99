"""What the configuration says of this host and of authorities, compared with them. Asks nobody on the net."""

import os
import os.path
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from renewer import ownership
from renewer.accounts import card
from renewer.concerns import unreadable_secrets
from renewer.config.authorities import BUILT_IN
from renewer.config.hooks import needs_key
from renewer.copies.rights import group_number, owner_number
from renewer.doctor import local
from renewer.errors import GiveUp, RenewerError
from renewer.hooks import problem
from renewer.model.desired import Authority, Certificate, Config, Email, Program, Secret, SecretSource
from renewer.model.names import Identifier, IdentifierType
from renewer.model.value import KeyPath
from renewer.network import verify
from renewer.secrets import problem as missing_secret
from renewer.secrets import roots
from renewer.workers import unknown_user


class Amiss(NamedTuple):
    """What is not as the configuration has it: at which key, what, and the way out."""

    path: KeyPath
    text: str
    hint: str = ""


def faults(config: Config) -> list[Amiss]:
    """What will not work as it stands."""
    mine = _mine(config)
    found = [
        *_programs(config),
        *_roots(config),
        *_bindings(config),
        *_secrets(config, mine),
        *_people(config, mine),
        *_ways(config),
        *_names(config, mine),
        *_deployments(config),
        *_modes_ignored(config, mine),
        *_challenges(mine),
    ]
    return list(dict.fromkeys(found))


def notes(config: Config) -> list[Amiss]:
    """What is no fault, and should be known."""
    test = [name for name, one in config.authorities.items() if one.test]
    used = {name for wish in config.certificates.values() for name in wish.authorities}
    found = [
        Amiss(
            ("authority", name),
            f"{name} is an authority for tests: no client trusts what it signs",
            'for the public another one: authority = "letsencrypt"',
        )
        for name in test
        if name in used
    ]
    if not config.certificates:
        text = "there is no certificate in it: nothing is renewed"
        found.append(Amiss((), text, 'as [certificate.www] with names = ["www.example.org"]'))
    found += [
        Amiss(tuple(where.split(".")), f"{where}: {one.text}", one.hint)
        for where, one in unreadable_secrets(config)
    ]
    found += [*_same_place(config), *_doubles(config), *_idle(config), *_short(config)]
    return [*found, *(Amiss((), text) for text in config.notes)]


def _mine(config: Config) -> Mapping[str, Certificate]:
    return {name: wish for name, wish in config.certificates.items() if config.agent.host in wish.hosts}


# --- programs, secrets, accounts ----------------------------------------------------------------------------


def _programs(config: Config) -> Iterator[Amiss]:
    """Hooks and channels that cannot be run, with the words of who would run them."""
    looked_at: list[tuple[KeyPath, str | None]] = [
        (("hook", name, "run"), problem(hook)) for name, hook in config.hooks.items()
    ]
    for name, channel in config.channels.items():
        if isinstance(channel, Email) and channel.sendmail:
            key = f"`sendmail` in [notify.{name}]"
            looked_at.append((("notify", name, "sendmail"), ownership.why_not_run(channel.sendmail, key)))
        elif isinstance(channel, Program):
            key = f"`run` in [notify.{name}]"
            looked_at.append((("notify", name, "run"), ownership.why_not_run(channel.run[0], key)))
    if (user := config.agent.network_user) is not None:
        looked_at.append((("agent", "network_user"), unknown_user(user)))
    for path, said in looked_at:
        if said:
            text, _, hint = said.rpartition("; ")
            yield Amiss(path, text or hint, hint if text else "")


def _roots(config: Config) -> Iterator[Amiss]:
    """What nothing can be checked against."""
    for name, one in config.authorities.items():
        for key, pem in (("roots", one.roots), ("ca_bundle", one.ca_bundle)):
            try:
                if pem not in (None, verify.ANY):
                    verify.try_roots(str(pem), roots)
            except GiveUp as error:
                yield Amiss(("authority", name, key), error.text, error.hint)


_SECRETS = "/etc/renewer/secrets"
_BINDING = {
    "google": "gcloud publicca external-account-keys create prints both",
    "zerossl": "https://app.zerossl.com/developer makes both",
    "sslcom": "your account there shows both, under its API credentials",
    "actalis": "your account there shows both, under ACME",
}
"""Built-in authorities that register nobody without an external account binding (RFC 8555 §7.3.4)."""


def _bindings(config: Config) -> Iterator[Amiss]:
    """Authorities that take no new account without a binding, where none is set and none is registered."""
    told: set[str] = set()
    directories = {BUILT_IN[name][0]: way for name, way in _BINDING.items()}
    for user, wish in config.certificates.items():
        for name in wish.authorities:
            one = config.authorities[name]
            way = directories.get(one.directory)
            if way and one.eab is None and name not in told and not _registered(config, one):
                told.add(name)
                yield Amiss(
                    ("certificate", user, "authority"),
                    f"{name} registers no account without an external account binding, and none is set",
                    f'[authority.{name}] eab = {{ kid = "…", hmac = {{ file = "{_SECRETS}/{name}" }} }}; '
                    + way,
                )


def _registered(config: Config, authority: Authority) -> bool:
    try:
        return "url" in card.about(config.agent.state, authority)
    except (RenewerError, OSError):  # not for this user to know
        return True


def _secrets(config: Config, mine: Mapping[str, Certificate]) -> Iterator[Amiss]:
    """Secrets that work needs and that cannot be had; those of the unit's environment only a run sees."""
    wanted: list[tuple[KeyPath, object]] = [(("agent", "ledger"), config.agent.ledger)]
    for name, authority in config.authorities.items():
        wanted.append((("authority", name, "proxy"), authority.proxy))
        if authority.eab is not None:
            wanted.append((("authority", name, "eab", "hmac"), authority.eab.hmac))
    for name, hook in config.hooks.items():
        wanted += [(("hook", name, "env", key), value) for key, value in hook.env]
    for name, wish in mine.items():
        wanted += [
            (("certificate", name, "copies", n, "password"), one.password)
            for n, one in enumerate(wish.copies)
        ]
    for path, value in wanted:
        here = isinstance(value, Secret) and value.source in (SecretSource.FILE, SecretSource.COMMAND)
        if here and isinstance(value, Secret) and (error := missing_secret(value)):
            yield Amiss(path, error.text, error.hint)


# --- people and places --------------------------------------------------------------------------------------


def _people(config: Config, mine: Mapping[str, Certificate]) -> Iterator[Amiss]:
    """Owners and groups that this host does not know."""
    if (group := config.agent.group) is not None:
        try:
            group_number(group)
        except RenewerError:
            yield Amiss(
                ("agent", "group"),
                f"there is no group '{group}'",
                f"groupadd --system {group}, or correct it",
            )
    for name, wish in mine.items():
        for index, copy in enumerate(wish.copies):
            for key, number, value in (
                ("owner", owner_number, copy.owner),
                ("group", group_number, copy.group),
            ):
                try:
                    number(value)
                except RenewerError as error:
                    yield Amiss(("certificate", name, "copies", index, key), error.text, error.hint)
            for part, path in copy.paths:
                if not os.path.isdir(directory := os.path.dirname(path)):
                    text = f"{path} is to be written, and its directory does not exist"
                    yield Amiss(
                        ("certificate", name, "copies", index, part),
                        text,
                        f"mkdir -p {directory}, or correct it",
                    )


def _ways(config: Config) -> Iterator[Amiss]:
    """Directories of the log and of what is left for others: there, and nobody else's way to lead us away."""
    report = config.report
    wanted = [
        (("agent", "log"), config.agent.log),
        (("report", "metrics"), report.metrics),
        (("report", "page"), report.page),
        (("report", "summary_file"), report.summary_file),
    ]
    for path, file in wanted:
        if file is not None and (found := _way(path, file, made=path == ("agent", "log"))):
            yield found


def _way(path: KeyPath, file: str, *, made: bool) -> Amiss | None:
    directory = os.path.dirname(file)
    if os.path.isdir(file):
        return Amiss(path, f"{file} is a directory", f"name a file in it: {file}/…")
    while made and not os.path.lexists(directory):
        directory = os.path.dirname(directory)
    try:
        with ownership.open_place(os.path.join(directory, "new")):
            return None
    except ownership.LinkError as error:
        text = f"a symbolic link on the way to {file} is not followed: {error.danger.text}"
        return Amiss(path, text, error.danger.hint)
    except FileNotFoundError:
        text = f"{file} is to be written, and its directory does not exist"
        return Amiss(path, text, f"mkdir -p {directory}, or correct it")
    except OSError as error:
        hint = "let the agent's user write there, or name another file"
        return Amiss(path, f"{file} cannot be written: {error.strerror}", hint)


def _modes_ignored(config: Config, mine: Mapping[str, Certificate]) -> Iterator[Amiss]:
    """Where keys are to lie, and the file system does not keep the rights that are asked for."""
    if fault := local.state(config):
        state = config.agent.state
        yield Amiss(("agent", "state"), local.sentence(state, fault), fault.hint)
    for name, wish in mine.items():
        for path, fault in local.copies(wish):
            yield Amiss(("certificate", name, "copies"), local.sentence(path, fault), fault.hint)


# --- certificates -------------------------------------------------------------------------------------------


def _deployments(config: Config) -> Iterator[Amiss]:
    for name, wish in config.certificates.items():
        for window in wish.deploy_windows:
            if window.fault:
                yield Amiss(("certificate", name, "deploy_window"), f"{window.text}: {window.fault}")
        for index, hook in enumerate(wish.hooks):
            if wish.csr is not None and needs_key(config.hooks[hook].run):
                text = f"hook {hook} needs a private key; that of `csr` is kept elsewhere"
                yield Amiss(("certificate", name, "hooks", index), text)


def _challenges(mine: Mapping[str, Certificate]) -> list[Amiss]:
    """Challenges that cannot be answered on this host: each once, however many certificates use it."""
    told: dict[str, Amiss] = {}
    for name, wish in mine.items():
        for _, _, error in local.missing(wish):
            told.setdefault(error.text, Amiss(("certificate", name, "challenge"), error.text, error.hint))
    return list(told.values())


_PUBLIC = frozenset(directory for both in BUILT_IN.values() for directory in both if directory)
_NO_TLD = frozenset(
    (
        *("alt", "corp", "domain", "example", "home", "internal", "intranet", "invalid", "lan", "local"),
        *("localdomain", "localhost", "onion", "private", "test"),
    )
)
"""Last labels that nobody can own, or that are in no public root (RFC 2606, 6761, 6762, 7686, 9476)."""


def _names(config: Config, mine: Mapping[str, Certificate]) -> Iterator[Amiss]:
    """Names that no public authority takes, of certificates that only such are asked for."""
    for name, wish in mine.items():
        if any(config.authorities[one].directory not in _PUBLIC for one in wish.authorities):
            continue
        for index, one in enumerate(wish.names):
            if why := not_public(one):
                hint = "give its public name, or ask an authority of your own: [authority.X] directory = …"
                yield Amiss(("certificate", name, "names", index), f"'{one}' {why}", hint)


def not_public(name: Identifier) -> str:
    """Why no public authority vouches for it (CA/Browser Forum, Baseline Requirements); "" if one may."""
    if name.type is IdentifierType.IP:
        from ipaddress import ip_address

        private = not ip_address(name.value).is_global
        return "is no public address: no public authority vouches for it" if private else ""
    labels = name.base.split(".")
    if len(labels) < 2:
        return "has no dot: no public authority takes it"
    if labels[-1] in _NO_TLD or labels[-2:] == ["home", "arpa"]:
        last = labels[-1] if labels[-1] in _NO_TLD else "home.arpa"
        return f"ends in .{last}, which nobody can own: no public authority takes it"
    if any("_" in label for label in labels):
        return "has an underscore: no public authority takes it"
    return ""


def _same_place(config: Config) -> Iterable[Amiss]:
    """Certificates of which a server can show one only: one of them would be found missing for ever."""
    first: dict[tuple[object, ...], str] = {}
    found = {}
    for name, wish in config.certificates.items():
        for endpoint in wish.endpoints:
            other = first.setdefault((endpoint, wish.key.family), name)
            if other != name:
                kind = wish.key.family.upper()
                text = f"{other} and {name} both have the endpoint {endpoint} and {kind} keys: "
                text += "a server shows one certificate of a kind for a name"
                hint = "let one of them have endpoints = [] or others, or make one certificate of both"
                found[text] = Amiss(("certificate", name, "endpoints"), text, hint)
    return found.values()


def _doubles(config: Config) -> Iterator[Amiss]:
    """Certificates with the same names and kind of key: ordered twice for what one could do."""
    same: dict[tuple[object, ...], list[str]] = {}
    for name, wish in config.certificates.items():
        if wish.csr is None:
            same.setdefault((frozenset(wish.names), wish.key.family, tuple(sorted(wish.hosts))), []).append(
                name
            )
    for names in same.values():
        if len(names) > 1:
            yield Amiss(
                ("certificate", names[1], "names"),
                f"{' and '.join(names[:2])} have the same names: each is ordered, and authorities bound how "
                "often the same is issued (Let's Encrypt: 5 in 7 days)",
                "take one of them out: its hooks, endpoints and copies can stand in the other",
            )


def _idle(config: Config) -> Iterator[Amiss]:
    """Hooks that nobody calls."""
    named = {hook for wish in config.certificates.values() for hook in wish.hooks}
    for name in config.hooks:
        if name not in named and config.certificates:
            hint = f'hooks = ["{name}"] in [defaults] or in a certificate, or take [hook.{name}] out'
            yield Amiss(
                ("hook", name), f"the hook {name} is named by no certificate: it is never called", hint
            )


def _short(config: Config) -> Iterator[Amiss]:
    """Addresses at Let's Encrypt, which has them in one profile only."""
    for name, wish in config.certificates.items():
        one = config.authorities[wish.authorities[0]]
        asked = (wish.profile or one.profile, *wish.other_profiles, *one.other_profiles)
        addresses = [each for each in wish.names if each.type is IdentifierType.IP]
        if addresses and one.directory in filter(None, BUILT_IN["letsencrypt"]) and "shortlived" not in asked:
            text = f"{name} has the address {addresses[0]}: Let's Encrypt has a profile of its own for these"
            yield Amiss(("certificate", name, "profile"), text, 'profile = "shortlived"')
