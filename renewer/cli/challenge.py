"""`renewer challenge`: where authorities will look, what to publish for that, snippets for web servers."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from renewer.cli import screen
from renewer.cli.limits import complete, no_certificate
from renewer.cli.screen import Setup
from renewer.errors import RenewerError, UsageError
from renewer.model import persist
from renewer.model.desired import DnsAccount01, DnsPersist01, Http01, TlsAlpn01
from renewer.model.names import Identifier
from renewer.model.value import Value
from renewer.policy import challenge as choosing

if TYPE_CHECKING:
    from renewer.accounts.keeper import Keeper
    from renewer.model.desired import Authority, Certificate, Challenge, Config
    from renewer.model.facts import Debris

TXT = "a TXT record, made and removed by each order"


class ShownRecord(Value):
    """Where one name is proved in one way.

    `where` is what the authority asks for; `publish` the line for a zone file where the operator must publish
    it; `error` says why that cannot be told. `authority` is "" if all of them look at the same.
    """

    name: str
    type: str
    where: str
    authority: str = ""
    publish: str | None = None
    error: str | None = None


@click.group()
def command() -> None:
    """Look at how names are proved, before anybody is asked."""


@command.command()
@click.argument("name", metavar="NAME", shell_complete=complete)
@screen.json_option
@screen.pass_setup
def show(setup: Setup, name: str, as_json: bool) -> int:
    """Show for every name of a certificate where the authority will look.

    For dns-persist-01 that is the exact record to publish, once. It names the account, so the account must
    exist: renewer account register. Asks the authority for its directory; registers nothing. Exit 1 if
    something cannot be told.
    """
    config = setup.config()
    wish = config.certificates.get(name)
    if wish is None:
        raise no_certificate(name, config)
    with _accounts(config, wish) as accounts:
        shown = list(dict.fromkeys(_all(wish, accounts)))
    if as_json:
        screen.emit({"schema": screen.SCHEMA, "certificate": name, "challenges": shown})
    else:
        for one in shown:
            at = f" ({one.authority})" if one.authority else ""
            screen.out(f"{one.name}  {one.type}{at}: {one.where}")
            if one.publish:
                screen.out(f"  publish: {one.publish}")
            if one.error:
                screen.out(f"  cannot be told: {one.error}")
    return screen.FAILED if any(one.error for one in shown) else screen.OK


@command.command()
@click.argument("name", required=False, metavar="[NAME]")
@screen.json_option
def snippet(name: str | None, as_json: bool) -> int:
    """Print a snippet for a web server that passes challenges on to the agent; list them without NAME."""
    from renewer.config.hooks import snippets_directory

    directory = snippets_directory()
    known = {
        os.path.splitext(file)[0]: os.path.join(directory, file) for file in sorted(os.listdir(directory))
    }
    if name is None:
        if as_json:
            screen.emit({"schema": screen.SCHEMA, "snippets": known})
        else:
            for one, path in known.items():
                screen.out(f"{one}  {path}")
        return screen.OK
    if name not in known:
        raise UsageError(f"there is no snippet '{name}'", hint="there are: " + ", ".join(known))
    with open(known[name], encoding="utf-8") as file:
        text = file.read()
    if as_json:
        screen.emit({"schema": screen.SCHEMA, "name": name, "path": known[name], "text": text})
    else:
        screen.out(text.rstrip("\n"))
    return screen.OK


@command.command()
@click.argument("name", required=False, metavar="[NAME]", shell_complete=complete)
@click.option("--yes", is_flag=True, help="Forget without asking what cannot be removed.")
@screen.json_option
@screen.pass_setup
def clean(setup: Setup, name: str | None, *, yes: bool, as_json: bool) -> int:
    """Remove what challenges left behind: try once more, and forget what cannot be removed.

    What is forgotten is named, to be removed by hand: a record or a file of a challenge that is over does no
    harm. Without --yes a person is asked first. Exit 1 if something is still left.
    """
    removed, kept = _swept(setup, name)
    agreed = yes or (not as_json and bool(kept) and _agreed(kept))
    if agreed and kept:
        _forget(setup, kept)
    if as_json:
        parts = {"removed": removed, "forgotten": kept if agreed else [], "left": [] if agreed else kept}
        documents = {word: [_left(one) for one in items] for word, items in parts.items()}
        screen.emit({"schema": screen.SCHEMA, **documents})
        return screen.OK if agreed or not kept else screen.FAILED
    for one in removed:
        screen.out(f"removed   {one.where} ({one.what})")
    for one in kept:
        why = one.detail.partition(": ")[2]
        told = f"{one.where} ({one.what})" + (f": {why}" if why else "")
        screen.out(f"forgotten {told}; remove it by hand" if agreed else f"left      {told}")
    if kept and not agreed:
        screen.out("    → to forget it: renewer challenge clean --yes")
    if not removed and not kept:
        screen.out("nothing is left over")
    return screen.OK if agreed or not kept else screen.FAILED


def _swept(setup: Setup, name: str | None) -> "tuple[list[Debris], list[Debris]]":
    """What is gone now, and what is not; under the agent's lock."""
    from renewer import refresh
    from renewer.context import Context
    from renewer.model.facts import Debris
    from renewer.store.lock import Lock

    config = setup.config()
    with Lock(config.agent.state, group=config.agent.group), Context(config, write=True) as context:
        left = context.ledger.load(Debris, name)
        if name is not None and not left and name not in config.certificates:
            raise no_certificate(name, config)
        gone, kept = refresh.swept(context, left)
        context.ledger.drop(*gone)
        return gone, [one for one, _ in kept]


