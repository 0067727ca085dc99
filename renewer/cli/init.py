"""`renewer init`: a first configuration from what is on this host, and at most five questions."""

import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from renewer import words
from renewer.cli import screen
from renewer.cli.screen import Setup
from renewer.discover import beginning
from renewer.discover.beginning import FirstAuthority
from renewer.errors import UsageError
from renewer.model.desired import Agent, Config

if TYPE_CHECKING:
    from renewer.context import Context
    from renewer.discover.beginning import FirstCertificate, TlsBlock
    from renewer.model.installed import HostCertificate, WebSite


@click.command("init")
@click.option("--name", "names", multiple=True, metavar="NAME", help="A host name; may be repeated.")
@click.option("--contact", multiple=True, metavar="MAIL", help="Whom the authority may write to.")
@click.option("--agree-terms", is_flag=True, help="You agree to the authority's terms of service.")
@click.option(
    "--authority", default="letsencrypt", show_default=True, help="Who issues; one that is built in."
)
@click.option("--directory", metavar="URL", help="Another authority, by its directory.")
@click.option("--staging", metavar="URL", help="With --directory: where to rehearse.")
@click.option("--ca-bundle", metavar="FILE", help="With --directory: PEM file of whom to trust there.")
@click.option("--webroot", metavar="DIR", help="What the web server serves on port 80.  [default: as found]")
@click.option("--write-snippet", is_flag=True, help="Write the TLS block for nginx or Apache, too.")
@click.option("--no-rehearse", is_flag=True, help="Do not play the issuance at the authority's staging.")
@click.option("--print", "only_print", is_flag=True, help="Print what would be written, change nothing.")
@screen.pass_setup
@click.pass_context
def command(ctx: click.Context, setup: Setup, /, **given: Any) -> int:
    """Begin: write a first configuration from what is found on this host.

    Looks for web servers, their names and directories, asks what is not said by options (at most five
    questions, at a terminal only), writes the configuration, shows or writes the TLS block for the web
    server, and rehearses. Orders nothing unless you say so at its end.
    """
    said = _Said(**given)
    path = os.path.abspath(setup.config_path)
    _must_be_new(path)
    interactive = sys.stdin.isatty() and not said.only_print
    certificates = _certificates(said.names, said.webroot or "", interactive=interactive)
    who = _authority(said, interactive=interactive)
    config = _write(path, who, certificates, only_print=said.only_print)
    blocks = [block for one in certificates if (block := _block(config, one))]
    if said.only_print:
        for one in blocks:
            _show(one)
        return screen.OK
    return _go_on(ctx, config, blocks, said, asking=interactive)


class _Said(NamedTuple):
    """What options said."""

    names: tuple[str, ...]
    contact: tuple[str, ...]
    agree_terms: bool
    authority: str
    directory: str | None
    staging: str | None
    ca_bundle: str | None
    webroot: str | None
    write_snippet: bool
    no_rehearse: bool
    only_print: bool


def _authority(said: _Said, *, interactive: bool) -> FirstAuthority:
    """Who issues; what is not said is asked. Raises UsageError unless somebody agrees to its terms."""
    who = FirstAuthority(
        name="own" if said.directory else said.authority,
        contact=said.contact or (_mail() if interactive and not said.agree_terms else ()),
        directory=said.directory or "",
        staging=said.staging or "",
        ca_bundle=os.path.abspath(said.ca_bundle) if said.ca_bundle else "",
    )
    if not said.agree_terms:
        _agree(said.directory or said.authority, interactive=interactive)
    return who


def _must_be_new(path: str) -> None:
    """Raises UsageError if something is configured there already."""
    try:
        with open(path, "rb") as file:
            if not tomllib.load(file).keys() - {"include"}:
                return  # only words for people, as the package brings it
    except FileNotFoundError:
        return
    except (OSError, ValueError):
        pass
    raise UsageError(
        f"{path} is there already, nothing was changed",
        hint="renewer config check looks at it; renewer discover --toml shows tables to add; "
        "to begin anew move it away",
    )


