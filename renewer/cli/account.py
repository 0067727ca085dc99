"""`renewer account`: the accounts at the authorities, looked at and looked after."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
import msgspec

from renewer.cli import screen
from renewer.cli.screen import Setup
from renewer.errors import RenewerError, UsageError
from renewer.model import persist
from renewer.model.desired import DnsPersist01
from renewer.policy import challenge as choosing

if TYPE_CHECKING:
    from renewer.accounts.keeper import Keeper
    from renewer.model.desired import Authority, Config

_MAX_KEY_FILE = 64 * 1024
_authority = click.argument("name", required=False, metavar="[AUTHORITY]")


@click.group()
def command() -> None:
    """Look at the accounts at the authorities, and look after them.

    AUTHORITY is a name of the configuration; it can be left out if there is only one.
    """


@command.command()
@_authority
@screen.json_option
@screen.pass_setup
def show(setup: Setup, name: str | None, as_json: bool) -> int:
    """Show the account at each authority, as the authority has it and as it lies on disk.

    Asks the authority; registers nothing. Exit 1 if one of them cannot be used.
    """
    config = setup.config()
    chosen = [_pick(config, name)] if name else list(config.authorities.values())
    shown = [_show(config, authority) for authority in chosen]
    if as_json:
        screen.emit({"schema": screen.SCHEMA, "accounts": shown})
    else:
        for one in shown:
            _print(one)
        if not shown:
            screen.out("the configuration uses no authority")
    return screen.FAILED if any(one.error for one in shown) else screen.OK


@command.command()
@_authority
@screen.json_option
@screen.pass_setup
def register(setup: Setup, name: str | None, as_json: bool) -> int:
    """Make the account now, rather than at the first order; also a new one after `deactivate`."""
    with _keeper(setup, name, strict=True) as (authority, keeper):
        url, new = keeper.register()
        text = "is registered" if new else "exists already"
        return _done(authority, keeper, url, f"the account at {authority.name} {text}", as_json, new=new)


@command.command()
@_authority
@click.option("--yes", is_flag=True, help="Do not ask.")
@screen.json_option
@screen.pass_setup
def rollover(setup: Setup, name: str | None, yes: bool, as_json: bool) -> int:
    """Give the account a new key, of the type that `account_key` says now.

    Safe to kill at any instant: the next run asks the authority which key it knows. Records of dns-persist-01
    that carry a hash of the key must be published again: they are listed, and you are asked before.
    """
    config = setup.config()
    picked = _pick(config, name)
    with _keeper(setup, picked.name) as (authority, keeper):
        before = _hashed_records(config, authority, keeper)
        if before and not yes:
            listed = ", ".join(one.partition(" ")[0] for one in before)
            screen.confirm(
                f"These records carry a hash of the account's key, and are to be published again: {listed}"
            )
        url = keeper.roll_over()
        records = _hashed_records(config, authority, keeper) if before else []
        if records and not as_json:
            screen.say("publish these records, then remove the former ones:")
            for one in records:
                screen.say(f"  {one}")
        text = f"the account at {authority.name} has a new key, {authority.account_key}"
        return _done(authority, keeper, url, text, as_json, records=records)


def _hashed_records(config: "Config", authority: "Authority", keeper: "Keeper") -> list[str]:
    """The records of dns-persist-01 that carry a hash of this account's key, as zone files have them."""
    names: dict[str, bool] = {}  # by base name: whether its wildcard is proved by it, too
    for wish in config.certificates.values():
        if authority.name in wish.authorities:
            for one in wish.names:
                ways = choosing.ways_of(wish, one, wildcard=one.wildcard)
                if any(isinstance(way.challenge, DnsPersist01) for way in ways):
                    names[one.base] = names.get(one.base, False) or one.wildcard
    url = keeper.url() if names else None
    prefix = keeper.directory.account_hash_prefix if url else None
    if url is None or prefix is None:
        return []
    issuers = keeper.directory.issuers or tuple(keeper.directory.caa)
    claims = {
        base: persist.Claim(
            issuers=issuers,
            account=url,
            wildcard=wildcard,
            hashes=persist.hashes(prefix, base, keeper.thumbprint, url),
        )
        for base, wildcard in names.items()
    }
    return [
        persist.zone_line(persist.name_of(base), persist.text_of(claim)) for base, claim in claims.items()
    ]


@command.command()
@_authority
@click.option("--yes", is_flag=True, help="Do not ask.")
@screen.json_option
@screen.pass_setup
def deactivate(setup: Setup, name: str | None, yes: bool, as_json: bool) -> int:
    """End the account for good.

    What it got stays valid, but nothing is renewed at that authority until `renewer account register`.
    """
    config = setup.config()
    picked = _pick(config, name)
    users = [wish.name for wish in config.certificates.values() if picked.name in wish.authorities]
    told = f"renewals of {', '.join(users)} at {picked.name} will fail" if users else "no certificate uses it"
    if not yes:
        screen.confirm(f"The account at {picked.name} ends for good; {told} until a new one is registered.")
    with _keeper(setup, picked.name) as (authority, keeper):
        url = keeper.deactivate()
        if users and not as_json:
            screen.say(f"{told}: make a new account with: renewer account register {authority.name}")
        text = f"the account at {authority.name} is deactivated"
        return _done(authority, keeper, url, text, as_json, affected=users)


@command.command()
@_authority
@click.option("--key", "path", metavar="FILE", help="Another key of the account: PEM, or certbot's JWK.")
@screen.json_option
@screen.pass_setup
def recover(setup: Setup, name: str | None, path: str | None, as_json: bool) -> int:
    """Find the account again by its key, on disk or in FILE; nothing is registered."""
    given = _read(path) if path else None
    with _keeper(setup, name) as (authority, keeper):
        url = keeper.recover(given)
        return _done(authority, keeper, url, f"the account at {authority.name} is found again", as_json)