def _agreed(kept: "Sequence[Debris]") -> bool:
    """Whether a person says so; nobody else is asked, and nobody keeps the timer's run waiting meanwhile."""
    import sys

    if not sys.stdin.isatty():
        return False
    for one in kept:
        screen.say(f"{one.where} ({one.what})")
    return click.confirm(f"{len(kept)} cannot be removed now. Forget?", err=True)


def _forget(setup: Setup, kept: "Sequence[Debris]") -> None:
    from renewer.context import Context
    from renewer.model.decision import EventName
    from renewer.store.lock import Lock

    config = setup.config()
    with Lock(config.agent.state, group=config.agent.group), Context(config, write=True) as context:
        for one in kept:
            text = f"{one.where} ({one.what}), left behind by a challenge, is forgotten on request"
            context.journal.tell(EventName.NOTICE, one.certificate, text=text)
        context.ledger.drop(*kept)


def _left(one: "Debris") -> "dict[str, object]":
    return {
        "certificate": one.certificate,
        "what": one.what,
        "where": one.where,
        "at": one.at,
        "why": one.detail.partition(": ")[2],
    }


class _Known:
    """What one authority is known by: our account there, and its own names; each asked for once."""

    def __init__(self, authority: "Authority", keeper: "Keeper") -> None:
        self.name = authority.name
        self._keeper = keeper
        self._account: str | RenewerError | None = None

    def account(self) -> str:
        """Our account's URL. Raises RenewerError if there is none."""
        if self._account is None:
            try:
                self._account = self._found()
            except RenewerError as error:
                self._account = error
        if isinstance(self._account, RenewerError):
            raise self._account
        return self._account

    def _found(self) -> str:
        disk = self._keeper.on_disk()
        hint = f"renewer account register {self.name}"
        if disk.get("deactivated_at"):
            raise UsageError(f"the account at {self.name} was deactivated", hint=hint)
        url = self._keeper.url() if "key.pem" in disk["files"] else None
        if url is None:
            raise UsageError(f"there is no account at {self.name} yet", hint=hint)
        return url

    def close(self) -> None:
        """Close what is open."""
        self._keeper.close()

    def hashes(self, base: str) -> tuple[str, ...]:
        """Our account's hashed URIs for a name, where the authority wants them. Raises RenewerError."""
        url = self.account()  # which also takes the key in hand
        return persist.hashes(self._keeper.directory.account_hash_prefix, base, self._keeper.thumbprint, url)

    def issuers(self) -> tuple[str, ...]:
        """Its names, as its directory says them (RFC 8555 §9.7.6). Raises RenewerError."""
        directory = self._keeper.directory
        found = directory.issuers or tuple(one.lower().removesuffix(".") for one in directory.caa)
        if not found:
            hint = "the first order tells it: its failure shows the record to publish (renewer log)"
            raise UsageError(f"the directory of {self.name} does not say the authority's own name", hint=hint)
        return found