# what is found and asked ----------------------------------------------------------------------------------


def _certificates(names: Sequence[str], webroot: str, *, interactive: bool) -> "list[FirstCertificate]":
    from msgspec.structs import replace

    sites, others = _look()
    kept = {str(name).lower() for one in others for name in one.leaf.names}
    found = beginning.of_sites(sites, kept)
    _tell_others(others)
    if not names and interactive:
        usual = [name for one in found for name in one.names]
        said = _ask("Names, parted by blanks", " ".join(usual)).replace(",", " ").split()
        names = () if said == usual else said
    if not names and not found:
        raise UsageError(
            "no name was found in the configuration of a web server that needs a certificate",
            hint="name it: renewer init --name www.example.org",
        )
    if names:
        found = [beginning.of_names([name.lower() for name in names], sites)]
    if not webroot and interactive and (lost := next((one for one in found if one.listen == _BEHIND), None)):
        text = (
            f"Directory that the web server serves at / for {lost.names[0]}; none: it passes on to {_BEHIND}"
        )
        webroot = _ask(text, "")
    if webroot:
        found = [replace(one, webroot=os.path.abspath(webroot), listen="") for one in found]
    return found


_BEHIND = beginning.BEHIND


def _look() -> "tuple[list[WebSite], list[HostCertificate]]":
    """The sites of the web servers here, and the certificates that somebody renews already."""
    from renewer.discover import discovery
    from renewer.servers import catalogue, sockets
    from renewer.servers.reading import Guard

    with Guard() as guard:
        sites = catalogue.websites(guard, sockets.processes())
    found = discovery.take(None, Agent().state, os.uname().nodename, ports=False)
    return sites, [one for one in found.certificates if one.keeper is not None]


def _tell_others(others: "Sequence[HostCertificate]") -> None:
    from renewer.moving.clients import CLIENTS

    clients = dict.fromkeys(one.keeper.client for one in others if one.keeper)
    for client in clients:
        names = words.several(
            str(n) for o in others if o.keeper and o.keeper.client == client for n in o.leaf.names
        )
        way = f"; to bring them along: renewer import {client}" if client in CLIENTS else ""
        screen.say(f"{client} renews {words.line(names)} here already{way}")


def _mail() -> tuple[str, ...]:
    said = _ask("E-mail address that the authority may write to; none is fine", "")
    return tuple(said.replace(",", " ").split())


def _agree(authority: str, *, interactive: bool) -> None:
    """Raises UsageError unless somebody agrees to the authority's terms."""
    text = f"Do you agree to the terms of service of {words.line(authority)}?"
    if not interactive or not click.confirm(text, err=True):
        raise UsageError(
            f"{authority} issues only to those who agree to its terms of service: nothing was written",
            hint="read them (its directory links to them), then: renewer init --agree-terms",
        )


def _ask(text: str, usual: str) -> str:
    said: str = click.prompt(text, default=usual, show_default=bool(usual), err=True)
    return said.strip()


# what is written ------------------------------------------------------------------------------------------


def _write(
    path: str, who: FirstAuthority, certificates: "Sequence[FirstCertificate]", *, only_print: bool
) -> Config:
    """Check the configuration as it will be, and write it, or print it. Raises ConfigError."""
    from renewer.config.load import load
    from renewer.discover.watching import put

    files = beginning.config(path, who, certificates, Agent().state)
    # Its directory of further files is made with them
    config = load(path, drafts=files | {path: files[path].replace(beginning.INCLUDE, "")})
    for file, text in files.items():
        if only_print:
            screen.out(f"# {file}\n{text}")
        else:
            put(file, text)
            screen.out(f"wrote {file}")
    return config


def _block(config: Config, one: "FirstCertificate") -> "TlsBlock | None":
    live = f"{config.agent.state}/certificates/{one.name}/live"
    return beginning.tls_block(one, live, ipv6=os.path.exists("/proc/net/if_inet6"))


