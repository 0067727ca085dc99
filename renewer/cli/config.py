"""`renewer config`: is the configuration right, and what may stand in it."""

import click

from renewer.cli import screen
from renewer.errors import ConfigError, Fault
from renewer.model.desired import Config


@click.group()
def command() -> None:
    """Check the configuration, or print its schema."""


@command.command()
@screen.json_option
@screen.pass_setup
def check(setup: screen.Setup, as_json: bool) -> int:
    """Read the configuration and tell everything that is wrong with it; exit 2 if anything is."""
    config = setup.config()
    if faults := _beyond_the_text(config):
        raise ConfigError(tuple(faults))
    notes = _notes(config)
    if as_json:
        counts = {
            "certificates": len(config.certificates),
            "authorities": len(config.authorities),
            "hooks": len(config.hooks),
        }
        more = {"notes": notes} if notes else {}
        screen.emit({"schema": screen.SCHEMA, "path": config.path, **counts, **more})
        return screen.OK
    parts = (
        _count(len(config.certificates), "certificate", "certificates"),
        _count(len(config.authorities), "authority", "authorities"),
        _count(len(config.hooks), "hook", "hooks"),
    )
    screen.out(f"{', '.join(parts)}: {'fine, but' if notes else 'fine'}")
    for note in notes:
        screen.out(f"  {note}")
    return screen.OK


@command.command()
def schema() -> int:
    """Print the JSON Schema of the configuration, for editors.

    With taplo (Even Better TOML), write it to a file and begin the configuration with `#:schema FILE`.
    """
    from renewer.config.schema import json_schema

    screen.emit(json_schema())
    return screen.OK


def _beyond_the_text(config: Config) -> list[Fault]:
    """What only this host can tell: programs that cannot be run, webroots and secrets that are not there."""
    from renewer import ownership
    from renewer.config.hooks import needs_key
    from renewer.hooks import problem
    from renewer.model.desired import Email, Program

    looked_at = [
        (f"authority.{name}.roots", _unusable(one.roots)) for name, one in config.authorities.items()
    ]
    looked_at += [(f"hook.{name}.run", problem(hook)) for name, hook in config.hooks.items()]
    for name, channel in config.channels.items():
        if isinstance(channel, Email) and channel.sendmail:
            key = f"`sendmail` in [notify.{name}]"
            looked_at.append((f"notify.{name}.sendmail", ownership.why_not_run(channel.sendmail, key)))
        elif isinstance(channel, Program):
            key = f"`run` in [notify.{name}]"
            looked_at.append((f"notify.{name}.run", ownership.why_not_run(channel.run[0], key)))
    if (user := config.agent.network_user) is not None:
        from renewer.workers import unknown_user

        looked_at.append(("agent.network_user", unknown_user(user)))
    looked_at += [
        (f"certificate.{name}.deploy_window", f"{window.text}: {window.fault}")
        for name, wish in config.certificates.items()
        for window in wish.deploy_windows
        if window.fault
    ]
    looked_at += [
        (f"certificate.{name}.hooks", f"hook {hook} needs a private key; that of `csr` is kept elsewhere")
        for name, wish in config.certificates.items()
        for hook in wish.hooks
        if wish.csr is not None and needs_key(config.hooks[hook].run)
    ]
    faults = [Fault(path=path, text=text, file=config.path) for path, text in looked_at if text]
    return faults + _modes_ignored(config) + _not_ready(config)


def _modes_ignored(config: Config) -> list[Fault]:
    """Where keys are to lie, and the file system does not keep the rights that are asked for."""
    from renewer.doctor import local

    found = [("agent.state", config.agent.state, fault) for fault in [local.state(config)] if fault]
    found += [
        (f"certificate.{name}.copies", path, fault)
        for name, wish in config.certificates.items()
        if config.agent.host in wish.hosts
        for path, fault in local.copies(wish)
    ]
    return [
        Fault(path=where, text=local.sentence(path, fault), hint=fault.hint, file=config.path)
        for where, path, fault in found
    ]


def _not_ready(config: Config) -> list[Fault]:
    """Challenges that cannot be answered on this host: each once, however many certificates use it."""
    from renewer.doctor.local import missing

    told: dict[str, Fault] = {}
    for name, wish in config.certificates.items():
        if config.agent.host in wish.hosts:
            for _, _, error in missing(wish):
                path = f"certificate.{name}.challenge"
                fault = Fault(path=path, text=error.text, hint=error.hint, file=config.path)
                told.setdefault(error.text, fault)
    return list(told.values())


def _unusable(roots: str) -> str | None:
    """Why nothing can be checked against these roots."""
    from renewer import secrets
    from renewer.errors import GiveUp
    from renewer.network import verify

    try:
        verify.try_roots(roots, secrets.roots)
    except GiveUp as error:
        return f"{error.text}: {error.hint}"
    return None


def _notes(config: Config) -> list[str]:
    """What is no fault, and should be known: authorities for tests, secrets, includes that match nothing."""
    from renewer.concerns import unreadable_secrets

    found = [
        f"{name} is an authority for tests: no client trusts what it signs"
        for name, authority in config.authorities.items()
        if authority.test and any(name in one.authorities for one in config.certificates.values())
    ]
    if not config.certificates:
        found.append("there is no certificate in it: nothing is renewed")
    found += [f"{where}: {fault.text}" for where, fault in unreadable_secrets(config)]
    found += _same_place(config)
    return [*found, *config.notes]


def _same_place(config: Config) -> list[str]:
    """Certificates of which a server can show one only: one of them would be found missing for ever."""
    first: dict[tuple[object, ...], str] = {}
    found = []
    for name, wish in config.certificates.items():
        for endpoint in wish.endpoints:
            other = first.setdefault((endpoint, wish.key.family), name)
            if other != name:
                kind = wish.key.family.upper()
                text = f"{other} and {name} both have the endpoint {endpoint} and {kind} keys: "
                found.append(text + "a server shows one certificate of a kind for a name")
    return list(dict.fromkeys(found))


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"