def _pick(config: "Config", name: str | None) -> "Authority":
    known = config.authorities
    if name is None and len(known) == 1:
        return next(iter(known.values()))
    if name is not None and name in known:
        return known[name]
    text = f"there is no authority '{name}' in {config.path}" if name else "say which authority"
    raise UsageError(text, hint="there are: " + (", ".join(known) or "none"))


def _open(config: "Config", authority: "Authority", *, strict: bool = False) -> "Keeper":
    from renewer.accounts.keeper import Keeper
    from renewer.secrets import resolve

    hmac = None
    try:
        hmac = resolve(authority.eab.hmac) if authority.eab else None
    except RenewerError:
        if strict:  # it is needed for registering only
            raise
    return Keeper(authority, state=config.agent.state, eab_hmac=hmac)


@contextmanager
def _keeper(
    setup: Setup, name: str | None, *, strict: bool = False
) -> Iterator[tuple["Authority", "Keeper"]]:
    """The account to be changed, under the agent's lock: no run signs with a key that is being changed."""
    from renewer.store.lock import Lock

    config = setup.config()
    authority = _pick(config, name)
    with Lock(config.agent.state, group=config.agent.group):
        keeper = _open(config, authority, strict=strict)
        try:
            yield authority, keeper
        finally:
            keeper.close()


class _Shown(msgspec.Struct):
    """One account; what cannot be had is None, and `error` says why. The fields are the document's keys."""

    authority: str
    directory: str
    url: str | None = None
    status: str | None = None
    contact: list[str] | None = None
    thumbprint: str | None = None
    orders: str | None = None
    terms: str | None = None
    eab_needed: bool | None = None
    error: str | None = None
    eab_configured: bool = False
    path: str | None = None
    disk: Mapping[str, object] | None = None

    @property
    def files(self) -> str:
        """What lies on disk."""
        return ", ".join(_texts(self.disk, "files"))

    def noted(self, key: str) -> str | None:
        """What account.json says."""
        return next(iter(_texts(self.disk, key)), None)


def _texts(disk: Mapping[str, object] | None, key: str) -> list[str]:
    found = (disk or {}).get(key)
    return [str(one) for one in (found if isinstance(found, list) else [found]) if one]


def _show(config: "Config", authority: "Authority") -> _Shown:
    eab = authority.eab is not None
    shown = _Shown(authority=authority.name, directory=authority.directory, eab_configured=eab)
    try:
        keeper = _open(config, authority)
        shown.path, shown.disk = keeper.path, keeper.on_disk()
        offered = keeper.directory
        shown.terms, shown.eab_needed = offered.terms, offered.eab_required
        if "key.pem" not in _texts(shown.disk, "files"):
            shown.status = "none"
            return shown
        if deactivated := shown.noted("deactivated_at"):
            shown.status, shown.url = "deactivated", shown.noted("url")
            shown.thumbprint = shown.noted("thumbprint")
            hint = f"make a new one: renewer account register {authority.name}"
            shown.error = f"it was deactivated at {deactivated}; {hint}"
            return shown
        account = keeper.look()
        shown.thumbprint = keeper.thumbprint
        if account is None:
            hint = f"the next order makes it again, or: renewer account register {authority.name}"
            shown.status, shown.error = "unknown", f"the authority knows no account with this key; {hint}"
        else:
            shown.url, shown.status, shown.orders = account.url, account.status, account.orders
            shown.contact = list(account.contact)
    except RenewerError as error:
        shown.error = f"{error.text}; {error.hint}" if error.hint else error.text
    return shown


def _print(one: _Shown) -> None:
    status = one.status or "could not be asked"
    if status == "none":
        status = "none yet; the first order makes it, or: renewer account register " + one.authority
    lines = {
        "status": status,
        "url": one.url or one.noted("url"),
        "contact": ", ".join(one.contact or ()) or ("not shown by the authority" if one.url else None),
        "key": one.thumbprint and f"{one.thumbprint} (SHA-256, RFC 7638)",
        "terms": one.terms and _terms(one.terms, one.noted("terms_agreed")),
        "orders": "listed" if one.orders else ("not listed by the authority" if one.url else None),
        "credentials": _credentials(one),
        "on disk": f"{one.path}: {one.files}" if one.files else "nothing",
        "deactivated": one.noted("deactivated_at"),
        "fault": one.error,
    }
    screen.out(f"{one.authority} ({one.directory})")
    for label, text in lines.items():
        if text:
            screen.out(f"  {label:<12} {text}")


def _terms(now: str, agreed: str | None) -> str:
    return f"{now} (agreed to then: {agreed})" if agreed and agreed != now else now


def _credentials(one: _Shown) -> str | None:
    """Whether external account credentials are needed, and there (RFC 8555 §7.3.4)."""
    if one.eab_needed is None:
        return None
    needed = "needed to register" if one.eab_needed else "not needed"
    return f"{needed}, {'in' if one.eab_configured else 'not in'} the configuration"


def _done(
    authority: "Authority", keeper: "Keeper", url: str, text: str, as_json: bool, **more: object
) -> int:
    if as_json:
        document = {"authority": authority.name, "url": url, "thumbprint": keeper.thumbprint, **more}
        screen.emit({"schema": screen.SCHEMA, **document})
    else:
        screen.out(f"{text}: {url}")
    return screen.OK


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_KEY_FILE)
    except OSError as error:
        raise UsageError(f"the key {path} cannot be read: {error.strerror}") from None