def _show(block: "TlsBlock") -> None:
    if block.whole:
        screen.out(f"\nfor the web server, as {block.paths[0]} (--write-snippet writes it there):\n")
    elif block.paths:
        screen.out(f"\nfor the web server, into the site at {words.line(block.place)}:\n")
    else:
        screen.out(
            f"\nthe site at {words.line(block.place)} speaks TLS, or could; these lines belong there:\n"
        )
    for line in block.text.rstrip("\n").split("\n"):
        screen.out(f"    {line}")


# and then -------------------------------------------------------------------------------------------------


def _go_on(
    ctx: click.Context, config: Config, blocks: "Sequence[TlsBlock]", said: _Said, *, asking: bool
) -> int:
    """Check, lay the TLS blocks, rehearse, and offer the rest."""
    from renewer.cli import config as config_command

    ctx.invoke(config_command.check, as_json=False)
    code = _lay(config, blocks) if said.write_snippet else screen.OK
    for one in blocks if not said.write_snippet else ():
        _show(one)
    if not said.no_rehearse and code == screen.OK:
        code = _rehearse(ctx, config)
    if code != screen.OK:
        _note(f"put that right, then: renewer rehearse --all; {_NEXT}")
        return code
    if asking and click.confirm("Order now, and have the timer call from now on?", err=True):
        return _run(ctx)
    _note(f"next: {_NEXT}")
    return screen.OK


def _rehearse(ctx: click.Context, config: Config) -> int:
    if without := [name for name, one in config.authorities.items() if one.staging is None]:
        _note(f"not rehearsed: {', '.join(without)} has no staging that we know of")
        return screen.OK
    _note("rehearsing at the authority's staging …")
    code: int = ctx.invoke(_named(ctx, "rehearse"), names=(), everything=True, authority=None, as_json=False)
    return code


def _note(text: str) -> None:
    """A line on stderr, behind the answer so far where both go to one place."""
    screen.flush()
    screen.say(text)


def _named(ctx: click.Context, name: str) -> click.Command:
    """Another command of ours."""
    group = ctx.find_root().command
    assert isinstance(group, click.Group)  # noqa: S101  it called us
    found = group.get_command(ctx, name)
    assert found is not None  # noqa: S101
    return found


_NEXT = "renewer run; renewer timer install"


def _run(ctx: click.Context) -> int:
    from renewer.cli import timer

    code: int = ctx.invoke(_named(ctx, "run"), everything=True)
    ctx.invoke(timer.install, directory=Path(timer.SYSTEM), only_print=False)
    return code


def _lay(config: Config, blocks: "Sequence[TlsBlock]") -> int:
    """Write the TLS blocks, with a placeholder where they lead: the server can start at any instant.

    What the server then refuses is taken away again.
    """
    from renewer import inventory, refresh
    from renewer.context import Context
    from renewer.discover.watching import put
    from renewer.store.lock import Lock

    laid = []
    with Lock(config.agent.state, group=config.agent.group), Context(config, write=True) as context:
        refresh.placeholders(context, inventory.take(context).values())
        for block in blocks:
            path = next((one for one in block.paths if os.path.isdir(os.path.dirname(one))), None)
            if path is None or os.path.lexists(path):
                if path:
                    _note(f"{path} is there already: it stays")
                _show(block)
                continue
            put(path, block.text)
            laid.append(path)
            screen.out(f"wrote {path}")
            if not block.whole:
                screen.out(f"  → into the site at {words.line(block.place)}: include {path};")
        said = _refusals(context) if laid else []
    if not said:
        return screen.OK
    for path in laid:
        os.unlink(path)
        _note(f"{path} was taken away again: with it {'; '.join(said)}")
    return screen.FAILED


def _refusals(context: "Context") -> list[str]:
    """What the hooks' tests say against the configuration as it stands now."""
    from renewer import inventory
    from renewer.model.decision import Result
    from renewer.rehearse import test_hooks

    steps = test_hooks(context, list(inventory.take(context).values()))
    return [f"{one.detail} {one.hint}" for one in steps if one.result is Result.FAILED]
