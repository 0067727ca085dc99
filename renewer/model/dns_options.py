"""What the providers of DNS-01 can be told in the config: `options = { … }`, checked before anything runs."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from renewer.model.desired import OptionValue, Secret
from renewer.model.value import Value


class Sort(StrEnum):
    """How an option is written."""

    TEXT = "text in quotes"
    LIST = "a list of texts"
    REFERENCE = '{ file = "/path" } or the like'  # to a secret
    TEXT_OR_REFERENCE = 'text in quotes, or { file = "/path" } or the like'


class Option(Value):
    """One option of a provider; `choices` are the only texts allowed, if there are any."""

    name: str
    sort: Sort = Sort.TEXT
    required: bool = False
    choices: tuple[str, ...] = ()


class Rules(Value):
    """What a provider can be told; `open` lets anything through that is not named here."""

    options: tuple[Option, ...] = ()
    open: bool = False


BUILT_IN: Mapping[str, Rules] = {
    "rfc2136": Rules(),  # has keys of its own in the table: server, tsig
}
"""The providers of this package and their options. Those of others say them by `Provider.rules`."""


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
    return tuple(found)


def _fits(value: OptionValue, sort: Sort) -> bool:
    match sort:
        case Sort.TEXT:
            return isinstance(value, str)
        case Sort.LIST:
            return isinstance(value, tuple)
        case Sort.REFERENCE:
            return isinstance(value, Secret)
        case Sort.TEXT_OR_REFERENCE:
            return isinstance(value, str | Secret)