@contextmanager
def _accounts(config: "Config", wish: "Certificate") -> Iterator[list[_Known]]:
    """The authorities of a certificate, if one of its challenges depends on them."""
    from renewer.accounts.keeper import Keeper

    kinds = (DnsAccount01, DnsPersist01)
    needed = any(isinstance(one, kinds) for one in choosing.challenges_of(wish))
    authorities = [config.authorities[one] for one in wish.authorities] if needed else []
    known = [_Known(one, Keeper(one, state=config.agent.state)) for one in authorities]
    try:
        yield known
    finally:
        for one in known:
            one.close()


def _all(wish: "Certificate", accounts: list[_Known]) -> Iterator[ShownRecord]:
    for name in wish.names:
        for way in choosing.ways_of(wish, name, wildcard=name.wildcard):
            yield from _ways(wish, name, way.challenge, accounts)


def _ways(
    wish: "Certificate", name: Identifier, challenge: "Challenge", accounts: list[_Known]
) -> Iterator[ShownRecord]:
    kind = choosing.type_of(challenge)
    match challenge:
        case Http01():
            host = f"[{name}]" if ":" in name.value else str(name)
            where = f"http://{host}/.well-known/acme-challenge/…"
            yield ShownRecord(name=str(name), type=kind, where=where)
        case TlsAlpn01():
            from renewer.provisioning.tlsalpn import server_name

            where = f"port 443, server name {server_name(name)}, protocol acme-tls/1"
            yield ShownRecord(name=str(name), type=kind, where=where)
        case DnsAccount01():
            for one in accounts:
                yield _of_account(name, one)
        case DnsPersist01():
            bases = [other for other in wish.names if other.base == name.base]
            for one in accounts:
                yield _persistent(name, one, wildcard=any(other.wildcard for other in bases))
        case _:
            yield ShownRecord(name=str(name), type=kind, where=f"_acme-challenge.{name.base}, {TXT}")


def _of_account(name: Identifier, known: _Known) -> ShownRecord:
    from renewer.issue.dns01 import record_name

    kind = "dns-account-01"
    try:
        where = f"{record_name(known.account(), name.base)}, {TXT}"
    except RenewerError as error:
        return ShownRecord(name=str(name), type=kind, where="", authority=known.name, error=_words(error))
    return ShownRecord(name=str(name), type=kind, where=where, authority=known.name)


def _persistent(name: Identifier, known: _Known, *, wildcard: bool) -> ShownRecord:
    """One record for a name and its wildcard: both are proved by it."""
    kind, where = "dns-persist-01", persist.name_of(name.base)
    try:
        claim = persist.Claim(
            issuers=known.issuers(),
            account=known.account(),
            wildcard=wildcard,
            hashes=known.hashes(name.base),
        )
    except RenewerError as error:
        return ShownRecord(name=str(name), type=kind, where=where, authority=known.name, error=_words(error))
    line = persist.zone_line(where, persist.text_of(claim))
    return ShownRecord(name=str(name), type=kind, where=where, authority=known.name, publish=line)


def _words(error: RenewerError) -> str:
    return f"{error.text}; {error.hint}" if error.hint else error.text
