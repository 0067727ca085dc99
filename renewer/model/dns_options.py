"""What the providers of DNS-01 can be told in the config: `options = { … }`, checked before anything runs."""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from urllib.parse import urlsplit

from renewer.errors import GiveUp
from renewer.model import keys
from renewer.model.desired import OptionValue, Secret
from renewer.model.value import Value

ACME_DNS = "acme-dns"
IN_CLEAR = "in_clear"  # the option that allows http:// to others than ourselves
_DURATION = re.compile(r"[1-9][0-9]{0,4}(s|m|h)", re.ASCII)
_URL = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?(/[!-~]*)?", re.ASCII)
_LOOPBACK = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|::1", re.ASCII)


class Sort(StrEnum):
    """How an option is written."""

    TEXT = "text in quotes"
    LIST = "a list of texts"
    REFERENCE = '{ file = "/path" } or the like'  # to a secret
    TEXT_OR_REFERENCE = 'text in quotes, or { file = "/path" } or the like'
    PATH = "an absolute path in quotes"
    URL = "a URL in quotes that begins with https:// or http://, without user and password"
    DURATION = 'a number and s, m or h in quotes, as "90s"'
    NUMBER = "a number in quotes"
    PROGRAM = 'an absolute path in quotes, or a list: ["/path", "argument"]'


class Option(Value):
    """One option of a provider; `choices` are the only texts allowed, if there are any.

    `only` is another option with the text that it must have for this one to make sense, `needs` one that
    must stand beside it.
    """

    name: str
    sort: Sort = Sort.TEXT
    required: bool = False
    choices: tuple[str, ...] = ()
    only: tuple[str, str] | None = None
    needs: str = ""


class Rules(Value):
    """What a provider can be told.

    `open` lets anything through that is not named here; with `env` it takes an environment.
    """

    options: tuple[Option, ...] = ()
    open: bool = False
    env: bool = False


_WEB = (  # of every provider that speaks HTTP
    Option(name="ca_bundle", sort=Sort.PATH),
    Option(name=IN_CLEAR, choices=("allowed",)),
    Option(name="timeout", sort=Sort.DURATION),
)
BUILT_IN: Mapping[str, Rules] = {
    "rfc2136": Rules(),  # has keys of its own in the table: server, tsig
    ACME_DNS: Rules(
        options=(
            Option(name="server", sort=Sort.URL, required=True),
            Option(name="storage", sort=Sort.PATH),
            Option(name="allow_from", sort=Sort.LIST),
            *_WEB,
        )
    ),
    "httpreq": Rules(
        options=(
            Option(name="endpoint", sort=Sort.URL, required=True),
            Option(name="mode", choices=("RAW",)),
            Option(name="username", sort=Sort.TEXT_OR_REFERENCE, needs="password"),
            Option(name="password", sort=Sort.REFERENCE, needs="username"),
            *_WEB,
        )
    ),
    "lexicon": Rules(
        options=(
            Option(name="service", required=True),
            Option(name="ttl", sort=Sort.NUMBER),
            Option(name="timeout", sort=Sort.DURATION),
        ),
        open=True,  # whatever the service takes; checked by dns-lexicon's own list when it is used
        env=True,
    ),
    "script": Rules(
        options=(
            Option(name="run", sort=Sort.PROGRAM, required=True),
            Option(name="convention", choices=("renewer", "certbot", "dehydrated", "lego", "acme.sh")),
            Option(name="cleanup", sort=Sort.PROGRAM, only=("convention", "certbot")),
            Option(name="chain", choices=("yes", "no"), only=("convention", "dehydrated")),
            Option(name="mode", choices=("RAW",), only=("convention", "lego")),
            Option(name="acme_sh", sort=Sort.PATH, only=("convention", "acme.sh")),
            Option(name="timeout", sort=Sort.DURATION),
        ),
        env=True,
    ),
}
"""The providers of this package and their options. Those of others say them by `Provider.rules`."""


def completed(
    provider: str, options: tuple[tuple[str, OptionValue], ...], state: str
) -> tuple[tuple[str, OptionValue], ...]:
    """The options with those that follow from where the agent keeps its state."""
    given = dict(options)
    if provider != ACME_DNS or "storage" in given:
        return options
    parts = urlsplit(str(given["server"]))
    server = (parts.hostname or "").replace(":", "-") + (f"_{parts.port}" if parts.port else "")
    return (*options, ("storage", f"{state}/acme-dns/{server}.json"))


def option_faults(rules: Rules, given: Sequence[tuple[str, OptionValue]]) -> tuple[tuple[str, str, str], ...]:
    """Everything wrong with the options of a provider: (option, what is wrong, what to do)."""
    known = {option.name: option for option in rules.options}
    names = ", ".join(known) or "none"
    found = [
        (name, "is not an option of this provider", f"it takes: {names}")
        for name, _ in given
        if name not in known and not rules.open
    ]
    present = dict(given)
    for option in rules.options:
        if option.name not in present:
            if option.required:
                found.append((option.name, "is missing", f"write {option.name} = {option.sort.value}"))
        elif not _fits(present[option.name], option.sort):
            found.append((option.name, f"must be {option.sort.value}", ""))
        elif option.choices and present[option.name] not in option.choices:
            found.append((option.name, "is not allowed here", "one of: " + ", ".join(option.choices)))
        elif option.only and present.get(option.only[0]) != option.only[1]:
            found.append(
                (option.name, f'goes with {option.only[0]} = "{option.only[1]}" only', "take it out")
            )
        elif option.needs and option.needs not in present:
            found.append((option.name, f"goes with {option.needs}", f"write {option.needs}, too"))
        elif option.sort is Sort.URL and IN_CLEAR not in present and _in_clear(present[option.name]):
            hint = f'use https://, or accept it: {IN_CLEAR} = "allowed"'
            found.append((option.name, "would send credentials and records unprotected", hint))
    return tuple(found)


def _in_clear(url: OptionValue) -> bool:
    parts = urlsplit(str(url))
    return parts.scheme == "http" and not _LOOPBACK.fullmatch(parts.hostname or "")


def _fits(value: OptionValue, sort: Sort) -> bool:  # noqa: PLR0911  one return for each sort
    match sort:
        case Sort.TEXT:
            return isinstance(value, str)
        case Sort.LIST:
            return isinstance(value, tuple)
        case Sort.REFERENCE:
            return isinstance(value, Secret)
        case Sort.TEXT_OR_REFERENCE:
            return isinstance(value, str | Secret)
        case Sort.PATH:
            return isinstance(value, str) and _is_path(value)
        case Sort.URL:
            return isinstance(value, str) and _URL.fullmatch(value) is not None
        case Sort.DURATION:
            return isinstance(value, str) and _DURATION.fullmatch(value) is not None
        case Sort.NUMBER:
            return isinstance(value, str) and re.fullmatch("[1-9][0-9]{0,5}", value, re.ASCII) is not None
        case Sort.PROGRAM:
            argv = (value,) if isinstance(value, str) else value
            return isinstance(argv, tuple) and bool(argv) and _is_path(argv[0]) and "\0" not in "".join(argv)


def _is_path(text: str) -> bool:
    return text.startswith("/") and text.isprintable()


def time_limit(options: Mapping[str, OptionValue], usual: float) -> float:
    """Seconds: the option `timeout`, else the usual ones."""
    if "timeout" not in options:
        return usual
    try:
        return keys.duration(str(options["timeout"]), "1s", "1h").total_seconds()
    except ValueError as error:
        raise GiveUp(f"the option timeout {error}", hint='as "90s"', kind="config") from None
